//! What is asked of a connection: W1 [`bulk`], W2 [`paced`], W3 [`ping`].
//!
//! Every message says which one it is and has a content that follows from that, so that the receiving end knows what is
//! missing, repeated, damaged or out of order.

use std::collections::VecDeque;
use std::ops::Range;

use ackline_tests::endpoint::{Micros, SECOND};
use serde::{Deserialize, Serialize};

use crate::arena::{Arena, receiver, sender};
use crate::scenario::{Bulk, Paced, Ping};

/// W2 ends so long after its last message is due.
const PACED_PATIENCE: Micros = 60 * SECOND;
/// W3 ends after this.
const PING_LIMIT: Micros = 300 * SECOND;

/// A workload.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Workload {
    /// W1.
    Bulk,
    /// W2.
    Paced,
    /// W3.
    Ping,
}

/// What a run measured.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Messages (W3: exchanges) asked for.
    pub wanted: usize,
    /// Messages that arrived intact.
    pub delivered: usize,
    /// Their bytes (W3: both ways).
    pub payload: u64,
    /// From the start to the last delivery, or to the limit if not everything arrived.
    pub elapsed: Micros,
    /// Of every message; `None` if it did not arrive by the end.
    pub latencies: Vec<Option<Micros>>,
    /// Messages with a wrong content, handed out twice, or (by an ordered protocol) out of order.
    pub damaged: u64,
    /// See `damaged`.
    pub repeated: u64,
    /// See `damaged`.
    pub misordered: u64,
    /// Bytes on the wire in both directions.
    pub wire: u64,
    /// Mean wait in the queue of the forward direction, in microseconds.
    pub queue_mean: f64,
    /// The longest, in microseconds.
    pub queue_max: f64,
    /// Why the connection ended, if it did.
    pub failure: Option<String>,
}

/// Message `index` of `len` bytes, at least 8.
pub fn message(index: usize, len: usize) -> Vec<u8> {
    let mut message = (index as u64).to_le_bytes().to_vec();
    message.extend((8..len).map(|at| (index as u8).wrapping_mul(31) ^ at as u8));
    message
}

/// Checks what arrives.
struct Sink {
    len: usize,
    arrived: Vec<Option<Micros>>,
    count: usize,
    last: Micros,
    expected: usize,
    damaged: u64,
    repeated: u64,
    misordered: u64,
}

impl Sink {
    fn new(count: usize, len: usize) -> Self {
        let arrived = vec![None; count];
        Sink { len, arrived, count: 0, last: 0, expected: 0, damaged: 0, repeated: 0, misordered: 0 }
    }

    /// Which message it was, if it was a new and intact one.
    fn take(&mut self, now: Micros, bytes: &[u8]) -> Option<usize> {
        let index = bytes.first_chunk().map(|b| u64::from_le_bytes(*b) as usize);
        let Some(index) = index.filter(|i| *i < self.arrived.len() && bytes == message(*i, self.len)) else {
            self.damaged += 1;
            self.expected += 1;
            return None;
        };
        if self.arrived[index].is_some() {
            self.repeated += 1;
            return None;
        }
        self.misordered += u64::from(index != self.expected);
        self.expected = index + 1;
        self.arrived[index] = Some(now);
        self.count += 1;
        self.last = now;
        Some(index)
    }

    /// Nothing more can come: what came damaged does not come again.
    fn is_complete(&self) -> bool {
        self.count + self.damaged as usize >= self.arrived.len()
    }

    fn outcome(
        self,
        arena: &Arena,
        is_ordered: bool,
        within: Range<Micros>,
        sent: impl Fn(usize) -> Micros,
    ) -> Outcome {
        let forward = arena.carrier(0).stats();
        let queued = (forward.packets - forward.dropped_queue).max(1);
        Outcome {
            wanted: self.arrived.len(),
            delivered: self.count,
            payload: (self.count * self.len) as u64,
            elapsed: if self.is_complete() { self.last } else { within.end } - within.start,
            latencies: self.arrived.iter().enumerate().map(|(i, at)| at.map(|at| at - sent(i))).collect(),
            damaged: self.damaged,
            repeated: self.repeated,
            misordered: if is_ordered { self.misordered } else { 0 },
            wire: arena.carrier(0).wire_bytes() + arena.carrier(1).wire_bytes(),
            queue_mean: forward.waited_ns as f64 / queued as f64 / 1e3,
            queue_max: forward.waited_max_ns as f64 / 1e3,
            failure: arena.failure(),
        }
    }
}

/// W1: messages as fast as the protocol takes them.
pub fn bulk(arena: &mut Arena, is_ordered: bool, work: Bulk) -> Outcome {
    let start = arena.now();
    let limit = start + work.limit_s * SECOND;
    let mut sink = Sink::new(work.count, work.message);
    let mut sent = Vec::with_capacity(work.count);
    let mut next = message(0, work.message);
    loop {
        while sent.len() < work.count && arena.offer(sender(0), &next) {
            sent.push(arena.now());
            next = message(sent.len(), work.message);
        }
        while let Some(bytes) = arena.take(receiver(0)) {
            sink.take(arena.now(), &bytes);
        }
        if sink.is_complete() || arena.failure().is_some() || !arena.step(limit) {
            break;
        }
    }
    sink.outcome(arena, is_ordered, start..limit, |index| sent.get(index).copied().unwrap_or(start))
}

