//! What a connection hands out.

use ackline::event::DeliveryId;

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
