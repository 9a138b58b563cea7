//! Holding the queue at its target.

use super::super::units::{quotient, scale};
use super::{ONE, PathModel, Sample};
use crate::time::Instant;

/// How much of a wait is corrected in a round trip, in 1/1024 of the rate: half. With a delay of one round after what is pending
/// is predicted, that is damped well.
const CORRECTION: u32 = 512;
/// The fastest probing in 1/1024, chosen: what it queues in a round trip is drained in the next; and the fastest after many
/// probes in a row were carried, on a path that loses little.
const PROBE_MAX: i32 = 256;
const RAMP_MAX: i32 = 1024;
/// After the start, every other round goes so much faster, in 1/1024, until that is not carried: neither the spread of a few packets
/// nor a wait that may be jitter ends the search. Chosen: an eighth misses most of it in jitter, a quarter queues 10 ms once.
const FIRST_PROBE: i32 = 256;
/// Probes in a row that were carried before the pace doubles, and up to which they are counted.
const RAMP_ROUNDS: u8 = 5;
const EMPTY_ROUNDS_MAX: u8 = 8;
/// How far above the best recent arrival rate the capacity may lie, in 1/1024: 6 %.
const ARRIVED_SLACK: u64 = 1088;

impl PathModel {
    /// How much faster or slower than the capacity to send, in 1/1024.
    pub(super) fn correction(&self) -> i32 {
        let (target, wait, base) = (self.target(), self.queue.wait, self.queue.base.max(1));
        // What the last round's gain adds to the queue shows only in the next round's samples.
        let pending = i64::from(self.gain_before) * i64::from(base) / i64::from(ONE);
        let expected = (i64::from(wait) + pending).max(0).min(i64::from(u32::MAX)) as u32;
        // A queue longer than the path takes longer than a round trip to answer, and so do timers on the way.
        let slow = u64::from(base) + 2 * u64::from(target);
        let part =
            |micros: u32| quotient(u64::from(micros) * u64::from(CORRECTION), slow).min(CORRECTION) as i32;
        if !self.is_settled && wait < target.saturating_mul(2) {
            return if self.gain_before > 0 { 0 } else { FIRST_PROBE };
        }
        if expected >= target {
            // What is only pending is waited for.
            return if wait < target / 2 { 0 } else { -part(expected - target) };
        }
        if self.loss.is_overloaded() {
            return 0;
        }
        let most = if self.empty_rounds < RAMP_ROUNDS || !self.loss.is_low() { PROBE_MAX } else { RAMP_MAX };
        (part(target - expected) << self.empty_rounds.min(6)).min(most)
    }

    pub(super) fn round_in_cruise(
        &mut self,
        now: Instant,
        round: &Sample,
        is_unusual: bool,
        is_app_limited: bool,
    ) {
        self.observe_capacity(round, is_unusual, is_app_limited);
        let best = self.arrived.iter().copied().max().unwrap_or(0);
        if best > 0 && !is_app_limited {
            let most = quotient(u64::from(best) * ARRIVED_SLACK, u64::from(ONE - self.loss.own()));
            self.capacity = self.capacity.min(most).max(1);
        }
        self.gain_before = self.gain;
        if !self.observe_others(now) {
            self.gain = self.correction();
        }
    }

    /// While a queue stands, the rate at which packets leave it is the capacity; while none stands, it is a lower bound.
    fn observe_capacity(&mut self, round: &Sample, is_unusual: bool, is_app_limited: bool) {
        let (target, wait) = (self.target(), self.queue.wait);
        let is_loaded = wait > target / 2;
        let gain = self.gain_before;
        let is_carried = gain > 0 && round.rate > scale(self.capacity, (ONE as i32 + gain / 2) as u32);
        let rate = round.rate;
        self.is_settled |= gain >= FIRST_PROBE && (!is_carried || wait > target.saturating_mul(2));
        let is_dropping = self.loss.is_overloaded() || is_unusual;
        if rate > self.capacity {
            let parts = match (is_loaded, is_carried) {
                (_, true) if !self.is_settled => 1,
                (true, _) => 4,
                (false, true) => 1,
                (false, false) => 2,
            };
            self.capacity += if is_dropping { 0 } else { (rate - self.capacity) / parts };
        } else if !is_app_limited && is_loaded && round.bottleneck < self.capacity {
            // A queue longer than the path is an emergency: the rate has fallen.
            let parts = if wait > self.queue.base.max(2 * target) { 1 } else { 4 };
            self.capacity -= (self.capacity - round.bottleneck) / parts;
        } else if !is_app_limited && wait > target {
            self.capacity -= (self.capacity - rate) / 8;
        }
        if is_loaded || is_dropping {
            self.empty_rounds = 0;
        } else if !is_app_limited && is_carried {
            self.empty_rounds = (self.empty_rounds + 1).min(EMPTY_ROUNDS_MAX);
        }
    }
}
