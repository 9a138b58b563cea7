//! The default for UDP: a model of the path's capacity and round trip that fills the path despite random loss, keeps the
//! standing queue short and shares with loss-based flows.
//!
//! Once per round trip the controller compares what arrived with what it sent. While a queue stands, the rate at which
//! packets leave the network *is* the path's capacity for this flow; while none stands, that rate is only a lower bound
//! and the controller sends faster. A small target for the queue, in time, closes the loop:
//!
//! ```text
//! pacing = capacity × (1 + (target − queue) / (2 × round trip + 4 × target))
//! target = 2 datagrams + K / sqrt(capacity) + what the path's own jitter explains
//! ```
//!
//! The target of a slower flow is longer, so that flows which share a queue converge to equal rates (as in FAST TCP and
//! Copa). Where somebody else keeps the queue full although this flow backs off, it competes as a loss-based flow does
//! until the queue empties again (as Copa does).
//!
//! Loss by itself is not taken for congestion: packets that were lost count as carried. What is carried is
//! believed only up to what arrives, corrected by the loss that the path shows when it is *not* loaded: a path that drops instead of
//! queueing holds the rate where it delivers.

mod cruise;
mod loss;
mod queue;
mod round;
mod share;
mod start;
#[cfg(test)]
mod tests;

use self::loss::Loss;
use self::queue::Queue;
use self::round::{Round, Sample};
use self::share::Share;
use self::start::Start;
use super::Controller;
use super::units::{bytes_in, rate_of, scale};
use crate::rtt::Rtt;
use crate::storage::Item;
use crate::time::Instant;

/// Fractions are in 1/1024.
const ONE: u32 = 1024;
/// Initial window in datagrams, and the bytes that bound it (RFC 6928; RFC 9002, 7.2).
const INITIAL_DATAGRAMS: u32 = 10;
const INITIAL_BYTES: u32 = 14_720;
/// The initial round trip in µs, where none was measured (RFC 9002, 6.2.2).
const INITIAL_RTT: u32 = 333_000;
/// The datagram size assumed until the link tells it (RFC 9000, 14.1).
const DATAGRAM_DEFAULT: u32 = 1200;
/// The window never falls below this many datagrams, chosen: two may wait for one acknowledgement, two more keep it coming.
const WINDOW_MIN_DATAGRAMS: u32 = 4;
/// The pace never falls below this many datagrams in a round trip (RFC 9002, 7.2).
const PACE_MIN_DATAGRAMS: u32 = 2;
/// No window grows past this, so that sums of a few fit.
const WINDOW_MAX: u32 = 1 << 30;
/// The most loss that is taken for the path's own, chosen: 30 %. At the 20 % that a bad radio loses, samples scatter that far.
const LOSS_MAX: u32 = ONE * 3 / 10;
/// Rounds over which the best arrival rate is remembered, chosen: two of the four-round swings that drains and probes make.
const ARRIVED_ROUNDS: usize = 8;

/// Acknowledgements wanted in a round trip on a full path, and the most packets that wait for one, a power of two. RFC 9002 has
/// one every two packets. Measured on 10 Mbit/s and 60 ms: four instead of two lift the payload's part of the wire from 93.6 to
/// 95.6 %, sixteen bring no more, and a burst of lost acknowledgements is then longer than the window.
const ACKS_IN_ROUND: u32 = 8;
const ACK_EVERY_MAX: u32 = 4;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Mode {
    /// Multiplying the rate every round until the path is full.
    Start,
    /// Holding the queue at its target.
    Cruise,
    /// Emptying the queue to see the bare round trip; the rounds left.
    Drain(u8),
    /// Sharing with flows that fill the queue.
    Compete,
}

