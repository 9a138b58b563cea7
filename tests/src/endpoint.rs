//! What the simulator asks of a protocol: [`Endpoint`], the shape of a sans-IO state machine, and [`Factory`], which boots
//! one.
//!
//! The words are ackline's; a protocol built on ackline, or beside it, implements the same trait and gets the same
//! simulator, oracle and random schedules.

use std::fmt::Debug;
use std::hash::Hash;

/// Microseconds of virtual time. An endpoint sees those of its own clock, which may stand off from the world's.
pub type Micros = u64;

/// One millisecond in [`Micros`].
pub const MILLISECOND: Micros = 1_000;
/// One second in [`Micros`].
pub const SECOND: Micros = 1_000_000;

/// What a channel promises.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// Every message once, in order.
    Ordered,
    /// Every message once, in any order.
    Unordered,
    /// The newest value; never an older one after a newer one.
    Latest,
    /// At most once, never retransmitted.
    BestEffort,
}

impl Mode {
    /// True if every message without a deadline has to be settled in the end.
    pub fn is_reliable(self) -> bool {
        matches!(self, Mode::Ordered | Mode::Unordered)
    }
}

/// Why an endpoint did not accept a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No room now; [`Notice::Writable`] of the same channel will say when to try again.
    Full,
    /// Never: the message is too large.
    TooLarge,
    /// Never: there is no such channel.
    NoSuchChannel,
    /// Never: the link is closed.
    Closed,
}

/// What became of an accepted message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// The peer's application accepted it.
    Settled,
    /// Its deadline passed first.
    Expired,
    /// It will not be settled.
    Failed(Failure),
}

/// Why a message will not be settled.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Failure {
    /// A best-effort message whose packet was lost.
    Lost,
    /// A newer message took its place on a [`Mode::Latest`] channel.
    Superseded,
    /// The peer closed the link.
    PeerClosed,
    /// This side closed the link without waiting.
    Closed,
    /// The peer was silent for too long.
    Unreachable,
    /// The peer, after a restart, takes only shorter messages.
    TooLarge,
    /// A reason that this version of the simulator does not know.
    Other,
}

/// Why a link ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ending {
    /// This side closed it, everything was settled.
    Drained,
    /// This side gave it up.
    Aborted,
    /// The peer closed it.
    Peer,
    /// The peer was silent for too long.
    Unreachable,
    /// A reason that this version of the simulator does not know.
    Other,
}

/// What an endpoint tells its application.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice<M> {
    /// The handshake is complete.
    Connected,
    /// The one outcome of a message.
    Outcome(M, Outcome),
    /// A message was refused for lack of room on this channel, and there is room again.
    Writable(u8),
    /// The peer lost its memory.
    PeerRestarted,
    /// The link ended.
    Closed(Ending),
}

/// A message that an endpoint handed out; its payload is in the caller's buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken<D> {
    /// For [`Endpoint::settle`].
    pub delivery: D,
    /// The channel it came on.
    pub channel: u8,
    /// True if an earlier incarnation of the receiver may have had it.
    pub redelivered: bool,
}

/// A sans-IO protocol state machine: one association with one peer.
///
/// After any call that takes `&mut self` the world transmits, takes deliveries and notices until there are no more, and
/// then reads [`poll_timeout`](Endpoint::poll_timeout).
pub trait Endpoint {
    /// Names a message that this side sent; never reused within one incarnation.
    type MessageId: Copy + Eq + Hash + Debug;
    /// Names a message that was taken.
    type DeliveryId: Copy + Debug;

    /// Opens the association actively.
    fn connect(&mut self, now: Micros);
    /// Accepts or refuses a message. `deadline` is on the same clock as `now`.
    fn send(
        &mut self,
        now: Micros,
        channel: u8,
        payload: &[u8],
        deadline: Option<Micros>,
    ) -> Result<Self::MessageId, Refusal>;
    /// Hands out the next message, its payload replacing what is in `payload`.
    fn recv(&mut self, now: Micros, payload: &mut Vec<u8>) -> Option<Taken<Self::DeliveryId>>;
    /// Settles a message that was taken on a channel with explicit settling. False if the endpoint does not know it (any
    /// more).
    fn settle(&mut self, now: Micros, delivery: Self::DeliveryId) -> bool;
    /// The next notice.
    fn poll_event(&mut self) -> Option<Notice<Self::MessageId>>;
    /// Stops accepting, drains, tells the peer.
    fn close(&mut self, now: Micros);
    /// Ends at once.
    fn abort(&mut self, now: Micros);
    /// Takes in a datagram. Must not panic, whatever the bytes. True if it was of use.
    fn handle_datagram(&mut self, now: Micros, datagram: &[u8]) -> bool;
    /// Lets time pass.
    fn handle_timeout(&mut self, now: Micros);
    /// Writes the next datagram into `buffer` and returns its length.
    fn poll_transmit(&mut self, now: Micros, buffer: &mut [u8]) -> Option<usize>;
    /// When `handle_timeout` is next needed; `None` if nothing is pending.
    fn poll_timeout(&self) -> Option<Micros>;
    /// True after the handshake.
    fn is_connected(&self) -> bool;
    /// True after the end.
    fn is_closed(&self) -> bool;
}

/// What a [`Factory`] is told when a node boots.
#[derive(Debug)]
pub struct Boot<E> {
    /// Which node boots, counted from 0.
    pub node: usize,
    /// How often the node has lost its memory so far.
    pub incarnation: u32,
    /// Fresh random bits, different at every boot.
    pub seed: u64,
    /// The node's clock.
    pub now: Micros,
    /// The endpoint as it was, if this boot keeps its memory: what a durable store would have held.
    pub memory: Option<E>,
}

/// Boots endpoints.
pub trait Factory {
    /// What is booted.
    type Endpoint: Endpoint;
    /// Makes the endpoint of a node that was switched on. If there is a `memory`, the factory makes of it what survives a
    /// power cut of that node (the whole endpoint if the node only slept).
    fn boot(&mut self, boot: Boot<Self::Endpoint>) -> Self::Endpoint;
}
