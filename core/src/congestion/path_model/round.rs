//! One round trip's worth of acknowledgements, and the rates that it shows.

use super::super::units::{rate_of, scale};
use super::{LOSS_MAX, ONE};
use crate::time::Instant;

/// Longer round trips are taken as this long (4.5 minutes), so that sums of a few of them fit.
const RTT_MAX: u32 = 1 << 28;

/// Bytes carried since the first packet sent after the last round ended.
///
/// A round ends when a packet is acknowledged that was sent after the round began, as in BBR.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Round {
    /// Bytes ever sent, wrapping, and the newest value acknowledged: the latter counts what was lost on the way as well,
    /// before any loss is detected.
    sent: u32,
    carried: u32,
    carried_before: u32,
    began_at: Instant,
    /// When the newest acknowledged packet was sent, now and when the round began.
    newest_sent_at: Instant,
    sent_before: Instant,
    acked: u32,
    rtt_min: u32,
    is_done: bool,
    is_started: bool,
}

/// What a round showed. Rates are bytes per second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Bytes that were carried, that were acknowledged, and the difference.
    pub carried: u32,
    pub acked: u32,
    pub lost: u32,
    /// At which packets were carried: never faster than they were sent.
    pub rate: u32,
    /// At which packets arrived.
    pub arrived: u32,
    /// The bottleneck's own rate, `u32::MAX` if the round does not show it.
    pub bottleneck: u32,
    /// The smallest round trip, µs.
    pub rtt: u32,
}

impl Round {
    /// All zeros.
    pub const BLANK: Self = Round { rtt_min: 0, ..Round::new() };

    pub const fn new() -> Self {
        Round {
            sent: 0,
            carried: 0,
            carried_before: 0,
            began_at: Instant::ZERO,
            newest_sent_at: Instant::ZERO,
            sent_before: Instant::ZERO,
            acked: 0,
            rtt_min: u32::MAX,
            is_done: false,
            is_started: false,
        }
    }

    /// A packet leaves; returns its stamp.
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub fn on_sent(&mut self, now: Instant, bytes: u32, in_flight: u32) -> u32 {
        if !self.is_started || (in_flight == 0 && self.carried == self.sent) {
            // After a silence, the time since the last round says nothing.
            self.is_started = true;
            self.carried_before = self.carried;
            self.began_at = now;
            self.sent_before = now;
            self.newest_sent_at = now;
        }
        self.sent = self.sent.wrapping_add(bytes);
        self.sent
    }

    #[cfg_attr(target_pointer_width = "64", inline)]
    pub fn on_acked(&mut self, now: Instant, sent_at: Instant, bytes: u32, stamp: u32) {
        self.acked = self.acked.saturating_add(bytes);
        if stamp.wrapping_sub(self.carried) as i32 > 0 {
            self.carried = stamp;
            self.newest_sent_at = self.newest_sent_at.max(sent_at);
        }
        self.rtt_min = self.rtt_min.min(now.micros_since(sent_at).max(1).min(RTT_MAX));
        self.is_done |= sent_at >= self.began_at;
    }

    /// A packet taken for lost has arrived.
    pub fn on_spurious(&mut self, bytes: u32) {
        self.acked = self.acked.saturating_add(bytes);
    }

    pub fn begin(&mut self, now: Instant) {
        self.carried_before = self.carried;
        self.began_at = now;
        self.sent_before = self.newest_sent_at;
        self.acked = 0;
        self.rtt_min = u32::MAX;
        self.is_done = false;
    }

    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Bytes sent in all, and up to the newest packet acknowledged: wrapping.
    pub fn sent(&self) -> u32 {
        self.sent
    }

    pub fn carried_total(&self) -> u32 {
        self.carried
    }

    /// Bytes sent since the round began, or rather since the packet whose acknowledgement began it.
    pub fn outstanding(&self) -> u32 {
        self.sent.wrapping_sub(self.carried_before)
    }

    /// The smallest round trip so far, `u32::MAX` if nothing was acknowledged.
    pub fn rtt_min(&self) -> u32 {
        self.rtt_min
    }

    /// Whether the packets of this round left after `at`.
    pub fn was_sent_after(&self, at: Instant) -> bool {
        self.sent_before > at
    }

    /// Bytes carried so far, and for how many µs.
    pub fn progress(&self, now: Instant) -> (u32, u32) {
        (
            believable(self.carried.wrapping_sub(self.carried_before), self.acked),
            now.micros_since(self.began_at),
        )
    }

    pub fn sample(&self, now: Instant) -> Sample {
        let carried = self.carried.wrapping_sub(self.carried_before);
        let believed = believable(carried, self.acked);
        let sent_for = self.newest_sent_at.micros_since(self.sent_before);
        let acked_for = now.micros_since(self.began_at).max(1);
        let micros = acked_for.max(sent_for);
        // While acknowledgements come in at another rate than the packets left, a queue grows or shrinks, and theirs is
        // the rate of the bottleneck. Chosen: 2 % is more than the granularity of a window of 50 packets.
        let is_bottleneck = acked_for.abs_diff(sent_for) > sent_for / 50;
        Sample {
            carried,
            acked: self.acked,
            lost: carried.saturating_sub(self.acked),
            rate: rate_of(believed, micros),
            arrived: rate_of(self.acked.min(carried), micros),
            bottleneck: if is_bottleneck { rate_of(believed, acked_for) } else { u32::MAX },
            rtt: self.rtt_min,
        }
    }
}

/// Lost packets count as carried, but only so far: what overflows a queue, or was swallowed by a fade, was not carried by
/// anything.
fn believable(carried: u32, acked: u32) -> u32 {
    carried.min(scale(acked, ONE * ONE / (ONE - LOSS_MAX)))
}
