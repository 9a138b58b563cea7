//! The congestion window of CUBIC (RFC 9438) with the delay half of HyStart (Ha and Rhee, 2011), as Linux has it: no
//! pacing, initial window 10, fast convergence, one reduction per round trip.

use ackline_tests::endpoint::{MILLISECOND, Micros};

/// RFC 9438, 4.1 and 4.6.
const C: f64 = 0.4;
const BETA: f64 = 0.7;
/// Additive increase that matches Reno's share (RFC 9438, 4.3).
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);
/// RFC 6928.
const INITIAL: f64 = 10.0;
/// Below this window HyStart does not look (Linux `hystart_low_window`).
const HYSTART_WINDOW_MIN: f64 = 16.0;
/// Samples per round that it looks at (Linux `HYSTART_MIN_SAMPLES`).
const HYSTART_SAMPLES: u32 = 8;

/// A window in segments.
pub struct Window {
    size: f64,
    threshold: f64,
    largest: f64,
    epoch: Option<Epoch>,
    reno: f64,
    rtt_min: Micros,
    round: Round,
}

struct Epoch {
    start: Micros,
    /// Seconds until the curve is back at `largest`.
    k: f64,
}

#[derive(Default)]
struct Round {
    start: Micros,
    samples: u32,
    rtt_min: Micros,
}

impl Default for Window {
    fn default() -> Self {
        Window {
            size: INITIAL,
            threshold: f64::INFINITY,
            largest: 0.0,
            epoch: None,
            reno: 0.0,
            rtt_min: Micros::MAX,
            round: Round::default(),
        }
    }
}

impl Window {
    /// Segments that may be in flight.
    pub fn segments(&self) -> usize {
        self.size as usize
    }

    /// The smallest round trip so far.
    pub fn rtt_min(&self) -> Micros {
        self.rtt_min
    }

    /// A round-trip sample of a segment sent at `sent_at`.
    pub fn on_sample(&mut self, now: Micros, sent_at: Micros, rtt: Micros) {
        self.rtt_min = self.rtt_min.min(rtt);
        if self.size >= self.threshold {
            return;
        }
        if sent_at >= self.round.start {
            self.round = Round { start: now, samples: 0, rtt_min: Micros::MAX };
        }
        self.round.samples += 1;
        self.round.rtt_min = self.round.rtt_min.min(rtt);
        let slack = (self.rtt_min / 8).clamp(4 * MILLISECOND, 16 * MILLISECOND);
        let is_delayed = self.round.rtt_min >= self.rtt_min + slack;
        if self.round.samples >= HYSTART_SAMPLES && self.size >= HYSTART_WINDOW_MIN && is_delayed {
            self.threshold = self.size;
        }
    }

    /// `count` segments were acknowledged while the window was the limit and nothing was being repaired.
    pub fn on_acked(&mut self, now: Micros, count: usize) {
        for _ in 0..count {
            if self.size < self.threshold {
                self.size += 1.0;
            } else {
                self.avoid_congestion(now);
            }
        }
    }

    fn avoid_congestion(&mut self, now: Micros) {
        if self.epoch.is_none() {
            self.largest = self.largest.max(self.size);
            self.epoch = Some(Epoch { start: now, k: ((self.largest - self.size) / C).cbrt() });
            self.reno = self.size;
        }
        let Some(epoch) = &self.epoch else { return };
        let seconds = (now - epoch.start + self.rtt_min) as f64 / 1e6;
        let curve = self.largest + C * (seconds - epoch.k).powi(3);
        let target = curve.clamp(self.size, 1.5 * self.size);
        self.reno += ALPHA / self.size;
        // Linux grows by at least a hundredth of a segment per window.
        let step = ((target - self.size) / self.size).max(0.01 / self.size);
        self.size = (self.size + step).max(self.reno);
    }

    /// A segment was lost in a round trip without an earlier loss.
    pub fn on_loss(&mut self) {
        self.epoch = None;
        // Fast convergence: a flow that never reached its old maximum makes room.
        self.largest = if self.size < self.largest { self.size * (1.0 + BETA) / 2.0 } else { self.size };
        self.size = (self.size * BETA).max(2.0);
        self.threshold = self.size;
    }

    /// Nothing came back for the whole timeout.
    pub fn on_timeout(&mut self) {
        self.on_loss();
        self.size = 1.0;
    }
}
