//! The sending side of the demonstration: one thread sends files, one sends a small message now and then, one collects
//! outcomes.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ackline_std::{Channel, Connection, Event, Events, MessageId, Stats};
use anyhow::{Result, anyhow};

use crate::percentiles::{Percentiles, Times};
use crate::send::Source;
use crate::transfer::{Answer, Body, CONTROL, DATA, FileId, PING, Request};

/// Time between the small messages whose latency is measured. Chosen: as telemetry has it.
const PULSE: Duration = Duration::from_millis(20);
/// How often threads look whether they should go on.
const LOOK: Duration = Duration::from_millis(20);
/// A transfer's random name need not be random here: the receiver serves one.
const TRANSFER: u64 = 1;

/// A transfer under way.
pub struct Sending {
    shared: Arc<Shared>,
    sources: Arc<Vec<Source>>,
    threads: Mutex<Vec<JoinHandle<Result<()>>>>,
}

struct Shared {
    connection: Connection,
    /// Counts messages.
    number: AtomicU64,
    /// Tells the collector of every message sent.
    sent: Sender<Sent>,
    is_over: AtomicBool,
    are_files_done: AtomicBool,
    settled_pieces: AtomicU64,
    /// Pieces that may be sent.
    allowed_pieces: AtomicU64,
    outcome: Mutex<Collected>,
}

struct Sent {
    id: MessageId,
    number: u64,
    /// When, if its latency is measured.
    at: Option<Instant>,
}

#[derive(Default)]
struct Collected {
    settled: HashSet<u64>,
    failed: u64,
    restarts: u64,
    latency: Times,
}

fn piece_count(sources: &[Source]) -> u64 {
    sources.iter().map(|source| source.len.div_ceil(crate::transfer::PIECE_LEN as u64)).sum()
}

/// What the sender saw.
pub struct Figures {
    pub messages: u64,
    pub settled_numbers: HashSet<u64>,
    pub not_settled: u64,
    pub restarts: u64,
    pub latency: Percentiles,
    pub stats: Stats,
}

impl Sending {
    /// Sends of every file what [`allow`](Self::allow) admits.
    pub fn start(connection: Connection, sources: Vec<Source>) -> Result<Self> {
        let (sent, numbers) = mpsc::channel();
        let events = connection.events();
        let shared = Arc::new(Shared {
            connection,
            number: AtomicU64::new(0),
            sent,
            is_over: AtomicBool::new(false),
            are_files_done: AtomicBool::new(false),
            settled_pieces: AtomicU64::new(0),
            allowed_pieces: AtomicU64::new(0),
            outcome: Mutex::default(),
        });
        let sources = Arc::new(sources);
        let (files, pulses, collector) = (shared.clone(), shared.clone(), shared.clone());
        let to_send = sources.clone();
        let threads = vec![
            std::thread::spawn(move || files.send_files(&to_send)),
            std::thread::spawn(move || pulses.send_pulses()),
            std::thread::spawn(move || collector.collect(&events, &numbers)),
        ];
        Ok(Sending { shared, sources, threads: Mutex::new(threads) })
    }

    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    pub fn total_len(&self) -> u64 {
        self.sources.iter().map(|source| source.len).sum()
    }

    /// Which part of all pieces is settled.
    pub fn settled_share(&self) -> f64 {
        let total = piece_count(&self.sources).max(1);
        self.shared.settled_pieces.load(Ordering::Relaxed) as f64 / total as f64
    }

    /// Admits this part of all pieces: what is to happen in the middle happens there, however late it is noticed.
    pub fn allow(&self, share: f64) {
        let allowed = (share * piece_count(&self.sources) as f64).ceil() as u64;
        self.shared.allowed_pieces.store(allowed, Ordering::Relaxed);
    }

    /// Whether the receiver has said that every file is in its place, and everything is settled.
    pub fn is_done(&self) -> Result<bool> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = threads.iter().position(JoinHandle::is_finished) {
            let result =
                threads.swap_remove(index).join().unwrap_or_else(|_| Err(anyhow!("a thread failed")));
            result?;
        }
        Ok(self.shared.are_files_done.load(Ordering::Relaxed)
            && self.shared.connection.outcomes().outstanding == 0)
    }

    /// Stops sending and closes. Returns what was seen.
    pub fn finish(&self) -> Figures {
        let shared = &self.shared;
        shared.is_over.store(true, Ordering::Relaxed);
        // A small message may have been sent after the last look.
        shared.connection.drain(Duration::from_secs(30));
        let stats = shared.connection.stats();
        shared.connection.close(Duration::from_secs(2));
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = thread.join();
        }
        let mut collected = shared.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        let messages = shared.number.load(Ordering::Relaxed);
        let settled_numbers = std::mem::take(&mut collected.settled);
        Figures {
            messages,
            not_settled: messages - settled_numbers.len() as u64,
            settled_numbers,
            restarts: collected.restarts,
            latency: collected.latency.percentiles(),
            stats,
        }
    }
}

