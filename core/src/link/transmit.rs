//! Putting a packet together.

use super::ack_rate::FEW_MESSAGES;
use super::outbox::Offer;
use super::receive::{Binding, CLOSE_ANSWER};
use super::sent::{Fate, FrameKind, SentFrame, SentPacket, control};
use super::timers::tick;
use super::{Link, Phase};
use crate::check::crc32c;
use crate::congestion::Controller;
use crate::logging::trace;
use crate::sequence::Sequence;
use crate::storage::{Ring, Slots, Storage};
use crate::time::Instant;
use crate::wire::{Ack, CHECK_LEN, GRANULE, Message, Writer, first_byte};

/// What stands around the payload of a message that must fit one packet, in bytes: first byte, link id, number,
/// acknowledgement, settlement, frame head, check.
pub(super) const OVERHEAD_MAX: u32 = 1 + 4 + 8 + 4 + 9 + 4;

/// Less room than this, or than half of a shorter message, is not filled with a fragment. Chosen: a fragment's head is 5 to
/// 9 bytes.
const FRAGMENT_ROOM_MIN: usize = 64;

/// Acknowledgements that repeat unconfirmed settlements, before one asks to be acknowledged itself. Chosen: one extra
/// packet in sixteen on a one-way flow, while settlements of channels that fell silent do not ride for ever.
const SETTLE_RIDES_MAX: u8 = 16;

/// A packet with nothing but a ping has this length before its check: a reset, which repeats up to 13 bytes of it and adds
/// 5, is shorter.
const PING_LEN: usize = 16;

/// A packet being written.
pub(super) struct Draft {
    binding: Binding,
    control: u8,
    /// It acknowledges something.
    has_acks: bool,
    /// A bit for each channel whose settlements it tells.
    told: u16,
    /// There was no room for all settlements.
    must_tell_more: bool,
    pub(super) frame_count: u16,
    first_frame: u32,
    is_eliciting: bool,
    /// The message written last, while nothing follows it: where its kind stands, and its length field.
    last_message: Option<(usize, (usize, usize))>,
    /// The same for the compact form: channel, number, flag.
    previous: Option<(u8, Sequence, bool)>,
    /// It carries copies of messages that may be repeated once more.
    pub(super) has_copies: bool,
    /// Copies that were due did not fit.
    pub(super) is_behind: bool,
    /// No message fits any more.
    pub(super) is_full: bool,
}

