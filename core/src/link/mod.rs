//! One association with one peer.
//!
//! One message, by file: [`Link::send`] puts it into its channel's `outbox`; `transmit` packs it into a packet, by
//! [`crate::wire`], and notes in `sent` what the packet carries; at the other side `receive` takes the packet apart and
//! puts the message into the channel's `inbox`; [`Link::recv`] hands it out and settles it; the settlement travels back,
//! and `outbox` reports the outcome. `recovery` finds out what was lost; `handshake` opens associations and notices
//! restarts; `acks` decides what to acknowledge when; `pacer` and [`crate::congestion`] how fast to send; `timers` when to
//! be called next.

mod ack_rate;
mod acks;
mod digest;
mod granules;
mod greeting;
mod handshake;
mod inbox;
mod outbox;
mod pacer;
mod peer;
mod ranges;
mod receive;
mod recovery;
mod repetition;
mod sent;
mod settings;
mod timers;
mod transmit;

pub(crate) use handshake::split_check;
pub(crate) use peer::association_key;

use ack_rate::AckRate;
use acks::Acks;
use inbox::InChannel;
use outbox::{OutChannel, Outcome};
use pacer::Pacer;
use peer::{Cookie, Peer, Reply};
use recovery::Recovery;
use repetition::Repetition;
use sent::{FRAGMENTED_MAX, SentFrame, SentPacket};
use settings::{Limits, Settings};

use crate::config::{Channel, Config, Medium, Mode};
use crate::congestion::Controller;
use crate::error::{SendError, UnknownDelivery};
use crate::event::{CloseReason, Delivery, DeliveryId, Event, FailReason, MessageId};
use crate::logging::debug;
use crate::sequence::Sequence;
use crate::stats::Stats;
use crate::storage::{Item, Ring, Slots, Storage};
use crate::time::Instant;
use crate::wire::LinkId;

/// What became of a datagram that was handed to a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Receipt {
    /// It belongs to this link's association, and its check (where there is one) was right: where it came from is where
    /// the peer is.
    Accepted,
    /// It is not of this link's association, but gets an answer: what [`Link::poll_transmit`] gives next is to be sent to
    /// where it came from, and only that. Where the peer is has not changed.
    Answered,
    /// It was of no use, and counted. Nothing follows from it.
    Dropped,
}

/// What a message takes in the ring of payloads beside its own bytes: a header of 8, and up to 3 of padding.
const BLOCK_OVERHEAD_MAX: usize = 12;

/// How far the link is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Waits for a hello.
    Idle,
    /// Says hello, or talks.
    Open,
    /// Ended.
    Closed,
}

/// A message's deadline.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    at: Instant,
    channel: u8,
    sequence: Sequence,
}

impl Item for Deadline {
    const BLANK: Self = Deadline { at: Instant::ZERO, channel: 0, sequence: Sequence(0) };
}

/// One association with one peer. See the [crate's front page](crate) for how to drive it.
///
/// Small fields stand first, in this order: the instructions of small processors reach 32 bytes, or words in 124 bytes,
/// from where a value begins, and need twice the space beyond.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Link<S: Storage, C: Controller> {
    phase: Phase,
    due: Due,
    is_connected: bool,
    is_draining: bool,
    is_close_sent: bool,
    close_code: u8,
    /// The channels that were served last, when sending and when receiving.
    last_out: u8,
    last_in: u8,
    connected_event: bool,
    restarted_event: bool,
    closed_event: bool,
    close_reason: CloseReason,
    /// Packets with settlements of several channels since one asked to have them confirmed.
    settle_rides: u8,
    /// Pings sent since the peer last settled anything of what it has acknowledged.
    patience: u8,
    /// The latest time that was passed in.
    now: Instant,
    /// Before this, and unless anything changes, there is nothing to emit; it is the next deadline then.
    quiet_until: Instant,
    recovery: Recovery,
    peer: Peer,
    acks: Acks<S>,
    /// Counts associations; deliveries carry it.
    generation: u32,
    /// How often acknowledgements suit this side, and how often the peer was told to send them.
    ack_rate_asked: AckRate,
    ack_rate_told: AckRate,
    /// The payload lent out by `recv`, to be freed.
    lent: Option<(u8, u32)>,
    /// Bytes that may be sent before the peer has shown that it receives what we send.
    budget: Option<u32>,
    last_sent_at: Instant,
    last_heard_at: Instant,
    /// Since when something that asks for an acknowledgement is out and nothing was heard.
    unheard_since: Option<Instant>,
    repetition: Repetition,
    last_hello_at: Option<Instant>,
    pacer: Pacer,
    /// Names this link's life: drawn at `new`.
    incarnation: u64,
    local_id: LinkId,
    /// Replaces `local_id` when the peer restarts.
    next_local_id: LinkId,
    /// State of the generator of link ids.
    random: u64,
    config: Settings,
    stats: Stats,
    reply: Reply,
    cookie: Cookie,
    congestion: C,

    packets: S::Packets<SentPacket<C::Stamp>>,
    frames: S::Frames<SentFrame>,
    deadlines: S::Deadlines<Deadline>,
    out: S::Channels<OutChannel<S>>,
    inn: S::Channels<InChannel<S>>,
}

