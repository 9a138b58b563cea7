//! Payload memory: a ring of contiguous blocks, allocated in order and freed in any order.
//!
//! Every block starts with an 8-byte header (its size, whether it is free, and its owner) and is a multiple of 4 bytes long, so a
//! block never wraps. Positions are virtual: they count up modulo 2^32 and are taken modulo the buffer's length, a
//! power of two, so they stay valid when the buffer grows. Space comes back when the oldest block is freed.

use core::hash::{Hash, Hasher};

use super::Buffer;

const HEADER: u32 = 8;
const FREE: u32 = 1 << 31;
/// The first allocation on the heap.
const FIRST: usize = 256;

/// A ring of byte blocks.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByteRing<B: Buffer> {
    buffer: B,
    head: u32,
    tail: u32,
    /// Bytes of blocks in use.
    live: u32,
}

impl<B: Buffer> ByteRing<B> {
    /// Takes a block of `len` bytes for `owner` while the ring would hold at most `limit` bytes, and returns its position.
    pub(crate) fn allocate(&mut self, owner: u32, len: u32, limit: u32) -> Option<u32> {
        let size = len.checked_add(HEADER + 3)? & !3;
        if self.head == self.tail {
            self.head = 0;
            self.tail = 0;
        }
        loop {
            let cap = self.buffer.as_slice().len() as u32;
            let used = self.tail.wrapping_sub(self.head);
            let to_end = if cap == 0 { 0 } else { cap - (self.tail & (cap - 1)) };
            let skip = if to_end < size { to_end } else { 0 };
            let need = used.checked_add(skip)?.checked_add(size)?;
            if need <= cap {
                if need > limit {
                    return None;
                }
                if skip > 0 {
                    self.put_header(self.tail, skip | FREE);
                    self.tail = self.tail.wrapping_add(skip);
                }
                let at = self.tail;
                self.put_header(at, size);
                self.put_header(at.wrapping_add(4), owner);
                self.tail = at.wrapping_add(size);
                self.live += size;
                return Some(at.wrapping_add(HEADER));
            }
            if used.checked_add(size)? > limit || !self.grow(size) {
                return None;
            }
        }
    }

    /// For `Link::digest`: where blocks are. What is in them matters to their owners.
    pub(crate) fn digest(&self, state: &mut impl Hasher) {
        let ByteRing { buffer: _, head, tail, live } = self;
        if head != tail {
            (head, tail, live).hash(state);
        }
    }

    fn grow(&mut self, size: u32) -> bool {
        let cap = self.buffer.as_slice().len();
        let mut next = if cap == 0 { FIRST } else { cap * 2 };
        while next < size as usize {
            next *= 2;
        }
        next <= self.buffer.len_max() && self.buffer.resize(next, self.head, self.tail)
    }

    fn put_header(&mut self, at: u32, value: u32) {
        let i = self.index(at);
        if let Some(h) = self.buffer.as_mut_slice().get_mut(i..i + 4) {
            h.copy_from_slice(&value.to_le_bytes());
        }
    }

    fn header(&self, at: u32) -> u32 {
        let i = self.index(at);
        match self.buffer.as_slice().get(i..i + 4) {
            Some(h) => u32::from_le_bytes([h[0], h[1], h[2], h[3]]),
            None => 0,
        }
    }

    fn index(&self, at: u32) -> usize {
        (at & (self.buffer.as_slice().len() as u32).wrapping_sub(1)) as usize
    }

    /// Whether `reserve` bytes stay free if one more block of `len` bytes is taken.
    pub(crate) fn leaves(&self, reserve: u32, len: u32) -> bool {
        let blocks = self.live.saturating_add(len).saturating_add(reserve).saturating_add(2 * (HEADER + 3));
        blocks <= self.buffer.len_max() as u32
    }

    /// Gives the block at `position` back.
    pub(crate) fn free(&mut self, position: u32) {
        let at = position.wrapping_sub(HEADER);
        let h = self.header(at);
        debug_assert!(h & FREE == 0, "a block is freed once");
        self.put_header(at, h | FREE);
        self.live -= h & !FREE;
        while self.head != self.tail {
            let h = self.header(self.head);
            if h & FREE == 0 || h & !FREE == 0 {
                return;
            }
            self.head = self.head.wrapping_add(h & !FREE);
        }
    }

    /// Gives the buffer back, if no block is in use.
    pub(crate) fn trim(&mut self) {
        if self.head == self.tail && self.buffer.resize(0, 0, 0) {
            self.head = 0;
            self.tail = 0;
        }
    }

