//! Outgoing messages of one channel: from `send` until their outcome was reported.
//!
//! Messages stand in a ring in the order of their numbers. Two lists run through it: messages whose packet was lost (to
//! send again), and messages whose outcome waits to be reported. A message leaves the ring from the front, when it is
//! finished for the peer (settled, or skipped and the skip acknowledged) and its outcome was taken.
//!
//! Invariants: `front <= cum <= next_send <= end`; a number before `next_send` was sent at least once in this
//! association; the work of every call is proportional to the messages it changes.

use core::hash::{Hash, Hasher};

use super::granules::{bitmap_len, masks};
use super::sent::{FrameKind, SentFrame};
use crate::config::{ChannelConfig, Mode};
use crate::event::FailReason;
use crate::sequence::{Range, Sequence};
use crate::storage::{ByteRing, Ring, Storage};
use crate::wire::GRANULE;

/// A list that runs through the messages by their numbers.
#[derive(Clone, Copy, Debug, Default, Hash)]
struct Chain {
    head: Sequence,
    tail: Sequence,
    len: u32,
}

/// From this length on, a message may be cut to fill a packet up; longer than a packet, it must be.
pub(super) const FRAGMENT_FROM: u32 = 64;

/// How many messages are looked at to find one that may ride again.
const COPY_SCAN_MAX: u32 = 32;

/// A bit of the count of copies: the message was repeated because it was overdue.
const WAS_OVERDUE: u8 = 0x40;

/// Where a message stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
enum Stage {
    /// Waits for its first transmission in this association, or is being cut into its first fragments.
    Queued,
    /// Sent and not known to have arrived.
    Sent,
    /// Arrived; the peer's application has not taken responsibility.
    Acked,
    /// Withdrawn: the peer is (to be) told that it will not come.
    Skipped,
    /// Finished for the peer. `position` holds the length of the run of finished ones that begins here.
    Done,
}

/// What the sender is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub(super) enum Outcome {
    Settled,
    Expired,
    Failed(FailReason),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
enum Report {
    /// No outcome yet.
    Open,
    /// In the list of outcomes.
    Pending(Outcome),
    /// The application has it.
    Taken,
}

#[derive(Clone, Debug, Hash)]
pub(super) struct OutMessage {
    stage: Stage,
    report: Report,
    /// In the list of lost ones.
    is_lost: bool,
    /// Was sent to an earlier incarnation of the peer.
    redelivered: bool,
    /// Has the trailer for fragments.
    trailer: bool,
    has_deadline: bool,
    /// Its length is part of `outstanding`.
    is_counted: bool,
    /// How many packets in flight carry it (whole messages only).
    live: u8,
    /// Unasked copies sent.
    pub(super) copies: u8,
    position: u32,
    len: u32,
    /// Bytes sent for the first time, for a message that goes in fragments.
    progress: u32,
    next_lost: Sequence,
    next_outcome: Sequence,
}

/// What to put into a packet next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Offer {
    pub(super) sequence: Sequence,
    /// Where the payload to send begins, and how long it is at most.
    pub(super) offset: u32,
    pub(super) len: u32,
    /// Length of the whole message.
    pub(super) total: u32,
    pub(super) redelivered: bool,
    /// Not a payload but word that it will not come.
    pub(super) skip: bool,
    pub(super) lost: bool,
}

#[derive(Clone, Debug)]
pub(super) struct OutChannel<S: Storage> {
    messages: S::Messages<OutMessage>,
    bytes: ByteRing<S::Bytes>,
    pub(super) config: ChannelConfig,
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
    /// Payload bytes held.
    pub(super) held: u32,
    /// Payload bytes sent and not settled.
    pub(super) outstanding: u32,
    lost: Chain,
    outcomes: Chain,
    /// A message was refused for want of room.
    was_full: bool,
    /// Since then, room has become free.
    is_writable: bool,
    /// Messages that may ride once more: what is before had its copies, or arrived; what is after is not sent yet, or is
    /// in the packet that is being written.
    repeat_from: Sequence,
    repeat_to: Sequence,
}

