//! Incoming messages of one channel: from the first fragment until the peer was told that they are settled.
//!
//! A ring of entries stands for the numbers from `base` on. An entry is missing, partly there, ready, taken, or done;
//! done ones leave from the front, which moves `base`. What is before `base` is a duplicate, as is anything that is not
//! missing: deduplication is a comparison. Payloads lie in a ring of blocks until they are taken.

use core::hash::{Hash, Hasher};

use super::granules::{bitmap_len, for_each};
use super::ranges::insert;
use crate::config::{Mode, Settle};
use crate::sequence::{Range, Sequence};
use crate::storage::{ByteRing, Item, List, Ring, Storage};
use crate::wire::granules_to;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
enum Stage {
    Missing,
    /// Some fragments are there. A bitmap of granules follows the payload.
    Partial,
    Ready,
    /// The application has it and did not settle it.
    Taken,
    /// Settled, or skipped.
    Done,
}

#[derive(Clone, Debug)]
pub(super) struct InEntry {
    stage: Stage,
    redelivered: bool,
    /// The count of acknowledgements sent when it became complete: settling it under the same count rides with its
    /// first acknowledgement.
    epoch: u32,
    position: u32,
    len: u32,
    /// Partial: granules there. Ready, when not ordered: the next ready one.
    link: u32,
}

impl Item for InEntry {
    const BLANK: Self =
        InEntry { stage: Stage::Missing, redelivered: false, epoch: 0, position: 0, len: 0, link: 0 };
}

/// A fragment or whole message, with its number restored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival<'a> {
    pub(super) sequence: Sequence,
    pub(super) offset: u32,
    pub(super) total: u32,
    pub(super) payload: &'a [u8],
    pub(super) redelivered: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stored {
    /// Kept.
    New,
    /// Known already.
    Duplicate,
    /// No room: must not be acknowledged.
    NoRoom,
}

/// What the application takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) sequence: Sequence,
    pub(super) position: u32,
    pub(super) len: u32,
    pub(super) redelivered: bool,
    /// Settled by being taken; `true` if the peer must be told with a packet that asks for an acknowledgement.
    pub(super) settled: Option<bool>,
}

/// Small fields first: see [`Link`](super::Link).
#[derive(Clone, Debug)]
#[repr(C)]
pub(super) struct InChannel<S: Storage> {
    mode: Mode,
    pub(super) settle: Settle,
    /// What is settled has changed since a packet that carried it was acknowledged.
    pub(super) is_unconfirmed: bool,
    /// A numbered packet has told what was settled then.
    pub(super) was_told: bool,
    /// Everything before is done.
    pub(super) base: Sequence,
    /// Ordered: the next to hand out. Latest: one after the newest settled.
    deliver: Sequence,
    /// Others: the ready ones in order of arrival.
    ready_head: Sequence,
    ready_tail: Sequence,
    ready_count: u32,
    /// Payload bytes held.
    pub(super) held: u32,
    /// The packet number that was next when it last changed.
    pub(super) changed_at: Sequence,
    /// The last numbered packet that told it, if any did.
    pub(super) told_in: Sequence,
    /// Settled numbers above `base`, sorted.
    done: S::Ranges<Range>,
    entries: S::Entries<InEntry>,
    bytes: ByteRing<S::Bytes>,
}

impl<S: Storage> Item for InChannel<S> {
    const BLANK: Self = InChannel {
        mode: Mode::Ordered,
        settle: Settle::OnTake,
        is_unconfirmed: false,
        was_told: false,
        base: Sequence(0),
        deliver: Sequence(0),
        ready_head: Sequence(0),
        ready_tail: Sequence(0),
        ready_count: 0,
        held: 0,
        changed_at: Sequence(0),
        told_in: Sequence(0),
        done: List::EMPTY,
        entries: Ring::EMPTY,
        bytes: ByteRing::EMPTY,
    };
}

impl<S: Storage> InChannel<S> {
    /// Sets a blank channel up.
    pub(super) fn start(&mut self, mode: Mode, settle: Settle) {
        self.mode = mode;
        self.settle = settle;
    }

    /// Gives back the memory of what is empty.
    pub(super) fn trim(&mut self) {
        self.entries.trim();
        self.bytes.trim();
    }

