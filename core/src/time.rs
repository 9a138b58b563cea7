//! Points in time, in microseconds since an origin that the driver chooses.
//!
//! The core never reads a clock: every call that may depend on time takes a [`Instant`] from its caller.

use core::ops::{Add, Sub};
use core::time::Duration;

/// A point in time: microseconds since an arbitrary origin, the same for all calls on one link.
///
/// A clock that steps backwards is tolerated (the link treats the earlier time as "no time has passed").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(u64);

impl Instant {
    /// The origin.
    pub const ZERO: Instant = Instant(0);
    /// Later than every deadline.
    pub const MAX: Instant = Instant(u64::MAX);

    /// The instant `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Instant(micros)
    }

    /// The instant `millis` milliseconds after the origin.
    pub const fn from_millis(millis: u64) -> Self {
        Instant(millis * 1000)
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`, zero if `earlier` is later.
    pub const fn saturating_duration_since(self, earlier: Instant) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Microseconds from `earlier` to `self`, limited to `0..=u32::MAX` (71 minutes).
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) const fn micros_since(self, earlier: Instant) -> u32 {
        let d = self.0.saturating_sub(earlier.0);
        if d > u32::MAX as u64 { u32::MAX } else { d as u32 }
    }

    /// `self` plus `micros`, never past [`Instant::MAX`].
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) const fn plus_micros(self, micros: u32) -> Instant {
        Instant(self.0.saturating_add(micros as u64))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, d: Duration) -> Instant {
        Instant(self.0.saturating_add(micros_u64(d)))
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;
    fn sub(self, earlier: Instant) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

/// Whole microseconds of `d`, without the 128-bit arithmetic of `Duration::as_micros`.
pub(crate) const fn micros_u64(d: Duration) -> u64 {
    d.as_secs().saturating_mul(1_000_000).saturating_add(d.subsec_micros() as u64)
}

/// Whole microseconds of `d`, limited to `u32::MAX` (71 minutes).
pub(crate) const fn micros_u32(d: Duration) -> u32 {
    let m = micros_u64(d);
    if m > u32::MAX as u64 { u32::MAX } else { m as u32 }
}
