//! Bitmaps of granules, which say what of a fragmented message is there.

use crate::wire::{granule_bits, granules_to};

/// Bytes of a bitmap for a message of `total` bytes.
pub(super) const fn bitmap_len(total: u32) -> u32 {
    granules_to(total, total).div_ceil(8)
}

/// The bytes of a bitmap that hold the granules of `len` bytes from `offset` on, of `total`: the index of each, and a mask of
/// those bits.
pub(super) fn masks(offset: u32, len: u32, total: u32) -> impl Iterator<Item = (usize, u8)> {
    let (from, to) = (offset >> granule_bits(total), granules_to(offset + len, total));
    (from / 8..to.div_ceil(8)).map(move |i| {
        let (start, end) = (i * 8, i * 8 + 8);
        let head = 0xff << from.saturating_sub(start);
        let tail = 0xff >> end.saturating_sub(to);
        (i as usize, (head & tail) as u8)
    })
}

/// Calls `f` with each of those bytes and its mask.
pub(super) fn for_each(bitmap: &mut [u8], offset: u32, len: u32, total: u32, mut f: impl FnMut(&mut u8, u8)) {
    if cfg!(target_pointer_width = "64") {
        let (from, to) = (offset >> granule_bits(total), granules_to(offset + len, total));
        let bytes = bitmap.get_mut((from / 8) as usize..to.div_ceil(8) as usize).unwrap_or(&mut []);
        let (head, tail) = (0xff << (from % 8), 0xff >> (to.wrapping_neg() % 8));
        match bytes {
            [] => {}
            [only] => f(only, head & tail),
            [first, between @ .., last] => {
                f(first, head);
                between.iter_mut().for_each(|byte| f(byte, 0xff));
                f(last, tail);
            }
        }
        return;
    }
    // The same, shorter.
    for (i, mask) in masks(offset, len, total) {
        if let Some(byte) = bitmap.get_mut(i) {
            f(byte, mask);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_cover_exactly_the_granules() {
        for total in [4095, 4096] {
            let granule = 1u32 << granule_bits(total);
            for from in 0..40u32 {
                for count in 0..40 {
                    let mut bits = [0u8; 10];
                    // The last granule may be cut short.
                    let len = (count * granule).saturating_sub(from % 2);
                    masks(from * granule, len, total).for_each(|(i, mask)| bits[i] |= mask);
                    let mut same = [0u8; 10];
                    for_each(&mut same, from * granule, len, total, |byte, mask| *byte |= mask);
                    assert_eq!(same, bits, "{from} {count}");
                    for g in 0..80 {
                        let is_set = bits[(g / 8) as usize] >> (g % 8) & 1 == 1;
                        assert_eq!(is_set, (from..from + count).contains(&g), "{from} {count} {g}");
                    }
                }
            }
        }
    }
}
