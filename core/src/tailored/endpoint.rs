//! The endpoint: its state, its life, and what it tells its application.

use super::outgoing::fate;
use super::profile::{Counters, Deadline, Media, Profile, class_count, has_explicit, has_mode, micros};
use super::transmit;
use crate::config::{Channel, Mode};
use crate::event::{CloseReason, Event, FailReason, MessageId};
use crate::stats::Stats;
use crate::time::Instant;
use crate::wire::granule_bits;

/// Bytes of a granule of short messages (R6.6).
const GRANULE_MIN: usize = 1 << granule_bits(0);

/// How far the link is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Phase {
    /// Not started, or ended. The first, so that a link that was not started is all zeros.
    Closed,
    /// Waits for a hello.
    Idle,
    /// Says hello, or talks.
    Open,
}

/// What is to be sent, in `due`; what the packet in flight carries, in `flight`.
pub(super) mod bit {
    pub(in super::super) const HELLO: u8 = 1;
    pub(in super::super) const PING: u8 = 2;
    /// What is settled, for certain: it rides on every packet, but this one must arrive.
    pub(in super::super) const SETTLED: u8 = 4;
    pub(in super::super) const CLOSE: u8 = 8;
    /// What is repeated until acknowledged.
    pub(in super::super) const CONTROL: u8 = 15;
    /// `due`: an acknowledgement.
    pub(in super::super) const ACK: u8 = 16;
    /// `due`: an acknowledgement may ride along.
    pub(in super::super) const SEEN: u8 = 32;
    /// `due`: what is in flight once more, or a ping.
    pub(in super::super) const PROBE: u8 = 64;
    /// `flight`: there is a packet in flight.
    pub(in super::super) const FLYING: u8 = 16;
}

/// What is to be reported, in `events`.
pub(super) mod news {
    pub(in super::super) const CONNECTED: u8 = 1;
    pub(in super::super) const RESTARTED: u8 = 2;
    pub(in super::super) const CLOSED: u8 = 4;
}

/// The numbers of one channel, both ways.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Head {
    /// Outgoing messages: all before these are reported, settled, acknowledged, in the packet in flight, sent, accepted.
    pub(super) reported: u32,
    pub(super) settled: u32,
    pub(super) acked: u32,
    pub(super) flying: u32,
    pub(super) sent: u32,
    pub(super) end: u32,
    /// Those before it may have been sent to an earlier incarnation of the peer.
    pub(super) redelivered: u32,
    /// The first incoming message that is not settled; with mode `Latest`, one after the newest that is.
    pub(super) base: u32,
    /// Incoming messages of mode `Latest`: one after the newest that has begun to arrive.
    pub(super) newest: u32,
    /// Granules of the messages `acked` and `flying` that are acknowledged, in flight.
    pub(super) acked_granules: u16,
    pub(super) flying_granules: u16,
    /// The mode in which the peer sends.
    pub(super) mode: u8,
}

/// The messages of one channel, both ways.
#[derive(Clone, Debug)]
pub(super) struct Slots<P: Profile, const MESSAGES: usize, const BYTES: usize> {
    /// Length and [`fate`].
    pub(super) out_state: [u16; MESSAGES],
    /// See [`place`](super::incoming::place).
    pub(super) in_state: [u16; MESSAGES],
    pub(super) deadlines: [P::Deadline; MESSAGES],
    pub(super) out: [[u8; BYTES]; MESSAGES],
    pub(super) inn: [[u8; BYTES]; MESSAGES],
}

/// What only datagram media need, and who answers strangers.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub(super) key_in: u32,
    pub(super) key_out: u32,
    pub(super) local_id: u32,
    /// Replaces `local_id` when the peer restarts; told to nobody before.
    pub(super) next_id: u32,
    /// A reset said that the peer may have restarted.
    pub(super) is_suspect: bool,
    /// The application was told that the link is connected.
    pub(super) is_told: bool,
    pub(super) cookie_len: u8,
    pub(super) cookie: [u8; 16],
    /// An answer to somebody who is not the peer, 0: none. The first byte of a reset or version answer, or the flags of a bare
    /// hello.
    pub(super) reply: u8,
    pub(super) reply_id_len: u8,
    pub(super) reply_id: [u8; 8],
    pub(super) reply_to: u64,
}

/// One association with one peer, as able as its [`Profile`].
///
/// On each of the `CHANNELS` channels, `MESSAGES` messages (a power of two up to 32, at least 4 with channels of mode `Latest`) of
/// `BYTES` bytes each wait in either direction. With [fragments](Profile::FRAGMENTS) the longest message is a little shorter than `BYTES`
/// ([`MESSAGE_MAX`](Self::MESSAGE_MAX)). `DATAGRAM` is the longest datagram in bytes: at most 1,200, and at least
/// [`DATAGRAM_MIN`](Self::DATAGRAM_MIN). So is the peer's.
///
/// Drive it like the full link, see the [crate's front page](crate#driving-a-link).
// In this order what is small and used most has short addresses: on ARMv6-M bytes beyond 31 and words beyond 124 take an
// instruction more.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Endpoint<
    P: Profile,
    const CHANNELS: usize,
    const MESSAGES: usize,
    const BYTES: usize,
    const DATAGRAM: usize,
