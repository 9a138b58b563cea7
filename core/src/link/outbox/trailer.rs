//! What is remembered of a message that goes in fragments: two bitmaps of granules behind its payload.

use super::{OutChannel, OutMessage};
use crate::link::granules::{bitmap_len, masks};
use crate::sequence::Sequence;
use crate::storage::Storage;
use crate::wire::granule_bits;

/// Two bitmaps of granules follow the payload: acknowledged, and lost.
pub(super) const fn trailer_len(len: u32) -> u32 {
    2 * bitmap_len(len)
}

pub(super) struct Trailer<'a>(&'a [u8]);

impl Trailer<'_> {
    /// The first run of lost granules of a message of `total` bytes: offset and length in bytes.
    pub(super) fn lost_run(&self, total: u32) -> Option<(u32, u32)> {
        let lost = self.0.get(bitmap_len(total) as usize..)?;
        let (byte, bits) = lost.iter().enumerate().find(|&(_, &b)| b != 0)?;
        let first = byte as u32 * 8 + bits.trailing_zeros();
        let mut last = first;
        while lost.get((last / 8) as usize).is_some_and(|b| b >> (last % 8) & 1 == 1) {
            last += 1;
        }
        let bits = granule_bits(total);
        let offset = first << bits;
        Some((offset, (last << bits).min(total) - offset))
    }
}

impl<S: Storage> OutChannel<S> {
    pub(super) fn trailer(&self, m: &OutMessage) -> Trailer<'_> {
        Trailer(self.bytes.slice(m.position.wrapping_add(m.len), trailer_len(m.len)))
    }

    pub(super) fn set_lost_bits(&mut self, n: Sequence, offset: u32, len: u32, lost: bool) {
        let Some(m) = self.at(n) else { return };
        let (position, total) = (m.position.wrapping_add(m.len), m.len);
        let bits = bitmap_len(total) as usize;
        let trailer = self.bytes.slice_mut(position, trailer_len(total));
        let Some((acked, lost_bits)) = trailer.split_at_mut_checked(bits) else { return };
        for (i, mask) in masks(offset, len, total) {
            let (Some(a), Some(l)) = (acked.get(i), lost_bits.get_mut(i)) else { return };
            *l = *l & !mask | if lost { mask & !*a } else { 0 };
        }
    }
}
