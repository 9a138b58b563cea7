//! What stands before the messages: first byte, number, acknowledgement, settlements, control frames.

use super::Draft;
use crate::config::Mode;
use crate::congestion::Controller;
use crate::link::ack_rate::FEW_MESSAGES;
use crate::link::receive::CLOSE_ANSWER;
use crate::link::sent::control;
use crate::link::{Link, Phase};
use crate::storage::{Ring, Slots, Storage};
use crate::time::Instant;
use crate::wire::{Ack, Writer, first_byte};

/// Ranges in an acknowledgement. Chosen: with one packet in five lost, eight span 40 packets, so that each stands in ten
/// acknowledgements or more.
const RANGES_SENT: usize = 8;

impl<S: Storage, C: Controller> Link<S, C> {
    /// First byte to acknowledgement and settlements. `None` if they do not fit, or nothing would be said.
    pub(super) fn write_head(
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
            let (telling, has_acks) = self.write_hello(now, w, acks && mine)?;
            draft.telling = telling;
            draft.control |= control::HELLO;
            draft.is_eliciting |= !mine;
            if !has_acks {
                self.write_ask(w, draft);
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
        // No check binds what is said in a hello.
        let number_len = if in_hello || self.is_unbound() { 4 } else { self.acks.number_len };
        let ranges = self.acks.ranges();
        let newest = ranges.get(ranges.len().saturating_sub(RANGES_SENT)..).unwrap_or(ranges);
        let bits = Ack::encode(newest, number_len, self.acks.delay(now), w)?;
        draft.binding.add_acked(largest);
        let kind = match (in_hello, numbered) {
            (true, _) => first,
            (false, true) => first_byte::NUMBERED_ACK,
            (false, false) => first_byte::ACK_ONLY,
        };
        w.set(bits_at, kind | bits);
        self.write_ask(w, draft);
        self.write_settled(w, draft, true);
        draft.has_acks = true;
        Some(())
    }

    /// A hello of which more comes is repeated until it is acknowledged (R7.13).
    fn write_ask(&self, w: &mut Writer<'_>, draft: &mut Draft) {
        if draft.comes_more() && w.ping() {
            draft.control |= control::PING;
            draft.is_eliciting = true;
        }
    }

    /// What the peer may not know yet of what is settled. Whoever learns that a message was acknowledged learns with it
    /// what was settled by then (protocol.md, 6.4), so `with_acks` all of it; otherwise what no numbered packet has told.
    fn write_settled(&self, w: &mut Writer<'_>, draft: &mut Draft, with_acks: bool) {
        let len = settled_len(self.config.receive_window);
        for (c, channel) in self.inn.as_slice().iter().enumerate() {
            if !channel.is_unconfirmed || !with_acks && channel.is_told() {
                continue;
            }
            let is_latest = channel.mode() == Mode::Latest;
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
    }

    /// Nothing would notice a wrongly restored number: no check, and packets that may be late.
    pub(super) fn is_unbound(&self) -> bool {
        self.can_reorder() && !self.has_check()
    }

    pub(super) fn write_control(&mut self, w: &mut Writer<'_>, draft: &mut Draft) {
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
        // R9.11.
        let asks = self.due.ping || self.budget.is_some();
        if draft.control & control::PING != 0 || asks && w.ping() {
            self.due.ping = false;
            draft.control |= control::PING;
        }
        draft.is_eliciting |= Self::control_elicits(draft.control & !control::SETTLED);
    }

    /// Bytes of a packet number (protocol.md, 3.2): the receiver restores it from what it has received, so twice what is
    /// not acknowledged must be told apart (RFC 9000, A.2), with room for what is sent before an acknowledgement of this
    /// packet comes. Where that may be much, one byte needs a check to notice an acknowledgement that comes too late.
    pub(super) fn number_len(&self) -> u8 {
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
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(super) fn message_len(&self, span: u32) -> u8 {
        match span {
            _ if self.is_unbound() => 4,
            0..=63 => 1,
            64..=8191 => 2,
            8192..=0xf_ffff => 3,
            _ => 4,
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
