//! What became of what was sent: it arrived, was lost, was settled.

use super::OutChannel;
use super::message::{Outcome, Report, Stage};
use super::trailer::trailer_len;
use crate::config::Mode;
use crate::event::FailReason;
use crate::link::granules::{bitmap_len, masks};
use crate::link::sent::{FrameKind, SentFrame};
use crate::sequence::{Range, Sequence};
use crate::storage::Storage;
use crate::wire::granules_to;

impl<S: Storage> OutChannel<S> {
    /// The packet with `f` arrived.
    pub(in crate::link) fn on_acked(&mut self, f: &SentFrame) {
        match f.kind {
            FrameKind::Messages => {
                for i in 0..f.extent {
                    let n = f.sequence.plus(i);
                    self.on_arrived(n);
                }
            }
            FrameKind::Fragment if S::FRAGMENTATION => self.on_fragment_acked(f),
            FrameKind::Fragment => {}
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
    pub(in crate::link) fn on_lost(&mut self, f: &SentFrame) -> u32 {
        if f.is_fragment::<S>() {
            let n = f.sequence;
            let Some(m) = self.at(n) else { return 0 };
            let (offset, len) = f.fragment(m.len);
            if m.progress == 0 || !matches!(m.stage, Stage::Sent | Stage::Queued) {
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
    pub(in crate::link) fn on_settled(&mut self, cum: Sequence, more: impl Iterator<Item = Range>) -> u32 {
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

    fn on_fragment_acked(&mut self, f: &SentFrame) {
        let Some(m) = self.at(f.sequence) else { return };
        let (offset, len) = f.fragment(m.len);
        if m.progress == 0 || !matches!(m.stage, Stage::Sent | Stage::Queued) {
            return;
        }
        let (position, total, all_sent) = (m.position.wrapping_add(m.len), m.len, m.stage == Stage::Sent);
        let bits = bitmap_len(total) as usize;
        let trailer = self.bytes.slice_mut(position, trailer_len(total));
        let Some((acked, lost_bits)) = trailer.split_at_mut_checked(bits) else { return };
        for (i, mask) in masks(offset, len, total) {
            if let (Some(a), Some(l)) = (acked.get_mut(i), lost_bits.get_mut(i)) {
                *a |= mask;
                *l &= !mask;
            }
        }
        let granules = granules_to(total, total);
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
            self.supersede_acked_before(n);
            self.cum = n;
            self.pop_finished();
        }
    }

    /// On a `Latest` channel: ends what is older than `n` and has no outcome. Unless an acknowledgement says so, none of it
    /// is known to be settled.
    pub(super) fn supersede_acked_before(&mut self, n: Sequence) {
        let mut older = self.cum;
        while older != n {
            self.finish(older, Outcome::Failed(FailReason::Superseded));
            older = older.plus(1);
        }
    }
}