> {
    pub(super) phase: Phase,
    pub(super) due: u8,
    pub(super) flight: u8,
    pub(super) events: u8,
    /// Time-outs since something new arrived.
    pub(super) backoff: u8,
    /// Messages of a channel that the peer takes unsettled.
    pub(super) window: u8,
    /// How many consecutive packet numbers up to `largest` arrived; 0: not even that.
    pub(super) run: u8,
    /// How many bits of its packet numbers the peer sends.
    pub(super) ack_bits: u8,
    pub(super) is_confirmed: bool,
    /// The peer has told all its parameters.
    pub(super) has_params: bool,
    /// The peer replaced another one, and nothing that was sent since is acknowledged (R8.29).
    pub(super) is_successor: bool,
    /// The first packet number that was used since the peer was adopted.
    pub(super) fresh: u32,
    pub(super) is_draining: bool,
    pub(super) close_code: u8,
    pub(super) reason: CloseReason,
    pub(super) failure: FailReason,
    pub(super) id_len: u8,
    pub(super) id: [u8; 8],
    /// The channel that begins the next packet.
    pub(super) turn: u8,
    /// The medium is a framed one ([`Media::Both`]).
    pub(super) is_framed: bool,
    /// The peer takes fragments.
    pub(super) takes_fragments: bool,
    /// Until the peer is confirmed, no more bytes than `budget` are sent.
    pub(super) is_unvalidated: bool,
    /// Channels on which a message was refused for lack of room.
    pub(super) refused: u16,
    /// Channels of which the peer may not know what is settled, and those of them of which the packet in flight tells.
    pub(super) untold: u16,
    pub(super) flying_told: u16,

    /// When time demands something; `u64::MAX`: never.
    pub(super) wake: u64,
    pub(super) incarnation: u64,
    /// The incarnation of the peer; 0: nobody.
    pub(super) peer: u64,
    /// The packet number to be used next. The one before is that of the packet in flight, if there is one.
    pub(super) next: u32,
    pub(super) sent_at: u32,
    /// The largest packet number received; before any, the one in the hello that was adopted.
    pub(super) largest: u32,
    pub(super) largest_at: u32,
    pub(super) datagram_max: u32,
    pub(super) smoothed_x8: u32,
    pub(super) variation_x4: u32,
    pub(super) heads: [Head; CHANNELS],

    /// Payload bytes that the peer takes unsettled, and the number of the packet that said so.
    pub(super) credit: u32,
    pub(super) credit_at: u32,
    pub(super) budget: u32,
    /// Counts the peers, so that handles of deliveries from before a restart are known.
    pub(super) generation: u32,
    /// When nothing had been heard yet of what is in flight.
    pub(super) silent_at: u64,
    /// When the next message expires.
    pub(super) expires: P::Deadline,
    pub(super) counters: P::Counters,
    pub(super) slots: [Slots<P, MESSAGES, BYTES>; CHANNELS],
    pub(super) checked: Checked,
}

