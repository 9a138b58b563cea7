//! A short list of fixed capacity.

use super::{Item, List};

/// At most `N` items in a row.
#[derive(Clone, Debug)]
#[repr(C)] // the length where short offsets reach it
pub struct InlineList<T, const N: usize> {
    len: u8,
    items: [T; N],
}

impl<T: Item, const N: usize> List<T> for InlineList<T, N> {
    const EMPTY: Self = {
        assert!(N <= u8::MAX as usize);
        InlineList { len: 0, items: [T::BLANK; N] }
    };

    fn as_slice(&self) -> &[T] {
        self.items.get(..self.len as usize).unwrap_or(&[])
    }
    fn as_mut_slice(&mut self) -> &mut [T] {
        self.items.get_mut(..self.len as usize).unwrap_or(&mut [])
    }
    fn is_full(&self) -> bool {
        self.len as usize == N
    }
    fn insert(&mut self, index: usize, item: T) -> bool {
        let len = self.len as usize;
        let Some(places) = self.items.get_mut(index..=len) else { return false };
        if index > len {
            return false;
        }
        let mut carried = item;
        for place in places {
            core::mem::swap(place, &mut carried);
        }
        self.len += 1;
        true
    }
    fn remove(&mut self, index: usize) {
        let Some(places) = self.items.get_mut(index..self.len as usize) else { return };
        let mut carried = T::BLANK;
        for place in places.iter_mut().rev() {
            core::mem::swap(place, &mut carried);
        }
        self.len = self.len.saturating_sub(u8::from(!places.is_empty()));
    }
    fn clear(&mut self) {
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_move_up_and_down() {
        let mut list = InlineList::<u32, 3>::EMPTY;
        assert!(list.insert(0, 2) && list.insert(0, 1) && !list.insert(3, 9) && list.insert(2, 3));
        assert!(list.is_full() && !list.insert(0, 9));
        assert_eq!(list.as_slice(), [1, 2, 3]);
        list.remove(1);
        list.remove(2);
        assert_eq!(list.as_slice(), [1, 3]);
        list.remove(0);
        list.remove(0);
        list.remove(0);
        assert!(list.as_slice().is_empty());
    }
}
