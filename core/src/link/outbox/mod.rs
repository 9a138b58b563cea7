//! Outgoing messages of one channel: from `send` until their outcome was reported.
//!
//! Messages stand in a ring in the order of their numbers. Two lists run through it: messages whose packet was lost (to
//! send again), and messages whose outcome waits to be reported. A message leaves the ring from the front, when it is
//! finished for the peer (settled, or skipped and the skip acknowledged) and its outcome was taken.
//!
//! Invariants: `front <= cum <= next_send <= end`; a number before `next_send` was sent at least once in this
//! association; the work of every call is proportional to the messages it changes.

mod fate;
mod message;
mod offer;
mod trailer;
mod withdrawal;

pub(super) use message::Outcome;
pub(super) use offer::Offer;

use core::hash::{Hash, Hasher};

use message::{OutMessage, Report, Stage};
use trailer::trailer_len;

use crate::config::{ChannelConfig, Mode};
use crate::event::FailReason;
use crate::sequence::Sequence;
use crate::storage::{ByteRing, Item, Ring, Storage};

/// A list that runs through the messages by their numbers.
#[derive(Clone, Copy, Debug, Hash)]
struct Chain {
    head: Sequence,
    tail: Sequence,
    len: u32,
}

impl Chain {
    const EMPTY: Chain = Chain { head: Sequence(0), tail: Sequence(0), len: 0 };
}

/// From this length on, a message may be cut to fill a packet up; longer than a packet, it must be.
pub(super) const FRAGMENT_FROM: u32 = 64;

/// Small fields first: see [`Link`](super::Link).
#[derive(Clone, Debug)]
#[repr(C)]
pub(super) struct OutChannel<S: Storage> {
    pub(super) config: ChannelConfig,
    /// A message was refused for want of room.
    was_full: bool,
    /// Since then, room has become free.
    is_writable: bool,
    /// Number of the first message in the ring.
    front: Sequence,
    /// Everything before is settled (or skipped), says the peer.
    pub(super) cum: Sequence,
    /// The peer has heard of every number before, so it restores truncated numbers from here or later.
    pub(super) known: Sequence,
    /// The first message that was not sent (completely) in this association.
    pub(super) next_send: Sequence,
    /// Messages without an outcome.
    open_count: u32,
    /// Messages that may ride once more: what is before had its copies, or arrived; what is after is not sent yet, or is
    /// in the packet that is being written.
    repeat_from: Sequence,
    repeat_to: Sequence,
    /// The oldest message that the packet at hand carries again after it was lost, if it may ride along once more.
    repeat_again: Option<Sequence>,
    /// Payload bytes held.
    pub(super) held: u32,
    /// Payload bytes sent and not settled.
    pub(super) outstanding: u32,
    lost: Chain,
    outcomes: Chain,
    messages: S::Messages<OutMessage>,
    bytes: ByteRing<S::Bytes>,
}

impl<S: Storage> Item for OutChannel<S> {
    const BLANK: Self = OutChannel {
        config: ChannelConfig::new(Mode::Ordered),
        was_full: false,
        is_writable: false,
        front: Sequence(0),
        cum: Sequence(0),
        known: Sequence(0),
        next_send: Sequence(0),
        repeat_from: Sequence(0),
        repeat_to: Sequence(0),
        repeat_again: None,
        open_count: 0,
        held: 0,
        outstanding: 0,
        lost: Chain::EMPTY,
        outcomes: Chain::EMPTY,
        messages: Ring::EMPTY,
        bytes: ByteRing::EMPTY,
    };
}

impl<S: Storage> OutChannel<S> {
    /// Sets a blank channel up, to number from `first`.
    pub(super) fn start(&mut self, config: ChannelConfig, first: Sequence) {
        self.config = config;
        self.front = first;
        self.cum = first;
        self.known = first;
        self.next_send = first;
        self.repeat_from = first;
        self.repeat_to = first;
    }