impl<S: Storage> OutChannel<S> {
    pub(super) fn new(config: ChannelConfig, first: Sequence) -> Self {
        OutChannel {
            messages: Default::default(),
            bytes: Default::default(),
            config,
            front: first,
            cum: first,
            known: first,
            next_send: first,
            open_count: 0,
            held: 0,
            outstanding: 0,
            lost: Chain::default(),
            outcomes: Chain::default(),
            was_full: false,
            is_writable: false,
            repeat_from: first,
            repeat_to: first,
        }
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

    fn at_mut(&mut self, n: Sequence) -> Option<&mut OutMessage> {
        self.messages.at_mut(n.since(self.front) as usize)
    }

    // ---- application side

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
        let room = self.bytes.slice_mut(position, size);
        let (head, tail) = room.split_at_mut(payload.len());
        head.copy_from_slice(payload);
        tail.fill(0);
        let n = self.end();
        self.messages.push_back(OutMessage {
            stage: Stage::Queued,
            report: Report::Open,
            is_lost: false,
            redelivered: false,
            trailer,
            has_deadline,
            is_counted: false,
            live: 0,
            copies: 0,
            position,
            len,
            progress: 0,
            next_lost: n,
            next_outcome: n,
        });
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
        let Report::Pending(outcome) = m.report else { return None };
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
            self.messages.pop_front();
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
        m.report = Report::Pending(outcome);
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

    // ---- network side: what to send

    /// Whether anything could be sent, given the peer's `window` (messages) and `credit` (payload bytes left).
    pub(super) fn has_offer(&self, window: u32, credit: u32, any_outstanding: bool) -> bool {
        self.lost.len > 0 || self.new_fits(window, credit, any_outstanding)
    }

    /// Whether messages wait until the peer settles earlier ones. Those may have expired meanwhile: nothing is outstanding
    /// then.
    pub(super) fn waits_for_window(&self, window: u32) -> bool {
        self.next_send != self.end()
            && self.config.mode != Mode::Latest
            && self.next_send.since(self.cum) >= window
    }

    fn new_fits(&self, window: u32, credit: u32, any_outstanding: bool) -> bool {
        if self.next_send == self.end() || self.waits_for_window(window) {
            return false;
        }
        match self.at(self.next_send) {
            Some(m) => m.progress > 0 || m.len <= credit || !any_outstanding || m.stage == Stage::Skipped,
            None => false,
        }
    }

    /// Whether a new message waits for credit.
    pub(super) fn waits_for_credit(&self, window: u32, credit: u32, any_outstanding: bool) -> bool {
        !self.new_fits(window, credit, any_outstanding) && self.new_fits(window, u32::MAX, any_outstanding)
    }

    /// What to send next: lost things first. Lost ones that were acknowledged meanwhile are passed over.
    pub(super) fn offer(&mut self, window: u32, credit: u32, any_outstanding: bool) -> Option<Offer> {
        while self.lost.len > 0 {
            let n = self.lost.head;
            if let Some(o) = self.lost_offer(n) {
                return Some(o);
            }
            self.pop_lost();
            // It was finished while it stood in the list, and may be what the ring waits for.
            self.pop_finished();
        }
        if !self.new_fits(window, credit, any_outstanding) {
            return None;
        }
        if self.config.mode == Mode::Latest {
            // Nobody waits for what was superseded.
            while self.at(self.next_send).is_some_and(|m| matches!(m.stage, Stage::Done | Stage::Skipped)) {
                self.next_send = self.next_send.plus(1);
            }
        }
        let n = self.next_send;
        let m = self.at(n)?;
        Some(Offer {
            sequence: n,
            offset: m.progress,
            len: m.len - m.progress,
            total: m.len,
            redelivered: m.redelivered,
            skip: m.stage == Stage::Skipped || m.stage == Stage::Done,
            lost: false,
        })
    }

    fn lost_offer(&self, n: Sequence) -> Option<Offer> {
        let m = self.at(n)?;
        let whole = |skip| Offer {
            sequence: n,
            offset: 0,
            len: m.len,
            total: m.len,
            redelivered: m.redelivered,
            skip,
            lost: true,
        };
        match m.stage {
            Stage::Skipped => Some(whole(true)),
            Stage::Sent | Stage::Queued if m.progress > 0 => {
                let (offset, len) = self.trailer(m).lost_run(m.len)?;
                Some(Offer { offset, len, ..whole(false) })
            }
            Stage::Sent => Some(whole(false)),
            _ => None,
        }
    }

    pub(super) fn payload(&self, n: Sequence, offset: u32, len: u32) -> &[u8] {
        match self.at(n) {
            Some(m) => self.bytes.slice(m.position.wrapping_add(offset), len),
            None => &[],
        }
    }

    /// `len` bytes of what was offered are in a packet now (all of it for a skip).
    pub(super) fn on_offer_sent(&mut self, o: &Offer, len: u32) {
        let n = o.sequence;
        let fragment = !o.skip && len < o.total;
        if o.lost {
            if fragment {
                if let Some(m) = self.at_mut(n)
                    && m.progress == 0
                {
                    // It was sent whole before, and goes in fragments now.
                    m.progress = m.len;
                    self.set_lost_bits(n, 0, o.total, true);
                }
                self.set_lost_bits(n, o.offset, len, false);
                let m = self.at(n);
                if m.is_none_or(|m| self.trailer(m).lost_run(m.len).is_none()) {
                    self.pop_lost();
                }
            } else {
                self.pop_lost();
                if let Some(m) = self.at_mut(n) {
                    m.live = m.live.saturating_add(1);
                }
            }
            return;
        }
        let Some(m) = self.at_mut(n) else { return };
        if !fragment {
            m.live = m.live.saturating_add(1);
        }
        let (mut done, total) = (true, m.len);
        if m.stage == Stage::Queued {
            if fragment {
                m.progress += len;
                done = m.progress == m.len;
            }
            if done {
                m.stage = Stage::Sent;
            }
            if !m.is_counted {
                m.is_counted = true;
                self.outstanding += total;
            }
        }
        if done {
            self.next_send = n.plus(1);
        }
    }

    /// A message that was sent and may ride again, from `n` on; returns where to go on.
    pub(super) fn copy_offer(&self, n: Sequence) -> Option<Offer> {
        let m = self.at(n)?;
        let is_whole = m.progress == 0 && m.stage == Stage::Sent && !m.is_lost && n.precedes(self.next_send);
        is_whole.then_some(Offer {
            sequence: n,
            offset: 0,
            len: m.len,
            total: m.len,
            redelivered: m.redelivered,
            skip: false,
            lost: false,
        })
    }

    /// The first message that was sent and is not known to have arrived, or the first part of it that is not.
    pub(super) fn awaited_offer(&self) -> Option<Offer> {
        let mut n = self.cum;
        while n.precedes(self.next_send) || n == self.next_send {
            let m = self.at(n)?;
            if m.stage == Stage::Skipped && n.precedes(self.next_send) && !m.is_lost {
                // The word that it will not come may be what frees the peer's room.
                return Some(Offer {
                    sequence: n,
                    offset: 0,
                    len: 0,
                    total: 0,
                    redelivered: false,
                    skip: true,
                    lost: false,
                });
            }
            if matches!(m.stage, Stage::Sent) || m.stage == Stage::Queued && m.progress > 0 {
                let (mut offset, mut len) = (0, m.len);
                if m.progress > 0 {
                    let acked = self.bytes.slice(m.position.wrapping_add(m.len), bitmap_len(m.len));
                    let g = (0..m.len.div_ceil(GRANULE))
                        .find(|g| acked.get((g / 8) as usize).is_some_and(|b| b >> (g % 8) & 1 == 0))?;
                    offset = g * GRANULE;
                    len = m.progress.checked_sub(offset)?.min(4096);
                }
                return Some(Offer {
                    sequence: n,
                    offset,
                    len,
                    total: m.len,
                    redelivered: m.redelivered,
                    skip: false,
                    lost: false,
                });
            }
            n = n.plus(1);
        }
        None
    }

    /// A fragment in flight once more, if it is not known to have arrived.
    pub(super) fn fragment_offer(&self, f: &SentFrame) -> Option<Offer> {
        let m = self.at(f.sequence)?;
        let (offset, len) = f.fragment();
        let open = m.progress > offset && matches!(m.stage, Stage::Sent | Stage::Queued);
        let acked = self.bytes.slice(m.position.wrapping_add(m.len), bitmap_len(m.len));
        let g = offset / GRANULE;
        let arrived = acked.get((g / 8) as usize).is_some_and(|b| b >> (g % 8) & 1 == 1);
        (open && !arrived).then(|| Offer {
            sequence: f.sequence,
            offset,
            len: len.min(m.len - offset),
            total: m.len,
            redelivered: m.redelivered,
            skip: false,
            lost: false,
        })
    }

    /// The oldest message from `from` on, and before `to`, that was sent in an earlier packet and may ride once more: at most `count` copies
    /// of it were sent, and fewer than `copies_max` (than one, if it is longer than `short` bytes).
    pub(super) fn next_copy(
        &mut self,
        from: Sequence,
        to: Option<Sequence>,
        count: u8,
        copies_max: u8,
        short: u32,
    ) -> Option<Offer> {
        if self.repeat_from.precedes(self.cum) {
            self.repeat_from = self.cum;
        }
        let mut n = if self.repeat_from.precedes(from) { from } else { self.repeat_from };
        let to = to.unwrap_or(self.repeat_to);
        for _ in 0..COPY_SCAN_MAX {
            if !n.precedes(to) {
                break;
            }
            let copies = self
                .at(n)
                .map_or(u8::MAX, |m| m.copies | if m.len > short && m.copies > 0 { 0x80 } else { 0 });
            let offer = if copies < copies_max { self.copy_offer(n) } else { None };
            if copies <= count && offer.is_some() {
                return offer;
            }
            // It has arrived, was lost (and is sent again anyway) or had its copies.
            if n == self.repeat_from && offer.is_none() {
                self.repeat_from = n.plus(1);
            }
            n = n.plus(1);
        }
        None
    }

    /// A packet is complete: what it carries may ride again in the next ones. Returns whether it carries a message for
    /// the first time.
    pub(super) fn on_packet_complete(&mut self) -> bool {
        let any_new = self.repeat_to != self.next_send;
        self.repeat_to = self.next_send;
        any_new
    }

    /// Message `n` is in a packet again, as it was overdue.
    pub(super) fn on_overdue_sent(&mut self, n: Sequence) {
        self.on_copy_sent(n);
        if let Some(m) = self.at_mut(n) {
            m.copies |= WAS_OVERDUE;
        }
    }

    pub(super) fn was_overdue(&self, n: Sequence) -> bool {
        self.at(n).is_some_and(|m| m.copies & WAS_OVERDUE != 0)
    }

    /// A copy of `n` is in a packet.
    pub(super) fn on_copy_sent(&mut self, n: Sequence) {
        if let Some(m) = self.at_mut(n) {
            m.live = m.live.saturating_add(1);
            m.copies =
                m.copies & WAS_OVERDUE | (m.copies & !WAS_OVERDUE).saturating_add(1).min(WAS_OVERDUE - 1);
        }
    }

    // ---- network side: what became of it

    /// The packet with `f` arrived.
    pub(super) fn on_acked(&mut self, f: &SentFrame) {
        match f.kind {
            FrameKind::Messages => {
                for i in 0..f.extent {
                    let n = f.sequence.plus(i);
                    self.on_arrived(n);
                }
            }
            FrameKind::Fragment => self.on_fragment_acked(f),
            FrameKind::Skip => {
                for i in 0..f.extent {
                    let n = f.sequence.plus(i);
                    if self.at(n).is_some_and(|m| m.stage == Stage::Skipped) {
                        self.finish(n, Outcome::Expired);
                    }
                }
                self.pop_finished();
            }
        }
    }

    /// The packet with `f` was declared lost. Returns how many messages or fragments are to be sent again.
    pub(super) fn on_lost(&mut self, f: &SentFrame) -> u32 {
        if f.kind == FrameKind::Fragment {
            let n = f.sequence;
            let (offset, len) = f.fragment();
            let open =
                self.at(n).is_some_and(|m| m.progress > 0 && matches!(m.stage, Stage::Sent | Stage::Queued));
            if !open {
                return 0;
            }
            if self.config.mode == Mode::BestEffort {
                return u32::from(self.withdraw(n, Outcome::Failed(FailReason::Lost)));
            }
            self.set_lost_bits(n, offset, len, true);
            if self.at(n).is_some_and(|m| self.trailer(m).lost_run(m.len).is_some()) {
                self.mark_lost(n);
            }
            return 1;
        }
        let mut count = 0;
        for i in 0..f.extent {
            let n = f.sequence.plus(i);
            let best_effort = self.config.mode == Mode::BestEffort;
            let Some(m) = self.at_mut(n) else { continue };
            m.live = m.live.saturating_sub(1);
            if m.live > 0 || !matches!(m.stage, Stage::Sent | Stage::Skipped) {
                continue;
            }
            count += 1;
            if best_effort && m.stage == Stage::Sent {
                self.withdraw(n, Outcome::Failed(FailReason::Lost));
            } else {
                self.mark_lost(n);
            }
        }
        count
    }

    /// The peer says that everything before `cum` is settled, and `more`. Returns how many messages that settles.
    pub(super) fn on_settled(&mut self, cum: Sequence, more: impl Iterator<Item = Range>) -> u32 {
        let mut count = 0;
        // Never believe more than was sent.
        let sent_end = self.next_send;
        if self.cum.precedes(cum) && !sent_end.precedes(cum) {
            while self.cum != cum {
                // On a `Latest` channel only the newest was taken for sure.
                if self.config.mode == Mode::Latest && self.cum.plus(1) != cum {
                    self.finish(self.cum, Outcome::Failed(FailReason::Superseded));
                } else {
                    count += u32::from(self.settle(self.cum));
                }
                self.cum = self.cum.plus(1);
            }
        }
        for r in more {
            if r.first.precedes(self.cum) || !r.last.precedes(sent_end) {
                continue;
            }
            count += self.settle_range(r);
        }
        self.pop_finished();
        count
    }

    /// Settles `r`, jumping over runs that are finished; the runs met are joined, so that the next time they are jumped
    /// over at once.
    fn settle_range(&mut self, r: Range) -> u32 {
        let mut count = 0;
        let mut n = r.first;
        while !r.last.precedes(n) {
            let run = match self.at(n) {
                Some(m) if m.stage == Stage::Done => m.position.max(1),
                Some(_) => {
                    count += u32::from(self.settle(n));
                    1
                }
                None => return count,
            };
            n = n.plus(run);
        }
        let len = n.since(r.first);
        if let Some(m) = self.at_mut(r.first)
            && m.stage == Stage::Done
        {
            m.position = m.position.max(len);
        }
        count
    }

    fn settle(&mut self, n: Sequence) -> bool {
        let open = self.at(n).is_some_and(|m| m.report == Report::Open);
        self.finish(n, Outcome::Settled);
        open
    }

    // ---- withdrawing

    /// Withdraws message `n` with `outcome`, unless it is finished. The peer is told to skip it, if it may have to wait
    /// for it.
    pub(super) fn withdraw(&mut self, n: Sequence, outcome: Outcome) -> bool {
        let was_sent = n.precedes(self.next_send);
        let latest = self.config.mode == Mode::Latest;
        let Some(m) = self.at_mut(n) else { return false };
        if m.report != Report::Open || matches!(m.stage, Stage::Done | Stage::Skipped) {
            return false;
        }
        if latest {
            self.finish(n, outcome);
            if self.next_send == n {
                self.next_send = n.plus(1);
            }
            return true;
        }
        let (position, len, acked, counted) = (m.position, m.len, m.stage == Stage::Acked, m.is_counted);
        m.stage = Stage::Skipped;
        m.is_counted = false;
        m.live = 0;
        m.progress = 0;
        self.drop_payload(position, len, counted);
        if was_sent && !acked {
            self.mark_lost(n);
        }
        self.report(n, outcome);
        true
    }

    pub(super) fn has_deadline(&self, n: Sequence) -> bool {
        self.at(n).is_some_and(|m| m.has_deadline && m.report == Report::Open)
    }

    /// The link has ended: whatever is open fails.
    pub(super) fn fail_all(&mut self, reason: FailReason) -> u32 {
        let mut count = 0;
        let mut n = self.front;
        let end = self.end();
        while n != end {
            count += u32::from(self.at(n).is_some_and(|m| m.report == Report::Open));
            self.finish(n, Outcome::Failed(reason));
            n = n.plus(1);
        }
        self.cum = end;
        self.next_send = end;
        while self.lost.len > 0 {
            self.pop_lost();
        }
        self.pop_finished();
        count
    }

    /// The peer has lost its memory: everything that is not finished is sent again, as if for the first time. Returns how
    /// many were superseded.
    pub(super) fn restart(&mut self) -> u32 {
        let latest = self.config.mode == Mode::Latest;
        self.lost = Chain::default();
        self.outstanding = 0;
        let sent_end = self.next_send;
        let mut n = self.front;
        let end = self.end();
        let mut base = end;
        while n != end {
            let was_sent = n.precedes(sent_end);
            if let Some(m) = self.at_mut(n) {
                m.is_lost = false;
                m.live = 0;
                m.copies = 0;
                m.is_counted = false;
                let partly = m.progress > 0;
                m.progress = 0;
                if m.stage == Stage::Done && base != end && !latest {
                    // The new incarnation does not know that it was settled: it must not wait for it.
                    m.stage = Stage::Skipped;
                } else if m.stage != Stage::Done {
                    if base == end {
                        base = n;
                    }
                    if m.stage != Stage::Skipped {
                        m.redelivered |= was_sent || partly;
                        m.stage = Stage::Queued;
                        let (trailer, position, len) = (m.trailer, m.position, m.len);
                        if trailer {
                            self.bytes.slice_mut(position.wrapping_add(len), trailer_len(len)).fill(0);
                        }
                    }
                }
            }
            n = n.plus(1);
        }
        self.cum = base;
        self.next_send = base;
        self.known = base;
        self.repeat_from = base;
        self.repeat_to = base;
        let open_before = self.outcomes.len;
        let mut n = base;
        while n != end {
            match self.config.mode {
                // Only the newest value matters.
                Mode::Latest if n.plus(1) != end => self.finish(n, Outcome::Failed(FailReason::Superseded)),
                // Sent once, whoever it was sent to.
                Mode::BestEffort if n.precedes(sent_end) => {
                    self.withdraw(n, Outcome::Failed(FailReason::Lost));
                }
                _ => {}
            }
            n = n.plus(1);
        }
        self.outcomes.len - open_before
    }

    /// The first hello was answered. Who answered may have restarted after a copy of that hello had brought what was in
    /// it: if it has to be sent again, that is flagged.
    pub(super) fn on_first_answer(&mut self) {
        let mut n = self.cum;
        while n.precedes(self.next_send) || n == self.next_send && n != self.end() {
            if let Some(m) = self.at_mut(n) {
                m.redelivered |= m.stage == Stage::Sent || m.progress > 0;
            }
            n = n.plus(1);
        }
    }

    /// What this peer cannot take must not wait for ever: fails messages longer than `message_max`, and all if the peer
    /// has no such channel. Returns how many.
    pub(super) fn fail_unacceptable(&mut self, message_max: u32, has_channel: bool) -> u32 {
        if !has_channel {
            return self.fail_all(FailReason::NoSuchChannel);
        }
        let mut failed = 0;
        let mut n = self.cum;
        let end = self.end();
        while n != end {
            if self.at(n).is_some_and(|m| m.len > message_max) {
                failed += u32::from(self.withdraw(n, Outcome::Failed(FailReason::TooLarge)));
            }
            n = n.plus(1);
        }
        failed
    }

    // ---- fragments

    fn trailer(&self, m: &OutMessage) -> Trailer<'_> {
        Trailer(self.bytes.slice(m.position.wrapping_add(m.len), trailer_len(m.len)))
    }

