//! Messages, fragments and skips, as many as fit.

use super::Draft;
use crate::config::Mode;
use crate::congestion::Controller;
use crate::link::ack_rate::FEW_MESSAGES;
use crate::link::outbox::{Offer, OutChannel};
use crate::link::repetition::LOSS_MANY;
use crate::link::sent::{FrameKind, SentFrame};
use crate::link::{Link, following};
use crate::logging::trace;
use crate::sequence::Sequence;
use crate::storage::{Ring, Slots, Storage};
use crate::wire::{Message, Writer, granule_bits};

/// Less room than this, or than half of a shorter message, is not filled with a fragment, nor with the beginning of a message in
/// a series, if it is less than a quarter. Chosen: the rest costs a fragment's head of 5 to 9 bytes; gained is the same part of the
/// headers of a packet, which a series has fewer of.
const FRAGMENT_ROOM_MIN: u32 = 64;

impl<S: Storage, C: Controller> Link<S, C> {
    pub(super) fn write_data(&mut self, w: &mut Writer<'_>, draft: &mut Draft) {
        let (mut credit, mut any) = self.credit();
        let count = self.out.as_slice().len();
        // A bit for each class of priority that has something to send.
        let waiting = |o: &OutChannel<S>| if o.has_unsent() { 1u8 << o.config.priority.min(3) } else { 0 };
        let every = S::MESSAGES_MAX <= FEW_MESSAGES;
        let classes =
            if every { 0b1111 } else { self.out.as_slice().iter().fold(0, |bits, o| bits | waiting(o)) };
        for class in (0..4).filter(|class| classes >> class & 1 == 1) {
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
            let again = S::MESSAGES_MAX > FEW_MESSAGES && offer.lost && self.recovery.loss >= LOSS_MANY;
            if let Some(out) = self.out.as_mut_slice().get_mut(c) {
                out.on_offer_sent(&offer, len);
                if again {
                    out.repeat_again(offer.sequence);
                }
            }
            if S::FRAGMENTATION && S::MESSAGES_MAX > FEW_MESSAGES && draft.is_in_series {
                self.go_on_with_series(w, draft, c, credit);
            }
        }
    }