/// What must go out as soon as possible.
#[derive(Clone, Copy, Debug, Hash)]
struct Due {
    hello: bool,
    ping: bool,
    credit: bool,
    close: bool,
    /// A settlement that no pending acknowledgement covers.
    settled: bool,
    /// The peer reports ranges that are of no interest any more.
    floor: bool,
    /// Copies of young messages, if any are left to repeat.
    copies: bool,
    /// Packets to send whatever the window says.
    probes: u8,
}

impl Due {
    const NOTHING: Due = Due {
        hello: false,
        ping: false,
        credit: false,
        close: false,
        settled: false,
        floor: false,
        copies: false,
        probes: 0,
    };
}

/// The next number of a splitmix64 sequence: spreads the seed over link ids and incarnations. Not secret.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The channel whose turn comes after `c`, of `count`.
const fn following(c: usize, count: usize) -> usize {
    if c + 1 < count { c + 1 } else { 0 }
}

impl<S: Storage, C: Controller> Link<S, C> {
    /// A link that waits for a hello; see [`connect`](Self::connect).
    ///
    /// `seed` names this incarnation: it must differ at every boot (a hardware random number, or a counter that
    /// survives power loss), or else the peer takes the new incarnation for the old one and drops its messages as
    /// duplicates. Over UDP it should be unpredictable.
    ///
    /// Where a stack cannot hold a link beside the place for it, see [`unstarted`](Self::unstarted).
    pub fn new(config: &Config, congestion: C, seed: u64) -> Self {
        let mut link = Self::blank(congestion);
        link.set_up(config, seed);
        link
    }

    /// A link in a `static`, without a copy on the stack: to be [started](Self::start) before anything else is done with
    /// it. All zeros, so it takes no flash.
    pub const fn unstarted() -> Self
    where
        C: Item,
    {
        Self::blank(C::BLANK)
    }

    /// Makes an [unstarted](Self::unstarted) link what [`new`](Self::new) makes. Not to be called again: a link that has
    /// ended is not started anew in its place.
    pub fn start(&mut self, config: &Config, congestion: C, seed: u64) {
        self.congestion = congestion;
        self.set_up(config, seed);
    }

    const fn blank(congestion: C) -> Self {
        Link {
            phase: Phase::Idle,
            due: Due::NOTHING,
            is_connected: false,
            is_draining: false,
            is_close_sent: false,
            close_code: receive::CLOSE_DRAINED,
            last_out: 0,
            last_in: 0,
            connected_event: false,
            restarted_event: false,
            closed_event: false,
            close_reason: CloseReason::Drained,
            settle_rides: 0,
            patience: 0,
            now: Instant::ZERO,
            quiet_until: Instant::ZERO,
            recovery: Recovery::BLANK,
            peer: Peer::BLANK,
            acks: Acks::BLANK,
            generation: 0,
            ack_rate_asked: AckRate::BLANK,
            ack_rate_told: AckRate::BLANK,
            lent: None,
            budget: None,
            last_sent_at: Instant::ZERO,
            last_heard_at: Instant::ZERO,
            unheard_since: None,
            repetition: Repetition::BLANK,
            last_hello_at: None,
            pacer: Pacer::new(),
            incarnation: 0,
            local_id: LinkId::EMPTY,
            next_local_id: LinkId::EMPTY,
            random: 0,
            config: Settings::BLANK,
            stats: Stats::ZERO,
            reply: Reply::None,
            cookie: Cookie::EMPTY,
            congestion,
            packets: Ring::EMPTY,
            frames: Ring::EMPTY,
            deadlines: Ring::EMPTY,
            out: Slots::EMPTY,
            inn: Slots::EMPTY,
        }
    }

