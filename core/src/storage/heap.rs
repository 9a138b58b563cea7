//! Storage that is allocated as needed and given back when asked.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::{Buffer, InlineList, Item, Ring, Slots, Storage};

/// Storage on the heap: small when idle, grows to what the path and the application need.
///
/// What bounds it is the configuration: `receive_buffer`, `receive_window`, `send_buffer`. A queue keeps
/// its memory when it runs empty, so that a running link allocates nothing; [`Link::trim`](crate::Link::trim) gives it back.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Heap;

/// The most packets in flight and the most frames in them: 14-bit packet numbers allow half of 2^14
/// (protocol.md, section 3).
const PACKETS_MAX: usize = 8192;

impl Storage for Heap {
    type Messages<T: Item> = HeapRing<T, { 1 << 16 }>;
    type Entries<T: Item> = HeapRing<T, { 1 << 16 }>;
    type Packets<T: Item> = HeapRing<T, PACKETS_MAX>;
    type Frames<T: Item> = HeapRing<T, { 1 << 20 }>;
    type Deadlines<T: Item> = HeapRing<T, { 1 << 20 }>;
    type Ranges<T: Item> = InlineList<T, 16>;
    type Channels<T: Item> = Vec<T>;
    type Bytes = HeapBytes;
    const FRAGMENTATION: bool = true;
    const DEADLINES: bool = true;
    const MESSAGES_MAX: usize = 1 << 16;
    const BYTES_MAX: usize = 1 << 30;
}

/// A growing ring of at most `MAX` items.
#[derive(Clone, Debug)]
pub struct HeapRing<T, const MAX: usize>(VecDeque<T>);

impl<T: Item, const MAX: usize> Ring<T> for HeapRing<T, MAX> {
    const EMPTY: Self = HeapRing(VecDeque::new());

    fn len(&self) -> usize {
        self.0.len()
    }
    fn len_max(&self) -> usize {
        MAX
    }
    fn push_back(&mut self, item: T) -> bool {
        if self.0.len() >= MAX {
            return false;
        }
        self.0.push_back(item);
        true
    }
    fn drop_front(&mut self) -> bool {
        self.0.pop_front().is_some()
    }
    fn at(&self, index: usize) -> Option<&T> {
        self.0.get(index)
    }
    fn at_mut(&mut self, index: usize) -> Option<&mut T> {
        self.0.get_mut(index)
    }
    fn clear(&mut self) {
        self.0 = VecDeque::new();
    }
    fn trim(&mut self) {
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
    }
}

impl<T: Item> Slots<T> for Vec<T> {
    const EMPTY: Self = Vec::new();

    fn len_max(&self) -> usize {
        crate::config::CHANNELS_MAX
    }
    fn as_slice(&self) -> &[T] {
        self
    }
    fn as_mut_slice(&mut self) -> &mut [T] {
        self
    }
    fn ensure(&mut self, index: usize, mut start: impl FnMut(usize, &mut T)) -> Option<&mut T> {
        if index >= crate::config::CHANNELS_MAX {
            return None;
        }
        while self.len() <= index {
            self.reserve_exact(1);
            let mut next = T::BLANK;
            start(self.len(), &mut next);
            self.push(next);
        }
        self.get_mut(index)
    }
}

/// A byte buffer on the heap.
#[derive(Clone, Debug)]
pub struct HeapBytes(Vec<u8>);

impl Buffer for HeapBytes {
    const EMPTY: Self = HeapBytes(Vec::new());

    fn as_slice(&self) -> &[u8] {
        &self.0
    }
    fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.0
    }
    fn len_max(&self) -> usize {
        Heap::BYTES_MAX
    }
    fn resize(&mut self, len: usize, head: u32, tail: u32) -> bool {
        if len == 0 || head == tail {
            self.0 = if len == 0 { Vec::new() } else { alloc::vec![0; len] };
            return true;
        }
        let mut new = alloc::vec![0; len];
        let old_len = self.0.len() as u32;
        let mut at = head;
        // One round for every stretch that is contiguous in the old buffer: at most two, as the old one held it all.
        while at != tail {
            let from = (at & (old_len - 1)) as usize;
            let to = (at & (len as u32 - 1)) as usize;
            let n = (tail.wrapping_sub(at) as usize).min(old_len as usize - from);
            new[to..to + n].copy_from_slice(&self.0[from..from + n]);
            at = at.wrapping_add(n as u32);
        }
        self.0 = new;
        true
    }
}
