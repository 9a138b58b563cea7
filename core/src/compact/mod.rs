//! A second, small endpoint of the same protocol, for parts that have a few kilobytes left.
//!
//! [`compact::Link`](Link) talks to the full [`Link`](crate::Link) and to itself, and keeps the same promise: every message
//! that was accepted is settled or fails, in order, once per life of its receiver, whichever side reboots. It leaves out what a
//! sensor or a co-processor can do without:
//!
//! |  | compact | full |
//! |---|---|---|
//! | channels | 1, ordered | up to 16, of four modes |
//! | messages | `MESSAGES` each way, of up to `BYTES` bytes | storage of your choice, fragments, deadlines |
//! | settled | when taken | when taken, or later |
//! | packets in flight | 1, with all messages that fit | as many as the congestion controller allows |
//! | retransmission | after a probe timeout, doubled up to 5 s | also by what arrived later |
//! | restarts, duplicates, checks, close, abort | the same | the same |
//! | cookies and resets of a listener | answered | answered |
//! | opening | connects; over serial lines it may also wait | either |
//! | first message of a new link | follows the handshake: settled after two round trips | rides in the hello: one |
//! | keep-alive, give-up, counters, version answers | none | there |
//! | time | microseconds of any clock | the same |
//!
//! What lies between the two is [`tailored`](crate::tailored): every feature of the full link, each paid for by who uses it.
//!
//! One packet in flight is a message rate of `MESSAGES` to a round trip at most, which is what a serial line carries anyway, and
//! is all that RFC 8085 (section 3.1.2) allows to a sender without congestion control.
//!
//! It does not talk to a peer that takes only shorter messages than `BYTES`, whose datagrams cannot hold one, or whose channel 0
//! is a `Latest` one: hellos of such a peer are dropped, and the link does not connect.
//!
//! ```
//! use ackline::compact::Serial;
//! use ackline::{Channel, Event, Instant};
//!
//! // All zeros: as a `static` it costs no flash. Four messages of 64 bytes each way, frames of 192 bytes.
//! static LINK: std::sync::Mutex<Serial<4, 64, 192>> = std::sync::Mutex::new(Serial::new());
//!
//! let now = Instant::ZERO;
//! let mut a = LINK.lock().unwrap();
//! let mut b = Serial::<4, 64, 192>::new();
//! a.start(1, 50_000); // the first number must differ at every boot, and from that of the other side
//! b.start(2, 50_000);
//! a.connect(now);
//! let id = a.send(now, Channel(0), b"21.5 C").unwrap();
//!
//! let mut buffer = [0; 192];
//! let mut taken = 0;
//! for _ in 0..2 {
//!     while let Some(len) = a.poll_transmit(now, &mut buffer) {
//!         b.handle_datagram(now, &buffer[..len]); // framing and a line would be in between
//!     }
//!     while let Some(delivery) = b.recv(now) {
//!         assert_eq!(delivery.payload, b"21.5 C"); // taking it settles it
//!         taken += 1;
//!     }
//!     while let Some(len) = b.poll_transmit(now, &mut buffer) {
//!         a.handle_datagram(now, &buffer[..len]);
//!     }
//! }
//! assert_eq!(taken, 1);
//! assert_eq!(a.poll_event(), Some(Event::Connected));
//! assert_eq!(a.poll_event(), Some(Event::Settled(id)));
//! ```

pub(crate) mod codec;
mod hello;
mod receive;
mod transmit;

use codec::copy;

use crate::config::Channel;
use crate::error::SendError;
use crate::event::{CloseReason, Delivery, DeliveryId, Event, FailReason, MessageId};
use crate::time::Instant;

/// A link over a serial line with [`framing`](crate::framing), which checks what it carries and never reorders it. The peer's
/// configuration is one of [`Medium::Framed`](crate::Medium::Framed).
pub type Serial<const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize> =
    Link<MESSAGES, BYTES, DATAGRAM, false>;

/// A link over UDP or the like. It has a link id of three bytes, and its packets carry a check.
pub type Datagrams<const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize> =
    Link<MESSAGES, BYTES, DATAGRAM, true>;

/// How far the link is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Phase {
    /// Not started, or ended. The first, so that a link that was not started is all zeros.
    Closed,
    /// Waits for a hello.
    Idle,
    /// Says hello, or talks.
    Open,
}

