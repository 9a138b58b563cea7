//! Putting a packet together.

mod draft;
mod head;
mod messages;
mod probe;

pub(super) use draft::Draft;

use crate::check::crc32c;
use crate::congestion::Controller;
use crate::link::ack_rate::FEW_MESSAGES;
use crate::link::greeting::HELLO_PADDED;
use crate::link::peer::STEPS;
use crate::link::receive::Binding;
use crate::link::sent::{Fate, SentPacket, control};
use crate::link::timers::tick;
use crate::link::{Link, Phase, Reply};
use crate::storage::{Item, Ring, Slots, Storage};
use crate::time::Instant;
use crate::wire::{CHECK_LEN, Writer};
/// What stands around the payload of a message that must fit one packet, in bytes: first byte, link id, number,
/// acknowledgement, settlement, frame head, check.
pub(super) const OVERHEAD_MAX: u32 = 1 + 4 + 8 + 4 + 9 + 4;

/// Acknowledgements that repeat unconfirmed settlements, before one asks to be acknowledged itself. Chosen: one extra
/// packet in sixteen on a one-way flow, while settlements of channels that fell silent do not ride for ever.
const SETTLE_RIDES_MAX: u8 = 16;

/// What a packet is for.
#[derive(Clone, Copy)]
struct Plan {
    /// New messages, or lost ones.
    data: bool,
    /// An answer, whatever window and pacing say.
    probe: bool,
    /// An acknowledgement that is due.
    ack: bool,
    /// Copies of young messages.
    copy: bool,
    /// Control information.
    wanted: bool,
    /// It is a hello.
    in_hello: bool,
    /// It takes a number.
    numbered: bool,
}

/// A packet with nothing but a ping has this length before its check: a reset, which repeats up to 13 bytes of it and adds
/// 5, is shorter.
const PING_LEN: usize = 16;