    /// Closes the holes that freed blocks left, and the one before the end of the buffer. Calls `moved` with the owner and
    /// the new position of every block in use.
    pub(crate) fn compact(&mut self, mut moved: impl FnMut(u32, u32)) {
        let start = self.index(self.head);
        self.buffer.as_mut_slice().rotate_left(start);
        let end = self.tail.wrapping_sub(self.head);
        self.head = 0;
        let (mut from, mut to) = (0, 0);
        while from != end {
            let h = self.header(from);
            let size = h & !FREE;
            if size == 0 {
                break;
            }
            if h & FREE == 0 {
                let owner = self.header(from + 4);
                self.buffer.as_mut_slice().copy_within(from as usize..(from + size) as usize, to as usize);
                moved(owner, to + HEADER);
                to += size;
            }
            from += size;
        }
        self.tail = to;
    }

    /// `len` bytes from `position` on.
    pub(crate) fn slice(&self, position: u32, len: u32) -> &[u8] {
        let i = self.index(position);
        self.buffer.as_slice().get(i..i + len as usize).unwrap_or(&[])
    }

    /// `len` bytes from `position` on, to change.
    pub(crate) fn slice_mut(&mut self, position: u32, len: u32) -> &mut [u8] {
        let i = self.index(position);
        self.buffer.as_mut_slice().get_mut(i..i + len as usize).unwrap_or(&mut [])
    }

    /// Bytes between the oldest block in use and the end of the newest.
    #[cfg(test)]
    pub(crate) fn used(&self) -> u32 {
        self.tail.wrapping_sub(self.head)
    }

    /// Frees everything.
    pub(crate) fn clear(&mut self) {
        self.head = 0;
        self.tail = 0;
        self.live = 0;
        self.trim();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::inline::InlineBytes;

    #[test]
    fn blocks_are_contiguous_and_come_back_in_any_order() {
        let mut r = ByteRing::<InlineBytes<64>>::default();
        let a = r.allocate(0, 8, 64).unwrap();
        let b = r.allocate(0, 8, 64).unwrap();
        let c = r.allocate(0, 8, 64).unwrap();
        let d = r.allocate(0, 8, 64).unwrap();
        assert!(r.allocate(0, 1, 64).is_none());
        r.slice_mut(c, 8).copy_from_slice(b"hello wo");
        r.free(b);
        assert!(r.allocate(0, 1, 64).is_none());
        r.free(a);
        let e = r.allocate(0, 20, 64).unwrap();
        assert_eq!(r.slice(c, 8), b"hello wo");
        r.free(c);
        r.free(d);
        r.free(e);
        assert_eq!(r.used(), 0);
        assert!(r.allocate(0, 57, 64).is_none());
        assert!(r.allocate(0, 56, 64).is_some());
    }

    #[test]
    fn compaction_closes_holes_and_reports_moves() {
        let mut r = ByteRing::<InlineBytes<64>>::default();
        let at: std::vec::Vec<u32> = (0..4).map(|i| r.allocate(i, 8, 64).unwrap()).collect();
        for (i, &p) in at.iter().enumerate() {
            r.slice_mut(p, 8).fill(i as u8);
        }
        r.free(at[1]);
        r.free(at[2]);
        assert!(r.allocate(0, 8, 64).is_none());
        let mut moves = std::vec::Vec::new();
        r.compact(|owner, to| moves.push((owner, to)));
        assert_eq!(moves, [(0, at[0]), (3, at[1])]);
        assert_eq!(r.slice(at[1], 8), [3; 8]);
        let next = r.allocate(4, 8, 64).unwrap();
        // Across the end of the buffer.
        r.free(at[0]);
        r.slice_mut(next, 8).fill(9);
        let wrapped = r.allocate(5, 8, 64).unwrap();
        let again = r.allocate(6, 8, 64).unwrap();
        r.slice_mut(again, 8).fill(7);
        r.free(wrapped);
        let mut positions = [0; 8];
        r.compact(|owner, to| positions[owner as usize] = to);
        assert_eq!(r.slice(positions[6], 8), [7; 8]);
        assert_eq!(r.slice(positions[4], 8), [9; 8]);
        assert_eq!(r.slice(positions[3], 8), [3; 8]);
        // No hole is left before the end of the buffer.
        assert!(r.allocate(7, 8, 64).is_some());
    }

    #[cfg(feature = "alloc")]
    #[test]
    fn growth_keeps_positions_and_contents_across_the_wrap() {
        let mut r = ByteRing::<crate::storage::heap::HeapBytes>::default();
        let mut live = std::collections::VecDeque::new();
        for i in 0..20_000u32 {
            let len = i * 7 % 97;
            let at = r.allocate(i, len, 1 << 20).unwrap();
            r.slice_mut(at, len).fill(i as u8);
            live.push_back((at, len, i as u8));
            if i % 3 != 0 || live.len() > 500 {
                let (at, len, v) = live.pop_front().unwrap();
                assert!(r.slice(at, len).iter().all(|&x| x == v));
                r.free(at);
            }
        }
        for (at, len, v) in live {
            assert!(r.slice(at, len).iter().all(|&x| x == v));
            r.free(at);
        }
        assert_eq!(r.used(), 0);
    }
}