    fn set_up(&mut self, config: &Config, seed: u64) {
        self.random = seed;
        self.incarnation = next_random(&mut self.random).max(1);
        self.local_id = LinkId::from_value(next_random(&mut self.random), config.link_id_len);
        let limits = Limits {
            message_max: Self::message_limit(),
            window: Self::window_limit(),
            buffer: Self::buffer_limit(),
        };
        self.config = Settings::new(config, &limits);
        self.congestion.on_datagram_max(self.config.datagram_max);
        self.peer.start(self.config.datagram_max);
        self.recovery.start(config);
        self.repetition.start();
        self.ack_rate_asked = AckRate::usual(0);
        self.ack_rate_told = self.ack_rate_asked;
        self.acks.start(self.config.ack_delay);
        self.draw_next_id();
    }

    /// The longest message that the storage can hold and fragment.
    fn message_limit() -> u32 {
        let fragmented = if S::FRAGMENTATION { FRAGMENTED_MAX } else { 65_527 };
        // A message lies in one piece: what is kept apart for that is as long as the longest.
        fragmented.min((S::BYTES_MAX / 4) as u32)
    }

    /// Payload bytes that the peer may have outstanding: what the storage has, less the bookkeeping of as many messages,
    /// and less one message, so that there is always a piece of the ring that is long enough.
    fn buffer_limit() -> u32 {
        let kept = S::BYTES_MAX / 4 + BLOCK_OVERHEAD_MAX * Self::window_limit() as usize + S::BYTES_MAX / 64;
        S::BYTES_MAX.saturating_sub(kept).max(S::BYTES_MAX / 4) as u32
    }

    /// Messages that the peer may have outstanding on a channel: the bookkeeping of all of them takes a quarter of the
    /// bytes at most.
    fn window_limit() -> u32 {
        let fit = S::BYTES_MAX / 4 / BLOCK_OVERHEAD_MAX;
        S::MESSAGES_MAX.min(fit).max(1) as u32
    }

    /// Starts numbering from `message` and `packet` instead of 0. For tests of wrap-around; call before anything else.
    #[doc(hidden)]
    pub fn start_numbers_at(&mut self, message: u32, packet: u32) {
        for c in 0..self.out.len_max() {
            let config = self.config.channel(c);
            self.out.ensure(c, |_, out| out.start(config, Sequence(message)));
        }
        self.recovery.start_at(Sequence(packet));
        self.peer.tell_again(Sequence(packet));
    }

    /// Opens the association actively, instead of waiting for the peer to do so. Both sides may. Does nothing on a link
    /// that is open or closed.
    pub fn connect(&mut self, now: Instant) {
        self.tick(now);
        self.on_change();
        if self.phase == Phase::Idle {
            self.phase = Phase::Open;
            self.due.hello = true;
        }
    }

    /// Takes a message into the outbox of `channel`. It may be sent before the link is connected.
    ///
    /// It will have exactly one outcome, by [`poll_event`](Self::poll_event). `Ok` does not say that it was sent.
    ///
    /// # Errors
    ///
    /// Nothing was taken. [`SendError::Full`]: try again after [`Event::Writable`]. [`SendError::TooLarge`]: never on this
    /// link. [`SendError::NoSuchChannel`]: the storage has fewer channels. [`SendError::Closed`].
    pub fn send(&mut self, now: Instant, channel: Channel, payload: &[u8]) -> Result<MessageId, SendError> {
        self.enqueue(now, channel, payload, None)
    }

