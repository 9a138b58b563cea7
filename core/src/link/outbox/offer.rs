//! What to put into a packet next.

use super::OutChannel;
use super::message::Stage;
use crate::config::Mode;
use crate::link::granules::bitmap_len;
use crate::link::sent::SentFrame;
use crate::sequence::Sequence;
use crate::storage::Storage;
use crate::wire::{granule_bits, granules_to};

/// How many messages are looked at to find one that may ride again.
const COPY_SCAN_MAX: u32 = 32;

/// A bit of the count of copies: the message was repeated because it was overdue.
const WAS_OVERDUE: u8 = 0x40;

/// What to put into a packet next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::link) struct Offer {
    pub(in crate::link) sequence: Sequence,
    /// Where the payload to send begins, and how long it is at most.
    pub(in crate::link) offset: u32,
    pub(in crate::link) len: u32,
    /// Length of the whole message.
    pub(in crate::link) total: u32,
    pub(in crate::link) redelivered: bool,
    /// Not a payload but word that it will not come.
    pub(in crate::link) skip: bool,
    pub(in crate::link) lost: bool,
}

/// A message that is sent right behind the one before it.
#[derive(Clone, Copy)]
pub(in crate::link) struct Follower {
    pub(in crate::link) sequence: Sequence,
    len: u32,
    position: u32,
}

impl<S: Storage> OutChannel<S> {
    /// Where what waits to be sent begins: the first that is not settled, the first that was not sent, how many are lost.
    pub(in crate::link) fn waiting(&self) -> (Sequence, Sequence, u32) {
        (self.cum, self.next_send, self.lost.len)
    }

    /// Whether anything waits to be sent, now or later.
    pub(in crate::link) fn has_unsent(&self) -> bool {
        self.lost.len > 0 || self.next_send != self.end()
    }

    /// Whether anything could be sent, given the peer's `window` (messages) and `credit` (payload bytes left).
    pub(in crate::link) fn has_offer(&self, window: u32, credit: u32, any_outstanding: bool) -> bool {
        self.lost.len > 0 || self.new_fits(window, credit, any_outstanding)
    }

    /// Whether messages wait until the peer settles earlier ones. Those may have expired meanwhile: nothing is outstanding
    /// then.
    pub(in crate::link) fn waits_for_window(&self, window: u32) -> bool {
        self.next_send != self.end()
            && self.config.mode != Mode::Latest
            && self.next_send.since(self.cum) >= window
    }

    fn new_fits(&self, window: u32, credit: u32, any_outstanding: bool) -> bool {
        if self.next_send == self.end() || self.waits_for_window(window) {
            return false;
        }
        match self.at(self.next_send) {
            Some(m) => {
                Self::progress(m) > 0 || m.len <= credit || !any_outstanding || m.stage == Stage::Skipped
            }
            None => false,
        }
    }

    /// Whether a new message waits for credit.
    pub(in crate::link) fn waits_for_credit(&self, window: u32, credit: u32, any_outstanding: bool) -> bool {
        self.next_send != self.end()
            && !self.new_fits(window, credit, any_outstanding)
            && self.new_fits(window, u32::MAX, any_outstanding)
    }