    fn set_lost_bits(&mut self, n: Sequence, offset: u32, len: u32, lost: bool) {
        let Some(m) = self.at(n) else { return };
        let (position, total) = (m.position.wrapping_add(m.len), m.len);
        let bits = bitmap_len(total) as usize;
        let trailer = self.bytes.slice_mut(position, trailer_len(total));
        let Some((acked, lost_bits)) = trailer.split_at_mut_checked(bits) else { return };
        for (i, mask) in masks(offset, len) {
            let (Some(a), Some(l)) = (acked.get(i), lost_bits.get_mut(i)) else { return };
            *l = *l & !mask | if lost { mask & !*a } else { 0 };
        }
    }

    fn on_fragment_acked(&mut self, f: &SentFrame) {
        let (offset, len) = f.fragment();
        let Some(m) = self.at(f.sequence) else { return };
        if m.progress == 0 || !matches!(m.stage, Stage::Sent | Stage::Queued) {
            return;
        }
        let (position, total, all_sent) = (m.position.wrapping_add(m.len), m.len, m.stage == Stage::Sent);
        let bits = bitmap_len(total) as usize;
        let trailer = self.bytes.slice_mut(position, trailer_len(total));
        let Some((acked, lost_bits)) = trailer.split_at_mut_checked(bits) else { return };
        for (i, mask) in masks(offset, len) {
            if let (Some(a), Some(l)) = (acked.get_mut(i), lost_bits.get_mut(i)) {
                *a |= mask;
                *l &= !mask;
            }
        }
        let granules = total.div_ceil(GRANULE);
        // Looked at from the end, where the newest fragments are: usually the first byte tells that some are missing.
        let whole = |(i, &b): (usize, &u8)| {
            let left = granules - i as u32 * 8;
            b == if left >= 8 { 0xff } else { (1u8 << left) - 1 }
        };
        if all_sent && acked.iter().enumerate().rev().all(whole) {
            self.on_arrived(f.sequence);
        }
    }

