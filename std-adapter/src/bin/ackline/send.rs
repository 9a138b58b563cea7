//! `ackline send`: sends files, or lines of standard input, and tells whether all of them settled.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use ackline_std::{CloseReason, ConnectError, Connection, RecvError, SendError};
use anyhow::{Context, Result, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::Send;
use crate::hash::{Hash, hash_file};
use crate::transfer::{Answer, Body, CONTROL, DATA, FileId, LINES, PIECE_LEN, Request, config};

/// How often the progress bar moves while outcomes are awaited.
const LOOK: Duration = Duration::from_millis(100);

pub fn run(args: &Send) -> Result<()> {
    // Before anything is sent: unreadable files are the user's to mend.
    let files = args.files.iter().filter(|path| !is_stdin(path)).map(|path| Source::new(path));
    let files = files.collect::<Result<Vec<_>>>()?;
    let connection = connect(&args.address, args.message_max, args.timeout)?;
    let started = Instant::now();
    let mut sender = Sender::new(connection, progress(files.iter().map(|f| f.len).sum(), args.json));
    let result = sender.send_all(&files, args.files.iter().any(|path| is_stdin(path)));
    let outcomes = sender.connection.outcomes();
    let stats = sender.connection.stats();
    sender.connection.close(args.timeout);
    sender.bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    if args.json {
        let figures = serde_json::json!({
            "messages": outcomes.sent,
            "settled": outcomes.settled,
            "not_settled": outcomes.sent - outcomes.settled,
            "payload_bytes": sender.payload_len,
            "seconds": seconds,
            "bytes_per_second": sender.payload_len as f64 / seconds,
            "retransmitted": stats.retransmitted,
            "repeated": stats.repeated,
            "peer_restarts": stats.peer_restarts,
        });
        println!("{figures}");
    } else if result.is_ok() {
        let rate = sender.payload_len as f64 / seconds / 1e6;
        eprintln!(
            "{} messages settled, {} bytes in {seconds:.2} s ({rate:.2} MB/s), {} retransmitted",
            outcomes.settled, sender.payload_len, stats.retransmitted
        );
    }
    result?;
    if outcomes.settled < outcomes.sent {
        bail!("{} of {} messages did not settle", outcomes.sent - outcomes.settled, outcomes.sent);
    }
    Ok(())
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// A connection with the `listen` at `address`, or one clear line about why there is none.
pub fn connect(address: &str, message_max: Option<u32>, timeout: Duration) -> Result<Connection> {
    let mut config = config(message_max);
    config.give_up = Some(timeout);
    let connection =
        ackline_std::connect(address, &config).with_context(|| format!("cannot connect to {address}"))?;
    match connection.wait_connected(timeout) {
        Ok(()) => Ok(connection),
        Err(ConnectError::TimedOut | ConnectError::Closed(Some(CloseReason::Unreachable))) => {
            connection.abort();
            let timeout = humantime::format_duration(timeout);
            bail!("no answer from {address} within {timeout}: is `ackline listen` running there?")
        }
        Err(e) => Err(e).with_context(|| format!("cannot connect to {address}")),
    }
}

fn progress(len: u64, hidden: bool) -> ProgressBar {
    let bar = if hidden { ProgressBar::hidden() } else { ProgressBar::new(len) };
    let style =
        ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} settled, {binary_bytes_per_sec}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A file to send.
pub struct Source {
    pub path: PathBuf,
    pub name: String,
    pub len: u64,
    pub hash: Hash,
}

impl Source {
    pub fn new(path: &Path) -> Result<Self> {
        let (hash, len) = hash_file(path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.file_name().with_context(|| format!("{} has no file name", path.display()))?;
        Ok(Source { path: path.to_owned(), name: name.to_string_lossy().into_owned(), len, hash })
    }

    /// Calls `each` with every piece and its offset.
    pub fn pieces(&self, mut each: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        let context = || format!("cannot read {}", self.path.display());
        let mut file = File::open(&self.path).with_context(context)?.take(self.len);
        let mut piece = [0; PIECE_LEN];
        let mut offset = 0;
        loop {
            let mut len = 0;
            // Full pieces, however the system cuts its reads.
            while len < PIECE_LEN {
                match file.read(&mut piece[len..]).with_context(context)? {
                    0 => break,
                    read => len += read,
                }
            }
            if len == 0 {
                return Ok(());
            }
            each(offset, &piece[..len])?;
            offset += len as u64;
        }
    }
}

/// What the answering thread passes on.
enum Reply {
    Done(FileId),
    Refused(String),
}

struct Sender {
    connection: Connection,
    replies: Receiver<Reply>,
    bar: ProgressBar,
    transfer: u64,
    number: u64,
    payload_len: u64,
    buffer: Vec<u8>,
}

impl Sender {
    fn new(connection: Connection, bar: ProgressBar) -> Self {
        let (sender, replies) = mpsc::channel();
        let answers = connection.clone();
        std::thread::spawn(move || {
            while let Ok(message) = answers.recv() {
                let reply = match postcard::from_bytes(&message.payload) {
                    Ok(Answer::Done { file }) => Reply::Done(file),
                    Ok(Answer::Refused(text)) => Reply::Refused(text.to_owned()),
                    _ => continue,
                };
                let _ = answers.settle(message.id);
                if sender.send(reply).is_err() {
                    break;
                }
            }
        });
        let transfer = fastrand::u64(..);
        Sender { connection, replies, bar, transfer, number: 0, payload_len: 0, buffer: Vec::new() }
    }

    fn send_all(&mut self, files: &[Source], lines: bool) -> Result<()> {
        for (file, source) in self.ids(files) {
            let Source { name, len, hash, .. } = source;
            self.send(Body::File { file, name, len: *len, hash: *hash })?;
            source.pieces(|offset, bytes| self.send(Body::Piece { file, offset, bytes }))?;
        }
        if lines {
            self.send_lines()?;
        }
        self.wait_settled()?;
        for (file, _) in self.ids(files) {
            self.send(Body::Finish { file })?;
        }
        self.wait_settled()?;
        let mut missing: HashSet<FileId> = self.ids(files).map(|(file, _)| file).collect();
        while !missing.is_empty() {
            match self.replies.recv_timeout(LOOK) {
                Ok(Reply::Done(file)) => {
                    missing.remove(&file);
                }
                Ok(Reply::Refused(text)) => bail!("the receiver refused: {text}"),
                Err(_) => self.check_open()?,
            }
        }
        Ok(())
    }

    fn ids<'f>(&self, files: &'f [Source]) -> impl Iterator<Item = (FileId, &'f Source)> + use<'f> {
        let transfer = self.transfer;
        (0..).zip(files).map(move |(index, source)| (FileId { transfer, index }, source))
    }

    fn send_lines(&mut self) -> Result<()> {
        let mut line = Vec::new();
        let mut input = io::stdin().lock();
        for count in 1.. {
            line.clear();
            if input.read_until(b'\n', &mut line).context("cannot read standard input")? == 0 {
                break;
            }
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            self.send(Body::Line(&line)).with_context(|| format!("line {count}"))?;
        }
        Ok(())
    }

    fn send(&mut self, body: Body<'_>) -> Result<()> {
        let (channel, len) = match &body {
            Body::Piece { bytes, .. } => (DATA, bytes.len()),
            Body::Line(line) => (LINES, line.len()),
            _ => (CONTROL, 0),
        };
        self.number += 1;
        let request = Request { number: self.number, body };
        self.buffer.clear();
        self.buffer = postcard::to_extend(&request, std::mem::take(&mut self.buffer))?;
        match self.connection.send(channel, &self.buffer) {
            Ok(_) => {
                self.payload_len += len as u64;
                Ok(())
            }
            Err(SendError::Closed(reason)) => Err(self.ended(reason)),
            Err(e) => Err(e.into()),
        }
    }

    fn wait_settled(&mut self) -> Result<()> {
        loop {
            let outcomes = self.connection.drain(LOOK);
            let share = outcomes.settled as f64 / outcomes.sent.max(1) as f64;
            self.bar.set_position((self.payload_len as f64 * share) as u64);
            if outcomes.settled == outcomes.sent {
                return Ok(());
            }
            if outcomes.outstanding == 0 {
                return Err(self.ended(self.connection.close_reason()));
            }
            if let Ok(Reply::Refused(text)) = self.replies.try_recv() {
                bail!("the receiver refused: {text}");
            }
            self.check_open()?;
        }
    }

    fn check_open(&self) -> Result<()> {
        if self.connection.is_closed() {
            return Err(self.ended(self.connection.close_reason()));
        }
        Ok(())
    }

    /// Why the connection has ended: the receiver's own words, if it had any.
    fn ended(&self, reason: Option<CloseReason>) -> anyhow::Error {
        while let Ok(reply) = self.replies.recv_timeout(LOOK) {
            if let Reply::Refused(text) = reply {
                return anyhow!("the receiver refused: {text}");
            }
        }
        let outcomes = self.connection.outcomes();
        let settled = format!("{} of {} messages settled", outcomes.settled, outcomes.sent);
        anyhow!("{}; {settled}", RecvError::Closed(reason))
    }
}
