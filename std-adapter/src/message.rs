//! What a connection hands out.

use ackline::event::{Delivery, DeliveryId};

/// A message that was taken, with its payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The message.
    pub payload: Vec<u8>,
    /// Its channel, and what to settle it by.
    pub id: DeliveryId,
    /// True if its sender had sent it to an earlier incarnation of this receiver, which may have processed it.
    pub redelivered: bool,
}

/// A message that was taken into the caller's buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Received {
    /// Its channel, and what to settle it by.
    pub id: DeliveryId,
    /// True if its sender had sent it to an earlier incarnation of this receiver, which may have processed it.
    pub redelivered: bool,
}

/// Messages that one `recv_many` takes at most, and payload bytes after which it takes no more. Chosen: what fits the caches
/// of a processor.
const MANY_MAX: usize = 1024;
const MANY_LEN_MAX: usize = 256 << 10;

/// Messages that were taken together, in memory that is used again and again.
#[derive(Clone, Debug, Default)]
pub struct Messages {
    payloads: Vec<u8>,
    /// Each with the end of its payload.
    taken: Vec<(usize, Received)>,
}

impl Messages {
    /// None yet.
    pub const fn new() -> Self {
        Messages { payloads: Vec::new(), taken: Vec::new() }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// The messages, in the order in which they were taken.
    pub fn iter(&self) -> impl Iterator<Item = Delivery<'_>> {
        let mut start = 0;
        self.taken.iter().map(move |&(end, Received { id, redelivered })| {
            let payload = &self.payloads[std::mem::replace(&mut start, end)..end];
            Delivery { id, payload, redelivered }
        })
    }

    pub(crate) fn clear(&mut self) {
        self.payloads.clear();
        self.taken.clear();
    }

    pub(crate) fn is_full(&self) -> bool {
        self.taken.len() >= MANY_MAX || self.payloads.len() >= MANY_LEN_MAX
    }

    pub(crate) fn push(&mut self, delivery: &Delivery<'_>) {
        self.payloads.extend_from_slice(delivery.payload);
        let received = Received { id: delivery.id, redelivered: delivery.redelivered };
        self.taken.push((self.payloads.len(), received));
    }
}

/// A typed message that was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Typed<T> {
    /// The value.
    pub value: T,
    /// Its channel, and what to settle it by.
    pub id: DeliveryId,
    /// True if its sender had sent it to an earlier incarnation of this receiver, which may have processed it.
    pub redelivered: bool,
}

/// How the messages of a connection have ended so far. `sent` is the sum of the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Outcomes {
    /// Accepted by `send`.
    pub sent: u64,
    /// Accepted by the peer's application.
    pub settled: u64,
    /// Their deadline passed first.
    pub expired: u64,
    /// Will not be settled.
    pub failed: u64,
    /// Still on their way.
    pub outstanding: u64,
}
