//! One association with one peer.
//!
//! One message, by file: [`Link::send`], in `application`, puts it into its channel's `outbox`; `transmit` packs it into a packet, by
//! [`crate::wire`], and notes in `sent` what the packet carries; at the other side `receive` takes the packet apart and
//! puts the message into the channel's `inbox`; [`Link::recv`] hands it out and settles it; the settlement travels back,
//! and `outbox` reports the outcome. `recovery` finds out what was lost; `handshake` opens associations and notices
//! restarts; `acks` decides what to acknowledge when; `pacer` and [`crate::congestion`] how fast to send; `timers` when to
//! be called next.

mod ack_rate;
mod acks;
mod application;
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
use outbox::OutChannel;
use pacer::Pacer;
use peer::{Cookie, Peer, Reply};
use recovery::Recovery;
use repetition::Repetition;
use sent::{FRAGMENTED_MAX, SentFrame, SentPacket};
use settings::{Limits, Settings};

use crate::config::{Config, Medium};
use crate::congestion::Controller;
use crate::event::{CloseReason, FailReason};
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
