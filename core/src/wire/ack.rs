//! Acknowledgement fields: which packet numbers arrived (protocol.md, section 5).
//!
//! ```text
//! in the packet's first byte:  D (delay present), NNNN (count of further ranges, 0..=15)
//! largest      truncated       the largest number received
//! delay        varint          only with D: units of 8 microseconds, at least 1
//! first        varint          how many numbers directly below `largest` arrived too
//! N times:     gap    varint   one less than how many numbers below the previous range are missing
//!              count  varint   one less than how many numbers below the gap arrived
//! ```

use super::{Malformed, Reader, Writer};
use crate::sequence::{Range, Sequence};

/// The most ranges in one packet (first and further).
pub const ACK_RANGES_MAX: usize = 16;

/// Delays are sent in units of 8 µs (as RFC 9000, ack_delay_exponent 3).
const DELAY_SHIFT: u32 = 3;

/// Acknowledgement fields as they stand in a packet: well-formed, numbers not yet restored.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ack<'a> {
    /// The low bits of the largest number and their length in bytes.
    pub largest: (u32, u8),
    /// How long the acknowledgement was held back, in microseconds.
    pub delay: u32,
    first: u32,
    further: &'a [u8],
    count: u8,
}

/// Bit of the low five that says that a delay follows.
const DELAY: u8 = 0x10;

impl<'a> Ack<'a> {
    /// Reads the fields announced by the low five `bits` of a first byte.
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub fn parse(bits: u8, r: &mut Reader<'a>) -> Result<Self, Malformed> {
        let largest = r.truncated()?;
        let delay = if bits & DELAY != 0 {
            let d = r.varint()?;
            if d == 0 || d > u32::MAX >> DELAY_SHIFT {
                return Err(Malformed);
            }
            d << DELAY_SHIFT
        } else {
            0
        };
        let first = r.varint()?;
        let start = r.rest();
        // Bound every sum: all ranges together span less than 2^31 numbers.
        let mut span = first;
        for _ in 0..bits & 15 {
            span = span.checked_add(r.varint()?).and_then(|s| s.checked_add(2)).ok_or(Malformed)?;
            span = span.checked_add(r.varint()?).ok_or(Malformed)?;
        }
        if span > i32::MAX as u32 {
            return Err(Malformed);
        }
        let further = r.since(start);
        Ok(Ack { largest, delay, first, further, count: bits & 15 })
    }

    /// The ranges, newest first, once the largest number is restored.
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub fn ranges(&self, largest: Sequence) -> AckRanges<'a> {
        AckRanges {
            next: Some(Range { first: largest.plus(self.first.wrapping_neg()), last: largest }),
            further: Reader::new(self.further),
            left: self.count,
        }
    }

    /// The low five bits of the first byte and the fields for `ranges` (sorted, oldest first, not adjacent). Ranges that
    /// do not fit the count are left out, oldest first. `None` if the fields do not fit the room.
    pub fn encode(ranges: &[Range], largest_len: u8, delay: u32, w: &mut Writer<'_>) -> Option<u8> {
        let newest = ranges.last()?;
        let mut bits = 0;
        let start = w.len();
        let mut ok = w.truncated(newest.last.0, largest_len);
        if delay >> DELAY_SHIFT > 0 {
            bits |= DELAY;
            ok &= w.varint(delay >> DELAY_SHIFT);
        }
        ok &= w.varint(newest.count() - 1);
        let mut low = newest.first;
        for r in ranges.iter().rev().skip(1).take(ACK_RANGES_MAX - 1) {
            let at = w.len();
            if !(w.varint(low.since(r.last).wrapping_sub(2)) && w.varint(r.count() - 1)) {
                w.truncate(at);
                break;
            }
            bits += 1;
            low = r.first;
        }
        if !ok {
            w.truncate(start);
            return None;
        }
        Some(bits)
    }
}

/// Walks the ranges of an [`Ack`], newest first.
#[derive(Clone, Debug)]
pub struct AckRanges<'a> {
    next: Option<Range>,
    further: Reader<'a>,
    left: u8,
}

impl Iterator for AckRanges<'_> {
    type Item = Range;
    #[cfg_attr(target_pointer_width = "64", inline)]
    fn next(&mut self) -> Option<Range> {
        let r = self.next.take()?;
        if self.left > 0
            && let (Ok(gap), Ok(count)) = (self.further.varint(), self.further.varint())
        {
            self.left -= 1;
            let last = r.first.plus(gap.wrapping_add(2).wrapping_neg());
            self.next = Some(Range { first: last.plus(count.wrapping_neg()), last });
        }
        Some(r)
    }
}