    /// What to send next: lost things first. Lost ones that were acknowledged meanwhile are passed over.
    pub(in crate::link) fn offer(
        &mut self,
        window: u32,
        credit: u32,
        any_outstanding: bool,
    ) -> Option<Offer> {
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
            offset: Self::progress(m),
            len: m.len - Self::progress(m),
            total: m.len,
            redelivered: m.redelivered,
            skip: m.stage == Stage::Skipped || m.stage == Stage::Done,
            lost: false,
        })
    }

    /// The message after `last`, if it is of `len` bytes and the next to send, for the first time, whole and at once.
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub(in crate::link) fn follower(
        &self,
        last: Sequence,
        len: u32,
        redelivered: bool,
        window: u32,
        credit: u32,
    ) -> Option<Follower> {
        let sequence = last.plus(1);
        let is_next = sequence == self.next_send && self.lost.len == 0 && self.config.mode != Mode::Latest;
        let m = self.at(sequence).filter(|_| is_next && sequence.since(self.cum) < window)?;
        let is_whole = m.stage == Stage::Queued && Self::progress(m) == 0 && !m.is_counted;
        let is_alike = m.len == len && m.redelivered == redelivered;
        (is_whole && is_alike && len <= credit).then_some(Follower { sequence, len, position: m.position })
    }

    pub(in crate::link) fn payload_at(&self, m: &Follower) -> &[u8] {
        self.bytes.slice(m.position, m.len)
    }

    /// It is in a packet now.
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub(in crate::link) fn on_follower_sent(&mut self, f: &Follower) {
        let Some(m) = self.at_mut(f.sequence) else { return };
        m.live = m.live.saturating_add(1);
        m.stage = Stage::Sent;
        m.is_counted = true;
        self.outstanding += f.len;
        self.next_send = f.sequence.plus(1);
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
            Stage::Sent | Stage::Queued if Self::progress(m) > 0 => {
                let (offset, len) = self.trailer(m).lost_run(m.len)?;
                Some(Offer { offset, len, ..whole(false) })
            }
            Stage::Sent => Some(whole(false)),
            _ => None,
        }
    }

    pub(in crate::link) fn payload(&self, n: Sequence, offset: u32, len: u32) -> &[u8] {
        match self.at(n) {
            Some(m) => self.bytes.slice(m.position.wrapping_add(offset), len),
            None => &[],
        }
    }

    /// `len` bytes of what was offered are in a packet now (all of it for a skip).
    pub(in crate::link) fn on_offer_sent(&mut self, o: &Offer, len: u32) {
        let n = o.sequence;
        let fragment = S::FRAGMENTATION && !o.skip && len < o.total;
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
    pub(in crate::link) fn copy_offer(&self, n: Sequence) -> Option<Offer> {
        let m = self.at(n)?;
        let is_whole =
            Self::progress(m) == 0 && m.stage == Stage::Sent && !m.is_lost && n.precedes(self.next_send);
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
    pub(in crate::link) fn awaited_offer(&self) -> Option<Offer> {
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
            if matches!(m.stage, Stage::Sent) || m.stage == Stage::Queued && Self::progress(m) > 0 {
                let (mut offset, mut len) = (0, m.len);
                if Self::progress(m) > 0 {
                    let acked = self.bytes.slice(m.position.wrapping_add(m.len), bitmap_len(m.len));
                    let g = (0..granules_to(m.len, m.len))
                        .find(|g| acked.get((g / 8) as usize).is_some_and(|b| b >> (g % 8) & 1 == 0))?;
                    offset = g << granule_bits(m.len);
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
    pub(in crate::link) fn fragment_offer(&self, f: &SentFrame) -> Option<Offer> {
        let m = self.at(f.sequence)?;
        let (offset, len) = f.fragment(m.len);
        let open = m.progress > offset && matches!(m.stage, Stage::Sent | Stage::Queued);
        let acked = self.bytes.slice(m.position.wrapping_add(m.len), bitmap_len(m.len));
        let g = offset >> granule_bits(m.len);
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
    pub(in crate::link) fn next_copy(
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
    pub(in crate::link) fn on_packet_complete(&mut self) -> bool {
        let any_new = self.repeat_to != self.next_send;
        self.repeat_to = self.next_send;
        if let Some(n) = self.repeat_again.take()
            && n.precedes(self.repeat_from)
        {
            self.repeat_from = n;
        }
        any_new
    }

    /// Message `n` was lost, with its copies, and is sent again on a path that loses much. From the second time on it gets copies anew
    /// on an ordered channel, where all that follow wait for it.
    pub(in crate::link) fn repeat_again(&mut self, n: Sequence) {
        if self.config.mode != Mode::Ordered {
            return;
        }
        let Some(m) = self.at_mut(n) else { return };
        if m.copies & !WAS_OVERDUE != WAS_OVERDUE - 1 {
            // No more of them, and known the next time.
            m.copies |= WAS_OVERDUE - 1;
            return;
        }
        m.copies &= WAS_OVERDUE;
        self.repeat_again = self.repeat_again.or(Some(n));
    }

    /// Message `n` is in a packet again, as it was overdue.
    pub(in crate::link) fn on_overdue_sent(&mut self, n: Sequence) {
        self.on_copy_sent(n);
        if let Some(m) = self.at_mut(n) {
            m.copies |= WAS_OVERDUE;
        }
    }

    pub(in crate::link) fn was_overdue(&self, n: Sequence) -> bool {
        self.at(n).is_some_and(|m| m.copies & WAS_OVERDUE != 0)
    }

    /// A copy of `n` is in a packet.
    pub(in crate::link) fn on_copy_sent(&mut self, n: Sequence) {
        if let Some(m) = self.at_mut(n) {
            m.live = m.live.saturating_add(1);
            m.copies =
                m.copies & WAS_OVERDUE | (m.copies & !WAS_OVERDUE).saturating_add(1).min(WAS_OVERDUE - 1);
        }
    }
}