impl Shared {
    fn send(&self, channel: Channel, body: Body<'_>, is_timed: bool) -> Result<()> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let payload = postcard::to_stdvec(&Request { number, body })?;
        let at = is_timed.then(Instant::now);
        let id = self.connection.send(channel, &payload)?;
        let _ = self.sent.send(Sent { id, number, at });
        Ok(())
    }

    fn send_files(&self, sources: &[Source]) -> Result<()> {
        let mut sent_pieces = 0;
        let ids = || (0..).map(|index| FileId { transfer: TRANSFER, index });
        for (source, file) in sources.iter().zip(ids()) {
            let Source { name, len, hash, .. } = source;
            self.send(CONTROL, Body::File { file, name, len: *len, hash: *hash }, false)?;
            source.pieces(|offset, bytes| {
                while sent_pieces >= self.allowed_pieces.load(Ordering::Relaxed) {
                    self.check()?;
                    std::thread::sleep(LOOK);
                }
                sent_pieces += 1;
                self.send(DATA, Body::Piece { file, offset, bytes }, false)
            })?;
        }
        let total = piece_count(sources);
        while self.settled_pieces.load(Ordering::Relaxed) < total {
            self.check()?;
            std::thread::sleep(LOOK);
        }
        for (_, file) in sources.iter().zip(ids()) {
            self.send(CONTROL, Body::Finish { file }, false)?;
        }
        let mut missing: HashSet<FileId> = ids().take(sources.len()).collect();
        while !missing.is_empty() {
            self.check()?;
            let Ok(message) = self.connection.recv_timeout(LOOK) else { continue };
            match postcard::from_bytes(&message.payload)? {
                Answer::Done { file } => {
                    missing.remove(&file);
                }
                Answer::Refused(text) => return Err(anyhow!("the receiver refused: {text}")),
                Answer::Pong(_) => {}
            }
            let _ = self.connection.settle(message.id);
        }
        self.are_files_done.store(true, Ordering::Relaxed);
        // Ends with the others, so that an end means a failure.
        while !self.is_over.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        match self.connection.close_reason() {
            Some(reason) => Err(anyhow!("the connection has ended: {reason:?}")),
            None => Ok(()),
        }
    }

    fn send_pulses(&self) -> Result<()> {
        while !self.is_over.load(Ordering::Relaxed) {
            if !self.are_files_done.load(Ordering::Relaxed) {
                self.send(PING, Body::Pulse, true)?;
            }
            std::thread::sleep(PULSE);
        }
        Ok(())
    }

    /// Matches outcomes with messages until the connection has ended.
    fn collect(&self, events: &Events, sent: &Receiver<Sent>) -> Result<()> {
        let mut under_way: HashMap<MessageId, Sent> = HashMap::new();
        while let Some(event) = events.next_event() {
            let now = Instant::now();
            match event {
                Event::Settled(id) => {
                    let message = match take(&mut under_way, sent, id) {
                        Some(message) => message,
                        None => return Err(anyhow!("a message settled twice, or was never sent")),
                    };
                    if id.channel == DATA {
                        self.settled_pieces.fetch_add(1, Ordering::Relaxed);
                    }
                    let mut collected = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
                    collected.settled.insert(message.number);
                    if let Some(at) = message.at {
                        collected.latency.push(now - at);
                    }
                }
                Event::Expired(_) | Event::Failed(..) => {
                    self.outcome.lock().unwrap_or_else(PoisonError::into_inner).failed += 1;
                }
                Event::PeerRestarted => {
                    self.outcome.lock().unwrap_or_else(PoisonError::into_inner).restarts += 1;
                }
                Event::Closed(_) => break,
                _ => {}
            }
        }
        while !self.is_over.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

/// The message `id`. Its outcome may come before the thread that sent it has told of it.
fn take(under_way: &mut HashMap<MessageId, Sent>, sent: &Receiver<Sent>, id: MessageId) -> Option<Sent> {
    loop {
        if let Some(message) = under_way.remove(&id) {
            return Some(message);
        }
        let message = sent.recv_timeout(Duration::from_secs(1)).ok()?;
        under_way.insert(message.id, message);
    }
}