    /// Gives back the memory of what is empty.
    pub(super) fn trim(&mut self) {
        self.messages.trim();
        self.bytes.trim();
    }

    /// For [`Link::digest`](super::Link::digest).
    pub(super) fn digest(&self, state: &mut impl Hasher) {
        let OutChannel {
            messages,
            bytes,
            config: _,
            front,
            cum,
            known,
            next_send,
            held,
            outstanding,
            lost,
            outcomes,
            was_full,
            is_writable,
            repeat_from,
            repeat_to,
            repeat_again: _,
            open_count,
        } = self;
        for i in 0..messages.len() {
            let Some(m) = messages.at(i) else { break };
            m.hash(state);
            if !matches!(m.stage, Stage::Done | Stage::Skipped) {
                bytes.slice(m.position, m.len).hash(state);
            }
        }
        bytes.digest(state);
        (front, cum, known, next_send, held, outstanding).hash(state);
        (lost, outcomes, was_full, is_writable, repeat_from, repeat_to, open_count).hash(state);
    }

    /// Whether message `n` has arrived and is not finished.
    pub(super) fn is_acknowledged(&self, n: Sequence) -> bool {
        self.at(n).is_some_and(|m| m.stage == Stage::Acked)
    }

    /// One after the newest message.
    pub(super) fn end(&self) -> Sequence {
        self.front.plus(self.messages.len() as u32)
    }

    /// Whether every message has an outcome.
    pub(super) fn is_drained(&self) -> bool {
        self.open_count == 0
    }

    fn at(&self, n: Sequence) -> Option<&OutMessage> {
        self.messages.at(n.since(self.front) as usize)
    }

    /// Bytes of `m` that were sent in fragments. Where the storage has none, the compiler knows.
    fn progress(m: &OutMessage) -> u32 {
        if S::FRAGMENTATION { m.progress } else { 0 }
    }

    fn at_mut(&mut self, n: Sequence) -> Option<&mut OutMessage> {
        self.messages.at_mut(n.since(self.front) as usize)
    }

    /// Takes a message. `None` when there is no room.
    pub(super) fn push(&mut self, payload: &[u8], limit: u32, has_deadline: bool) -> Option<Sequence> {
        let len = payload.len() as u32;
        let trailer = S::FRAGMENTATION && len >= FRAGMENT_FROM;
        let size = len + if trailer { trailer_len(len) } else { 0 };
        let full = self.messages.len() >= self.messages.len_max().min(S::MESSAGES_MAX)
            || self.held.saturating_add(len) > limit;
        let position = if full { None } else { self.bytes.allocate(0, size, S::BYTES_MAX as u32) };
        let Some(position) = position else {
            self.on_refused();
            return None;
        };
        self.bytes.write(position, payload);
        if S::FRAGMENTATION {
            self.bytes.slice_mut(position.wrapping_add(len), size - len).fill(0);
        }
        let n = self.end();
        self.messages.push_back(OutMessage { trailer, has_deadline, position, len, ..Item::BLANK });
        self.held += len;
        self.open_count += 1;
        if self.config.mode == Mode::Latest {
            self.supersede_before(n);
        }
        Some(n)
    }

    /// A newer value is there: what is not acknowledged of the older ones is of no use any more.
    fn supersede_before(&mut self, n: Sequence) {
        // Whatever stands before an acknowledged or finished one was superseded earlier: each message is visited once.
        let mut m = n;
        while m != self.front {
            m = m.plus(u32::MAX);
            match self.at(m).map(|x| x.stage) {
                Some(Stage::Queued | Stage::Sent) => self.finish(m, Outcome::Failed(FailReason::Superseded)),
                _ => break,
            }
        }
        if self.next_send.precedes(n) {
            self.next_send = n;
        }
    }

    /// The next outcome, if any.
    pub(super) fn pop_outcome(&mut self) -> Option<(Sequence, Outcome)> {
        if self.outcomes.len == 0 {
            return None;
        }
        let n = self.outcomes.head;
        let m = self.at_mut(n)?;
        let outcome = m.outcome;
        m.report = Report::Taken;
        self.outcomes.head = m.next_outcome;
        self.outcomes.len -= 1;
        self.pop_finished();
        Some((n, outcome))
    }

