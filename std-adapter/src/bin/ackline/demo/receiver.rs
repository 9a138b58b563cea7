//! The receiving process of the demonstration, which may be killed at any moment.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ackline_std::{Connection, Endpoint, RecvError};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::args::DemoReceiver;
use crate::listen::Receiver;
use crate::store::Store;
use crate::transfer::{Request, config};

/// The record of accepted messages, in the receiver's directory: their numbers, 8 bytes each, least significant first.
const RECORD: &str = ".accepted";
/// How often the process tells its figures.
const TELL: Duration = Duration::from_millis(50);
/// How often it looks whether it should end.
const LOOK: Duration = Duration::from_millis(20);

/// One line of what the process tells, as JSON.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Told {
    /// Where it listens; in the first line.
    pub listening: Option<SocketAddr>,
    /// Messages that its application accepted.
    pub accepted: u64,
    /// Of those, sent to an earlier incarnation before.
    pub redelivered: u64,
    /// Messages or fragments that arrived again and were not delivered again.
    pub duplicates: u64,
    /// Datagrams whose check failed.
    pub damaged: u64,
}

pub fn run(args: &DemoReceiver) -> Result<()> {
    let endpoint = Endpoint::bind(args.address, &config(None))
        .with_context(|| format!("the receiver cannot listen on {}", args.address))?;
    tell(&Told { listening: Some(endpoint.local_addr()), ..Told::default() });
    let ends = watch_input();
    let mut record = Record::open(&args.dir)?;
    while !ends.load(Ordering::Relaxed) {
        if let Some(connection) = endpoint.accept_timeout(LOOK) {
            serve(&connection, &args.dir, &mut record, &ends)?;
        }
    }
    endpoint.shutdown(Duration::from_secs(1));
    Ok(())
}

/// Tells when the standard input ends: when the parent wants it, or is gone.
fn watch_input() -> Arc<AtomicBool> {
    let ends = Arc::new(AtomicBool::new(false));
    let flag = ends.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        flag.store(true, Ordering::Relaxed);
    });
    ends
}

fn serve(connection: &Connection, dir: &Path, record: &mut Record, ends: &AtomicBool) -> Result<()> {
    let mut receiver = Receiver { connection, store: Store::new(dir)? };
    let mut told = Told::default();
    let mut told_at = Instant::now();
    while !ends.load(Ordering::Relaxed) {
        match connection.recv_timeout(LOOK) {
            Ok(message) => {
                told.redelivered += u64::from(message.redelivered);
                told.accepted += 1;
                // Before it is settled: the record may hold more than was settled, never less.
                if let Ok(request) = postcard::from_bytes::<Request<'_>>(&message.payload) {
                    record.add(request.number)?;
                }
                let received = ackline_std::Received { id: message.id, redelivered: message.redelivered };
                receiver.take(&message.payload, received)?;
            }
            Err(RecvError::TimedOut) => {}
            Err(_) => break,
        }
        if told_at.elapsed() > TELL {
            told_at = Instant::now();
            tell_stats(connection, &mut told);
        }
    }
    tell_stats(connection, &mut told);
    Ok(())
}

fn tell_stats(connection: &Connection, told: &mut Told) {
    let stats = connection.stats();
    told.duplicates = u64::from(stats.duplicates);
    told.damaged = u64::from(stats.dropped_check);
    tell(told);
}

fn tell(told: &Told) {
    if let Ok(line) = serde_json::to_string(told) {
        // A parent that is gone does not read; the end of the input ends this process.
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

/// Which messages the application accepted.
struct Record(File);

impl Record {
    fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(RECORD);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        Ok(Record(file.with_context(|| format!("cannot write {}", path.display()))?))
    }

    fn add(&mut self, number: u64) -> Result<()> {
        self.0.write_all(&number.to_le_bytes()).context("cannot write the record")
    }
}

/// The numbers of the messages that the receiver's application accepted, over all its incarnations.
pub fn read_record(dir: &Path) -> Result<HashSet<u64>> {
    let bytes = std::fs::read(dir.join(RECORD)).context("cannot read the record of accepted messages")?;
    let numbers = bytes.chunks_exact(8).filter_map(|n| Some(u64::from_le_bytes(n.try_into().ok()?)));
    Ok(numbers.collect())
}