impl<S: Storage, C: Controller> Link<S, C> {
    /// Writes the next datagram to emit into `buffer` and returns its length; `None` if there is nothing to emit now.
    /// Call it until then, after every other call that takes `&mut self`.
    ///
    /// `buffer` should hold `Config::datagram_max` bytes. A smaller one is made do with, as long as a hello fits (128
    /// bytes and 7 for each channel).
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
        self.transmit(now, buffer, false)
    }

    /// The same for drivers that hand many datagrams of equal length to the system at once (segmentation offload): a packet
    /// that is full because more waits is padded to the length of `buffer`, or to the longest that the peer takes. Costs up to
    /// 32 bytes in such packets, and none in others.
    pub fn poll_transmit_full(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
        self.transmit(now, buffer, true)
    }

    fn transmit(&mut self, now: Instant, buffer: &mut [u8], fills: bool) -> Option<usize> {
        let now = self.tick(now);
        self.release_lent();
        if self.reply.is_some() {
            // Not longer than what it answers, which a first hello of this side would not be shorter than.
            let room = buffer.len().min(super::handshake::HELLO_PADDED);
            let len = self.transmit_reply(buffer.get_mut(..room)?);
            return len.map(|n| self.on_datagram_sent(now, n));
        }
        let budget = self.budget.unwrap_or(u32::MAX) as usize;
        let room = buffer.len().min(self.peer.datagram_max as usize).min(budget);
        let buffer = buffer.get_mut(..room)?;
        let n = match self.phase {
            Phase::Idle => None,
            Phase::Closed if !self.due.close => None,
            Phase::Closed if !self.peer.is_confirmed => None,
            _ => self.transmit_packet(now, buffer, fills),
        }?;
        Some(self.on_datagram_sent(now, n))
    }

    fn on_datagram_sent(&mut self, now: Instant, len: usize) -> usize {
        self.last_sent_at = now;
        self.stats.datagrams_sent = self.stats.datagrams_sent.wrapping_add(1);
        self.stats.bytes_sent = self.stats.bytes_sent.wrapping_add(len as u64);
        if let Some(b) = &mut self.budget {
            *b = b.saturating_sub(len as u32);
        }
        len
    }

    /// Whether a message may leave now, as far as window, pacing and storage go.
    fn may_send_data(&self, now: Instant) -> bool {
        self.window_is_open() && self.paced_at() <= now
    }

    /// When pacing lets the next packet go.
    fn paced_at(&self) -> Instant {
        tick(self.pacer.ready_at(self.congestion.pacing_rate()))
    }

    fn window_is_open(&self) -> bool {
        self.recovery.in_flight < self.congestion.window()
    }

    pub(super) fn can_number(&self) -> bool {
        self.packets.len() < self.packets.len_max() && self.frames.len() < self.frames.len_max()
    }

    pub(super) fn outstanding(&self) -> u32 {
        self.out.as_slice().iter().map(|o| o.outstanding).sum()
    }

    fn credit(&self) -> (u32, bool) {
        let outstanding = self.outstanding();
        (self.peer.buffer.saturating_sub(outstanding), outstanding > 0)
    }

    pub(super) fn has_data(&self) -> bool {
        let (credit, any) = self.credit();
        self.out.as_slice().iter().any(|o| o.has_offer(self.peer.window, credit, any))
    }

    /// When pacing lets the next message go, if it is only pacing that holds it back.
    pub(super) fn pacing_timeout(&self) -> Option<Instant> {
        if self.congestion.pacing_rate() == 0
            || !self.window_is_open()
            || !self.can_number()
            || !self.has_data()
        {
            return None;
        }
        let at = self.paced_at();
        (at > self.now).then_some(at)
    }

    fn transmit_packet(&mut self, now: Instant, buffer: &mut [u8], fills: bool) -> Option<usize> {
        if !self.can_number() {
            self.retire(now);
        }
        while !self.can_number()
            && self.due.probes > 0
            && let Some(oldest) = self.oldest_open()
        {
            // There must be a packet to probe with, or nothing will ever move again. The oldest may have held no frame.
            self.lose(now, oldest, false);
            self.retire(now);
        }
        let is_open = self.phase == Phase::Open;
        let can_number = self.can_number();
        let has_data = is_open && self.has_data();
        // Until somebody answers, there is one hello under way, and nothing else.
        let unanswered = self.peer.incarnation == 0 && self.recovery.open_count > 0;
        let data =
            has_data && can_number && !unanswered && !self.is_repeated_hello() && self.may_send_data(now);
        let probe = self.due.probes > 0 && can_number;
        // Settlements of several channels do not ride for ever: now and then one packet asks to have them confirmed.
        if self.due.close {
            // Whoever hears that it is over hears what is settled, too.
            self.due.settled |= self.inn.as_slice().iter().any(|c| c.is_unconfirmed);
        }
        if self.settle_rides >= SETTLE_RIDES_MAX {
            self.settle_rides = 0;
            self.due.settled = true;
        }
        let d = &self.due;
        let hello = d.hello && !self.is_answer_early(now);
        let wanted = hello || d.ping || d.credit || d.close || d.settled;
        let ack = self.acks.is_due(now);
        let copy = self.due.copies && is_open && can_number;
        if is_open && !has_data {
            self.congestion.on_app_limited(self.recovery.in_flight);
        }
        if !(data || probe || ack || copy || wanted && can_number) {
            return None;
        }
        let in_hello = !self.peer.is_confirmed || self.due.hello;
        let numbered = (data || probe || copy || wanted || in_hello) && can_number;
        if in_hello && !numbered {
            return None;
        }
        if probe {
            self.before_probe();
        }
        let is_repeated_hello = self.is_repeated_hello();
        let check_len = if self.has_check() || in_hello && self.can_reorder() { CHECK_LEN } else { 0 };
        let room = buffer.len().checked_sub(check_len)?;
        let mut w = Writer::new(buffer.get_mut(..room)?);
        let mut draft = Draft {
            binding: Binding::default(),
            control: 0,
            has_acks: false,
            told: 0,
            must_tell_more: false,
            frame_count: 0,
            first_frame: self.recovery.frames_base.wrapping_add(self.frames.len() as u32),
            is_eliciting: false,
            last_message: None,
            previous: None,
            has_copies: false,
            is_behind: false,
            is_full: false,
        };
        self.write_head(now, &mut w, in_hello, numbered, &mut draft)?;
        let mut is_needed = !numbered || wanted || ack || probe;
        if numbered {
            self.write_control(&mut w, &mut draft);
            if is_repeated_hello {
                self.due.probes = 0;
            } else if probe {
                self.write_probe(&mut w, &mut draft);
            }
            if data || probe && !is_repeated_hello && self.recovery.probe_count <= 1 {
                self.write_data(&mut w, &mut draft);
            }
            if copy || data {
                self.due.copies = false;
                self.write_copies(now, &mut w, &mut draft);
            }
            is_needed |= draft.frame_count > 0;
        }
        if !is_needed {
            // Not even a part of a message fits beside the hello: it has to wait for the answer, so ask for one.
            self.due.ping |= in_hello && self.peer.incarnation != 0 && self.recovery.open_count == 0;
            if self.due.ping {
                return self.transmit_packet(now, buffer, fills);
            }
            return None;
        }
        self.close_frames(&mut w, &draft, in_hello, fills);
        let len = w.len();
        let check = match (check_len, in_hello) {
            (0, _) => None,
            (_, true) => Some(crc32c(w.written())),
            (_, false) => Some(draft.binding.check(self.peer.key_out, w.written())),
        };
        if let Some(check) = check {
            buffer.get_mut(len..len + CHECK_LEN)?.copy_from_slice(&check.to_le_bytes());
        }
        let len = len + check_len;
        if draft.has_acks {
            self.acks.on_sent();
        }
        if draft.must_tell_more {
            self.due.settled = true;
        }
        if numbered {
            self.note_packet(now, &draft, len as u32);
        }
        Some(len)
    }

    /// Whether the answer to a hello that brought messages should wait, as an acknowledgement may, for the application to
    /// take them: their settlement then rides with it, and a short visit costs two datagrams.
    fn is_answer_early(&self, now: Instant) -> bool {
        self.peer.incarnation != 0
            && self.acks.timeout().is_some_and(|t| t > now)
            && self.inn.as_slice().iter().any(|c| c.is_ready())
    }

    /// Nobody has answered the first hello. Perhaps it was too long for the peer: what follows carries no messages.
    fn is_repeated_hello(&self) -> bool {
        self.peer.incarnation == 0 && self.last_hello_at.is_some() && self.cookie.is_empty()
    }

    /// Remembers a numbered packet of `bytes`.
    fn note_packet(&mut self, now: Instant, draft: &Draft, bytes: u32) {
        let eliciting = draft.is_eliciting && self.phase == Phase::Open;
        let number = self.recovery.next;
        if draft.control & control::HELLO != 0 {
            self.last_hello_at = Some(now);
            self.due.hello = false;
        }
        for (c, channel) in self.inn.as_mut_slice().iter_mut().enumerate() {
            if draft.told >> c & 1 == 1 {
                channel.told_in = Some(number);
            }
        }
        let stamp = if eliciting {
            self.settle_rides = 0;
            self.congestion.on_sent(now, bytes, self.recovery.in_flight)
        } else {
            C::Stamp::default()
        };
        let packet = SentPacket {
            sent_at: self.left_at(now, bytes),
            extent: if eliciting { bytes } else { 1 },
            first_frame: draft.first_frame,
            frame_count: draft.frame_count,
            control: draft.control,
            fate: if eliciting { Fate::Open } else { Fate::Gone },
            stamp,
        };
        self.on_packet_sent(now, bytes, packet);
        let mut any_new = false;
        for out in self.out.as_mut_slice() {
            any_new |= out.on_packet_complete();
        }
        if any_new && eliciting {
            self.on_new_messages(now);
            self.look_at_ack_rate();
        }
        if self.config.repetition && (any_new || draft.has_copies || draft.is_behind) {
            self.expect_copies(now, draft.is_behind);
        }
    }

    /// First byte to acknowledgement and settlements. `None` if they do not fit, or nothing would be said.
    fn write_head(
        &mut self,
        now: Instant,
        w: &mut Writer<'_>,
        in_hello: bool,
        numbered: bool,
        draft: &mut Draft,
    ) -> Option<()> {
        let acks = self.acks.is_pending() && !self.acks.ranges().is_empty();
        let number = self.recovery.next;
        let mut first = first_byte::NUMBERED;
        let bits_at;
        if in_hello {
            let mine = self.peer.incarnation != 0;
            if !self.write_hello(w, acks && mine) {
                return None;
            }
            draft.control |= control::HELLO;
            draft.is_eliciting |= !mine;
            if !(acks && mine) {
                if mine && self.due.settled {
                    self.write_settled(w, draft, false);
                }
                return Some(());
            }
            bits_at = w.len();
            if !w.u8(0) {
                return None;
            }
            first = 0;
        } else {
            bits_at = 0;
            if !(w.u8(first) && w.bytes(self.peer.id.as_bytes())) {
                return None;
            }
            if numbered {
                if !w.truncated(number.0, self.number_len()) {
                    return None;
                }
                draft.binding.add_packet(number);
            }
            if !acks {
                if self.due.settled {
                    self.write_settled(w, draft, false);
                }
                return numbered.then_some(());
            }
        }
        let largest = self.acks.largest()?;
        let number_len = if self.is_unbound() { 4 } else { self.acks.number_len };
        let bits = Ack::encode(self.acks.ranges(), number_len, self.acks.delay(now), w)?;
        draft.binding.add_acked(largest);
        let kind = match (in_hello, numbered) {
            (true, _) => first,
            (false, true) => first_byte::NUMBERED_ACK,
            (false, false) => first_byte::ACK_ONLY,
        };
        w.written()[bits_at] = kind | bits;
        self.write_settled(w, draft, true);
        draft.has_acks = true;
        Some(())
    }

    /// What the peer may not know yet of what is settled. Whoever learns that a message was acknowledged learns with it
    /// what was settled by then (protocol.md, 6.4), so `with_acks` all of it; otherwise what no numbered packet has told.
    fn write_settled(&mut self, w: &mut Writer<'_>, draft: &mut Draft, with_acks: bool) {
        let len = settled_len(self.config.receive_window);
        for (c, channel) in self.inn.as_slice().iter().enumerate() {
            if !channel.is_unconfirmed || !with_acks && channel.is_told() {
                continue;
            }
            let is_latest = channel.mode() == crate::config::Mode::Latest;
            let len = if is_latest || self.is_unbound() { 4 } else { len };
            let base = channel.settled_to();
            if !w.settled(c as u8, base, len, channel.done_ranges()) {
                draft.must_tell_more = true;
                break;
            }
            draft.binding.add(base);
            draft.told |= 1 << c;
        }
        if draft.told != 0 {
            draft.control |= control::SETTLED;
        }
        if draft.told.count_ones() > 1 {
            self.settle_rides = self.settle_rides.saturating_add(1);
        }
    }

    /// Nothing would notice a wrongly restored number: no check, and packets that may be late.
    fn is_unbound(&self) -> bool {
        self.can_reorder() && !self.has_check()
    }

    fn write_control(&mut self, w: &mut Writer<'_>, draft: &mut Draft) {
        draft.is_eliciting |= self.due.settled && draft.control & control::SETTLED != 0;
        self.due.settled = false;
        if self.due.credit && w.credit(self.config.receive_buffer) {
            self.due.credit = false;
            draft.control |= control::CREDIT;
        }
        if self.due.close && w.close(if self.phase == Phase::Closed { self.close_code } else { 0 }) {
            self.due.close = false;
            draft.control |= control::CLOSE;
            self.is_close_sent = true;
            if self.phase == Phase::Closed {
                self.close_code = CLOSE_ANSWER;
            }
        }
        let rate = self.ack_rate_asked;
        if S::MESSAGES_MAX > FEW_MESSAGES
            && rate != self.ack_rate_told
            && w.ack_rate(rate.packets, rate.delay)
        {
            self.ack_rate_told = rate;
            draft.control |= control::ACK_RATE;
        }
        let floor = self.recovery.base;
        if self.due.floor && w.floor(floor, self.message_len(self.recovery.next.since(floor))) {
            self.due.floor = false;
            draft.binding.add(floor);
        }
        if self.due.ping && w.ping() {
            self.due.ping = false;
            draft.control |= control::PING;
        }
        draft.is_eliciting |= Self::control_elicits(draft.control & !control::SETTLED);
    }

    /// Bytes of a packet number (protocol.md, 3.2): the receiver restores it from what it has received, so twice what is
    /// not acknowledged must be told apart (RFC 9000, A.2), with room for what is sent before an acknowledgement of this
    /// packet comes. Where that may be much, one byte needs a check to notice an acknowledgement that comes too late.
    fn number_len(&self) -> u8 {
        let from = self.recovery.largest_acked.unwrap_or(self.recovery.start);
        match self.recovery.next.since(from) {
            _ if self.is_unbound() => 4,
            0..=31 if self.packets.len_max() <= 32 || self.has_check() => 1,
            0..=4095 => 2,
            4096..=0x7_ffff => 3,
            _ => 4,
        }
    }

    /// Bytes of a message number: what is between the oldest one that the peer may restore it from and the newest must be
    /// told apart.
    fn message_len(&self, span: u32) -> u8 {
        match span {
            _ if self.is_unbound() => 4,
            0..=63 => 1,
            64..=8191 => 2,
            8192..=0xf_ffff => 3,
            _ => 4,
        }
    }

    // ---- messages

    fn write_data(&mut self, w: &mut Writer<'_>, draft: &mut Draft) {
        let (mut credit, mut any) = self.credit();
        for class in 0..4 {
            let count = self.out.as_slice().len();
            let start = self.last_out as usize + 1;
            for i in 0..count {
                let c = (start + i) % count;
                if self.out.as_slice()[c].config.priority.min(3) != class {
                    continue;
                }
                let before = draft.frame_count;
                self.write_channel(w, draft, c, &mut credit, &mut any);
                if self.out.as_slice()[c].waits_for_credit(self.peer.window, credit, any) {
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
            let Some(offer) = self.out.as_mut_slice()[c].offer(window, *credit, *any) else { return };
            let sent = if offer.skip {
                self.write_skip(w, draft, c, &offer).then_some(0)
            } else {
                self.write_message(w, draft, c, &offer, true)
            };
            let Some(len) = sent else {
                draft.is_full = true;
                return;
            };
            let out = &mut self.out.as_mut_slice()[c];
            if !offer.lost && offer.offset == 0 && !offer.skip {
                *credit = credit.saturating_sub(offer.total);
                *any = true;
            }
            if offer.lost {
                trace!("message {} of channel {} retransmitted", offer.sequence.0, c);
            }
            out.on_offer_sent(&offer, len);
        }
    }

    fn write_skip(&mut self, w: &mut Writer<'_>, draft: &mut Draft, c: usize, offer: &Offer) -> bool {
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
        let out = &self.out.as_slice()[c];
        let next = if out.next_send.precedes(n) { n } else { out.next_send };
        // On a `Latest` channel `cum` passes what was superseded, of which the receiver may not have heard.
        let from = if out.config.mode == crate::config::Mode::Latest { out.known } else { out.cum };
        next.since(from).saturating_add(1)
    }

    /// Writes the offered message, or, if it may be `cut`, as much of it as fits. Returns how many bytes, `None` if none.
    pub(super) fn write_message(
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
        let was_sent = offer.sequence.precedes(self.out.as_slice()[c].next_send);
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
            let can_cut =
                S::FRAGMENTATION && cut && self.peer.fragments && offer.total >= super::outbox::FRAGMENT_FROM;
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
            payload: self.out.as_slice()[c].payload(offer.sequence, offer.offset, len),
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

    // ---- probes and copies

    /// The control information of the oldest packet in flight is sent again.
    fn before_probe(&mut self) {
        let oldest = self.oldest_open();
        if let Some(p) = oldest.and_then(|n| self.packet(n)) {
            let bits = p.control;
            self.send_control_again(bits);
            self.due.ping |= bits & control::PING != 0;
        }
    }

    pub(super) fn oldest_open(&self) -> Option<Sequence> {
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
    pub(super) fn frame(&self, p: &SentPacket<C::Stamp>, i: u32) -> Option<&SentFrame> {
        self.frames.at(p.first_frame.wrapping_add(i).wrapping_sub(self.recovery.frames_base) as usize)
    }

    /// What the oldest packets in flight carry, without declaring them lost.
    fn write_probe(&mut self, w: &mut Writer<'_>, draft: &mut Draft) {
        self.due.probes = 0;
        // When probes go unanswered, perhaps the peer has no room for what they carry: then nothing else rides along.
        let is_refused = self.recovery.probe_count > 1;
        // First what everything may be waiting for: the peer can always store that. (What the oldest packets carry may be
        // beyond its window, and be refused each time.)
        for c in 0..self.out.as_slice().len() {
            let Some(offer) = self.out.as_slice()[c].awaited_offer() else { continue };
            if draft.is_full || !is_refused && self.is_in_oldest(c, offer.sequence) {
                continue;
            }
            let sent = if offer.skip {
                self.write_skip(w, draft, c, &offer)
            } else {
                self.write_message(w, draft, c, &offer, true) == Some(offer.total)
            };
            if sent {
                self.out.as_mut_slice()[c].on_copy_sent(offer.sequence);
                self.stats.repeated = self.stats.repeated.wrapping_add(1);
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
                let count = if f.kind == FrameKind::Fragment { 1 } else { f.extent };
                f.channel as usize == c && n.since(f.sequence) < count
            })
        })
    }

    fn write_frame_again(&mut self, w: &mut Writer<'_>, draft: &mut Draft, f: &SentFrame) {
        let c = f.channel as usize;
        if f.kind == FrameKind::Fragment {
            let Some(offer) = self.out.as_slice()[c].fragment_offer(f) else { return };
            if self.write_message(w, draft, c, &offer, true).is_none() {
                draft.is_full = true;
            }
            return;
        }
        for i in 0..f.extent {
            let n = f.sequence.plus(i);
            let Some(offer) = self.out.as_slice()[c].copy_offer(n) else { continue };
            if self.frames.len() >= self.frames.len_max()
                || self.write_message(w, draft, c, &offer, false).is_none()
            {
                draft.is_full = true;
                return;
            }
            self.out.as_mut_slice()[c].on_copy_sent(n);
            self.stats.repeated = self.stats.repeated.wrapping_add(1);
        }
    }

    /// The last message of a packet needs no length; a first hello is padded instead.
    fn close_frames(&mut self, w: &mut Writer<'_>, draft: &Draft, in_hello: bool, fills: bool) {
        let padded = match draft.control & control::PING {
            _ if in_hello => self.hello_padding(),
            _ if fills && draft.is_full => w.len() + w.room(),
            // Somebody who has forgotten us must be able to say so with something shorter (protocol.md, section 9).
            control::PING if draft.frame_count == 0 && self.can_reorder() => PING_LEN,
            _ => 0,
        };
        let has_length = draft.last_message.is_none_or(|(_, l)| l.1 > 0);
        if w.len() < padded && has_length {
            w.pad_to(padded.min(w.len() + w.room()));
        } else if let Some((kind_at, length)) = draft.last_message {
            w.finish_message(kind_at, length);
        }
    }
}

/// Bytes of the number in a settled frame: twice the window must be told apart, as a late frame may lag behind.
const fn settled_len(window: u32) -> u8 {
    match window {
        0..=63 => 1,
        64..=8191 => 2,
        _ => 3,
    }
}
