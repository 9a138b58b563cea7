//! Messages that end without being settled, and what happens to all of them when the peer restarts or the link ends.

use super::message::{Outcome, Report, Stage};
use super::trailer::trailer_len;
use super::{Chain, OutChannel};
use crate::config::Mode;
use crate::event::FailReason;
use crate::sequence::Sequence;
use crate::storage::Storage;

impl<S: Storage> OutChannel<S> {
    /// Withdraws message `n` with `outcome`, unless it is finished. The peer is told to skip it, if it may have to wait
    /// for it.
    pub(in crate::link) fn withdraw(&mut self, n: Sequence, outcome: Outcome) -> bool {
        let was_sent = n.precedes(self.next_send);
        let latest = self.config.mode == Mode::Latest;
        let Some(m) = self.at_mut(n) else { return false };
        if m.report != Report::Open || matches!(m.stage, Stage::Done | Stage::Skipped) {
            return false;
        }
        if latest {
            // The peer has dropped older values when this one, or one between, began to arrive (R14.5).
            if was_sent || Self::progress(m) > 0 || self.cum.plus(1) != n {
                self.supersede_acked_before(n);
            }
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

    /// The link has ended: whatever is open fails.
    pub(in crate::link) fn fail_all(&mut self, reason: FailReason) -> u32 {
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
    pub(in crate::link) fn restart(&mut self) -> u32 {
        let latest = self.config.mode == Mode::Latest;
        self.lost = Chain::EMPTY;
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
                let partly = Self::progress(m) > 0;
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
                        if S::FRAGMENTATION && trailer {
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

    /// The first hello was answered, or one that was not the first by a retry. Who answered may have restarted after a copy
    /// of that hello had brought what was in it: if it has to be sent again, that is flagged.
    pub(in crate::link) fn on_first_answer(&mut self) {
        let mut n = self.cum;
        while n.precedes(self.next_send) || n == self.next_send && n != self.end() {
            if let Some(m) = self.at_mut(n) {
                m.redelivered |= m.stage == Stage::Sent || Self::progress(m) > 0;
            }
            n = n.plus(1);
        }
    }

    /// What this peer cannot take must not wait for ever: fails messages longer than `message_max`, and all if the peer
    /// has no such channel. Returns how many.
    pub(in crate::link) fn fail_unacceptable(&mut self, message_max: u32, has_channel: bool) -> u32 {
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
}
