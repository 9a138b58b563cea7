//! Pairs of peers on one link in virtual time: [`Arena`] moves from event to event until told to stop.
//!
//! All pairs share both directions of the link, with its queues: that is how fairness is measured. Nothing depends on
//! anything but the scenario, the peers and the seed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use ackline_tests::endpoint::{MILLISECOND, Micros, SECOND};
use ackline_tests::net::PathConfig;
use anyhow::{bail, ensure};

use crate::carrier::Carrier;
use crate::peer::{Datagram, Kind, Pair, Setting};
use crate::scenario::LinkSpec;

/// One end of one pair.
pub type Node = usize;

/// The sending end of pair `index`.
pub fn sender(index: usize) -> Node {
    2 * index
}

/// The receiving end of pair `index`.
pub fn receiver(index: usize) -> Node {
    2 * index + 1
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Arrival(Vec<u8>),
    Loss(u64),
}

/// An event, ordered by time and then by when it was scheduled.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    at: Micros,
    sequence: u64,
    node: Node,
    what: What,
}

/// A timer that is always due is moved on after so many calls in one instant...
const SPINS_MAX: u32 = 50;
/// ...by so much.
const SPIN_STEP: Micros = 50;
/// No handshake here takes longer on a link that loses nothing.
const HANDSHAKE_MAX: Micros = 120 * SECOND;

/// Peers, the link, and the time.
pub struct Arena {
    now: Micros,
    pairs: Vec<Pair>,
    link: LinkSpec,
    seed: u64,
    /// Of the nodes with even numbers, and of those with odd ones.
    carriers: [Carrier; 2],
    events: BinaryHeap<Reverse<Event>>,
    sequence: u64,
    timers: Vec<Option<Micros>>,
    inboxes: Vec<VecDeque<Vec<u8>>>,
    spins: u32,
}

impl Arena {
    /// One pair, connected.
    ///
    /// The handshake runs on a link that neither loses nor drops anything and is over when this returns: what is measured
    /// afterwards does not contain it.
    ///
    /// # Errors
    /// If the handshake does not end.
    pub fn new(kind: &Kind, link: &LinkSpec, seed: u64) -> anyhow::Result<Self> {
        Self::shared(&[*kind], link, seed)
    }

    /// Several pairs on one link, all connected. All of them have to emit UDP payloads, since the link charges all alike.
    ///
    /// # Errors
    /// If a handshake does not end, or a pair emits IP packets beside others.
    pub fn shared(kinds: &[Kind], link: &LinkSpec, seed: u64) -> anyhow::Result<Self> {
        let mut link = link.clone();
        if kinds.iter().any(|kind| kind.emits_ip) {
            ensure!(kinds.len() == 1, "a pair that emits IP packets needs a link to itself");
            // What was a UDP header is the peer's to use.
            link.mtu += if link.overhead == 28 { 28 } else { 0 };
            link.overhead = if link.overhead == 28 { 0 } else { link.overhead };
        }
        let pair = |(index, kind): (usize, &Kind)| {
            let mtu = link.mtu.max(kind.mtu_min);
            (kind.pair)(&Setting { link: &link, mtu, seed: seed + 1_000 * index as u64 })
        };
        let pairs: Vec<Pair> = kinds.iter().enumerate().map(pair).collect();
        // The delay is what it will be: some protocols take the first round trips for the truth.
        let healed = PathConfig { queue: u64::MAX, wander: link.wander_us, ..link.path().healed() };
        let nodes = 2 * pairs.len();
        let mut arena = Arena {
            now: 0,
            pairs,
            seed,
            carriers: [0, 1].map(|direction| Carrier::new(healed.clone(), seed, direction)),
            link,
            events: BinaryHeap::new(),
            sequence: 0,
            timers: vec![None; nodes],
            inboxes: vec![VecDeque::new(); nodes],
            spins: 0,
        };
        arena.connect()?;
        Ok(arena)
    }

    fn connect(&mut self) -> anyhow::Result<()> {
        let nodes = 0..self.timers.len();
        nodes.clone().for_each(|node| self.service(node));
        while !self.pairs.iter().flatten().all(|peer| peer.is_ready()) {
            if !self.step(HANDSHAKE_MAX) {
                bail!("the handshake does not end");
            }
        }
        // Its last packets pass, too.
        let settled = self.now + 3 * self.link.rtt() + MILLISECOND;
        while self.step(settled) {}
        self.inboxes.iter_mut().for_each(VecDeque::clear);
        self.carriers = [0, 1].map(|direction| Carrier::new(self.link.path(), self.seed, direction));
        Ok(())
    }

