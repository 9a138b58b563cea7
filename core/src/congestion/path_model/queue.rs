//! The round trip without a queue, and how long the queue is.

use super::super::units::{quotient, root};
use crate::time::Instant;

/// K of the queue target in µs × sqrt(bytes per second), chosen: 1.6 ms at 20 Mbit/s. A target that falls with the root of the
/// rate gives flows that share a queue one equilibrium, and stays visible above the noise on fast paths.
const TARGET_K: u32 = 2_500_000;
/// The least queue target in µs, chosen: what timers and schedulers of hosts blur anyway.
const TARGET_MIN: u32 = 200;
/// The longest time in µs that two datagrams count with (a datagram of 576 bytes at 1200 bit/s).
const DATAGRAMS_MAX: u32 = 10_000_000;
/// Mean changes of the round trip that the target allows for. Chosen: on a path with 10 ms of wandering jitter, 3 leave 8 % of
/// the rate unused, 5 leave 6 % at 8 ms of queue, 6 gain nothing.
const JITTER_GAIN: u32 = 5;
/// The part of what jitter explains that is no dip, while nobody else holds a queue. Measured on a path with 10 ms of wandering
/// jitter: without it, jitter makes a drain every 0.7 s, which costs 2 % of the path.
const DIP_JITTER: u32 = 2;
/// Gains up to this, in 1/1024, leave the round trip alone enough to observe its jitter.
const CALM_GAIN: u32 = 64;

/// Smallest round trips of the rounds, in µs.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Queue {
    /// Round trip without a queue, and when it was last seen. `u32::MAX` before the first sample.
    pub base: u32,
    pub base_at: Instant,
    /// Smallest since the end of the last drain, which counts as well.
    base_next: u32,
    pub last: u32,
    pub before: u32,
    /// Four times the smoothed value.
    smoothed_x4: u32,
    /// Eight times the mean change.
    jitter_x8: u32,
    /// How long packets waited, at the least, in the last round.
    pub wait: u32,
}

impl Queue {
    /// All zeros.
    pub const BLANK: Self = Queue { base: 0, base_next: 0, ..Queue::new() };

    pub const fn new() -> Self {
        Queue {
            base: u32::MAX,
            base_at: Instant::ZERO,
            base_next: u32::MAX,
            last: 0,
            before: 0,
            smoothed_x4: 0,
            jitter_x8: 0,
            wait: 0,
        }
    }

    /// The first acknowledgement of a flow.
    pub fn on_first(&mut self, now: Instant, rtt: u32) {
        self.base = self.base.min(rtt);
        self.base_at = now;
    }

    /// A round ended whose smallest round trip was `rtt`; `gain` was applied to its packets, `None` if the round
    /// says nothing about jitter.
    pub fn on_round(&mut self, now: Instant, rtt: u32, gain: Option<i32>) {
        if rtt <= self.base {
            self.base = rtt;
            self.base_at = now;
        }
        self.base_next = self.base_next.min(rtt);
        if self.last != 0 && gain.is_some_and(|g| g.unsigned_abs() < CALM_GAIN) {
            // The change of the change: a queue that this flow fills or empties at a constant rate is no jitter.
            let bend = (i64::from(rtt) + i64::from(self.before) - 2 * i64::from(self.last)).unsigned_abs();
            let change = (bend / 2).min(u64::from(self.base)) as u32;
            self.jitter_x8 = self.jitter_x8 - self.jitter_x8 / 8 + change;
        }
        self.smoothed_x4 =
            if self.smoothed_x4 == 0 { rtt * 4 } else { self.smoothed_x4 - self.smoothed_x4 / 4 + rtt };
        self.before = self.last;
        self.last = rtt;
        self.wait = rtt - self.base;
    }

    /// A drain ended. If the base was not seen for `life` µs, it rises, but only to what this drain and the last one that
    /// late could not go below: one that nobody joined met the others' queue.
    pub fn on_drained(&mut self, now: Instant, life: u32) {
        if now.micros_since(self.base_at) > life {
            self.base = self.base_next;
            self.base_next = self.last;
            self.base_at = now;
        }
        self.wait = self.last - self.base;
    }

    /// The wait that a flow of `rate` bytes per second, in datagrams of `datagram` bytes, wants to see.
    pub fn target(&self, rate: u32, datagram: u32) -> u32 {
        let rate = rate.max(1);
        let datagrams = quotient(u64::from(datagram) * 2_000_000, u64::from(rate)).min(DATAGRAMS_MAX);
        datagrams + TARGET_K / root(rate).max(1) + self.jitter() + TARGET_MIN
    }

    /// The wait that the path's own jitter explains.
    fn jitter(&self) -> u32 {
        (self.jitter_x8 / 8).saturating_mul(JITTER_GAIN).min(self.base / 2)
    }

    /// The usual round trip of late.
    pub fn usual(&self) -> u32 {
        self.smoothed_x4 / 4
    }

    /// Base and wait together.
    pub fn rtt(&self) -> u32 {
        self.base.saturating_add(self.wait)
    }

    /// Somebody drains: the last round trip is notably shorter than usual, for a flow with this target.
    pub fn is_dip(&self, target: u32) -> bool {
        let usual = self.usual();
        let wait = usual.saturating_sub(self.base);
        // Where the queue is longer than this flow wants it, others hold it, and what varies is their doing.
        let own = if wait <= target { self.jitter() / DIP_JITTER } else { 0 };
        let dip = (target / 4).max(wait / 8) + own;
        self.last + dip < usual
    }
}