    /// The same with a deadline: if the message is not settled by then, its outcome is [`Event::Expired`], and nothing
    /// waits for it any more. A deadline that has passed expires it at the next [`handle_timeout`](Self::handle_timeout).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); [`SendError::NoSuchChannel`] also if the storage has no deadlines.
    pub fn send_before(
        &mut self,
        now: Instant,
        channel: Channel,
        payload: &[u8],
        deadline: Instant,
    ) -> Result<MessageId, SendError> {
        if !S::DEADLINES {
            return Err(SendError::NoSuchChannel);
        }
        self.enqueue(now, channel, payload, Some(deadline))
    }

    fn enqueue(
        &mut self,
        now: Instant,
        channel: Channel,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> Result<MessageId, SendError> {
        self.tick(now);
        if self.phase == Phase::Closed || self.is_draining {
            return Err(SendError::Closed);
        }
        let max = self.config.message_max.min(self.peer.message_max).min(self.unfragmented_max());
        if payload.len() as u64 > max as u64 {
            return Err(SendError::TooLarge { max });
        }
        let (c, limit) = (channel.0 as usize, self.config.send_buffer);
        if !self.peer.has_channel(c) {
            return Err(SendError::NoSuchChannel);
        }
        let has_deadline_room = deadline.is_none() || self.has_deadline_room();
        if deadline.is_some() {
            self.on_change();
        }
        let config = &self.config;
        let out = self
            .out
            .ensure(c, |i, out| out.start(config.channel(i), Sequence(0)))
            .ok_or(SendError::NoSuchChannel)?;
        if !has_deadline_room {
            out.on_refused();
            return Err(SendError::Full);
        }
        // What stands behind something that waits changes nothing yet.
        let is_behind = out.next_send != out.end() && out.config.mode != Mode::Latest;
        let sequence = out.push(payload, limit, deadline.is_some()).ok_or(SendError::Full)?;
        if !is_behind {
            self.on_change();
        }
        self.stats.messages_sent = self.stats.messages_sent.wrapping_add(1);
        if let Some(at) = deadline {
            self.insert_deadline(Deadline { at: timers::tick(at), channel: channel.0, sequence });
        }
        Ok(MessageId { channel, sequence: sequence.0 })
    }

    /// Without fragmentation a message must fit a packet: header with link id and number, acknowledgement and
    /// settlement, frame head, check. (What does not fit beside a hello waits until the handshake is over.)
    fn unfragmented_max(&self) -> u32 {
        if S::FRAGMENTATION && (self.peer.fragments || self.peer.incarnation == 0) {
            return u32::MAX;
        }
        self.peer.datagram_max.saturating_sub(transmit::OVERHEAD_MAX)
    }

    /// The next received message, if there is one: lower channels are not preferred, channels take turns.
    ///
    /// On a channel with [`Settle::OnTake`](crate::Settle::OnTake) taking it settles it. Poll for datagrams afterwards: the settlement goes out.
    pub fn recv(&mut self, now: Instant) -> Option<Delivery<'_>> {
        self.tick(now);
        self.release_lent();
        let epoch = self.acks.epoch;
        let channels = self.inn.as_mut_slice();
        let count = channels.len();
        let mut c = self.last_in as usize;
        let mut found = None;
        for _ in 0..count {
            c = following(c, count);
            found = channels.get_mut(c)?.take(epoch);
            if found.is_some() {
                break;
            }
        }
        let taken = found?;
        self.on_change();
        self.last_in = c as u8;
        self.lent = Some((c as u8, taken.position));
        if let Some(eliciting) = taken.settled {
            self.on_settled_here(c, eliciting);
        }
        self.stats.messages_received = self.stats.messages_received.wrapping_add(1);
        let id =
            DeliveryId { channel: Channel(c as u8), sequence: taken.sequence.0, generation: self.generation };
        let payload = self.inn.as_slice().get(c)?.payload(taken.position, taken.len);
        Some(Delivery { id, payload, redelivered: taken.redelivered })
    }

    /// Whether [`recv`](Self::recv) would give something.
    pub fn has_delivery(&self) -> bool {
        self.inn.as_slice().iter().any(InChannel::is_ready)
    }

