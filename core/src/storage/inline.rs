//! Everything inside the link value itself, sized at compile time.

use super::{Buffer, InlineList, Item, Ring, Slots, Storage};

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
    type Messages<T: Item> = InlineRing<T, M>;
    type Entries<T: Item> = InlineRing<T, M>;
    type Packets<T: Item> = InlineRing<T, P>;
    type Frames<T: Item> = InlineRing<T, P>;
    type Deadlines<T: Item> = InlineRing<T, M>;
    type Ranges<T: Item> = InlineList<T, 4>;
    type Channels<T: Item> = InlineSlots<T, C>;
    type Bytes = InlineBytes<B>;
    const FRAGMENTATION: bool = B > 512;
    const DEADLINES: bool = C > 1;
    const MESSAGES_MAX: usize = M;
    const BYTES_MAX: usize = B;
}

/// A fixed byte buffer.
#[derive(Clone, Debug)]
pub struct InlineBytes<const B: usize>([u8; B]);

impl<const B: usize> Buffer for InlineBytes<B> {
    const EMPTY: Self = {
        assert!(B.is_power_of_two() && B >= 16, "BYTES must be a power of two, at least 16");
        InlineBytes([0; B])
    };

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

/// A ring of at most `N` items.
#[derive(Clone, Debug)]
#[repr(C)] // the counts where short offsets reach them
pub struct InlineRing<T, const N: usize> {
    first: u16,
    len: u16,
    items: [T; N],
}

impl<T, const N: usize> InlineRing<T, N> {
    /// Where the item at `index` from the front stands.
    fn place(&self, index: usize) -> usize {
        let place = self.first as usize + index;
        if place >= N { place - N } else { place }
    }
}

impl<T: Item, const N: usize> Ring<T> for InlineRing<T, N> {
    const EMPTY: Self = {
        assert!(N >= 1 && N <= u16::MAX as usize);
        InlineRing { first: 0, len: 0, items: [T::BLANK; N] }
    };

    fn len(&self) -> usize {
        self.len as usize
    }
    fn len_max(&self) -> usize {
        N
    }
    fn push_back(&mut self, item: T) -> bool {
        let len = self.len as usize;
        if len == N {
            return false;
        }
        let place = self.place(len);
        if let Some(free) = self.items.get_mut(place) {
            *free = item;
        }
        self.len += 1;
        true
    }
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn drop_front(&mut self) -> bool {
        if self.len == 0 {
            return false;
        }
        self.first = self.place(1) as u16;
        self.len -= 1;
        true
    }
    fn at(&self, index: usize) -> Option<&T> {
        if index >= self.len as usize {
            return None;
        }
        self.items.get(self.place(index))
    }
    fn at_mut(&mut self, index: usize) -> Option<&mut T> {
        if index >= self.len as usize {
            return None;
        }
        let place = self.place(index);
        self.items.get_mut(place)
    }
    fn clear(&mut self) {
        self.len = 0;
    }
}

/// Up to `N` channels, all of which have their place from the beginning.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct InlineSlots<T, const N: usize> {
    len: u8,
    items: [T; N],
}

impl<T: Item, const N: usize> Slots<T> for InlineSlots<T, N> {
    const EMPTY: Self = {
        assert!(N <= u8::MAX as usize);
        InlineSlots { len: 0, items: [T::BLANK; N] }
    };

    fn len_max(&self) -> usize {
        N
    }
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn as_slice(&self) -> &[T] {
        self.items.get(..self.len as usize).unwrap_or(&[])
    }
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn as_mut_slice(&mut self) -> &mut [T] {
        self.items.get_mut(..self.len as usize).unwrap_or(&mut [])
    }
    fn ensure(&mut self, index: usize, mut start: impl FnMut(usize, &mut T)) -> Option<&mut T> {
        if index >= N {
            return None;
        }
        while self.len as usize <= index {
            let next = self.len as usize;
            start(next, self.items.get_mut(next)?);
            self.len += 1;
        }
        self.items.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_wraps_and_refuses_what_is_too_much() {
        let mut ring = InlineRing::<u32, 3>::EMPTY;
        for i in 0..20 {
            assert!(ring.push_back(2 * i) && ring.push_back(2 * i + 1));
            assert_eq!(ring.push_back(99), i == 0);
            assert_eq!(ring.len(), 3);
            assert!((0..3).all(|k| ring.at(k).is_some()) && ring.at(3).is_none());
            assert!(ring.drop_front() && ring.drop_front());
            if i == 0 {
                assert_eq!(ring.at(0), Some(&99));
                assert!(ring.drop_front() && !ring.drop_front() && ring.at(0).is_none());
                assert!(ring.push_back(1));
            }
            assert_eq!(ring.at_mut(0), Some(&mut (2 * i + 1)));
        }
        ring.clear();
        assert!(ring.is_empty() && !ring.drop_front());
    }
}
