//! Sharing a queue: draining it together with flows of the same kind, competing with those that fill it.

use super::super::units::{bytes_in, quotient, scale};
use super::{Mode, ONE, PathModel, Sample, WINDOW_MAX};
use crate::time::Instant;

/// How long a smallest round trip is believed before the queue is drained to see it again, in µs and in round trips.
/// Chosen: 2.5 s cost 0.5 % of a path with 40 ms; 5 s leave five flows half as fair.
const BASE_LIFE: u32 = 2_500_000;
const BASE_ROUNDS: u32 = 16;
/// A drain that others begin is joined after this part of that life.
const JOIN_PART: u32 = 4;
/// Round trips between drains for the sake of unexplained loss.
const SUSPECT_ROUNDS: u32 = 8;
/// The most rounds that empty the queue; one more sees that it is empty.
const SLOW_ROUNDS_MAX: u32 = 8;
/// More rounds that it waits while the queue goes on shrinking.
const DRAIN_MORE: u8 = 4;
/// How much a drain slows down, in 1/1024: at least, and at most, which is also what unexplained loss gets.
const DRAIN_MIN: i32 = 256;
const DRAIN_MAX: i32 = 512;
/// Rounds with a queue that does not answer to this flow's backing off before it competes; the same when it competed not
/// long ago; and rounds without such a queue after which that is forgotten. Chosen for an even share with CUBIC.
const FOREIGN_ROUNDS: u8 = 8;
const FOREIGN_AGAIN_ROUNDS: u8 = 5;
const FOREIGN_MEMORY: u8 = 24;
/// What is left of the window after a loss in 1/1024: seven tenths, as in CUBIC (RFC 9438, 4.6).
const COMPETE_LEFT: u32 = ONE * 7 / 10;

/// What is known of others on the path.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Share {
    /// The window while competing.
    pub window: u32,
    cut_at: Instant,
    /// It competes, or did not long ago.
    is_competing: bool,
    /// A drain was tried against the queue that others hold.
    is_drained: bool,
    drained_at: Instant,
    drain_more: u8,
    /// The capacity before the queue became foreign.
    usual_rate: u32,
    foreign_rounds: u8,
    quiet_rounds: u8,
}

impl Share {
    pub const fn new() -> Self {
        Share {
            window: 0,
            cut_at: Instant::ZERO,
            is_competing: false,
            is_drained: false,
            drained_at: Instant::ZERO,
            drain_more: 0,
            usual_rate: 0,
            foreign_rounds: 0,
            quiet_rounds: 0,
        }
    }
}

impl PathModel {
    /// Looks for a queue that is not this flow's. Returns whether that changed the mode.
    pub(super) fn observe_others(&mut self, now: Instant) -> bool {
        // Squeezed, a flow wants a longer queue: what counts is the rate that it had before.
        let usual_rate = self.share.usual_rate.max(self.capacity);
        let target = self.queue.target(usual_rate, self.datagram);
        let s = &mut self.share;
        let is_long = self.queue.wait > target + target / 2;
        // A queue that shrinks answers: it is this flow's own.
        let is_shrinking = self.queue.last + self.queue.wait / 8 < self.queue.before;
        s.foreign_rounds = if is_long { s.foreign_rounds + u8::from(!is_shrinking) } else { 0 };
        s.usual_rate = if s.foreign_rounds > 0 { usual_rate } else { self.capacity };
        s.quiet_rounds = if s.foreign_rounds > 0 { 0 } else { s.quiet_rounds.saturating_add(1) };
        s.is_competing &= s.quiet_rounds < FOREIGN_MEMORY;
        s.is_drained &= s.quiet_rounds < FOREIGN_MEMORY;
        let is_foreign =
            s.foreign_rounds >= if s.is_competing { FOREIGN_AGAIN_ROUNDS } else { FOREIGN_ROUNDS };
        if is_foreign && !s.is_drained && !s.is_competing {
            // Perhaps others of its kind came late and took the queue for the path's delay: a common drain shows them.
            s.is_drained = true;
            s.foreign_rounds = 0;
            self.start_drain(now);
        } else if is_foreign {
            self.start_competing(now);
        } else if self.is_drain_due(now) {
            self.start_drain(now);
        } else {
            return false;
        }
        true
    }