    /// New messages of channel `c` that go on with the series written last, while they are whole and as long as those before: the
    /// record of the packet that holds the last one holds them, too.
    fn go_on_with_series(&mut self, w: &mut Writer<'_>, draft: &mut Draft, c: usize, credit: &mut u32) {
        let Some((channel, mut last, redelivered, len)) = draft.previous else { return };
        let Some(mut placed) = draft.last_message else { return };
        let window = self.peer.window;
        let newest = self.frames.len().wrapping_sub(1);
        let has_room = self.frames.len() < self.frames.len_max() && channel as usize == c;
        let Some(out) = self.out.as_mut_slice().get_mut(c) else { return };
        let Some(record) = self.frames.at_mut(newest).filter(|_| has_room) else { return };
        while !draft.is_full
            && let Some(m) = out.follower(last, len, redelivered, window, *credit)
            && len as usize <= w.room() + placed.1.1
            && let Some(now_placed) = w.series(Some(placed), out.payload_at(&m))
        {
            out.on_follower_sent(&m);
            (last, placed) = (m.sequence, now_placed);
            *credit -= len;
            record.extent += 1;
            draft.binding.add(last);
            draft.last_message = Some(placed);
            draft.previous = Some((channel, last, redelivered, len));
            draft.is_full |= placed.1.1 == 0;
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
        let previous = offer.sequence.plus(u32::MAX);
        if S::FRAGMENTATION
            && S::MESSAGES_MAX > FEW_MESSAGES
            && self.peer.fragments
            && offer.offset == 0
            && draft.previous == Some((c as u8, previous, redelivered, offer.total))
            && let Some(len) = self.write_in_series(w, draft, c, offer, redelivered, cut)
        {
            return Some(len);
        }
        let out = self.out.as_slice().get(c)?;
        let whole = !S::FRAGMENTATION || offer.offset == 0 && offer.len == offer.total;
        let mut len = offer.len;
        let mut fragment = (!whole).then_some((offer.offset, offer.total));
        let room = w.room();
        let head = 1 + number_len as usize;
        if !whole || room < head + len as usize {
            if !S::FRAGMENTATION {
                return None;
            }
            // Without the length, as a message that is cut ends the packet.
            let overhead = crate::wire::fragment_overhead(number_len, offer.offset, offer.total);
            let fits = (room.checked_sub(overhead)? as u32).min(offer.len);
            len = if fits == offer.len {
                fits
            } else {
                fits >> granule_bits(offer.total) << granule_bits(offer.total)
            };
            let too_little =
                len < offer.len && len < FRAGMENT_ROOM_MIN.min(offer.total / 2) && draft.frame_count > 0;
            let can_cut = cut && self.peer.fragments && offer.total >= crate::link::outbox::FRAGMENT_FROM;
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
        // R6.24: what follows a series has a head of its own.
        let follows = fragment.is_none()
            && !draft.is_in_series
            && draft.previous.is_some_and(|(a, b, r, _)| (a, b, r) == (c as u8, previous, redelivered));
        let message = Message {
            channel: c as u8,
            number: (!follows).then_some((0, number_len)),
            is_in_series: false,
            redelivered,
            fragment,
            payload: out.payload(offer.sequence, offer.offset, len),
        };
        let kind_at = w.len();
        let length = w.message(&message, offer.sequence)?;
        draft.last_message = Some((kind_at, length));
        draft.is_full |= length.1 == 0;
        draft.is_in_series = false;
        self.note_message(draft, c, offer, len, redelivered);
        Some(len)
    }

    /// Writes the offered message, or its beginning, after one of the same length. `None` if an ordinary frame is better.
    fn write_in_series(
        &mut self,
        w: &mut Writer<'_>,
        draft: &mut Draft,
        c: usize,
        offer: &Offer,
        redelivered: bool,
        cut: bool,
    ) -> Option<u32> {
        let open = draft.last_message.filter(|_| draft.is_in_series);
        // At the end of a packet there is no length field.
        let room = match open {
            Some((_, (_, length_len))) => w.room() + length_len,
            None => w.room().checked_sub(1)?,
        } as u32;
        let bits = granule_bits(offer.total);
        let len = if offer.len <= room { offer.len } else { room >> bits << bits };
        if len < offer.total {
            let least = FRAGMENT_ROOM_MIN.min(offer.total / 4);
            let can_cut = cut && offer.total >= crate::link::outbox::FRAGMENT_FROM && len >= least;
            // The beginning of a message ends the packet.
            if !can_cut || room - len > least {
                return None;
            }
        }
        let out = self.out.as_slice().get(c)?;
        let placed = w.series(open, out.payload(offer.sequence, 0, len))?;
        draft.last_message = Some(placed);
        draft.is_in_series = true;
        draft.is_full |= placed.1.1 == 0 || len < offer.total;
        self.note_message(draft, c, offer, len, redelivered);
        Some(len)
    }

    /// Remembers that the packet carries `len` bytes of what was offered.
    fn note_message(&mut self, draft: &mut Draft, c: usize, offer: &Offer, len: u32, redelivered: bool) {
        let ends = !S::FRAGMENTATION || offer.offset + len == offer.total;
        draft.previous = ends.then_some((c as u8, offer.sequence, redelivered, offer.total));
        draft.is_eliciting = true;
        draft.binding.add(offer.sequence);
        let frame = if !S::FRAGMENTATION || len == offer.total {
            SentFrame { sequence: offer.sequence, extent: 1, channel: c as u8, kind: FrameKind::Messages }
        } else {
            SentFrame::of_fragment(c as u8, offer.sequence, offer.offset, len, offer.total)
        };
        self.note_frame(draft, frame);
    }

    /// Remembers what the packet carries; consecutive messages become one entry.
    fn note_frame(&mut self, draft: &mut Draft, frame: SentFrame) -> bool {
        if draft.frame_count > 0
            && !frame.is_fragment::<S>()
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