    /// All of `n` is stored at the peer.
    fn on_arrived(&mut self, n: Sequence) {
        let Some(m) = self.at_mut(n) else { return };
        if m.stage != Stage::Sent {
            return;
        }
        m.stage = Stage::Acked;
        if self.known.precedes(n) {
            self.known = n;
        }
        if self.config.mode == Mode::Latest {
            // What the peer's application had taken of the older ones it has told with this acknowledgement.
            let mut older = self.cum;
            while older != n {
                self.finish(older, Outcome::Failed(FailReason::Superseded));
                older = older.plus(1);
            }
            self.cum = n;
            self.pop_finished();
        }
    }
}

/// Two bitmaps of granules follow the payload: acknowledged, and lost.
const fn trailer_len(len: u32) -> u32 {
    2 * bitmap_len(len)
}

struct Trailer<'a>(&'a [u8]);

impl Trailer<'_> {
    /// The first run of lost granules of a message of `total` bytes: offset and length in bytes.
    fn lost_run(&self, total: u32) -> Option<(u32, u32)> {
        let lost = self.0.get(bitmap_len(total) as usize..)?;
        let byte = lost.iter().position(|&b| b != 0)?;
        let first = byte as u32 * 8 + lost[byte].trailing_zeros();
        let mut last = first;
        while lost.get((last / 8) as usize).is_some_and(|b| b >> (last % 8) & 1 == 1) {
            last += 1;
        }
        let offset = first * GRANULE;
        Some((offset, (last * GRANULE).min(total) - offset))
    }
}