/// Rate-based controller for shared paths of unknown rate; its module's source says how it works.
///
/// Works from 50 µs to 5 s of round trip, from 9600 bit/s to 10 Gbit/s and for datagrams of 127 to 65,000 bytes without
/// tuning. It costs about 300 bytes and a few divisions per round trip: where those matter, take
/// [`NewReno`](super::NewReno).
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PathModel {
    mode: Mode,
    datagram: u32,
    /// Bytes per second that the path carries for this flow, lost packets included; zero before the first
    /// acknowledgement.
    capacity: u32,
    pacing: u32,
    window: u32,
    round: Round,
    queue: Queue,
    loss: Loss,
    start: Start,
    share: Share,
    /// By how much the pace of this round and of the one before differs from the capacity, in 1/1024.
    gain: i32,
    gain_before: i32,
    /// A faster pace was tried and not carried since the start.
    is_settled: bool,
    /// How often in a row a faster pace was carried without a queue.
    empty_rounds: u8,
    arrived: [u32; ARRIVED_ROUNDS],
    arrived_next: u8,
    now: Instant,
    app_limited_at: Option<Instant>,
}

impl Item for PathModel {
    const BLANK: Self =
        PathModel { datagram: 0, window: 0, round: Round::BLANK, queue: Queue::BLANK, ..PathModel::new() };
}

impl Default for PathModel {
    fn default() -> Self {
        Self::new()
    }
}

impl PathModel {
    /// A controller that knows nothing of its path yet.
    pub const fn new() -> Self {
        PathModel {
            mode: Mode::Start,
            datagram: DATAGRAM_DEFAULT,
            capacity: 0,
            pacing: 0,
            window: initial_window(DATAGRAM_DEFAULT),
            round: Round::new(),
            queue: Queue::new(),
            loss: Loss::new(),
            start: Start::new(),
            share: Share::new(),
            gain: 0,
            gain_before: 0,
            is_settled: false,
            empty_rounds: 0,
            arrived: [0; ARRIVED_ROUNDS],
            arrived_next: 0,
            now: Instant::ZERO,
            app_limited_at: None,
        }
    }

    /// The wait in the queue, in µs, that this flow wants to see.
    fn target(&self) -> u32 {
        self.queue.target(self.capacity, self.datagram)
    }

    fn end_round(&mut self, now: Instant) {
        let round = self.round.sample(now);
        if self.mode == Mode::Drain(1) && self.loss.judge(&round, self.datagram) {
            self.capacity = scale(self.capacity, ONE * 3 / 4);
        }
        let is_app_limited = self.app_limited_at.is_some_and(|t| !self.round.was_sent_after(t));
        self.queue.on_round(now, round.rtt, (self.mode == Mode::Cruise).then_some(self.gain_before));
        if !is_app_limited {
            self.arrived[usize::from(self.arrived_next) % ARRIVED_ROUNDS] = round.arrived;
            self.arrived_next = (self.arrived_next + 1) % ARRIVED_ROUNDS as u8;
        }
        let is_unusual = self.loss.is_unusual(&round, self.datagram);
        let is_growing = self.mode == Mode::Start && round.rate > scale(self.capacity, ONE * 5 / 4);
        self.loss.on_round(&round, self.datagram, is_growing);
        match self.mode {
            Mode::Start => self.round_in_start(&round, is_app_limited),
            Mode::Cruise => self.round_in_cruise(now, &round, is_unusual, is_app_limited),
            Mode::Drain(left) => self.round_in_drain(now, left),
            Mode::Compete => self.round_in_compete(now, &round),
        }
        self.apply();
        self.round.begin(now);
    }

    fn window_min(&self) -> u32 {
        self.datagram.saturating_mul(WINDOW_MIN_DATAGRAMS)
    }

    /// Turns the model into a pace and a window.
    fn apply(&mut self) {
        let rtt = self.queue.rtt();
        match self.mode {
            Mode::Start => {
                let span = self.queue.base.saturating_mul(2).saturating_add(self.target());
                self.window = bytes_in(self.pacing, span).max(initial_window(self.datagram)).min(WINDOW_MAX);
            }
            Mode::Compete => {
                self.window = self.share.window;
                self.pacing = scale(rate_of(self.window, rtt), ONE * 5 / 4).max(1);
            }
            Mode::Cruise | Mode::Drain(_) => {
                let least = rate_of(self.datagram.saturating_mul(PACE_MIN_DATAGRAMS), rtt).max(1);
                self.capacity = self.capacity.max(least);
                self.pacing = scale(self.capacity, (ONE as i32 + self.gain).max(1) as u32).max(least);
                // The pace keeps the queue short, not the window: two round trips' worth let a flow go on through a fade
                // of one.
                let span = self.queue.base.saturating_mul(2).saturating_add(self.target().saturating_mul(2));
                let rate = self.pacing.max(self.capacity);
                self.window = bytes_in(rate, span).max(self.window_min()).min(WINDOW_MAX);
            }
        }
    }
}