impl<P: Profile, const CHANNELS: usize, const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize>
    Endpoint<P, CHANNELS, MESSAGES, BYTES, DATAGRAM>
{
    /// The longest message in bytes, in both directions. While fragments of a message arrive, a bitmap of them stands behind
    /// it.
    pub const MESSAGE_MAX: usize =
        if P::FRAGMENTS { BYTES - BYTES.div_ceil(8 * GRANULE_MIN + 1) } else { BYTES };

    pub(super) const HAS_LATEST: bool = has_mode(P::CHANNELS, Mode::Latest);
    pub(super) const HAS_BEST_EFFORT: bool = has_mode(P::CHANNELS, Mode::BestEffort);
    pub(super) const HAS_EXPLICIT: bool = has_explicit(P::CHANNELS);
    /// Messages are delivered, or settled, before earlier ones.
    pub(super) const IS_SCATTERED: bool =
        Self::HAS_EXPLICIT || Self::HAS_BEST_EFFORT || has_mode(P::CHANNELS, Mode::Unordered);
    /// Messages have other outcomes than being settled.
    pub(super) const HAS_FATES: bool = Self::HAS_LATEST || Self::HAS_BEST_EFFORT || P::Deadline::IS_KEPT;
    pub(super) const HAS_DATAGRAMS: bool = !matches!(P::MEDIA, Media::Framed);
    pub(super) const CLASS_COUNT: u8 = class_count(P::CHANNELS);
    pub(super) const KEEP_ALIVE: u32 = micros(P::KEEP_ALIVE);
    pub(super) const GIVE_UP: u32 = micros(P::GIVE_UP);
    pub(super) const GIVES_UP: bool = P::SERVES || Self::GIVE_UP != 0;
    /// Payload bytes that we take unsettled.
    pub(super) const BUFFER: u32 = (CHANNELS * MESSAGES * Self::MESSAGE_MAX) as u32;

    /// A link for a `static`, all zeros. It does nothing before it is [started](Self::start).
    pub const fn new() -> Self {
        const {
            assert!(CHANNELS == P::CHANNELS.len() && CHANNELS > 0 && CHANNELS <= 16);
            assert!(MESSAGES.is_power_of_two() && MESSAGES <= 32);
            // One that is acknowledged, a newer one, one to report, one to accept.
            assert!(!Self::HAS_LATEST || MESSAGES >= 4);
            assert!(BYTES > 0 && BYTES < fate::ONE as usize - 2 && MESSAGES * BYTES <= 65_536);
            let () = Self::FIRST_ANSWER_IS_SHORT;
            assert!(DATAGRAM >= 96 && DATAGRAM <= 1200 && DATAGRAM >= Self::DATAGRAM_MIN);
        }
        Endpoint {
            phase: Phase::Closed,
            due: 0,
            flight: 0,
            events: 0,
            backoff: 0,
            window: 0,
            run: 0,
            ack_bits: 0,
            is_confirmed: false,
            has_params: false,
            is_successor: false,
            fresh: 0,
            is_draining: false,
            close_code: 0,
            reason: CloseReason::Drained,
            failure: FailReason::Lost,
            id_len: 0,
            id: [0; 8],
            turn: 0,
            is_framed: false,
            takes_fragments: false,
            is_unvalidated: false,
            next: 0,
            sent_at: 0,
            largest: 0,
            largest_at: 0,
            datagram_max: 0,
            smoothed_x8: 0,
            variation_x4: 0,
            heads: [const {
                Head {
                    reported: 0,
                    settled: 0,
                    acked: 0,
                    flying: 0,
                    sent: 0,
                    end: 0,
                    redelivered: 0,
                    base: 0,
                    newest: 0,
                    acked_granules: 0,
                    flying_granules: 0,
                    mode: 0,
                }
            }; CHANNELS],
            wake: 0,
            incarnation: 0,
            peer: 0,
            refused: 0,
            untold: 0,
            flying_told: 0,
            credit: 0,
            credit_at: 0,
            budget: 0,
            generation: 0,
            silent_at: 0,
            expires: P::Deadline::ZERO,
            counters: P::Counters::ZERO,
            slots: [const {
                Slots {
                    out_state: [0; MESSAGES],
                    in_state: [0; MESSAGES],
                    deadlines: [P::Deadline::ZERO; MESSAGES],
                    out: [[0; BYTES]; MESSAGES],
                    inn: [[0; BYTES]; MESSAGES],
                }
            }; CHANNELS],
            checked: Checked {
                key_in: 0,
                key_out: 0,
                local_id: 0,
                next_id: 0,
                is_suspect: false,
                is_told: false,
                cookie_len: 0,
                cookie: [0; 16],
                reply: 0,
                reply_id_len: 0,
                reply_id: [0; 8],
                reply_to: 0,
            },
        }
    }

    /// Begins the life of this side, once. It waits for a hello then; see [`connect`](Self::connect).
    ///
    /// `seed` is the incarnation: not 0, different at every boot (a hardware random number, or a counter that survives power
    /// loss), and from that of the peer, or else its hellos are taken for echoes. Over UDP it should be unpredictable.
    ///
    /// `initial_rtt`, in microseconds up to 8 s, is the round trip that is assumed before the first sample: the first hello is
    /// repeated after three times as long. `Config::serial` assumes 50,000, `Config::udp` 100,000.
    pub fn start(&mut self, seed: u64, initial_rtt: u32) {
        self.phase = Phase::Idle;
        self.incarnation = seed;
        self.wake = u64::MAX;
        self.expires = P::Deadline::keep(Instant::MAX);
        self.datagram_max = DATAGRAM as u32;
        self.smoothed_x8 = initial_rtt * 8;
        self.variation_x4 = initial_rtt * 2;
        if Self::HAS_DATAGRAMS {
            self.checked.local_id = seed as u32 & 0xff_ffff;
            self.draw_next_id();
        }
    }

    /// Before the start of an endpoint for [both media](Media::Both): the medium is a framed one, or is not.
    pub fn set_framed(&mut self, is_framed: bool) {
        self.is_framed = is_framed;
    }

    /// After the start of an endpoint that [serves](Profile::SERVES): the address of the peer may be forged. No more bytes are
    /// sent than were received, until the peer has shown that it receives (protocol.md, R8.6).
    pub fn set_unvalidated(&mut self) {
        self.is_unvalidated = true;
    }

    /// Whether packets carry a check.
    pub(super) fn is_checked(&self) -> bool {
        match P::MEDIA {
            Media::Framed => false,
            Media::Datagrams => true,
            Media::Both => !self.is_framed,
        }
    }

    /// Opens the association actively. Over datagrams every link should that does not [serve](Profile::SERVES): one that waits
    /// does not say so to a peer that takes it for its predecessor. Over serial lines either side may wait. Does nothing on a
    /// link that is open or closed.
    pub fn connect(&mut self, _now: Instant) {
        if self.phase == Phase::Idle {
            self.open();
        }
    }

    pub(super) fn open(&mut self) {
        self.phase = Phase::Open;
        self.due |= bit::HELLO;
    }

    /// What happened since the last call, one event at a time.
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.take_news(news::CONNECTED) {
            return Some(Event::Connected);
        }
        if self.take_news(news::RESTARTED) {
            return Some(Event::PeerRestarted);
        }
        for c in 0..CHANNELS {
            let event = self.poll_outcome(c);
            if event.is_some() {
                return event;
            }
        }
        for c in 0..CHANNELS {
            if self.is_writable_again(c) {
                self.refused &= !(1 << c);
                return Some(Event::Writable(Channel(c as u8)));
            }
        }
        self.take_news(news::CLOSED).then_some(Event::Closed(self.reason))
    }

    fn take_news(&mut self, news: u8) -> bool {
        let is_there = self.events & news != 0;
        self.events &= !news;
        is_there
    }

    /// Whether [`poll_event`](Self::poll_event) would give something.
    pub fn has_event(&self) -> bool {
        self.events != 0 || (0..CHANNELS).any(|c| self.has_outcome(c) || self.is_writable_again(c))
    }

    fn is_writable_again(&self, c: usize) -> bool {
        self.refused & 1 << c != 0 && self.has_room(c)
    }

    /// Ends the link in order: no more messages are accepted, what was accepted is delivered and settled, then the peer is
    /// told, then [`Event::Closed`] with [`CloseReason::Drained`] comes. Without a peer that answers this never ends, unless
    /// the link gives up: see [`abort`](Self::abort).
    pub fn close(&mut self, _now: Instant) {
        self.is_draining = true;
        if self.phase == Phase::Idle {
            self.finish(CloseReason::Drained, FailReason::Closed);
        }
        self.check_drained();
    }

    /// Ends the link at once: what is not settled fails, the peer is told once.
    pub fn abort(&mut self, _now: Instant) {
        if self.phase != Phase::Closed {
            self.finish(CloseReason::Aborted, FailReason::Closed);
            self.due = bit::CLOSE;
            self.close_code = transmit::CLOSE_ABORTED;
        }
    }

    /// If everything that was accepted before `close` has its outcome, the peer is to be told.
    pub(super) fn check_drained(&mut self) {
        if self.is_draining && self.phase == Phase::Open && self.flight & bit::CLOSE == 0 && !self.is_owed() {
            self.due |= bit::CLOSE;
        }
    }

    /// The link ends: everything open fails.
    pub(super) fn finish(&mut self, reason: CloseReason, failure: FailReason) {
        if self.phase != Phase::Closed {
            self.phase = Phase::Closed;
            self.reason = reason;
            self.failure = failure;
            self.events |= news::CLOSED;
            self.due = 0;
            self.flight = 0;
            self.close_code = transmit::CLOSE_ANSWER;
        }
    }

    /// Whether the handshake is complete, and the link not closed.
    pub fn is_connected(&self) -> bool {
        self.peer != 0 && self.phase == Phase::Open && (!Self::HAS_DATAGRAMS || self.checked.is_told)
    }

    /// Whether the link has ended, or was not started. It may still have to answer the peer: keep driving it for a few round
    /// trips.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Whether everything that was accepted has its outcome.
    pub fn is_drained(&self) -> bool {
        self.phase == Phase::Closed || !self.is_owed()
    }

    /// Counters since the start, all 0 unless the [profile](Profile::Counters) keeps them, and the smoothed round trip. What
    /// this endpoint does not do stays 0.
    pub fn stats(&self) -> Stats {
        Stats { srtt_micros: self.smoothed_x8 >> 3, ..self.counters.kept() }
    }
}

impl<P: Profile, const CHANNELS: usize, const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize>
    Default for Endpoint<P, CHANNELS, MESSAGES, BYTES, DATAGRAM>
{
    fn default() -> Self {
        Self::new()
    }
}

pub(super) const fn id_of(c: usize, sequence: u32) -> MessageId {
    MessageId { channel: Channel(c as u8), sequence }
}

/// Whether number `a` precedes `b`.
pub(super) const fn precedes(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}