    /// Settles a message that was taken on a channel with [`Settle::Explicit`](crate::Settle::Explicit): its sender may forget it.
    ///
    /// # Errors
    ///
    /// [`UnknownDelivery`]: it was settled before, or its sender has restarted since and will send what it still holds
    /// again under other names.
    pub fn settle(&mut self, now: Instant, id: DeliveryId) -> Result<(), UnknownDelivery> {
        self.tick(now);
        self.on_change();
        if id.generation != self.generation {
            return Err(UnknownDelivery);
        }
        let epoch = self.acks.epoch;
        let c = id.channel.0 as usize;
        let channel = self.inn.as_mut_slice().get_mut(c).ok_or(UnknownDelivery)?;
        let eliciting = channel.settle(Sequence(id.sequence), epoch).ok_or(UnknownDelivery)?;
        self.on_settled_here(c, eliciting);
        Ok(())
    }

    fn on_settled_here(&mut self, c: usize, eliciting: bool) {
        self.due.settled |= eliciting;
        let next = self.recovery.next;
        if let Some(channel) = self.inn.as_mut_slice().get_mut(c) {
            channel.changed_at = next;
        }
    }

    fn release_lent(&mut self) {
        if let Some((c, position)) = self.lent.take()
            && let Some(channel) = self.inn.as_mut_slice().get_mut(c as usize)
        {
            channel.release(position);
        }
    }

    /// What happened since the last call, one event at a time. Must be drained: an outcome keeps its place in the outbox
    /// until it is taken.
    pub fn poll_event(&mut self) -> Option<Event> {
        if core::mem::take(&mut self.connected_event) {
            return Some(Event::Connected);
        }
        if core::mem::take(&mut self.restarted_event) {
            return Some(Event::PeerRestarted);
        }
        for (c, out) in self.out.as_mut_slice().iter_mut().enumerate() {
            let waiting = out.waiting();
            if let Some((n, outcome)) = out.pop_outcome() {
                if S::MESSAGES_MAX > ack_rate::FEW_MESSAGES && out.waiting() != waiting {
                    self.quiet_until = Instant::ZERO;
                }
                let id = MessageId { channel: Channel(c as u8), sequence: n.0 };
                return Some(match outcome {
                    Outcome::Settled => Event::Settled(id),
                    Outcome::Expired => Event::Expired(id),
                    Outcome::Failed(reason) => Event::Failed(id, reason),
                });
            }
            if out.take_writable() {
                return Some(Event::Writable(Channel(c as u8)));
            }
        }
        core::mem::take(&mut self.closed_event).then_some(Event::Closed(self.close_reason))
    }

    /// Whether [`poll_event`](Self::poll_event) would give something.
    pub fn has_event(&self) -> bool {
        self.connected_event
            || self.restarted_event
            || self.closed_event
            || self.out.as_slice().iter().any(|o| o.has_outcome() || o.is_writable())
    }

    /// Ends the link in order: no more messages are accepted, what was accepted is delivered and settled, then the peer
    /// is told, then [`Event::Closed`] with [`CloseReason::Drained`] comes. Without a peer that answers this never ends:
    /// see [`Config::give_up`], or [`abort`](Self::abort).
    pub fn close(&mut self, now: Instant) {
        self.tick(now);
        self.on_change();
        self.is_draining = true;
        if self.phase == Phase::Idle {
            self.end(CloseReason::Drained, FailReason::Closed);
        }
        self.check_drained();
    }

    /// Ends the link at once: what is not settled fails, the peer is told once.
    pub fn abort(&mut self, now: Instant) {
        self.tick(now);
        self.on_change();
        if self.phase == Phase::Closed {
            return;
        }
        let tell = self.is_connected;
        self.end(CloseReason::Aborted, FailReason::Closed);
        self.due.close = tell;
        self.close_code = receive::CLOSE_ABORTED;
    }

    /// If everything that was accepted before `close` is settled, the peer is to be told.
    fn check_drained(&mut self) {
        if self.is_draining
            && self.phase == Phase::Open
            && !self.is_close_sent
            && self.out.as_slice().iter().all(OutChannel::is_drained)
        {
            self.due.close = true;
        }
    }