    /// The time.
    pub fn now(&self) -> Micros {
        self.now
    }

    /// The direction in which even (`0`) or odd (`1`) nodes send.
    pub fn carrier(&self, direction: usize) -> &Carrier {
        &self.carriers[direction]
    }

    /// Why a connection has ended, if one has.
    pub fn failure(&self) -> Option<String> {
        self.pairs.iter().flatten().find_map(|peer| peer.failure())
    }

    /// Offers a message to a peer; what it sends because of it leaves at once.
    pub fn offer(&mut self, node: Node, message: &[u8]) -> bool {
        let is_taken = self.pairs[node / 2][node % 2].send(self.now, message);
        if is_taken {
            self.service(node);
        }
        is_taken
    }

    /// The next message that a node received.
    pub fn take(&mut self, node: Node) -> Option<Vec<u8>> {
        self.inboxes[node].pop_front()
    }

    /// Lets the next event up to `limit` happen. If there is none, answers `false`, and the time is `limit`.
    pub fn step(&mut self, limit: Micros) -> bool {
        let arrival = self.events.peek().map(|Reverse(event)| event.at);
        let timer = (0..self.timers.len())
            .filter_map(|node| self.timers[node].map(|at| (at.max(self.now), node)))
            .min();
        let next = arrival.into_iter().chain(timer.map(|(at, _)| at)).min();
        let Some(next) = next.filter(|next| *next <= limit) else {
            self.now = self.now.max(limit);
            return false;
        };
        if next > self.now {
            self.spins = 0;
        }
        self.now = next;
        match timer {
            Some((at, node)) if arrival.is_none_or(|arrival| at < arrival) => self.wake(node),
            _ => self.happen(),
        }
        true
    }

    fn happen(&mut self) {
        let Some(Reverse(event)) = self.events.pop() else { return };
        let peer = &mut self.pairs[event.node / 2][event.node % 2];
        match event.what {
            What::Arrival(bytes) => peer.handle_datagram(self.now, &bytes),
            What::Loss(tag) => peer.on_loss(self.now, tag),
        }
        self.service(event.node);
    }

    fn wake(&mut self, node: Node) {
        self.spins += 1;
        if self.spins > SPINS_MAX {
            self.spins = 0;
            self.now += SPIN_STEP;
        }
        self.pairs[node / 2][node % 2].handle_timeout(self.now);
        self.service(node);
    }

    /// What follows every call to a peer.
    fn service(&mut self, node: Node) {
        let mut has_progressed = true;
        while has_progressed {
            has_progressed = false;
            // First, so that what a delivery causes can ride in the datagram that acknowledges it.
            while let Some(message) = self.pairs[node / 2][node % 2].recv(self.now) {
                self.inboxes[node].push_back(message);
                has_progressed = true;
            }
            while let Some(datagram) = self.pairs[node / 2][node % 2].poll_transmit(self.now) {
                self.transmit(node, datagram);
            }
        }
        self.timers[node] = self.pairs[node / 2][node % 2].poll_timeout(self.now);
    }

    fn transmit(&mut self, node: Node, datagram: Datagram) {
        let Datagram { bytes, rider, tag } = datagram;
        let is_oracle = self.pairs[node / 2][node % 2].is_oracle();
        let mut fate = self.carriers[node % 2].send(self.now, &bytes);
        if is_oracle {
            fate.arrivals.retain(|arrival| arrival.bytes == bytes);
            if fate.arrivals.is_empty() {
                self.schedule(fate.due + self.link.delay_us, node, What::Loss(tag));
            }
        }
        for mut arrival in fate.arrivals {
            arrival.bytes.extend_from_slice(&rider);
            self.schedule(arrival.at, node ^ 1, What::Arrival(arrival.bytes));
        }
    }

    fn schedule(&mut self, at: Micros, node: Node, what: What) {
        self.sequence += 1;
        self.events.push(Reverse(Event { at, sequence: self.sequence, node, what }));
    }
}
