//! What a link tells its application: outcomes of messages, and what happened to the peer.

use crate::config::Channel;

/// Names one message that this side sent. Never names another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MessageId {
    /// The channel it was sent on.
    pub channel: Channel,
    /// Its number on that channel (counts up by one a message, wraps at 2^32).
    pub sequence: u32,
}

/// Names one message that was taken with `recv`, for settling it later.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DeliveryId {
    /// The channel it arrived on.
    pub channel: Channel,
    /// Its number on that channel.
    pub sequence: u32,
    /// Which incarnation of the sender numbered it: a handle from before a restart is refused.
    pub(crate) generation: u32,
}

/// A message handed to the application.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Delivery<'a> {
    /// For [`Link::settle`](crate::Link::settle).
    pub id: DeliveryId,
    /// The message.
    pub payload: &'a [u8],
    /// True if the sender had sent this message to an earlier incarnation of this receiver, which may have processed it.
    pub redelivered: bool,
}

/// What became of a message that could not be settled.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FailReason {
    /// A best-effort message whose packet was lost.
    Lost,
    /// A newer message on a `Latest` channel took its place before it was acknowledged.
    Superseded,
    /// The peer closed the link without settling it.
    PeerClosed,
    /// This side closed the link without waiting.
    Closed,
    /// Nothing was heard from the peer for `Config::give_up`.
    Unreachable,
    /// The peer, as it turned out in the handshake, does not accept messages of this length. (Messages may be accepted by
    /// `send` before the peer's limits are known.)
    TooLarge,
    /// The peer, as it turned out in the handshake, has no such channel.
    NoSuchChannel,
}

/// Why a link ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CloseReason {
    /// This side called `close`, and everything was settled.
    Drained,
    /// This side called `abort`.
    Aborted,
    /// The peer closed.
    Peer,
    /// Nothing was heard from the peer for `Config::give_up`.
    Unreachable,
    /// The peer speaks no version that this side speaks.
    Version {
        /// The version that the peer asked for.
        peer: u8,
    },
}

/// What a link tells its application, by `poll_event`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event {
    /// The handshake is complete. Messages could be sent before.
    Connected,
    /// The peer's application accepted the message.
    Settled(MessageId),
    /// The message's deadline passed before it was settled. It may or may not have been delivered.
    Expired(MessageId),
    /// The message will not be settled.
    Failed(MessageId, FailReason),
    /// A message was refused with [`SendError::Full`](crate::SendError::Full) on this channel, and room has become free
    /// since: try again.
    Writable(Channel),
    /// The peer has lost its memory of this link (it rebooted). Everything unsettled is sent again, flagged
    /// `redelivered`.
    PeerRestarted,
    /// The link ended. No message is accepted or delivered any more.
    Closed(CloseReason),
}
