//! Messages, fragments and skips, as many as fit.

use super::Draft;
use crate::config::Mode;
use crate::congestion::Controller;
use crate::link::outbox::Offer;
use crate::link::sent::{FrameKind, SentFrame};
use crate::link::{Link, following};
use crate::logging::trace;
use crate::sequence::Sequence;
use crate::storage::{Ring, Slots, Storage};
use crate::wire::{GRANULE, Message, Writer};

/// Less room than this, or than half of a shorter message, is not filled with a fragment. Chosen: a fragment's head is 5 to
/// 9 bytes.
const FRAGMENT_ROOM_MIN: usize = 64;

impl<S: Storage, C: Controller> Link<S, C> {
    pub(super) fn write_data(&mut self, w: &mut Writer<'_>, draft: &mut Draft) {
        let (mut credit, mut any) = self.credit();
        for class in 0..4 {
            let count = self.out.as_slice().len();
            let mut c = self.last_out as usize;
            for _ in 0..count {
                c = following(c, count);
                if self.out.as_slice().get(c).is_none_or(|o| o.config.priority.min(3) != class) {
                    continue;
                }
                let before = draft.frame_count;
                self.write_channel(w, draft, c, &mut credit, &mut any);
                let window = self.peer.window;
                if self.out.as_slice().get(c).is_some_and(|o| o.waits_for_credit(window, credit, any)) {
                    // Others must not take the credit that it waits for.
                    credit = 0;
                }
                if draft.frame_count != before {
                    self.last_out = c as u8;
                }
                if draft.is_full {
                    return;
                }
            }
        }
    }

    /// Messages of channel `c`, while they fit.
    fn write_channel(
        &mut self,
        w: &mut Writer<'_>,
        draft: &mut Draft,
        c: usize,
        credit: &mut u32,
        any: &mut bool,
    ) {
        let window = self.peer.window;
        while !draft.is_full && self.frames.len() < self.frames.len_max() {
            let Some(out) = self.out.as_mut_slice().get_mut(c) else { return };
            let Some(offer) = out.offer(window, *credit, *any) else { return };
            let sent = if offer.skip {
                self.write_skip(w, draft, c, &offer).then_some(0)
            } else {
                self.write_message(w, draft, c, &offer, true)
            };
            let Some(len) = sent else {
                draft.is_full = true;
                return;
            };
            if !offer.lost && offer.offset == 0 && !offer.skip {
                *credit = credit.saturating_sub(offer.total);
                *any = true;
            }
            if offer.lost {
                trace!("message {} of channel {} retransmitted", offer.sequence.0, c);
            }
            if let Some(out) = self.out.as_mut_slice().get_mut(c) {
                out.on_offer_sent(&offer, len);
            }
        }
    }

    pub(super) fn write_skip(
        &mut self,
        w: &mut Writer<'_>,
        draft: &mut Draft,
        c: usize,
        offer: &Offer,
    ) -> bool {
        let span = self.span(c, offer.sequence);
        if self.frames.len() >= self.frames.len_max() {
            return false;
        }
        if !w.skip(c as u8, offer.sequence, self.message_len(span), 1) {
            return false;
        }
        draft.binding.add(offer.sequence);
        draft.last_message = None;
        draft.previous = None;
        draft.is_eliciting = true;
        let frame =
            SentFrame { sequence: offer.sequence, extent: 1, channel: c as u8, kind: FrameKind::Skip };
        self.note_frame(draft, frame)
    }

    fn span(&self, c: usize, n: Sequence) -> u32 {
        let Some(out) = self.out.as_slice().get(c) else { return 0 };
        let next = if out.next_send.precedes(n) { n } else { out.next_send };
        // On a `Latest` channel `cum` passes what was superseded, of which the receiver may not have heard.
        let from = if out.config.mode == Mode::Latest { out.known } else { out.cum };
        next.since(from).saturating_add(1)
    }

    /// Writes the offered message, or, if it may be `cut`, as much of it as fits. Returns how many bytes, `None` if none.
    pub(in crate::link) fn write_message(
        &mut self,
        w: &mut Writer<'_>,
        draft: &mut Draft,
        c: usize,
        offer: &Offer,
        cut: bool,
    ) -> Option<u32> {
        if self.frames.len() >= self.frames.len_max() {
            return None;
        }
        let number_len = self.message_len(self.span(c, offer.sequence));
        let out = self.out.as_slice().get(c)?;
        let was_sent = offer.sequence.precedes(out.next_send);
        let redelivered = offer.redelivered || self.peer.is_suspect && was_sent;
        let whole = offer.offset == 0 && offer.len == offer.total;
        let mut len = offer.len;
        let mut fragment = (!whole).then_some((offer.offset, offer.total));
        let room = w.room();
        let head = 1 + number_len as usize;
        if !whole || room < head + len as usize {
            let overhead = crate::wire::fragment_overhead(number_len, offer.offset, offer.total, room as u32);
            let fits = (room.checked_sub(overhead)? as u32).min(offer.len);
            len = if fits == offer.len { fits } else { fits / GRANULE * GRANULE };
            let too_little = len < offer.len
                && (len as usize) < FRAGMENT_ROOM_MIN.min(offer.total as usize / 2)
                && draft.frame_count > 0;
            let can_cut = S::FRAGMENTATION
                && cut
                && self.peer.fragments
                && offer.total >= crate::link::outbox::FRAGMENT_FROM;
            if !can_cut || len == 0 || too_little {
                return None;
            }
            if len == offer.total {
                // It fits with the head of a fragment, so it does without.
                fragment = None;
            } else {
                fragment = Some((offer.offset, offer.total));
            }
        }
        let follows = fragment.is_none()
            && draft.previous == Some((c as u8, offer.sequence.plus(u32::MAX), redelivered));
        let message = Message {
            channel: c as u8,
            number: (!follows).then_some((0, number_len)),
            redelivered,
            fragment,
            payload: out.payload(offer.sequence, offer.offset, len),
        };
        let kind_at = w.len();
        let length = w.message(&message, offer.sequence)?;
        draft.last_message = Some((kind_at, length));
        draft.is_full |= length.1 == 0;
        draft.previous = fragment.is_none().then_some((c as u8, offer.sequence, redelivered));
        draft.is_eliciting = true;
        draft.binding.add(offer.sequence);
        let frame = match fragment {
            None => {
                SentFrame { sequence: offer.sequence, extent: 1, channel: c as u8, kind: FrameKind::Messages }
            }
            Some((offset, _)) => SentFrame::of_fragment(c as u8, offer.sequence, offset, len),
        };
        self.note_frame(draft, frame);
        Some(len)
    }

    /// Remembers what the packet carries; consecutive messages become one entry.
    fn note_frame(&mut self, draft: &mut Draft, frame: SentFrame) -> bool {
        if draft.frame_count > 0
            && frame.kind != FrameKind::Fragment
            && let Some(last) = self.frames.at_mut(self.frames.len() - 1)
            && last.kind == frame.kind
            && last.channel == frame.channel
            && last.sequence.plus(last.extent) == frame.sequence
        {
            last.extent += 1;
            return true;
        }
        draft.frame_count += 1;
        self.frames.push_back(frame)
    }
}