    /// The link ends: everything open fails.
    fn end(&mut self, reason: CloseReason, fail: FailReason) {
        if self.phase == Phase::Closed {
            return;
        }
        debug!("link closed");
        self.phase = Phase::Closed;
        self.closed_event = true;
        self.close_reason = reason;
        let mut failed = 0;
        for out in self.out.as_mut_slice() {
            failed += out.fail_all(fail);
        }
        self.stats.messages_failed = self.stats.messages_failed.wrapping_add(failed);
        self.forget_sent();
        self.deadlines.clear();
        self.due = Due::NOTHING;
        self.reply = Reply::None;
    }

    /// Whether the handshake is complete, and the link not closed.
    pub fn is_connected(&self) -> bool {
        self.is_connected && self.phase == Phase::Open
    }

    /// Whether the peer has shown that it receives what is sent to it. Until then a listener's link may have been opened
    /// by somebody with a forged address.
    pub fn is_validated(&self) -> bool {
        self.peer.is_confirmed
    }

    /// Whether the link has ended. It may still have to answer the peer: keep driving it for a few round trips.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Gives back the memory of queues that are empty, where the storage has any to give. For a link that has been silent
    /// for a while: one that goes on allocates it again.
    pub fn trim(&mut self) {
        self.release_lent();
        for out in self.out.as_mut_slice() {
            out.trim();
        }
        for channel in self.inn.as_mut_slice() {
            channel.trim();
        }
        self.deadlines.trim();
        self.packets.trim();
        self.frames.trim();
    }

    /// Payload bytes that were accepted and have not left yet: what a driver can watch to stop before memory fills with what
    /// the path cannot take.
    pub fn unsent_len(&self) -> u32 {
        self.out.as_slice().iter().map(|out| out.held.saturating_sub(out.outstanding)).sum()
    }

    /// Whether everything that was accepted is settled, expired or failed.
    pub fn is_drained(&self) -> bool {
        self.out.as_slice().iter().all(OutChannel::is_drained)
    }

    /// The ids by which packets for this link are recognised: the one in use, and the one that replaces it when the peer
    /// restarts. They may change with every datagram taken in.
    pub fn local_link_ids(&self) -> [LinkId; 2] {
        [self.local_id, self.next_local_id]
    }

    /// The id in use; see [`local_link_ids`](Self::local_link_ids).
    pub fn local_link_id(&self) -> LinkId {
        self.local_id
    }

    /// Names this life of this side. The peer sees it in every hello.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The incarnation of the peer, 0 before it was heard.
    pub fn peer_incarnation(&self) -> u64 {
        self.peer.incarnation
    }

    /// Counters and current values.
    pub fn stats(&self) -> Stats {
        let mut s = self.stats;
        if self.recovery.rtt.is_sampled() {
            s.srtt_micros = self.recovery.rtt.smoothed();
            s.min_rtt_micros = self.recovery.rtt.min();
        }
        s.in_flight = self.recovery.in_flight;
        s.congestion_window = self.congestion.window();
        s.pacing_rate = self.congestion.pacing_rate();
        s
    }

    /// The longest message that can arrive, in bytes.
    pub fn message_max(&self) -> u32 {
        self.config.message_max
    }

    /// The congestion controller.
    pub fn congestion(&self) -> &C {
        &self.congestion
    }

    /// Changes how many unsettled payload bytes the peer may have outstanding, within the storage's limit.
    pub fn set_receive_buffer(&mut self, bytes: u32) {
        let bytes = bytes.min(Self::buffer_limit());
        if bytes != self.config.receive_buffer {
            self.on_change();
            self.config.receive_buffer = bytes;
            self.due.credit = self.phase == Phase::Open;
        }
    }

    fn has_check(&self) -> bool {
        matches!(self.config.medium, Medium::Datagram { .. }) && !self.peer.no_check
    }

    /// Something changed that may be a reason to emit or move a deadline.
    fn on_change(&mut self) {
        if S::MESSAGES_MAX > ack_rate::FEW_MESSAGES {
            self.quiet_until = Instant::ZERO;
        }
    }

    /// Time never goes back.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn tick(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }
}
