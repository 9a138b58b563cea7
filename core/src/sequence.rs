//! Sequence numbers that wrap, and their truncated form on the wire.
//!
//! Messages and packets are numbered by 32-bit counters that wrap. Two numbers are compared by their distance, which is
//! unambiguous while everything in use spans less than 2^31. On the wire a number is cut to its low 7, 14, 21 or 28 bits
//! (protocol.md, section 3); the receiver restores the rest from a number that it knows to be near.

use crate::storage::Item;

/// A message or packet number, modulo 2^32.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Sequence(pub u32);

impl Sequence {
    /// The number `n` later.
    pub const fn plus(self, n: u32) -> Sequence {
        Sequence(self.0.wrapping_add(n))
    }

    /// How far `self` is after `base`, as an unsigned distance.
    pub const fn since(self, base: Sequence) -> u32 {
        self.0.wrapping_sub(base.0)
    }

    /// Whether `self` comes before `other`.
    pub const fn precedes(self, other: Sequence) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    /// The number with the low `7 * len` bits of `low` that is nearest to `reference` (distance `-2^(7 len - 1)` up to
    /// `2^(7 len - 1) - 1`). `len` is `1..=4`.
    pub const fn expand(low: u32, len: u8, reference: Sequence) -> Sequence {
        let shift = 32 - 7 * len as u32;
        let delta = (low.wrapping_sub(reference.0) << shift) as i32 >> shift;
        Sequence(reference.0.wrapping_add(delta as u32))
    }

    /// The number with the low `7 * len` bits of `low` that is the latest one not after `limit`.
    pub const fn expand_before(low: u32, len: u8, limit: Sequence) -> Sequence {
        let mask = (1u32 << (7 * len as u32)) - 1;
        Sequence(limit.0.wrapping_sub(limit.0.wrapping_sub(low) & mask))
    }
}

/// Numbers `first..=last`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Range {
    /// The lowest number.
    pub first: Sequence,
    /// The highest number.
    pub last: Sequence,
}

impl Item for Range {
    const BLANK: Self = Range { first: Sequence(0), last: Sequence(0) };
}

impl Range {
    /// How many numbers it holds.
    pub const fn count(&self) -> u32 {
        self.last.since(self.first).wrapping_add(1)
    }

    /// Whether `n` lies in it.
    pub const fn contains(&self, n: Sequence) -> bool {
        n.since(self.first) <= self.last.since(self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expand_finds_the_nearest_across_the_wrap() {
        for base in [0u32, 1, 63, 64, 1000, u32::MAX - 3, u32::MAX, 1 << 31] {
            for len in 1..=4u8 {
                let half = 1i64 << (7 * len as u32 - 1);
                for d in [-half, -1, 0, 1, half - 1, half / 2] {
                    let n = Sequence(base.wrapping_add(d as u32));
                    let low = n.0 & ((1u64 << (7 * len as u32)) - 1) as u32;
                    assert_eq!(Sequence::expand(low, len, Sequence(base)), n, "{base} {len} {d}");
                }
            }
        }
    }

    #[test]
    fn expand_one_sided_respects_the_limit() {
        for limit in [5u32, 0, u32::MAX, 130] {
            for back in [0u32, 1, 127] {
                let n = Sequence(limit.wrapping_sub(back));
                assert_eq!(Sequence::expand_before(n.0 & 127, 1, Sequence(limit)), n);
            }
        }
    }

    #[test]
    fn precedes_wraps() {
        assert!(Sequence(u32::MAX).precedes(Sequence(0)));
        assert!(!Sequence(0).precedes(Sequence(0)));
        assert!(!Sequence(1).precedes(Sequence(u32::MAX)));
    }
}
