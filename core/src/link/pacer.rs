//! Spreads packets over time: a token bucket, kept as the instant at which it is paid off.

use crate::time::Instant;

/// What may be caught up after waiting for the clock. Chosen: 1 ms, the resolution of most timers.
const BURST_MICROS: u32 = 1000;

/// When the next packet may leave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pacer {
    /// In units of 1/256 µs, so that at 1 GB/s a packet still counts.
    free_at: u64,
}

impl Pacer {
    pub(super) const fn new() -> Self {
        Pacer { free_at: 0 }
    }

    /// A packet of `bytes` leaves at `now`, at `rate` bytes per second.
    pub(super) fn on_sent(&mut self, now: Instant, bytes: u32, rate: u32) {
        if rate == 0 {
            return;
        }
        let earliest = now.as_micros().saturating_sub(BURST_MICROS as u64) << 8;
        self.free_at = self.free_at.max(earliest) + cost(bytes, rate);
    }

    /// When the next packet may leave.
    pub(super) fn ready_at(&self) -> Instant {
        Instant::from_micros(self.free_at.div_ceil(256))
    }
}

/// The time for `bytes` at `rate` in 1/256 µs.
#[cfg(target_pointer_width = "64")]
fn cost(bytes: u32, rate: u32) -> u64 {
    bytes as u64 * 256_000_000 / rate as u64
}

/// The same in 32-bit steps: exact to 1 % for 1 kB/s to 10 MB/s, which is what such machines drive.
#[cfg(not(target_pointer_width = "64"))]
fn cost(bytes: u32, rate: u32) -> u64 {
    // 1,000,000 / 64 = 15,625, and 65,535 * 15,625 fits 32 bits.
    let micros = bytes.min(65_535) * 15_625 / (rate >> 6).max(1);
    (micros as u64) << 8
}