/// What is to be sent, in `due`; what the packet in flight carries, in `flight`.
mod bit {
    pub(super) const HELLO: u8 = 1;
    pub(super) const PING: u8 = 2;
    /// What is settled, for certain: it rides on every packet, but this one must arrive.
    pub(super) const SETTLED: u8 = 4;
    pub(super) const CLOSE: u8 = 8;
    /// What is repeated until acknowledged.
    pub(super) const CONTROL: u8 = 15;
    /// `due`: an acknowledgement.
    pub(super) const ACK: u8 = 16;
    /// `due`: an acknowledgement may ride along.
    pub(super) const SEEN: u8 = 32;
    /// `due`: what is in flight once more, or a ping.
    pub(super) const PROBE: u8 = 64;
    /// `flight`: there is a packet in flight.
    pub(super) const FLYING: u8 = 16;
}

/// What is to be reported, in `events`.
mod news {
    pub(super) const CONNECTED: u8 = 1;
    pub(super) const RESTARTED: u8 = 2;
    /// A message was refused for lack of room; not news yet.
    pub(super) const REFUSED: u8 = 4;
    pub(super) const WRITABLE: u8 = 8;
    pub(super) const CLOSED: u8 = 16;
}

/// States of a place in the inbox.
mod place {
    pub(super) const EMPTY: u16 = 0;
    pub(super) const SKIPPED: u16 = 1;
    /// This and more: the length of a message that is there, and this.
    pub(super) const READY: u16 = 2;
    /// Beside a length: the message is redelivered.
    pub(super) const REDELIVERED: u16 = 0x8000;
}

/// One association with one peer.
///
/// `MESSAGES` (a power of two up to 32) of `BYTES` bytes each wait in either direction. `DATAGRAM` is the longest datagram in
/// bytes, at least 128 and 33 more than `BYTES`, and at most 1,200. `CHECKED`: the medium is one of datagrams ([`Datagrams`]), not a framed
/// one ([`Serial`]).
///
/// Drive it like the full link, see the [crate's front page](crate#driving-a-link).
// In this order what is small and used most has short addresses: on ARMv6-M bytes beyond 31 and words beyond 124 take an
// instruction more.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Link<const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize, const CHECKED: bool> {
    phase: Phase,
    due: u8,
    flight: u8,
    events: u8,
    /// Time-outs since something new arrived.
    backoff: u8,
    /// Messages that the peer takes unsettled.
    window: u8,
    /// How many consecutive packet numbers up to `largest` arrived; 0: not even that.
    run: u8,
    /// How many bits of its packet numbers the peer sends.
    ack_bits: u8,
    is_confirmed: bool,
    /// The peer has told all its parameters.
    has_params: bool,
    /// The peer replaced another one.
    is_successor: bool,
    is_draining: bool,
    close_code: u8,
    reason: CloseReason,
    /// The first packet number that was used since the peer was adopted.
    fresh: u32,
    failure: FailReason,
    id_len: u8,
    id: [u8; 8],

    /// The packet number to be used next. The one before is that of the packet in flight, if there is one.
    next: u32,
    sent_at: u32,
    /// The largest packet number received; before any, the one in the hello that was adopted.
    largest: u32,
    largest_at: u32,
    datagram_max: u32,
    smoothed_x8: u32,
    variation_x4: u32,

    /// Outgoing messages: all before these are reported, settled, acknowledged, in the packet in flight, sent, accepted.
    reported: u32,
    settled: u32,
    acked: u32,
    flying: u32,
    sent: u32,
    end: u32,
    /// Those before it may have been sent to an earlier incarnation of the peer.
    redelivered: u32,
    /// The first incoming message that was not taken.
    base: u32,

    /// When time demands something; `u64::MAX`: never.
    wake: u64,
    incarnation: u64,
    /// The incarnation of the peer; 0: nobody.
    peer: u64,

    out_len: [u16; MESSAGES],
    in_len: [u16; MESSAGES],
    checked: Checked,
    out: [[u8; BYTES]; MESSAGES],
    inn: [[u8; BYTES]; MESSAGES],
}