    /// Flows that share a queue must drain it together to see the bare round trip. One that begins makes a dip, which
    /// the others join; an overflow, which all of them see, calls them together.
    fn is_drain_due(&self, now: Instant) -> bool {
        let age = now.micros_since(self.queue.base_at);
        let since = now.micros_since(self.share.drained_at);
        let life = self.base_life();
        let is_suspect =
            self.loss.is_overloaded() && since > self.queue.usual().saturating_mul(SUSPECT_ROUNDS);
        is_suspect || age > life || (since > life / JOIN_PART && self.queue.is_dip(self.target()))
    }

    fn base_life(&self) -> u32 {
        BASE_LIFE.max(self.queue.base.saturating_mul(BASE_ROUNDS))
    }

    fn start_drain(&mut self, now: Instant) {
        self.share.drained_at = now;
        self.share.drain_more = DRAIN_MORE;
        let micros = u64::from(self.queue.wait) + u64::from(self.target());
        let share = quotient(micros * u64::from(ONE), u64::from(self.queue.base)).min(DRAIN_MAX as u32);
        self.gain_before = self.gain;
        let least = if self.loss.is_overloaded() { DRAIN_MAX } else { DRAIN_MIN };
        self.gain = -(share as i32).max(least);
        // Where the queue is longer than the path, half of the pace for one round trip does not empty it.
        let slow = quotient(2 * micros, u64::from(self.queue.rtt())).max(1).min(SLOW_ROUNDS_MAX);
        self.mode = Mode::Drain(1 + slow as u8);
    }

    pub(super) fn round_in_drain(&mut self, now: Instant, left: u8) {
        self.gain_before = self.gain;
        if left > 1 {
            self.mode = Mode::Drain(left - 1);
            self.gain = if left > 2 { self.gain } else { 0 };
            return;
        }
        self.gain = 0;
        if self.queue.last + self.target() / 8 < self.queue.before && self.share.drain_more > 0 {
            // Others drain as well: the bottom is not yet seen.
            self.share.drain_more -= 1;
            return;
        }
        self.queue.on_drained(now, self.base_life());
        self.empty_rounds = 0;
        let is_foreign = self.share.is_competing && self.queue.wait > self.target();
        self.mode = if is_foreign { Mode::Compete } else { Mode::Cruise };
        self.gain = self.correction();
    }

    fn start_competing(&mut self, now: Instant) {
        // What its rate needs now, however much it held when it competed before: that was cut since, or is what the other
        // flow has taken. The larger of both gave it twice the share of a CUBIC flow.
        let fits = bytes_in(self.capacity, self.queue.rtt()).max(self.window_min());
        let s = &mut self.share;
        s.window = fits.min(WINDOW_MAX);
        s.is_competing = true;
        s.is_drained = false;
        s.foreign_rounds = 0;
        s.cut_at = now;
        self.mode = Mode::Compete;
    }

    /// One datagram more per round trip, as NewReno.
    pub(super) fn round_in_compete(&mut self, now: Instant, round: &Sample) {
        let step = (i64::from(round.rate) - i64::from(self.capacity)) / 4;
        self.capacity = (i64::from(self.capacity) + step).max(1) as u32;
        self.share.window = self.share.window.saturating_add(self.datagram).min(WINDOW_MAX);
        if self.queue.wait < self.target() {
            self.mode = Mode::Cruise;
            self.gain = self.correction();
        } else if self.is_drain_due(now) {
            self.start_drain(now);
        }
    }

    /// One reduction per round trip.
    pub(super) fn lose_in_compete(&mut self, now: Instant, sent_at: Instant) {
        if sent_at > self.share.cut_at {
            self.share.cut_at = now;
            self.share.window = scale(self.share.window, COMPETE_LEFT).max(self.window_min());
        }
    }
}