    /// For [`Link::digest`](super::Link::digest).
    pub(super) fn digest(&self, epoch: u32, state: &mut impl Hasher) {
        let InChannel {
            entries,
            bytes,
            done,
            mode,
            settle: _,
            base,
            deliver,
            ready_head,
            ready_tail,
            ready_count,
            held,
            is_unconfirmed,
            changed_at,
            was_told: _,
            told_in,
        } = self;
        for i in 0..entries.len() {
            let Some(e) = entries.at(i) else { break };
            (e.stage, e.redelivered).hash(state);
            if matches!(e.stage, Stage::Partial | Stage::Ready) {
                (e.position, e.len, e.link).hash(state);
                bytes.slice(e.position, e.len).hash(state);
            }
            if matches!(e.stage, Stage::Ready | Stage::Taken) {
                (e.epoch == epoch).hash(state);
            }
        }
        bytes.digest(state);
        done.as_slice().hash(state);
        (mode, base, deliver, ready_count, held, is_unconfirmed).hash(state);
        // What was told before the last change is not looked at.
        let _ = changed_at;
        self.is_told().then_some(told_in).hash(state);
        if *ready_count > 0 {
            (ready_head, ready_tail).hash(state);
        }
    }

    /// Whether message `n` is not missing any more.
    pub(super) fn has_stored(&self, n: Sequence) -> bool {
        n.precedes(self.base)
            || self.at(n).is_some_and(|e| !matches!(e.stage, Stage::Missing | Stage::Partial))
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// One after the highest number seen, from which truncated numbers are restored.
    pub(super) fn reference(&self) -> Sequence {
        self.base.plus(self.entries.len() as u32)
    }

    /// The settled ranges above `base`.
    pub(super) fn done_ranges(&self) -> &[Range] {
        self.done.as_slice()
    }

    fn at(&self, n: Sequence) -> Option<&InEntry> {
        self.entries.at(n.since(self.base) as usize)
    }

    fn at_mut(&mut self, n: Sequence) -> Option<&mut InEntry> {
        self.entries.at_mut(n.since(self.base) as usize)
    }

    /// Makes entries up to `n` exist. `false` if `n` is beyond the window.
    fn reach(&mut self, n: Sequence, window: u32) -> bool {
        let index = n.since(self.base);
        if index >= window {
            return false;
        }
        while self.entries.len() <= index as usize {
            if !self.entries.push_back(InEntry::BLANK) {
                return false;
            }
        }
        true
    }

    /// Stores an arrival, while at most `limit` bytes are used.
    pub(super) fn store(&mut self, a: &Arrival<'_>, window: u32, limit: u32, epoch: u32) -> Stored {
        let n = a.sequence;
        if n.precedes(self.base) {
            return Stored::Duplicate;
        }
        if self.mode == Mode::Latest && !self.make_way_for(n) {
            return Stored::Duplicate;
        }
        if !self.reach(n, window) {
            return Stored::NoRoom;
        }
        let Some(e) = self.at(n) else { return Stored::NoRoom };
        let (stage, position, len) = (e.stage, e.position, e.len);
        if !matches!(stage, Stage::Missing | Stage::Partial) {
            return Stored::Duplicate;
        }
        let is_whole = a.payload.len() as u32 == a.total;
        if !is_whole && !S::FRAGMENTATION {
            return Stored::NoRoom;
        }
        let whole = is_whole || !S::FRAGMENTATION;
        let is_partial = S::FRAGMENTATION && stage == Stage::Partial;
        let position = if is_partial {
            if len != a.total {
                return Stored::NoRoom;
            }
            position
        } else {
            let size = a.total + if whole { 0 } else { bitmap_len(a.total) };
            let Some(p) = self.allocate(n, size, limit) else { return Stored::NoRoom };
            if !whole {
                self.bytes.slice_mut(p.wrapping_add(a.total), bitmap_len(a.total)).fill(0);
            }
            self.held += a.total;
            p
        };
        self.bytes.write(position.wrapping_add(a.offset), a.payload);
        let added = if whole { 0 } else { self.mark_granules(position.wrapping_add(a.total), a) };
        let Some(e) = self.at_mut(n) else { return Stored::NoRoom };
        e.position = position;
        e.len = a.total;
        e.redelivered |= a.redelivered;
        let granules = if is_partial { e.link + added } else { added };
        e.link = granules;
        if !whole && granules < granules_to(a.total, a.total) {
            e.stage = Stage::Partial;
            return if added == 0 { Stored::Duplicate } else { Stored::New };
        }
        e.stage = Stage::Ready;
        e.epoch = epoch;
        self.on_ready(n);
        Stored::New
    }

    /// Whether every message before `n` is complete. Walks over the window, so it is asked only when room is scarce.
    fn is_first_missing(&self, n: Sequence) -> bool {
        let before = n.since(self.base) as usize;
        (0..before)
            .all(|i| self.entries.at(i).is_none_or(|e| !matches!(e.stage, Stage::Missing | Stage::Partial)))
    }

    /// Room for message `n`. The one that everything waits for gets room even where taken messages left holes behind
    /// later ones.
    fn allocate(&mut self, n: Sequence, size: u32, limit: u32) -> Option<u32> {
        // One longest message must stay free for the first one that is missing: the sender repeats that one until it
        // arrives, and nothing is acknowledged before.
        let is_latest = self.mode == Mode::Latest;
        let is_scarce = !is_latest && !self.bytes.leaves(S::BYTES_MAX as u32 / 4, size);
        if is_scarce && !self.is_first_missing(n) {
            return None;
        }
        let position = self.bytes.allocate(n.0, size, limit);
        if position.is_some() || is_latest || !self.is_first_missing(n) {
            return position;
        }
        let (entries, base) = (&mut self.entries, self.base);
        self.bytes.compact(|owner, to| {
            if let Some(e) = entries.at_mut(Sequence(owner).since(base) as usize) {
                e.position = to;
            }
        });
        self.bytes.allocate(n.0, size, limit.saturating_add(size).saturating_add(64).min(S::BYTES_MAX as u32))
    }

    /// Notes the granules of a fragment as there; returns how many are new.
    fn mark_granules(&mut self, bitmap: u32, a: &Arrival<'_>) -> u32 {
        let bits = self.bytes.slice_mut(bitmap, bitmap_len(a.total));
        let mut added = 0;
        for_each(bits, a.offset, a.payload.len() as u32, a.total, |byte, mask| {
            added += (mask & !*byte).count_ones();
            *byte |= mask;
        });
        added
    }

    fn on_ready(&mut self, n: Sequence) {
        if self.mode == Mode::Ordered {
            return;
        }
        let (count, tail) = (self.ready_count, self.ready_tail);
        if count == 0 {
            self.ready_head = n;
        } else if let Some(t) = self.at_mut(tail) {
            t.link = n.0;
        }
        self.ready_tail = n;
        self.ready_count += 1;
    }

    /// `Latest`: `n` replaces whatever is held, unless that is newer.
    fn make_way_for(&mut self, n: Sequence) -> bool {
        if n.since(self.base) > i32::MAX as u32 {
            return false;
        }
        let newest = self.entries.len() as u32;
        let index = n.since(self.base);
        if newest > 0 && index + 1 < newest {
            return false;
        }
        if newest > 0 && index + 1 == newest {
            // The same number again: a duplicate, or another fragment.
            return true;
        }
        // Older values go. Taken ones stay until they, or newer ones, are settled.
        for i in 0..newest {
            let Some(e) = self.entries.at_mut(i as usize) else { break };
            let (stage, position, len) = (e.stage, e.position, e.len);
            if stage == Stage::Taken {
                continue;
            }
            e.stage = Stage::Done;
            if matches!(stage, Stage::Ready | Stage::Partial) {
                self.held -= len;
                self.bytes.free(position);
            }
        }
        self.pop_done();
        self.ready_count = 0;
        if self.entries.is_empty() {
            self.base = n;
        }
        true
    }

    /// The sender says that `count` messages from `first` on will not come.
    pub(super) fn on_skip(&mut self, first: Sequence, count: u32, window: u32) -> bool {
        if self.mode == Mode::Latest {
            return true;
        }
        let passed = if first.precedes(self.base) { self.base.since(first) } else { 0 };
        let Some(left) = count.checked_sub(passed) else { return true };
        // The window bounds the rounds: what is beyond it is refused.
        let first = first.plus(passed);
        for i in 0..left {
            let n = first.plus(i);
            if n.precedes(self.base) {
                continue;
            }
            if !self.reach(n, window) {
                return false;
            }
            let Some(e) = self.at_mut(n) else { return false };
            let (stage, position, len) = (e.stage, e.position, e.len);
            if matches!(stage, Stage::Missing | Stage::Partial) {
                if stage == Stage::Partial {
                    self.bytes.free(position);
                    self.held -= len;
                }
                self.set_done(n);
            }
        }
        self.pass_done();
        true
    }

    /// Ordered: nothing waits for what was skipped.
    fn pass_done(&mut self) {
        if self.mode != Mode::Ordered {
            return;
        }
        if self.deliver.precedes(self.base) {
            self.deliver = self.base;
        }
        while self.at(self.deliver).is_some_and(|e| e.stage == Stage::Done) {
            self.deliver = self.deliver.plus(1);
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        match self.mode {
            Mode::Ordered => self.at(self.deliver).is_some_and(|e| e.stage == Stage::Ready),
            _ => self.ready_count > 0,
        }
    }

    /// Hands out the next message. Its payload stays until [`release`](Self::release).
    pub(super) fn take(&mut self, epoch: u32) -> Option<Taken> {
        let n = if self.mode == Mode::Ordered {
            self.deliver
        } else if self.ready_count > 0 {
            self.ready_head
        } else {
            return None;
        };
        let e = self.at_mut(n).filter(|e| e.stage == Stage::Ready)?;
        let taken = Taken {
            sequence: n,
            position: e.position,
            len: e.len,
            redelivered: e.redelivered,
            settled: None,
        };
        let (link, entry_epoch) = (e.link, e.epoch);
        e.stage = Stage::Taken;
        self.held -= taken.len;
        if self.mode == Mode::Ordered {
            self.deliver = n.plus(1);
        } else {
            self.ready_head = Sequence(link);
            self.ready_count -= 1;
        }
        if self.settle == Settle::Explicit {
            return Some(taken);
        }
        self.set_done(n);
        self.pass_done();
        Some(Taken { settled: Some(entry_epoch != epoch), ..taken })
    }

    /// Frees the payload of a message that was handed out.
    pub(super) fn release(&mut self, position: u32) {
        self.bytes.free(position);
    }

    pub(super) fn payload(&self, position: u32, len: u32) -> &[u8] {
        self.bytes.slice(position, len)
    }

    /// The application settles `n`. `None` if it is not waiting for that; otherwise whether the peer must be told with
    /// a packet that asks for an acknowledgement.
    pub(super) fn settle(&mut self, n: Sequence, epoch: u32) -> Option<bool> {
        if n.precedes(self.base) {
            return None;
        }
        let e = self.at_mut(n)?;
        if e.stage != Stage::Taken {
            return None;
        }
        let entry_epoch = e.epoch;
        self.set_done(n);
        self.pass_done();
        Some(entry_epoch != epoch)
    }

    /// Marks `n` done and moves `base` over what is done.
    fn set_done(&mut self, n: Sequence) {
        let Some(e) = self.at_mut(n) else { return };
        e.stage = Stage::Done;
        self.is_unconfirmed = true;
        if self.mode == Mode::Latest {
            // Everything older is settled with it.
            self.deliver = n.plus(1);
            while self.base != n.plus(1) {
                if !self.entries.drop_front() {
                    break;
                }
                self.base = self.base.plus(1);
            }
            return;
        }
        if n != self.base {
            // When they are full it is left out: the sender hears of it when `base` has passed it.
            insert(&mut self.done, n);
            return;
        }
        self.pop_done();
        while self.done.as_slice().first().is_some_and(|r| r.last.precedes(self.base)) {
            self.done.remove(0);
        }
    }

    fn pop_done(&mut self) {
        while self.entries.at(0).is_some_and(|e| e.stage == Stage::Done) {
            self.entries.drop_front();
            self.base = self.base.plus(1);
        }
    }

    /// The first number that is not settled: what a settled frame says. (On a `Latest` channel, `base` also passes what
    /// was replaced, and that is not settled.)
    pub(super) fn settled_to(&self) -> Sequence {
        if self.mode == Mode::Latest { self.deliver } else { self.base }
    }

    /// The peer's messages before `base` will not come (again). `begins`: nothing was known of where they begin.
    pub(super) fn on_base(&mut self, base: Sequence, window: u32, begins: bool) {
        let count = base.since(self.base);
        let is_blank = self.base == Sequence(0) && self.entries.is_empty();
        if count > i32::MAX as u32 && !(begins && is_blank) {
            return;
        }
        if self.mode == Mode::Latest && self.entries.is_empty() {
            self.base = base;
            self.deliver = base;
        } else if count <= window {
            self.on_skip(self.base, count, window);
        } else {
            self.restart(self.mode, base);
        }
    }

    /// The peer says how this channel works. It does so before its first message.
    pub(super) fn set_mode(&mut self, mode: Mode) {
        if self.entries.is_empty() && self.mode != mode {
            self.mode = mode;
            self.deliver = self.base;
        }
    }

    /// The peer's numbering starts anew at `base`.
    pub(super) fn restart(&mut self, mode: Mode, base: Sequence) {
        self.entries.clear();
        self.bytes.clear();
        self.done.clear();
        self.mode = mode;
        self.base = base;
        self.deliver = base;
        self.ready_count = 0;
        self.held = 0;
        self.is_unconfirmed = false;
        self.was_told = false;
    }

    /// Whether a numbered packet has told what is settled now.
    pub(super) fn is_told(&self) -> bool {
        self.was_told && !self.told_in.precedes(self.changed_at)
    }
}
