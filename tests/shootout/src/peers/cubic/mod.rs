//! A model of a Linux TCP flow, for fairness and as a reference: the kernel itself can not be run in virtual time.
//!
//! It has what decides how such a flow behaves: CUBIC with HyStart and without pacing, selective acknowledgements, loss
//! detection by time (RFC 8985), one tail loss probe, a retransmission timeout of at least 200 ms above the round trip,
//! delayed acknowledgements of 40 ms for every second segment. It does not have: proportional rate reduction, undo of
//! spurious reductions, a receive window.

mod segment;
mod sender;
mod window;

use std::collections::BTreeMap;

use ackline_tests::endpoint::{MILLISECOND, Micros};

use super::prefixed::Prefixed;
use crate::peer::{Datagram, Pair, Peer, Setting};
use segment::{BLOCKS_MAX, Segment};
use sender::Sender;

/// Linux `TCP_DELACK_MIN`.
const ACK_DELAY: Micros = 40 * MILLISECOND;

/// Both ends.
pub fn pair(setting: &Setting) -> Pair {
    let end = || End { sender: Sender::new(setting), receiver: Receiver::default() };
    [Box::new(end()), Box::new(end())]
}

struct End {
    sender: Sender,
    receiver: Receiver,
}

#[derive(Default)]
struct Receiver {
    expected: u32,
    out_of_order: BTreeMap<u32, Vec<u8>>,
    /// The block that changed last comes first (RFC 2018, 4).
    newest: u32,
    unacknowledged: u32,
    acks_now: bool,
    ack_at: Option<Micros>,
    echo: u32,
    stream: Prefixed,
}

impl Receiver {
    fn handle(&mut self, now: Micros, segment: Segment) {
        let Segment { sequence, time, payload, .. } = segment;
        if self.unacknowledged == 0 {
            // The oldest that the acknowledgement covers (RFC 7323, 4.3).
            self.echo = time;
        }
        self.unacknowledged += 1;
        let is_next = sequence == self.expected && self.out_of_order.is_empty();
        if sequence >= self.expected {
            self.newest = sequence;
            self.out_of_order.insert(sequence, payload);
        }
        // Segments keep their limits when they are sent again, so that they fit each other.
        while let Some(payload) = self.out_of_order.remove(&self.expected) {
            self.expected += payload.len() as u32;
            self.stream.push(&payload);
        }
        self.acks_now |= !is_next || self.unacknowledged >= 2;
        if !self.acks_now {
            self.ack_at = Some(now + ACK_DELAY);
        }
    }

    fn blocks(&self) -> Vec<(u32, u32)> {
        let mut blocks: Vec<(u32, u32)> = Vec::new();
        for (from, payload) in &self.out_of_order {
            let to = from + payload.len() as u32;
            match blocks.last_mut() {
                Some(last) if last.1 == *from => last.1 = to,
                _ => blocks.push((*from, to)),
            }
        }
        blocks.sort_by_key(|(from, to)| (!(*from..*to).contains(&self.newest), std::cmp::Reverse(*from)));
        blocks.truncate(BLOCKS_MAX);
        blocks
    }

    /// Everything is acknowledged by what is being sent.
    fn on_ack_sent(&mut self) {
        self.unacknowledged = 0;
        self.acks_now = false;
        self.ack_at = None;
    }
}

impl Peer for End {
    fn send(&mut self, _: Micros, message: &[u8]) -> bool {
        self.sender.push(message)
    }

    fn handle_datagram(&mut self, now: Micros, datagram: &[u8]) {
        let Some(segment) = Segment::decode(datagram) else { return };
        self.sender.on_ack(now, segment.acknowledged, &segment.blocks, segment.echo);
        if !segment.payload.is_empty() {
            self.receiver.handle(now, segment);
        }
    }

    fn handle_timeout(&mut self, now: Micros) {
        self.receiver.acks_now |= self.receiver.ack_at.is_some_and(|at| at <= now);
        self.sender.on_timeout(now);
    }

    fn poll_transmit(&mut self, now: Micros) -> Option<Datagram> {
        let (sequence, payload) = match self.sender.poll(now) {
            Some(data) => data,
            None if self.receiver.acks_now => (self.sender.next_sequence(), Vec::new()),
            None => return None,
        };
        // Blocks go with pure acknowledgements only, so that full segments keep their size.
        let blocks = if payload.is_empty() { self.receiver.blocks() } else { Vec::new() };
        if payload.is_empty() || self.receiver.out_of_order.is_empty() {
            self.receiver.on_ack_sent();
        }
        let (acknowledged, echo) = (self.receiver.expected, self.receiver.echo);
        Some(Segment { sequence, acknowledged, time: now as u32, echo, blocks, payload }.encode().into())
    }

    fn recv(&mut self, _: Micros) -> Option<Vec<u8>> {
        self.receiver.stream.take()
    }

    fn poll_timeout(&mut self, _: Micros) -> Option<Micros> {
        self.receiver.ack_at.into_iter().chain(self.sender.timeout()).min()
    }
}
