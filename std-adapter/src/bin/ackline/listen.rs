//! `ackline listen`: receives files and lines, answers pings.

use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use ackline_std::{Connection, Endpoint, Received, RecvError};
use anyhow::{Context, Result, bail};

use crate::args::Listen;
use crate::store::Store;
use crate::transfer::{Answer, Body, CONTROL, PING, Request, config};

/// How long a refusal may take to reach the sender.
const REFUSAL_TIME: Duration = Duration::from_secs(2);
/// How often the accepting thread looks whether a connection has failed.
const LOOK: Duration = Duration::from_millis(200);

pub fn run(args: &Listen) -> Result<()> {
    Store::new(&args.dir)?;
    let endpoint = Endpoint::bind(args.address, &config(args.message_max))
        .with_context(|| format!("cannot listen on {}", args.address))?;
    eprintln!("listening on {}", endpoint.local_addr());
    let (ended, end) = mpsc::channel();
    loop {
        if let Some(connection) = endpoint.accept_timeout(LOOK) {
            let (dir, ended) = (args.dir.clone(), ended.clone());
            std::thread::spawn(move || {
                let result = serve(&connection, &dir);
                let _ = ended.send(result);
            });
        }
        match end.try_recv() {
            Ok(Ok(())) if !args.once => {}
            Ok(result) => return result,
            Err(_) => {}
        }
    }
}

/// Handles what arrives until the connection ends. A message is settled when it was handled.
fn serve(connection: &Connection, dir: &Path) -> Result<()> {
    let store = Store::new(dir).inspect_err(|error| refuse(connection, error))?;
    let mut receiver = Receiver { connection, store };
    let mut payload = Vec::new();
    loop {
        match connection.recv_into(&mut payload) {
            Ok(received) => receiver.take(&payload, received)?,
            Err(RecvError::Closed(_)) => return Ok(()),
            Err(e) => return Err(e.into()),
        }
    }
}

pub struct Receiver<'c> {
    pub connection: &'c Connection,
    pub store: Store,
}

impl Receiver<'_> {
    /// Handles one message and settles it, or tells the sender why it cannot be handled.
    pub fn take(&mut self, payload: &[u8], received: Received) -> Result<()> {
        match self.handle(payload) {
            Ok(()) => {
                // Unknown means that the sender has restarted meanwhile: it will send the message again.
                let _ = self.connection.settle(received.id);
                Ok(())
            }
            Err(error) => {
                refuse(self.connection, &error);
                Err(error)
            }
        }
    }

    fn handle(&mut self, payload: &[u8]) -> Result<()> {
        let Ok(request) = postcard::from_bytes::<Request<'_>>(payload) else {
            bail!("a message of another kind of sender")
        };
        match request.body {
            Body::File { file, name, len, hash } => self.store.begin(file, name, len, hash),
            Body::Piece { file, offset, bytes } => self.store.write(file, offset, bytes),
            Body::Finish { file } => {
                self.store.finish(file)?;
                self.answer(CONTROL, &Answer::Done { file })
            }
            Body::Line(line) => write_line(line).context("cannot write to standard output"),
            Body::Ping(bytes) => self.answer(PING, &Answer::Pong(bytes)),
            Body::Pulse => Ok(()),
        }
    }

    fn answer(&self, channel: ackline_std::Channel, answer: &Answer<'_>) -> Result<()> {
        self.connection.send_typed(channel, answer).context("cannot answer the sender")?;
        Ok(())
    }
}

/// Tells the sender that this side cannot go on, and why, and ends the connection.
fn refuse(connection: &Connection, error: &anyhow::Error) {
    let answer = Answer::Refused(&format!("{error:#}"));
    if connection.send_typed(CONTROL, &answer).is_ok() {
        connection.drain(REFUSAL_TIME);
    }
    connection.abort();
}

fn write_line(line: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(line)?;
    out.write_all(b"\n")?;
    // Settled means written: not kept in a buffer of this process.
    out.flush()
}
