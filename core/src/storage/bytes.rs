//! Payload memory: a ring of contiguous blocks, allocated in order and freed in any order.
//!
//! Every block starts with an 8-byte header (its size, whether it is free, and its owner) and is a multiple of 4 bytes long, so a
//! block never wraps. Positions are virtual: they count up modulo 2^32 and are taken modulo the buffer's length, a
//! power of two, so they stay valid when the buffer grows. Space comes back when the oldest block is freed.

use core::hash::{Hash, Hasher};

use super::Buffer;
use crate::wire::{copy, move_down};

const HEADER: u32 = 8;
const FREE: u32 = 1 << 31;
/// The first allocation on the heap.
const FIRST: usize = 256;

/// A ring of byte blocks.
#[derive(Clone, Debug)]
#[repr(C)] // the buffer last, so that short offsets reach the rest
pub(crate) struct ByteRing<B: Buffer> {
    head: u32,
    tail: u32,
    /// Bytes of blocks in use.
    live: u32,
    buffer: B,
}

impl<B: Buffer> ByteRing<B> {
    pub(crate) const EMPTY: Self = ByteRing { head: 0, tail: 0, live: 0, buffer: B::EMPTY };

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
                self.put_headers(at, size, owner);
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

    fn put_headers(&mut self, at: u32, size: u32, owner: u32) {
        if cfg!(target_pointer_width = "64") {
            let i = self.index(at);
            if let Some(h) = self.buffer.as_mut_slice().get_mut(i..).and_then(|b| b.first_chunk_mut()) {
                *h = (u64::from(size) | u64::from(owner) << 32).to_le_bytes();
            }
            return;
        }
        self.put_header(at, size);
        self.put_header(at.wrapping_add(4), owner);
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn put_header(&mut self, at: u32, value: u32) {
        let i = self.index(at);
        if let Some(h) = self.buffer.as_mut_slice().get_mut(i..).and_then(|b| b.first_chunk_mut()) {
            *h = value.to_le_bytes();
        }
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn header(&self, at: u32) -> u32 {
        let i = self.index(at);
        let h = self.buffer.as_slice().get(i..).and_then(|b| b.first_chunk());
        h.copied().map_or(0, u32::from_le_bytes)
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
        rotate_left(self.buffer.as_mut_slice(), start);
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
                let block = self.buffer.as_mut_slice().get_mut(to as usize..(from + size) as usize);
                move_down(block.unwrap_or(&mut []), (from - to) as usize);
                moved(owner, to + HEADER);
                to += size;
            }
            from += size;
        }
        self.tail = to;
    }

    /// `len` bytes from `position` on.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn slice(&self, position: u32, len: u32) -> &[u8] {
        let i = self.index(position);
        self.buffer.as_slice().get(i..i + len as usize).unwrap_or(&[])
    }

    /// `len` bytes from `position` on, to change.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn slice_mut(&mut self, position: u32, len: u32) -> &mut [u8] {
        let i = self.index(position);
        self.buffer.as_mut_slice().get_mut(i..i + len as usize).unwrap_or(&mut [])
    }

    /// Puts `bytes` at `position`.
    pub(crate) fn write(&mut self, position: u32, bytes: &[u8]) {
        copy(self.slice_mut(position, bytes.len() as u32), bytes);
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

/// Moves the first `by` bytes behind the others. (The library's way is faster, and longer than all of this file.)
fn rotate_left(bytes: &mut [u8], by: usize) {
    let Some((first, last)) = bytes.split_at_mut_checked(by) else { return };
    reverse(first);
    reverse(last);
    reverse(bytes);
}

fn reverse(mut bytes: &mut [u8]) {
    while let [first, between @ .., last] = bytes {
        core::mem::swap(first, last);
        bytes = between;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::inline::InlineBytes;

    #[test]
    fn blocks_are_contiguous_and_come_back_in_any_order() {
        let mut r = ByteRing::<InlineBytes<64>>::EMPTY;
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
        let mut r = ByteRing::<InlineBytes<64>>::EMPTY;
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
        let mut r = ByteRing::<crate::storage::heap::HeapBytes>::EMPTY;
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
