//! Everything inside the link value itself, sized at compile time.

use core::fmt::Debug;

use super::{Buffer, List, Ring, Slots, Storage};

/// Storage inside the link: no allocation, size known at compile time.
///
/// - `CHANNELS`: channels each way.
/// - `MESSAGES`: messages outstanding per channel and direction.
/// - `BYTES`: payload bytes per channel and direction, a power of two. Each message takes its length rounded up to a
///   multiple of 4, plus 8. Room for twice the messages outstanding keeps out-of-order arrivals from being refused.
/// - `PACKETS`: packets in flight. A power of two is fastest.
///
/// `Inline<1, 4, 512, 8>` is a point-to-point link of one channel with four 64-byte messages each way.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Inline<const CHANNELS: usize, const MESSAGES: usize, const BYTES: usize, const PACKETS: usize>;

impl<const C: usize, const M: usize, const B: usize, const P: usize> Storage for Inline<C, M, B, P> {
    type Messages<T: Clone + Debug> = heapless::Deque<T, M>;
    type Entries<T: Clone + Debug> = heapless::Deque<T, M>;
    type Packets<T: Clone + Debug> = heapless::Deque<T, P>;
    type Frames<T: Clone + Debug> = heapless::Deque<T, P>;
    type Deadlines<T: Clone + Debug> = heapless::Deque<T, M>;
    type Ranges<T: Clone + Debug> = heapless::Vec<T, 4, u8>;
    type Channels<T: Clone + Debug> = heapless::Vec<T, C, u8>;
    type Bytes = InlineBytes<B>;
    const FRAGMENTATION: bool = B > 512;
    const DEADLINES: bool = C > 1;
    const MESSAGES_MAX: usize = M;
    const BYTES_MAX: usize = B;
}

/// A fixed byte buffer.
#[derive(Clone, Debug)]
pub struct InlineBytes<const B: usize>([u8; B]);

impl<const B: usize> Default for InlineBytes<B> {
    fn default() -> Self {
        const { assert!(B.is_power_of_two() && B >= 16, "BYTES must be a power of two, at least 16") };
        InlineBytes([0; B])
    }
}

impl<const B: usize> Buffer for InlineBytes<B> {
    fn as_slice(&self) -> &[u8] {
        &self.0
    }
    fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.0
    }
    fn len_max(&self) -> usize {
        B
    }
    fn resize(&mut self, _: usize, _: u32, _: u32) -> bool {
        false
    }
}

impl<T, const N: usize> Ring<T> for heapless::Deque<T, N> {
    fn len(&self) -> usize {
        // The inherent method, which wins over the trait's.
        heapless::Deque::len(self)
    }
    fn len_max(&self) -> usize {
        N
    }
    fn push_back(&mut self, item: T) -> bool {
        heapless::Deque::push_back(self, item).is_ok()
    }
    fn pop_front(&mut self) -> Option<T> {
        heapless::Deque::pop_front(self)
    }
    fn at(&self, index: usize) -> Option<&T> {
        self.get(index)
    }
    fn at_mut(&mut self, index: usize) -> Option<&mut T> {
        self.get_mut(index)
    }
    fn clear(&mut self) {
        heapless::Deque::clear(self);
    }
}

impl<T, const N: usize> List<T> for heapless::Vec<T, N, u8> {
    fn as_slice(&self) -> &[T] {
        self
    }
    fn as_mut_slice(&mut self) -> &mut [T] {
        self
    }
    fn is_full(&self) -> bool {
        self.as_view().is_full()
    }
    fn insert(&mut self, index: usize, item: T) -> bool {
        index <= self.as_view().len() && self.as_mut_view().insert(index, item).is_ok()
    }
    fn remove(&mut self, index: usize) {
        if index < self.as_view().len() {
            self.as_mut_view().remove(index);
        }
    }
    fn clear(&mut self) {
        self.as_mut_view().clear();
    }
}

impl<T, const N: usize> Slots<T> for heapless::Vec<T, N, u8> {
    fn len_max(&self) -> usize {
        N
    }
    fn as_slice(&self) -> &[T] {
        self
    }
    fn as_mut_slice(&mut self) -> &mut [T] {
        self
    }
    fn ensure(&mut self, index: usize, mut make: impl FnMut(usize) -> T) -> Option<&mut T> {
        if index >= N {
            return None;
        }
        while self.as_view().len() <= index {
            let next = make(self.as_view().len());
            self.push(next).ok()?;
        }
        self.get_mut(index)
    }
}