/// RFC 9002, 7.2.
const fn initial_window(datagram: u32) -> u32 {
    let most = if datagram > INITIAL_BYTES / 2 { datagram * 2 } else { INITIAL_BYTES };
    if datagram * INITIAL_DATAGRAMS < most { datagram * INITIAL_DATAGRAMS } else { most }
}

impl Controller for PathModel {
    /// Bytes sent up to and including the packet.
    type Stamp = u32;

    #[cfg_attr(target_pointer_width = "64", inline)]
    fn on_sent(&mut self, now: Instant, bytes: u32, in_flight: u32) -> u32 {
        self.now = now;
        self.round.on_sent(now, bytes, in_flight)
    }

    #[cfg_attr(target_pointer_width = "64", inline)]
    fn on_acked(&mut self, now: Instant, sent_at: Instant, bytes: u32, stamp: &u32, _rtt: &Rtt) {
        self.now = now;
        self.round.on_acked(now, sent_at, bytes, *stamp);
    }

    fn on_lost(&mut self, now: Instant, sent_at: Instant, _bytes: u32, _stamp: &u32, _rtt: &Rtt) {
        if self.mode == Mode::Compete {
            self.lose_in_compete(now, sent_at);
        }
    }

    fn on_spurious(&mut self, _now: Instant, bytes: u32) {
        self.round.on_spurious(bytes);
    }

    #[cfg_attr(target_pointer_width = "64", inline)]
    fn on_ack_end(&mut self, now: Instant, in_flight: u32, rtt: &Rtt) {
        if self.mode == Mode::Start && self.round.rtt_min() != u32::MAX {
            self.ack_in_start(now, in_flight, rtt.variation());
        }
        if self.round.is_done() {
            self.end_round(now);
        }
    }

    #[cfg_attr(target_pointer_width = "64", inline)]
    fn on_app_limited(&mut self, _in_flight: u32) {
        self.app_limited_at = Some(self.now);
    }

    fn on_datagram_max(&mut self, bytes: u32) {
        self.datagram = bytes.max(1).min(65_535);
        if self.capacity == 0 {
            self.window = initial_window(self.datagram);
        }
    }

    fn reset(&mut self) {
        let datagram = self.datagram;
        *self = PathModel { datagram, window: initial_window(datagram), ..PathModel::new() };
    }

    #[cfg_attr(target_pointer_width = "64", inline)]
    fn window(&self) -> u32 {
        self.window
    }

    #[cfg_attr(target_pointer_width = "64", inline)]
    fn pacing_rate(&self) -> u32 {
        if self.mode == Mode::Start && self.pacing > 0 {
            // What a flow sent that had little to send says nothing: an initial window in a round trip is always allowed
            // (RFC 9002, 7.7).
            return self.pacing.max(rate_of(initial_window(self.datagram), self.queue.base.min(INITIAL_RTT)));
        }
        self.pacing
    }

    fn ack_every(&self) -> u32 {
        if self.mode == Mode::Start || !self.is_settled {
            return 0;
        }
        if self.loss.is_high() {
            // Acknowledgements are lost as well, and what is to be sent again waits for them.
            return 2;
        }
        let in_round = bytes_in(self.capacity, self.queue.base) / self.datagram;
        1 << (in_round / ACKS_IN_ROUND).max(2).ilog2().min(ACK_EVERY_MAX.ilog2())
    }

    fn is_congested(&self) -> bool {
        self.mode == Mode::Compete || self.queue.wait > self.target().saturating_mul(2)
    }
}