    pub(super) fn has_outcome(&self) -> bool {
        self.outcomes.len > 0
    }

    /// A message was refused for want of room: the application is told when there is some.
    pub(super) fn on_refused(&mut self) {
        self.was_full = true;
        self.is_writable = false;
    }

    /// Room has become free.
    pub(super) fn on_room(&mut self) {
        self.is_writable |= self.was_full;
    }

    /// Whether room has become free after a message was refused; says so once.
    pub(super) fn take_writable(&mut self) -> bool {
        let writable = self.is_writable;
        if writable {
            self.was_full = false;
            self.is_writable = false;
        }
        writable
    }

    pub(super) fn is_writable(&self) -> bool {
        self.is_writable
    }

    fn pop_finished(&mut self) {
        while self.lost.len > 0 && self.at(self.lost.head).is_some_and(|m| m.stage == Stage::Done) {
            self.pop_lost();
        }
        while let Some(m) = self.messages.at(0) {
            if m.stage != Stage::Done || m.report != Report::Taken || m.is_lost {
                return;
            }
            self.messages.drop_front();
            self.on_room();
            self.front = self.front.plus(1);
            if self.cum.precedes(self.front) {
                self.cum = self.front;
            }
            // What was superseded by a restart was not passed over by an offer yet.
            if self.next_send.precedes(self.front) {
                self.next_send = self.front;
            }
        }
    }

    // ---- lists

    fn report(&mut self, n: Sequence, outcome: Outcome) {
        let Some(m) = self.at_mut(n) else { return };
        if m.report != Report::Open {
            return;
        }
        m.report = Report::Pending;
        m.outcome = outcome;
        self.open_count -= 1;
        let chain = self.outcomes;
        if chain.len == 0 {
            self.outcomes.head = n;
        } else if let Some(p) = self.at_mut(chain.tail) {
            p.next_outcome = n;
        }
        self.outcomes.tail = n;
        self.outcomes.len += 1;
    }

    fn mark_lost(&mut self, n: Sequence) {
        let Some(m) = self.at_mut(n) else { return };
        if m.is_lost {
            return;
        }
        m.is_lost = true;
        let chain = self.lost;
        if chain.len == 0 {
            self.lost.head = n;
        } else if let Some(p) = self.at_mut(chain.tail) {
            p.next_lost = n;
        }
        self.lost.tail = n;
        self.lost.len += 1;
    }

    /// Takes the first lost one off the list. (It may have been finished, but not left the ring: that needs `is_lost` to
    /// be false.)
    fn pop_lost(&mut self) {
        let n = self.lost.head;
        let Some(m) = self.at_mut(n) else { return };
        m.is_lost = false;
        self.lost.head = m.next_lost;
        self.lost.len -= 1;
    }

    fn drop_payload(&mut self, position: u32, len: u32, counted: bool) {
        self.bytes.free(position);
        self.held -= len;
        if counted {
            self.outstanding -= len;
        }
        self.on_room();
    }

    /// Ends message `n`: its payload goes, its outcome is reported (if none was before).
    fn finish(&mut self, n: Sequence, outcome: Outcome) {
        let Some(m) = self.at_mut(n) else { return };
        if m.stage == Stage::Done {
            return;
        }
        let had_payload = m.stage != Stage::Skipped;
        let (position, len, counted) = (m.position, m.len, m.is_counted);
        m.stage = Stage::Done;
        m.is_counted = false;
        m.position = 1;
        if had_payload {
            self.drop_payload(position, len, counted);
        }
        self.report(n, outcome);
    }

    pub(super) fn has_deadline(&self, n: Sequence) -> bool {
        self.at(n).is_some_and(|m| m.has_deadline && m.report == Report::Open)
    }
}
