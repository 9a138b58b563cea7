//! What applications do in a world: offer messages, take and settle them.

use crate::endpoint::Micros;
use crate::random::Random;

/// Messages that a node's application offers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Traffic {
    /// The sending node.
    pub node: usize,
    /// The channel.
    pub channel: u8,
    /// When the first message is offered.
    pub start: Micros,
    /// Time between two offers; 0 offers all at once, limited by back-pressure only.
    pub period: Micros,
    /// How many messages.
    pub count: u32,
    /// Shortest message in bytes (at least [`PAYLOAD_LEN_MIN`](crate::oracle::PAYLOAD_LEN_MIN)).
    pub len_min: usize,
    /// Longest message in bytes.
    pub len_max: usize,
    /// Time from acceptance to the deadline, if there is one.
    pub deadline: Option<Micros>,
}

impl Traffic {
    /// `count` messages of `len` bytes from `node` on `channel`, every `period` from the beginning.
    pub fn new(node: usize, channel: u8, count: u32, len: usize, period: Micros) -> Self {
        Traffic { node, channel, start: 0, period, count, len_min: len, len_max: len, deadline: None }
    }

    /// Beginning at `start`.
    pub fn starting(self, start: Micros) -> Self {
        Traffic { start, ..self }
    }

    /// With a deadline `within` after acceptance.
    pub fn expiring(self, within: Micros) -> Self {
        Traffic { deadline: Some(within), ..self }
    }

    /// With lengths uniform up to `len_max`.
    pub fn up_to(self, len_max: usize) -> Self {
        Traffic { len_max: len_max.max(self.len_min), ..self }
    }
}

/// The state of one [`Traffic`].
pub(super) struct Source {
    pub(super) traffic: Traffic,
    random: Random,
    offered: u32,
    /// Length of the message that is offered now; kept while it is refused.
    len: usize,
    pub(super) is_blocked: bool,
    pub(super) has_event: bool,
}

impl Source {
    pub(super) fn new(traffic: Traffic, mut random: Random) -> Self {
        let len = random.between(traffic.len_min as u64, traffic.len_max as u64) as usize;
        Source { traffic, random, offered: 0, len, is_blocked: false, has_event: false }
    }

    /// When the next message is or was offered; `None` after the last.
    pub(super) fn next_at(&self) -> Option<Micros> {
        let at = self.traffic.start + self.traffic.period * Micros::from(self.offered);
        (self.offered < self.traffic.count).then_some(at)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The message is out of the way: accepted, or refused for good.
    pub(super) fn advance(&mut self) {
        self.offered += 1;
        self.len = self.random.between(self.traffic.len_min as u64, self.traffic.len_max as u64) as usize;
    }

    /// The link is closed: nothing more can be offered.
    pub(super) fn end(&mut self) {
        self.offered = self.traffic.count;
    }
}

/// How a node's application takes messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Take {
    /// As soon as there is one.
    AtOnce,
    /// Some time after one may have arrived, a few at a time: a slow reader.
    Slowly {
        /// Time between two readings.
        period: Micros,
        /// Most messages a reading.
        count: u32,
    },
}

/// What a node's application does with messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reader {
    /// How it takes them.
    pub take: Take,
    /// How long it works on each before it settles it (on channels with explicit settling).
    pub settle_after: Micros,
}

impl Default for Reader {
    fn default() -> Self {
        Reader { take: Take::AtOnce, settle_after: 0 }
    }
}
