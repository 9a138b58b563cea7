//! Round-trip time estimation: RFC 9002, section 5, in integer microseconds.

/// The round-trip time of a path, in microseconds.
///
/// Kept invariant: `min() <= smoothed() + variation()` once a sample was taken; nothing overflows for samples up to
/// `u32::MAX / 8` (9 minutes), to which larger ones are clamped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rtt {
    latest: u32,
    /// Eight times the smoothed value, so that the 1/8 gain keeps its fraction.
    smoothed_x8: u32,
    /// Four times the variation, for its 1/4 gain.
    variation_x4: u32,
    min: u32,
    sampled: bool,
}

impl Rtt {
    /// No sample yet: `initial` is assumed, with half of it as variation (RFC 9002, 6.2.2).
    pub const fn new(initial: u32) -> Self {
        let initial = if initial > SAMPLE_MAX { SAMPLE_MAX } else { initial };
        Rtt {
            latest: initial,
            smoothed_x8: initial * 8,
            variation_x4: initial * 2,
            min: initial,
            sampled: false,
        }
    }

    /// Takes a sample: `elapsed` since the packet was sent, of which the peer says that it held the acknowledgement back
    /// for `ack_delay`. The delay is not believed below the minimum (RFC 9002, 5.3).
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub fn on_sample(&mut self, elapsed: u32, ack_delay: u32) {
        let elapsed = elapsed.max(1).min(SAMPLE_MAX);
        if !self.sampled {
            *self = Rtt::new(elapsed);
            self.sampled = true;
            return;
        }
        self.min = self.min.min(elapsed);
        let adjusted =
            if elapsed >= self.min.saturating_add(ack_delay) { elapsed - ack_delay } else { elapsed };
        self.latest = elapsed;
        let smoothed = self.smoothed_x8 >> 3;
        let deviation = smoothed.abs_diff(adjusted);
        self.variation_x4 = self.variation_x4 - (self.variation_x4 >> 2) + deviation;
        self.smoothed_x8 = self.smoothed_x8 - smoothed + adjusted;
    }

    /// Whether any sample was taken.
    pub const fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// The latest sample, unadjusted.
    pub const fn latest(&self) -> u32 {
        self.latest
    }

    /// The smoothed round-trip time (SRTT).
    pub const fn smoothed(&self) -> u32 {
        self.smoothed_x8 >> 3
    }

    /// The mean deviation (RTTVAR).
    pub const fn variation(&self) -> u32 {
        self.variation_x4 >> 2
    }

    /// The smallest sample.
    pub const fn min(&self) -> u32 {
        self.min
    }
}

/// Larger samples are clamped so that eight times the value fits.
const SAMPLE_MAX: u32 = u32::MAX / 8;