/// W2: a message every period. Its latency counts from when it was due, so that a protocol which does not take it in time
/// pays for that.
pub fn paced(arena: &mut Arena, is_ordered: bool, work: Paced) -> Outcome {
    let start = arena.now();
    let due_at = |index: usize| start + index as Micros * work.period_us;
    let limit = due_at(work.count) + PACED_PATIENCE;
    let mut sink = Sink::new(work.count, work.message);
    let (mut due, mut scheduled) = (VecDeque::new(), 0);
    loop {
        while scheduled < work.count && due_at(scheduled) <= arena.now() {
            due.push_back(scheduled);
            scheduled += 1;
        }
        while let Some(index) = due.front()
            && arena.offer(sender(0), &message(*index, work.message))
        {
            due.pop_front();
        }
        while let Some(bytes) = arena.take(receiver(0)) {
            sink.take(arena.now(), &bytes);
        }
        let next = if scheduled < work.count { due_at(scheduled) } else { limit };
        let is_over = sink.is_complete() || arena.failure().is_some() || arena.now() >= limit;
        if is_over || (!arena.step(next) && next == limit) {
            break;
        }
    }
    sink.outcome(arena, is_ordered, start..limit, due_at)
}

/// W3: a request, its reply, the next request. A latency is that of the whole exchange.
pub fn ping(arena: &mut Arena, work: Ping) -> Outcome {
    let start = arena.now();
    let limit = start + PING_LIMIT;
    let (mut requests, mut replies) =
        (Sink::new(work.count, work.message), Sink::new(work.count, work.message));
    let mut sent = Vec::with_capacity(work.count);
    let (mut request, mut reply) = (Some(0), None);
    loop {
        let mut has_acted = false;
        if let Some(index) = request
            && arena.offer(sender(0), &message(index, work.message))
        {
            sent.push(arena.now());
            request = None;
            has_acted = true;
        }
        while let Some(bytes) = arena.take(receiver(0)) {
            reply = requests.take(arena.now(), &bytes).or(reply);
        }
        if let Some(index) = reply
            && arena.offer(receiver(0), &message(index, work.message))
        {
            reply = None;
            has_acted = true;
        }
        while let Some(bytes) = arena.take(sender(0)) {
            if let Some(index) = replies.take(arena.now(), &bytes) {
                request = Some(index + 1).filter(|next| *next < work.count);
                has_acted = true;
            }
        }
        if replies.is_complete() || arena.failure().is_some() || (!has_acted && !arena.step(limit)) {
            break;
        }
    }
    let mut outcome =
        replies.outcome(arena, false, start..limit, |index| sent.get(index).copied().unwrap_or(start));
    outcome.payload *= 2;
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer;
    use crate::scenario;

    fn link(name: &str) -> scenario::LinkSpec {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let scenarios = scenario::load(&folder).expect("the scenarios are valid");
        scenarios.into_iter().find(|s| s.name == name).expect("there is such a scenario").link
    }

    fn arena(peer: &str, link: &str, seed: u64) -> Arena {
        Arena::new(&peer::named(peer).expect("known"), &self::link(link), seed).expect("connects")
    }

    #[test]
    fn oracle_on_a_clean_link_reaches_the_bound_and_no_more() {
        let work = Bulk { message: 1000, count: 4000, limit_s: 60 };
        let run = bulk(&mut arena("oracle", "S7", 1), true, work);
        let goodput = run.payload as f64 * 8e6 / run.elapsed as f64;
        // The last datagram has to cross the link, which takes 30 ms of 3.2 s.
        assert!((0.98..=1.0).contains(&(goodput / link("S7").goodput_bound())), "{goodput}");
        let work = Paced { message: 200, period_us: 10_000, count: 100 };
        let run = paced(&mut arena("oracle", "S7", 1), true, work);
        // 228 bytes at 10 Mbit/s are 182.4 µs.
        assert!(run.latencies.iter().all(|l| *l == Some(30_183)), "{:?}", run.latencies);
    }

    #[test]
    fn oracle_repairs_a_loss_in_three_crossings_of_the_link() {
        let work = Paced { message: 200, period_us: 10_000, count: 2000 };
        let run = paced(&mut arena("oracle-unordered", "S2", 1), false, work);
        let mut latencies: Vec<_> = run.latencies.iter().flatten().map(|l| l / 1000).collect();
        latencies.sort_unstable();
        latencies.dedup();
        assert_eq!(latencies[..2], [20, 60]);
    }

    #[test]
    fn same_seed_gives_the_same_run_and_another_seed_another() {
        let work = Paced { message: 100, period_us: 5_000, count: 300 };
        for peer in
            ["oracle", "ackline", "kcp-flush", "enet", "smoltcp-cubic", "cubic-model", "quic-bbr", "sctp"]
        {
            let run = |seed| paced(&mut arena(peer, "S3", seed), true, work).latencies;
            assert_eq!(run(9), run(9), "{peer}");
            assert_ne!(run(9), run(10), "{peer}");
        }
    }

    #[test]
    fn damage_is_noticed_when_it_is_delivered() {
        let work = Bulk { message: 1000, count: 2000, limit_s: 60 };
        let null = bulk(&mut arena("null", "S9", 1), false, work);
        assert!((5..50).contains(&null.damaged), "{}", null.damaged);
        let ours = bulk(&mut arena("ackline", "S9", 1), true, work);
        assert_eq!((ours.delivered, ours.damaged), (2000, 0));
    }
}