impl<S: Storage, C: Controller> Link<S, C> {
    /// Writes the next datagram to emit into `buffer` and returns its length; `None` if there is nothing to emit now.
    /// Call it until then, after every other call that takes `&mut self`.
    ///
    /// `buffer` should hold `Config::datagram_max` bytes. A smaller one is made do with, as long as it holds 96.
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
        if !matches!(self.reply, Reply::None) {
            // Not longer than what it answers, which a first hello of this side would not be shorter than.
            let room = buffer.len().min(HELLO_PADDED);
            let len = self.transmit_reply(buffer.get_mut(..room)?);
            return len.map(|n| self.on_datagram_sent(now, n));
        }
        let budget = self.budget.unwrap_or(u32::MAX) as usize;
        // R8.2.
        let limit = if self.is_repeated_hello() { HELLO_PADDED } else { self.peer.datagram_max as usize };
        let room = buffer.len().min(limit).min(budget);
        let buffer = buffer.get_mut(..room)?;
        if now < self.quiet_until {
            debug_assert!(
                self.reasons(now, self.has_data()).is_none(),
                "nothing changed and it wants to speak"
            );
            return None;
        }
        let n = match self.phase {
            Phase::Idle => None,
            Phase::Closed if !self.due.close => None,
            _ => self.transmit_packet(now, buffer, fills),
        };
        if n.is_none() {
            self.acks.on_nothing_sent(now, self.holds_acks());
        }
        n.map(|n| self.on_datagram_sent(now, n))
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
        // Mostly nothing waits at all. (Small devices have few channels to sum up, and no room for a short cut.)
        if S::MESSAGES_MAX > FEW_MESSAGES && !self.out.as_slice().iter().any(|o| o.has_unsent()) {
            return false;
        }
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
        let Some(plan) = self.plan(now) else {
            self.rest();
            return None;
        };
        self.write_packet(now, buffer, fills, plan)
    }

    /// What the next packet is for, `None` if there is no reason to send one now: the usual answer, and quickly found.
    fn plan(&mut self, now: Instant) -> Option<Plan> {
        if !self.can_number() {
            self.make_numbers(now);
        }
        if self.due.close {
            // Whoever hears that it is over hears what is settled, too.
            self.due.settled |= self.inn.as_slice().iter().any(|c| c.is_unconfirmed);
        }
        // Settlements of several channels do not ride for ever: now and then one packet asks to have them confirmed.
        if self.settle_rides >= SETTLE_RIDES_MAX {
            self.settle_rides = 0;
            self.due.settled = true;
        }
        let has_data = self.has_data();
        if self.phase == Phase::Open && !has_data {
            self.congestion.on_app_limited(self.recovery.in_flight);
        }
        self.reasons(now, has_data)
    }

    /// The same, as things stand.
    #[cfg_attr(target_pointer_width = "64", inline)]
    fn reasons(&self, now: Instant, has_data: bool) -> Option<Plan> {
        let can_number = self.can_number();
        let is_open = self.phase == Phase::Open;
        let data = is_open
            && has_data
            && can_number
            && !self.is_unanswered()
            && !self.is_repeated_hello()
            && self.may_send_data(now);
        let probe = self.due.probes > 0 && can_number;
        let d = &self.due;
        let hello = d.hello && !self.is_answer_early(now);
        let wanted = hello || d.ping || d.credit || d.close || d.settled;
        let ack = self.acks.is_due(now, self.holds_acks());
        let copy = self.due.copies && is_open && can_number;
        if !(data || probe || ack || copy || wanted && can_number) {
            return None;
        }
        let in_hello = !self.peer.is_confirmed || self.due.hello;
        let numbered = (data || probe || copy || wanted || in_hello) && can_number;
        let is_sayable = numbered || !in_hello;
        is_sayable.then_some(Plan { data, probe, ack, copy, wanted, in_hello, numbered })
    }

    /// There is nothing to emit: remembers until when, so that neither that nor the next deadline is found out again before
    /// anything has changed.
    fn rest(&mut self) {
        let is_settled = self.phase == Phase::Open && self.can_number() && !self.due.hello;
        if S::MESSAGES_MAX > FEW_MESSAGES && is_settled {
            self.quiet_until = self.next_timeout().unwrap_or(Instant::MAX);
        }
    }

    /// Until somebody answers, there is one hello under way, and nothing else.
    fn is_unanswered(&self) -> bool {
        self.peer.incarnation == 0 && self.recovery.open_count > 0
    }

    /// Makes room to remember another packet, if there is none and one is needed.
    #[cfg_attr(target_pointer_width = "64", cold)]
    fn make_numbers(&mut self, now: Instant) {
        self.retire(now);
        while !self.can_number()
            && self.due.probes > 0
            && let Some(oldest) = self.oldest_open()
        {
            // There must be a packet to probe with, or nothing will ever move again. The oldest may have held no frame.
            self.lose(now, oldest, false);
            self.retire(now);
        }
    }

    // Apart where speed counts, so that the usual answer does not pay for its stack.
    #[cfg_attr(target_pointer_width = "64", inline(never))]
    fn write_packet(&mut self, now: Instant, buffer: &mut [u8], fills: bool, plan: Plan) -> Option<usize> {
        let Plan { data, probe, ack, copy, wanted, in_hello, numbered } = plan;
        if probe {
            self.before_probe();
        }
        if in_hello {
            self.has_heard_bases();
        }
        let is_repeated_hello = self.is_repeated_hello();
        let check_len = if self.has_check() || in_hello && self.can_reorder() { CHECK_LEN } else { 0 };
        let room = buffer.len().checked_sub(check_len)?;
        let mut w = Writer::new(buffer.get_mut(..room)?);
        let mut draft = Draft {
            binding: Binding::default(),
            control: 0,
            has_acks: false,
            telling: STEPS,
            told: 0,
            must_tell_more: false,
            frame_count: 0,
            first_frame: self.recovery.frames_base.wrapping_add(self.frames.len() as u32),
            is_eliciting: false,
            last_message: None,
            is_in_series: false,
            previous: None,
            has_copies: false,
            is_behind: false,
            is_full: false,
        };
        self.write_head(now, &mut w, in_hello, numbered, &mut draft)?;
        let mut is_needed = !numbered || wanted || ack || probe;
        if numbered {
            self.write_control(&mut w, &mut draft);
            let is_bodiless = is_repeated_hello || draft.comes_more();
            if is_bodiless {
                self.due.probes = 0;
            } else if probe {
                self.write_probe(&mut w, &mut draft);
            }
            if !is_bodiless && (data || probe && self.recovery.probe_count <= 1) {
                self.write_data(&mut w, &mut draft);
            }
            if !is_bodiless && (copy || data) {
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
            *buffer.get_mut(len..)?.first_chunk_mut()? = check.to_le_bytes();
        }
        let len = len + check_len;
        if draft.has_acks {
            self.acks.on_sent();
        }
        if draft.must_tell_more {
            self.due.settled = true;
        }
        if draft.told.count_ones() > 1 {
            self.settle_rides = self.settle_rides.saturating_add(1);
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
            && self.acks.timeout(self.holds_acks()).is_some_and(|t| t > now)
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
            self.peer.telling = self.peer.telling.min(draft.telling);
        }
        for (c, channel) in self.inn.as_mut_slice().iter_mut().enumerate() {
            if draft.told >> c & 1 == 1 {
                channel.told_in = number;
                channel.was_told = true;
            }
        }
        let stamp = if eliciting {
            self.settle_rides = 0;
            self.congestion.on_sent(now, bytes, self.recovery.in_flight)
        } else {
            C::Stamp::BLANK
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
