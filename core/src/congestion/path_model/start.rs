//! From the first flight to a full path.

use super::super::units::{bytes_in, quotient, rate_of, scale};
use super::{Mode, ONE, PathModel, Sample, initial_window};
use crate::time::Instant;

/// The flight that ends the wait for one, as a part of the initial window. Counted in bytes: the window of datagrams of more
/// than 1,472 bytes holds fewer than ten.
const FLIGHT_DIVISOR: u32 = 2;
/// Datagrams over which the spread of the first flight is believed, and a rate in the middle of a round.
const TRAIN_DATAGRAMS: u32 = 4;
const PARTIAL_DATAGRAMS: u32 = 8;
/// The most that the drain after the start slows down, in 1/1024: to three tenths.
const OVERSHOOT_MAX: u32 = 717;
/// Probing gain, as a power of two, after a start that ended without a queue. Chosen: one more queues 0.7 ms at 20 Mbit/s, one
/// less finds a path that was underestimated a round trip later.
const EMPTY_ROUNDS: u8 = 2;

/// The first flight, and how the rate grew since.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Start {
    /// What the first acknowledgement covered, and when it came.
    train: Option<(u32, Instant)>,
    /// Where the first flight ends, what was last seen of it, and the rate that its spread shows.
    train_end: u32,
    train_seen: u32,
    train_rate: u32,
    /// Rounds without growth, and rounds at the rate of the train.
    stalled_rounds: u8,
    known_rounds: u8,
}

impl Start {
    pub const fn new() -> Self {
        Start { train: None, train_end: 0, train_seen: 0, train_rate: 0, stalled_rounds: 0, known_rounds: 0 }
    }
}

impl PathModel {
    /// An acknowledgement with news was processed; round trips vary by `variation` µs.
    pub(super) fn ack_in_start(&mut self, now: Instant, in_flight: u32, variation: u32) {
        let Some((stamp, at)) = self.start.train else {
            return self.first_ack(now);
        };
        self.observe_train(now, stamp, at);
        let (carried, elapsed) = self.round.progress(now);
        let wait = self.round.rtt_min().saturating_sub(self.queue.base);
        let is_full = wait > self.target().max(self.queue.base / 8).saturating_add(variation);
        if is_full && carried >= PARTIAL_DATAGRAMS * self.datagram && elapsed > self.queue.base / 8 {
            // The part of a round may be jitter's work: what whole rounds showed counts as well.
            let best = self.arrived.iter().copied().max().unwrap_or(0);
            let shown = self.capacity.min(self.start.train_rate).max(best);
            self.capacity = rate_of(carried, elapsed).min(self.pacing).max(shown);
            self.leave_start(now, wait, in_flight);
        }
    }

    /// Waits for a flight that says something about the path. Until then nothing is paced, and the initial window bounds what
    /// leaves at once: a handshake and a thin flow teach nothing and are not delayed.
    fn first_ack(&mut self, now: Instant) {
        let flight = self.round.outstanding();
        self.queue.on_first(now, self.round.rtt_min());
        if flight >= initial_window(self.datagram) / FLIGHT_DIVISOR {
            self.start.train = Some((self.round.carried_total(), now));
            self.start.train_end = self.round.sent();
            self.capacity = rate_of(flight.max(initial_window(self.datagram)), self.queue.base);
            self.pacing = self.faster();
            self.apply();
        }
        self.round.begin(now);
    }

    /// The first flight leaves back to back: how far its acknowledgements spread shows what the path carries.
    fn observe_train(&mut self, now: Instant, stamp: u32, at: Instant) {
        let carried = self.round.carried_total();
        let (spread, micros) = (carried.wrapping_sub(stamp), now.micros_since(at));
        let is_of_train = self.start.train_end.wrapping_sub(carried) as i32 >= 0;
        let is_late = micros == 0 || micros >= self.queue.base / 2;
        if !is_of_train
            || carried == self.start.train_seen
            || spread < TRAIN_DATAGRAMS * self.datagram
            || is_late
        {
            return;
        }
        let is_first = self.start.train_rate == 0;
        self.start.train_seen = carried;
        self.start.train_rate = rate_of(spread, micros);
        if is_first {
            self.pacing = self.capacity;
        }
        if is_first || self.pacing > self.start.train_rate {
            self.pacing = self.faster().min(self.start.train_rate.max(self.capacity));
            self.apply();
        }
    }

    /// Twice as fast; eight times while the spread of the first flight says that the path is far from full.
    fn faster(&self) -> u32 {
        // What was sent at this pace is acknowledged two rounds later: that far the rate may be ahead of what was seen.
        let now = self.pacing.max(self.capacity).max(1);
        let train = self.start.train_rate;
        let (step, ahead) = if train > now { (8, 32) } else { (2, 4) };
        let next = now.saturating_mul(step).min(self.capacity.saturating_mul(ahead)).max(now);
        if train > now { next.min(train) } else { next }
    }

    /// The path is full and more is on its way: drain what is in flight beyond the path's capacity in one round trip.
    fn leave_start(&mut self, now: Instant, wait: u32, in_flight: u32) {
        let arriving = scale(in_flight, ONE - self.loss.own());
        let fits = bytes_in(self.capacity, self.queue.base);
        let excess = quotient(u64::from(arriving.saturating_sub(fits)) * u64::from(ONE), u64::from(arriving));
        self.mode = Mode::Cruise;
        self.gain_before = self.gain;
        self.gain = -(excess.min(OVERSHOOT_MAX) as i32);
        self.queue.wait = wait;
        self.apply();
        self.round.begin(now);
    }

    pub(super) fn round_in_start(&mut self, round: &Sample, is_app_limited: bool) {
        if is_app_limited {
            self.capacity = self.capacity.max(round.rate);
            if self.start.train_rate > self.pacing {
                // The rest of the first flight came as it should: no need to wait for a round of its successors.
                self.pacing = self.faster();
            }
            return;
        }
        let is_known = self.start.train_rate > 0 && self.pacing >= self.start.train_rate;
        let is_grown = round.rate > scale(self.capacity, ONE * 5 / 4);
        self.capacity = self.capacity.max(round.rate);
        // What this pace brings is seen two rounds after it was set.
        let is_early = is_known && self.start.known_rounds < 2;
        self.start.stalled_rounds = if is_grown || is_early { 0 } else { self.start.stalled_rounds + 1 };
        self.start.known_rounds = if is_known { self.start.known_rounds.saturating_add(1) } else { 0 };
        if self.start.stalled_rounds >= 2 || (self.start.known_rounds >= 3 && self.start.stalled_rounds >= 1)
        {
            self.mode = Mode::Cruise;
            self.empty_rounds = EMPTY_ROUNDS;
            self.gain = self.correction();
        } else if !is_known {
            self.pacing = self.faster();
        }
    }
}
