//! Connections over byte streams that tasks read and write: TCP and Unix sockets, serial ports, pipes.

use std::io;
use std::sync::Arc;

use ackline::Config;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

use super::Connection;
use crate::carrier::Handle;
use crate::stream::line::{Incoming, LINGER, Line, LineCarrier, Next, Outgoing, READ_LEN, Service};

/// Opens a connection over the two halves of a stream. Must be called within a runtime; returns at once: messages may
/// be sent before the peer has answered. Both ends may do this, in any order.
///
/// # Errors
///
/// The system has no entropy.
pub fn connect(
    reader: impl AsyncRead + Send + Unpin + 'static,
    writer: impl AsyncWrite + Send + Unpin + 'static,
    config: &Config,
) -> io::Result<Connection> {
    let tasks =
        Arc::new(Tasks { line: Line::new(config, true)?, work: Notify::new(), dropped: Notify::new() });
    tokio::spawn(run(tasks.clone(), reader, writer));
    let peer = tasks.line.peer.clone();
    Ok(Connection::new(Handle { peer, carrier: Arc::new(LineCarrier(tasks)) }))
}

/// Opens the serial port `path` at `baud` bit/s, 8N1, and a connection over it.
///
/// # Errors
///
/// There is no such port, it is in use, or it does not do that rate.
#[cfg(feature = "tokio-serial")]
pub fn open_port(path: &str, baud: u32) -> io::Result<Connection> {
    let port = tokio_serial::SerialStream::open(&tokio_serial::new(path, baud))?;
    let (reader, writer) = tokio::io::split(port);
    connect(reader, writer, &Config::serial(baud))
}

struct Tasks {
    line: Line,
    /// The link may have something to emit, or another deadline.
    work: Notify,
    /// Every handle is gone.
    dropped: Notify,
}

impl Service for Tasks {
    fn line(&self) -> &Line {
        &self.line
    }

    fn announce_work(&self) {
        self.work.notify_one();
    }

    fn on_dropped(&self) {
        self.dropped.notify_one();
    }
}

async fn run(tasks: Arc<Tasks>, reader: impl AsyncRead + Unpin, writer: impl AsyncWrite + Unpin) {
    let linger = async {
        tasks.dropped.notified().await;
        tokio::time::sleep(LINGER).await;
    };
    tokio::select! {
        () = read(&tasks, reader) => {}
        () = write(&tasks, writer) => {}
        () = linger => {}
    }
    tasks.line.end();
}

/// Takes in what arrives until the stream ends.
async fn read(tasks: &Tasks, mut reader: impl AsyncRead + Unpin) {
    let mut incoming = Incoming::new(&tasks.line);
    let mut buffer = vec![0; READ_LEN];
    while let Ok(len @ 1..) = reader.read(&mut buffer).await {
        if incoming.take_in(&tasks.line, &buffer[..len]) {
            tasks.announce_work();
        }
    }
}

/// Writes what the link emits until it is closed or the stream ends.
async fn write(tasks: &Tasks, mut writer: impl AsyncWrite + Unpin) {
    let mut outgoing = Outgoing::new(&tasks.line);
    loop {
        match outgoing.next(&tasks.line) {
            Next::Frame(frame) => {
                if writer.write_all(frame).await.is_err() || writer.flush().await.is_err() {
                    return;
                }
            }
            Next::Sleep(deadline) => {
                let nap = async {
                    match deadline {
                        Some(deadline) => tokio::time::sleep(tasks.line.clock.until(deadline)).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = tasks.work.notified() => {}
                    () = nap => {}
                }
            }
            Next::End => return,
        }
    }
}
