//! Where messages and window state live: [`Inline`] (fixed at compile time, for a `static`) and [`Heap`] (grows to the
//! path, shrinks when idle). One protocol serves both, through the containers named by [`Storage`].
//!
//! The containers are plain: a ring with random access, a short list, a byte buffer, a set of channels. What they hold
//! is private to the link.

use core::fmt::Debug;

mod bytes;
#[cfg(feature = "alloc")]
mod heap;
mod inline;
mod list;

pub(crate) use bytes::ByteRing;
#[cfg(feature = "alloc")]
pub use heap::Heap;
pub use inline::Inline;
pub(crate) use list::InlineList;

/// What a container can hold.
pub trait Item: Clone + Debug {
    /// Stands in a place that is free. Known at compile time, so that a link can be made in a `static`.
    const BLANK: Self;
}

impl Item for () {
    const BLANK: Self = ();
}

impl Item for u32 {
    const BLANK: Self = 0;
}

impl Item for u64 {
    const BLANK: Self = 0;
}

/// A double-ended queue with random access.
pub trait Ring<T>: Clone + Debug {
    /// Holds nothing.
    const EMPTY: Self;
    /// Items held.
    fn len(&self) -> usize;
    /// Whether nothing is held.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The most items it can ever hold.
    fn len_max(&self) -> usize;
    /// Appends `item`. `false`, and nothing is changed, when `len_max` is reached.
    fn push_back(&mut self, item: T) -> bool;
    /// Removes the first item. `false` if there is none.
    fn drop_front(&mut self) -> bool;
    /// The item at `index` from the front.
    fn at(&self, index: usize) -> Option<&T>;
    /// The item at `index` from the front, to change.
    fn at_mut(&mut self, index: usize) -> Option<&mut T>;
    /// Removes everything.
    fn clear(&mut self);
    /// Gives the memory back, if nothing is held.
    fn trim(&mut self) {}
}

/// A short list that is kept sorted by its user.
pub trait List<T>: Clone + Debug {
    /// Holds nothing.
    const EMPTY: Self;
    /// The items.
    fn as_slice(&self) -> &[T];
    /// The items, to change.
    fn as_mut_slice(&mut self) -> &mut [T];
    /// Whether `insert` would fail.
    fn is_full(&self) -> bool;
    /// Inserts before `index`. `false`, and nothing is changed, when full.
    fn insert(&mut self, index: usize, item: T) -> bool;
    /// Removes the item at `index`, if there is one.
    fn remove(&mut self, index: usize);
    /// Removes everything.
    fn clear(&mut self);
}

/// A byte buffer whose length is a power of two (or zero, before it grows).
pub trait Buffer: Clone + Debug {
    /// All zero, or of no length.
    const EMPTY: Self;
    /// The bytes.
    fn as_slice(&self) -> &[u8];
    /// The bytes, to change.
    fn as_mut_slice(&mut self) -> &mut [u8];
    /// The longest it can become, a power of two.
    fn len_max(&self) -> usize;
    /// Makes it `len` bytes long, where byte `i` of the virtual range `head..tail` (taken modulo the length) keeps its
    /// value. `false`, and nothing is changed, where the length is fixed.
    fn resize(&mut self, len: usize, head: u32, tail: u32) -> bool;
}

/// A growing set of channels, indexed from zero.
pub trait Slots<T>: Clone + Debug {
    /// No channels.
    const EMPTY: Self;
    /// How many channels can exist.
    fn len_max(&self) -> usize;
    /// The channels that exist.
    fn as_slice(&self) -> &[T];
    /// The channels that exist, to change.
    fn as_mut_slice(&mut self) -> &mut [T];
    /// Makes channels up to `index` exist; each is blank, and `start`ed in its place. `None` when `index >= len_max`.
    fn ensure(&mut self, index: usize, start: impl FnMut(usize, &mut T)) -> Option<&mut T>;
}

/// Names the containers of one link.
pub trait Storage: Clone + Debug {
    /// Outgoing messages of one channel.
    type Messages<T: Item>: Ring<T>;
    /// Incoming messages of one channel.
    type Entries<T: Item>: Ring<T>;
    /// Packets in flight.
    type Packets<T: Item>: Ring<T>;
    /// What packets in flight carry.
    type Frames<T: Item>: Ring<T>;
    /// Deadlines of messages, soonest first.
    type Deadlines<T: Item>: Ring<T>;
    /// Ranges of received packet numbers, or of settled messages above the first unsettled one.
    type Ranges<T: Item>: List<T>;
    /// Channels.
    type Channels<T: Item>: Slots<T>;
    /// Payloads of one channel, outgoing or incoming.
    type Bytes: Buffer;
    /// Whether messages longer than a packet are fragmented. Without it the code is not there.
    const FRAGMENTATION: bool;
    /// Whether messages can have deadlines. Without it the code is not there.
    const DEADLINES: bool;
    /// The most messages that one channel can have outstanding each way.
    const MESSAGES_MAX: usize;
    /// The most payload bytes of one channel each way, bookkeeping included.
    const BYTES_MAX: usize;
}