/// What only datagram media need.
#[derive(Clone, Debug)]
struct Checked {
    key_in: u32,
    key_out: u32,
    local_id: u32,
    /// Replaces `local_id` when the peer restarts; told to nobody before.
    next_id: u32,
    /// A reset said that the peer may have restarted.
    is_suspect: bool,
    /// The application was told that the link is connected.
    is_told: bool,
    cookie_len: u8,
    cookie: [u8; 16],
    /// A bare hello to somebody who is not the peer: flags (0: none), incarnation, link id.
    reply_flags: u8,
    reply_id_len: u8,
    reply_id: [u8; 8],
    reply_to: u64,
}

impl<const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize, const CHECKED: bool>
    Link<MESSAGES, BYTES, DATAGRAM, CHECKED>
{
    /// A link for a `static`, all zeros. It does nothing before it is [started](Self::start).
    pub const fn new() -> Self {
        const {
            assert!(MESSAGES.is_power_of_two() && MESSAGES <= 32);
            assert!(BYTES > 0 && BYTES < 1 << 14 && MESSAGES * BYTES <= 65_536);
            assert!(DATAGRAM >= 128 && DATAGRAM >= BYTES + transmit::OVERHEAD_MAX && DATAGRAM <= 1200);
        }
        Link {
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
            next: 0,
            sent_at: 0,
            largest: 0,
            largest_at: 0,
            datagram_max: 0,
            smoothed_x8: 0,
            variation_x4: 0,
            reported: 0,
            settled: 0,
            acked: 0,
            flying: 0,
            sent: 0,
            end: 0,
            redelivered: 0,
            base: 0,
            wake: 0,
            incarnation: 0,
            peer: 0,
            out_len: [0; MESSAGES],
            in_len: [0; MESSAGES],
            checked: Checked {
                key_in: 0,
                key_out: 0,
                local_id: 0,
                next_id: 0,
                is_suspect: false,
                is_told: false,
                cookie_len: 0,
                cookie: [0; 16],
                reply_flags: 0,
                reply_id_len: 0,
                reply_id: [0; 8],
                reply_to: 0,
            },
            out: [[0; BYTES]; MESSAGES],
            inn: [[0; BYTES]; MESSAGES],
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
        self.datagram_max = DATAGRAM as u32;
        self.smoothed_x8 = initial_rtt * 8;
        self.variation_x4 = initial_rtt * 2;
        if CHECKED {
            self.checked.local_id = seed as u32 & 0xff_ffff;
            self.draw_next_id();
        }
    }

    /// Opens the association actively. Over datagrams every compact link should: one that waits does not say so to a peer that
    /// takes it for its predecessor. Over serial lines either side may wait. Does nothing on a link that is open or closed.
    pub fn connect(&mut self, _now: Instant) {
        if self.phase == Phase::Idle {
            self.open();
        }
    }

    fn open(&mut self) {
        self.phase = Phase::Open;
        self.due |= bit::HELLO;
    }

    /// Takes a message for channel 0 into the outbox. It may be sent before the link is connected.
    ///
    /// It will have exactly one outcome, by [`poll_event`](Self::poll_event). `Ok` does not say that it was sent.
    ///
    /// # Errors
    ///
    /// Nothing was taken. [`SendError::Full`]: `MESSAGES` are not settled; try again after [`Event::Writable`].
    /// [`SendError::TooLarge`]: longer than `BYTES`. [`SendError::NoSuchChannel`]: another channel than 0.
    /// [`SendError::Closed`]: closed, or not started.
    pub fn send(&mut self, _now: Instant, channel: Channel, payload: &[u8]) -> Result<MessageId, SendError> {
        if self.phase == Phase::Closed || self.is_draining {
            return Err(SendError::Closed);
        }
        if channel.0 != 0 {
            return Err(SendError::NoSuchChannel);
        }
        let n = self.end;
        if n.wrapping_sub(self.settled) >= MESSAGES as u32 {
            self.events |= news::REFUSED;
            return Err(SendError::Full);
        }
        let slot = n as usize % MESSAGES;
        if let (Some(room), Some(len)) = (self.out.get_mut(slot), self.out_len.get_mut(slot)) {
            if !copy(room, payload) {
                return Err(SendError::TooLarge { max: BYTES as u32 });
            }
            *len = payload.len() as u16;
        }
        self.end = n.wrapping_add(1);
        Ok(id_of(n))
    }

    /// The next received message, if there is one. Taking it settles it. Poll for datagrams afterwards: the settlement goes
    /// out.
    pub fn recv(&mut self, _now: Instant) -> Option<Delivery<'_>> {
        let n = self.base;
        let slot = n as usize % MESSAGES;
        let state = self.in_len.get_mut(slot)?;
        let taken = *state;
        if taken < place::READY {
            return None;
        }
        *state = place::EMPTY;
        self.base = n.wrapping_add(1);
        self.pass_skipped();
        if self.due & bit::ACK == 0 {
            // An acknowledgement has left already: what is settled must be said for certain.
            self.due |= bit::SETTLED;
        }
        let len = usize::from(taken & !place::REDELIVERED).wrapping_sub(place::READY.into());
        Some(Delivery {
            id: DeliveryId { channel: Channel(0), sequence: n, generation: 0 },
            payload: self.inn.get(slot)?.get(..len)?,
            redelivered: taken & place::REDELIVERED != 0,
        })
    }

    /// Whether [`recv`](Self::recv) would give something.
    pub fn has_delivery(&self) -> bool {
        self.in_len.get(self.base as usize % MESSAGES).is_some_and(|&s| s >= place::READY)
    }

    fn pass_skipped(&mut self) {
        while let Some(state) = self.in_len.get_mut(self.base as usize % MESSAGES)
            && *state == place::SKIPPED
        {
            *state = place::EMPTY;
            self.base = self.base.wrapping_add(1);
        }
    }

    /// What happened since the last call, one event at a time.
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.take_news(news::CONNECTED) {
            return Some(Event::Connected);
        }
        if self.take_news(news::RESTARTED) {
            return Some(Event::PeerRestarted);
        }
        let n = self.reported;
        if n != self.settled {
            self.reported = n.wrapping_add(1);
            return Some(Event::Settled(id_of(n)));
        }
        if self.phase == Phase::Closed && n != self.end {
            self.settled = n.wrapping_add(1);
            self.reported = self.settled;
            return Some(Event::Failed(id_of(n), self.failure));
        }
        if self.take_news(news::WRITABLE) {
            return Some(Event::Writable(Channel(0)));
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
        self.events & !news::REFUSED != 0
            || self.reported != self.settled
            || self.phase == Phase::Closed && self.reported != self.end
    }

    /// Ends the link in order: no more messages are accepted, what was accepted is delivered and settled, then the peer is
    /// told, then [`Event::Closed`] with [`CloseReason::Drained`] comes. Without a peer that answers this never ends: see
    /// [`abort`](Self::abort).
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

    /// If everything that was accepted before `close` is settled, the peer is to be told.
    fn check_drained(&mut self) {
        if self.is_draining
            && self.phase == Phase::Open
            && self.settled == self.end
            && self.flight & bit::CLOSE == 0
        {
            self.due |= bit::CLOSE;
        }
    }

    /// The link ends: everything open fails.
    fn finish(&mut self, reason: CloseReason, failure: FailReason) {
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
        self.peer != 0 && self.phase == Phase::Open && (!CHECKED || self.checked.is_told)
    }

    /// Whether the link has ended, or was not started. It may still have to answer the peer: keep driving it for a few round
    /// trips.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Whether everything that was accepted has its outcome.
    pub fn is_drained(&self) -> bool {
        self.settled == self.end || self.phase == Phase::Closed
    }
}

impl<const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize, const CHECKED: bool> Default
    for Link<MESSAGES, BYTES, DATAGRAM, CHECKED>
{
    fn default() -> Self {
        Self::new()
    }
}

const fn id_of(sequence: u32) -> MessageId {
    MessageId { channel: Channel(0), sequence }
}

/// Whether number `a` precedes `b`.
const fn precedes(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

#[cfg(test)]
mod tests {
    use super::{Datagrams, Serial};

    /// Payload of four messages of 64 bytes each way, and what stands around it.
    #[test]
    fn state_besides_payload_is_small() {
        assert!(size_of::<Serial<4, 64, 192>>() <= 512 + 256);
        assert!(size_of::<Datagrams<4, 64, 192>>() <= 512 + 256);
    }
}
