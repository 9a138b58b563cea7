//! Probes: what the peer is asked to answer, and copies of what is in flight.

use super::Draft;
use crate::congestion::Controller;
use crate::link::Link;
use crate::link::sent::{Fate, SentFrame, SentPacket, control};
use crate::sequence::Sequence;
use crate::storage::{Ring, Slots, Storage};
use crate::wire::Writer;

impl<S: Storage, C: Controller> Link<S, C> {
    /// The control information of the oldest packet in flight is sent again.
    pub(super) fn before_probe(&mut self) {
        let oldest = self.oldest_open();
        if let Some(p) = oldest.and_then(|n| self.packet(n)) {
            let bits = p.control;
            self.send_control_again(bits);
            self.due.ping |= bits & control::PING != 0;
        }
    }

    pub(in crate::link) fn oldest_open(&self) -> Option<Sequence> {
        let mut n = self.recovery.first_open;
        while n != self.recovery.next {
            if self.packet(n)?.fate == Fate::Open {
                return Some(n);
            }
            n = n.plus(1);
        }
        None
    }

    /// Frame `i` of packet `p`.
    pub(in crate::link) fn frame(&self, p: &SentPacket<C::Stamp>, i: u32) -> Option<&SentFrame> {
        self.frames.at(p.first_frame.wrapping_add(i).wrapping_sub(self.recovery.frames_base) as usize)
    }

    /// What the oldest packets in flight carry, without declaring them lost.
    pub(super) fn write_probe(&mut self, w: &mut Writer<'_>, draft: &mut Draft) {
        self.due.probes = 0;
        // When probes go unanswered, perhaps the peer has no room for what they carry: then nothing else rides along.
        let is_refused = self.recovery.probe_count > 1;
        // First what everything may be waiting for: the peer can always store that. (What the oldest packets carry may be
        // beyond its window, and be refused each time.)
        for c in 0..self.out.as_slice().len() {
            let Some(offer) = self.out.as_slice().get(c).and_then(|o| o.awaited_offer()) else { continue };
            if draft.is_full || !is_refused && self.is_in_oldest(c, offer.sequence) {
                continue;
            }
            let sent = if offer.skip {
                self.write_skip(w, draft, c, &offer)
            } else {
                self.write_message(w, draft, c, &offer, true) == Some(offer.total)
            };
            if sent {
                self.on_copy_sent(c, offer.sequence);
            }
        }
        if is_refused && draft.is_eliciting {
            return;
        }
        let Some(mut n) = self.oldest_open() else { return };
        // At most as many rounds as packets fit into one.
        while n != self.recovery.next && !draft.is_full {
            let Some(&p) = self.packet(n) else { break };
            if p.fate == Fate::Open {
                for i in 0..p.frame_count as u32 {
                    let index = p.first_frame.wrapping_add(i).wrapping_sub(self.recovery.frames_base);
                    let Some(&f) = self.frames.at(index as usize) else { break };
                    self.write_frame_again(w, draft, &f);
                }
                if p.frame_count == 0 && n != self.recovery.first_open {
                    break;
                }
            }
            n = n.plus(1);
        }
        if !draft.is_eliciting && w.ping() {
            draft.is_eliciting = true;
            draft.control |= control::PING;
        }
    }

    /// Whether the oldest packet in flight carries message `n` of channel `c`.
    fn is_in_oldest(&self, c: usize, n: Sequence) -> bool {
        let Some(p) = self.oldest_open().and_then(|n| self.packet(n)) else { return false };
        (0..p.frame_count as u32).any(|i| {
            let index = p.first_frame.wrapping_add(i).wrapping_sub(self.recovery.frames_base);
            self.frames.at(index as usize).is_some_and(|f| {
                let count = if f.is_fragment::<S>() { 1 } else { f.extent };
                f.channel as usize == c && n.since(f.sequence) < count
            })
        })
    }

    fn write_frame_again(&mut self, w: &mut Writer<'_>, draft: &mut Draft, f: &SentFrame) {
        let c = f.channel as usize;
        if f.is_fragment::<S>() {
            let Some(offer) = self.out.as_slice().get(c).and_then(|o| o.fragment_offer(f)) else { return };
            if self.write_message(w, draft, c, &offer, true).is_none() {
                draft.is_full = true;
            }
            return;
        }
        for i in 0..f.extent {
            let n = f.sequence.plus(i);
            let Some(offer) = self.out.as_slice().get(c).and_then(|o| o.copy_offer(n)) else { continue };
            if self.frames.len() >= self.frames.len_max()
                || self.write_message(w, draft, c, &offer, false).is_none()
            {
                draft.is_full = true;
                return;
            }
            self.on_copy_sent(c, n);
        }
    }

    /// A copy of message `n` of channel `c` is in a packet.
    pub(in crate::link) fn on_copy_sent(&mut self, c: usize, n: Sequence) {
        if let Some(out) = self.out.as_mut_slice().get_mut(c) {
            out.on_copy_sent(n);
        }
        self.stats.repeated = self.stats.repeated.wrapping_add(1);
    }
}
