//! No protocol: a message is a datagram, sent no faster than the link. Shows what the link loses, and what the harness
//! costs.

use std::collections::VecDeque;

use ackline_tests::endpoint::Micros;

use crate::peer::{Datagram, Pair, Peer, Setting};
use crate::scenario::LinkSpec;

struct Null {
    link: LinkSpec,
    outgoing: VecDeque<Vec<u8>>,
    incoming: VecDeque<Vec<u8>>,
    free_at_ns: u64,
}

/// Two ends.
pub fn pair(setting: &Setting) -> Pair {
    let end = || Null {
        link: setting.link.clone(),
        outgoing: VecDeque::new(),
        incoming: VecDeque::new(),
        free_at_ns: 0,
    };
    [Box::new(end()), Box::new(end())]
}

impl Peer for Null {
    fn send(&mut self, now: Micros, message: &[u8]) -> bool {
        if self.free_at_ns > 1_000 * now {
            return false;
        }
        let bits = 8 * self.link.wire_len(message.len()) as u64;
        self.free_at_ns = self.free_at_ns.max(1_000 * now) + bits * 1_000_000_000 / self.link.rate;
        self.outgoing.push_back(message.to_vec());
        true
    }

    fn handle_datagram(&mut self, _: Micros, datagram: &[u8]) {
        self.incoming.push_back(datagram.to_vec());
    }

    fn handle_timeout(&mut self, _: Micros) {}

    fn poll_transmit(&mut self, _: Micros) -> Option<Datagram> {
        self.outgoing.pop_front().map(Datagram::from)
    }

    fn recv(&mut self, _: Micros) -> Option<Vec<u8>> {
        self.incoming.pop_front()
    }

    fn poll_timeout(&mut self, now: Micros) -> Option<Micros> {
        let free_at = self.free_at_ns.div_ceil(1_000);
        (free_at > now).then_some(free_at)
    }
}
