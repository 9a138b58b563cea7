//! Bitmaps of granules, which say what of a fragmented message is there.

use crate::wire::GRANULE;

/// Bytes of a bitmap for a message of `len` bytes.
pub(super) const fn bitmap_len(len: u32) -> u32 {
    len.div_ceil(GRANULE * 8)
}

/// The bytes of a bitmap that hold the granules of `len` bytes from `offset` on: the index of each, and a mask of those bits.
pub(super) fn masks(offset: u32, len: u32) -> impl Iterator<Item = (usize, u8)> {
    let (from, to) = (offset / GRANULE, (offset + len).div_ceil(GRANULE));
    (from / 8..to.div_ceil(8)).map(move |i| {
        let (start, end) = (i * 8, i * 8 + 8);
        let head = 0xff << from.saturating_sub(start);
        let tail = 0xff >> end.saturating_sub(to);
        (i as usize, (head & tail) as u8)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_cover_exactly_the_granules() {
        for from in 0..40 {
            for count in 0..40 {
                let mut bits = [0u8; 10];
                // The last granule may be cut short.
                let len = (count * GRANULE).saturating_sub(from % 2);
                masks(from * GRANULE, len).for_each(|(i, mask)| bits[i] |= mask);
                for g in 0..80 {
                    let is_set = bits[(g / 8) as usize] >> (g % 8) & 1 == 1;
                    assert_eq!(is_set, (from..from + count).contains(&g), "{from} {count} {g}");
                }
            }
        }
    }
}
