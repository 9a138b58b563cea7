//! Spreads packets over time: a bucket that fills with every packet and drains at the pacing rate.

use crate::time::Instant;

/// What may leave at once, as a time at the pacing rate: what a timer that comes late has to catch up with. Chosen: 1 ms,
/// the resolution of most timers.
const BURST_MICROS: u32 = 1000;

/// Bytes that have left ahead of the pacing rate. Kept in bytes, so that a change of the rate counts at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pacer {
    at: Instant,
    /// Bytes in the bucket at `at`.
    ahead: u32,
}

impl Pacer {
    pub(super) const fn new() -> Self {
        Pacer { at: Instant::ZERO, ahead: 0 }
    }

    /// A packet of `bytes` leaves at `now`, at `rate` bytes per second.
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub(super) fn on_sent(&mut self, now: Instant, bytes: u32, rate: u32) {
        if rate == 0 {
            // Nothing is ahead of no limit, and nothing is to be made up for when there is one.
            self.ahead = 0;
            return;
        }
        let drained = bytes_in(now.micros_since(self.at), rate);
        self.ahead = self.ahead.saturating_sub(drained).saturating_add(bytes);
        self.at = now;
    }

    /// When the next packet may leave at `rate`; `0` is no limit.
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub(super) fn ready_at(&self, rate: u32) -> Instant {
        let burst = bytes_in(BURST_MICROS, rate);
        if rate == 0 || self.ahead <= burst {
            return Instant::ZERO;
        }
        self.at.plus_micros(micros_for(self.ahead - burst, rate))
    }
}

/// Bytes that leave in `micros` at `rate` bytes per second.
#[cfg(target_pointer_width = "64")]
#[cfg_attr(target_pointer_width = "64", inline)]
fn bytes_in(micros: u32, rate: u32) -> u32 {
    (micros as u64 * rate as u64 / 1_000_000).min(u32::MAX as u64) as u32
}

/// Microseconds that `bytes` take at `rate` bytes per second, rounded up.
#[cfg(target_pointer_width = "64")]
fn micros_for(bytes: u32, rate: u32) -> u32 {
    (bytes as u64 * 1_000_000).div_ceil(rate as u64).min(u32::MAX as u64) as u32
}

/// The same in 32-bit steps, in units of 64 µs: exact to 1 % from 1 kB/s to 4 MB/s, which is what such machines drive.
#[cfg(not(target_pointer_width = "64"))]
fn bytes_in(micros: u32, rate: u32) -> u32 {
    // 64 µs are 1/15,625 s.
    (micros >> 6).min(0xffff).saturating_mul(rate.min(0xffff_ffff >> 10) / 64) / 244
}

#[cfg(not(target_pointer_width = "64"))]
fn micros_for(bytes: u32, rate: u32) -> u32 {
    bytes.min(65_535) * 15_625 / (rate >> 6).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_leave_at_the_rate_and_a_late_timer_catches_up() {
        let mut p = Pacer::new();
        let mut now = Instant::from_millis(10);
        let mut sent = 0u32;
        while now < Instant::from_millis(1010) {
            while p.ready_at(100_000) <= now {
                p.on_sent(now, 100, 100_000);
                sent += 100;
            }
            now = now.plus_micros(900);
        }
        assert!((99_000..=101_000).contains(&sent), "{sent}");
    }

    #[test]
    fn what_left_without_a_limit_is_not_held_against_a_later_one() {
        let mut p = Pacer::new();
        for i in 0..1000 {
            p.on_sent(Instant::from_millis(i), 1000, 0);
        }
        assert!(p.ready_at(1000) <= Instant::from_millis(1000));
    }

    #[test]
    fn a_higher_rate_counts_at_once() {
        let mut p = Pacer::new();
        let now = Instant::from_millis(1);
        p.on_sent(now, 1000, 1);
        assert!(p.ready_at(1) > Instant::from_millis(900_000));
        assert!(p.ready_at(1_000_000) <= now.plus_micros(1000));
    }
}
