//! Putting a packet together, and when.
//!
//! At most one packet that asks for an acknowledgement is in flight. It carries everything that is not acknowledged, as
//! far as it fits: when it is lost, the next one is put together in the same way. So there is nothing to remember of a
//! packet but its number, which is the last one used, and how far on each channel it reached.

use super::endpoint::{Endpoint, Phase, bit, precedes};
use super::outgoing::fate;
use super::profile::{Counters, Profile};
use crate::check::crc32c;
use crate::compact::codec::Writer;
use crate::config::Mode;
use crate::time::Instant;
use crate::wire::{first_byte, granule_bits};

pub(super) const CLOSE_ABORTED: u8 = 1;
pub(super) const CLOSE_ANSWER: u8 = 2;

/// A first hello is at least so long, without its check (R8.3).
pub(super) const FIRST_HELLO_LEN: usize = 92;

/// A packet that expects an answer is at least so long, so that a reset can be shorter (R6.23).
const NUMBERED_LEN: usize = 16;

/// What the sums over restored numbers are made of (R4.8).
pub(super) const BIND_PACKET: u32 = 0x9e37_79b1;
pub(super) const BIND_ACKED: u32 = 0x85eb_ca77;
pub(super) const BIND_OTHER: u32 = 0xc2b2_ae3d;

/// What a fragment's head has besides that of a message: offset and length of the message.
const FRAGMENT_HEAD: usize = 4;

/// A shorter fragment than this is not worth its head. Chosen: twice the head.
const FRAGMENT_MIN: usize = 32;

impl<P: Profile, const CHANNELS: usize, const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize>
    Endpoint<P, CHANNELS, MESSAGES, BYTES, DATAGRAM>
{
    /// Bytes of a number on a channel.
    const NUMBER_LEN: usize = if Self::HAS_LATEST { 4 } else { 1 };

    /// What is settled, of all channels.
    pub(super) const SETTLED_LEN: usize = CHANNELS * (1 + Self::NUMBER_LEN);

    /// First byte, number, length.
    const MESSAGE_HEAD: usize = 1 + Self::NUMBER_LEN + 2;

    /// What stands around one message at most: first byte, link id, number, acknowledgement fields, settlements, head of the
    /// message, check.
    pub(super) const OVERHEAD_MAX: usize = 1 + 8 + 4 + 10 + Self::SETTLED_LEN + Self::MESSAGE_HEAD + 4;

    /// A datagram that holds the longest message.
    pub(super) const WHOLE_MIN: usize = Self::MESSAGE_MAX + Self::OVERHEAD_MAX;

    /// The shortest longest datagram, in bytes, that both sides may have: the longest hello fits, and the longest message where
    /// there are no fragments.
    pub const DATAGRAM_MIN: usize = if P::FRAGMENTS || Self::HELLO_LEN_MAX > Self::WHOLE_MIN {
        Self::HELLO_LEN_MAX
    } else {
        Self::WHOLE_MIN
    };

    /// The peer's credit is counted in bytes. (Else one message at a time is sent to a peer that takes fewer than there may be.)
    pub(super) const HAS_CREDIT: bool = CHANNELS > 1 || P::FRAGMENTS;

    /// How many bits of a message number are sent (R3.7).
    const fn bits(is_latest: bool) -> u8 {
        if is_latest { 28 } else { 7 }
    }

    /// The peer takes so many payload bytes unsettled (R6.20).
    pub(super) fn on_credit(&mut self, credit: u32, number: u32) {
        if !Self::HAS_CREDIT {
            if credit < Self::BUFFER {
                self.window = 1;
            }
        } else if !precedes(number, self.credit_at) {
            self.credit = credit;
            self.credit_at = number;
        }
    }

    /// One after the last message of each channel that may be sent now (R13.1, R13.2).
    fn limits(&self) -> [u32; CHANNELS] {
        let mut limits = [0; CHANNELS];
        let mut outstanding = 0;
        if Self::HAS_CREDIT {
            for (c, head) in self.heads.iter().enumerate() {
                outstanding += self.open_len(c, head.settled, head.sent);
            }
        }
        for (c, (head, limit)) in self.heads.iter().zip(&mut limits).enumerate() {
            let mut count = head.end.wrapping_sub(head.settled);
            if !self.is_latest(c) {
                count = count.min(self.window.into());
            }
            *limit = head.settled.wrapping_add(count);
            if Self::HAS_CREDIT {
                let mut n = head.sent;
                while precedes(n, *limit) {
                    let with = outstanding + self.open_len(c, n, n.wrapping_add(1));
                    if outstanding != 0 && with > self.credit {
                        *limit = n;
                        break;
                    }
                    outstanding = with;
                    n = n.wrapping_add(1);
                }
            }
        }
        limits
    }

    /// The payload bytes of the messages from `n` to before `end`, without what is withdrawn.
    fn open_len(&self, c: usize, mut n: u32, end: u32) -> u32 {
        let mut len = 0;
        while precedes(n, end) {
            let state = self.state(c, n);
            if state < fate::ONE {
                len += u32::from(state);
            }
            n = n.wrapping_add(1);
        }
        len
    }

    /// Writes the next datagram to emit into `buffer` and returns its length; `None` if there is nothing to emit now. Call it
    /// until then, after every other call that takes `&mut self`.
    ///
    /// `buffer` must hold `DATAGRAM` bytes; into a shorter one nothing is written.
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
        let len = if (Self::HAS_DATAGRAMS || P::SERVES) && self.checked.reply != 0 {
            self.transmit_reply(buffer)
        } else {
            self.transmit(now.as_micros(), buffer)
        }?;
        if P::SERVES {
            self.budget = self.budget.saturating_sub(len as u32);
        }
        self.counters.count(|s| {
            s.datagrams_sent = s.datagrams_sent.wrapping_add(1);
            s.bytes_sent = s.bytes_sent.wrapping_add(len as u64);
        });
        Some(len)
    }

    fn transmit(&mut self, now: u64, buffer: &mut [u8]) -> Option<usize> {
        let is_open = self.phase == Phase::Open;
        if !is_open && (self.peer == 0 || !self.is_confirmed && self.due & bit::CLOSE == 0) {
            return None;
        }
        if P::SERVES && self.is_unvalidated && self.budget < FIRST_HELLO_LEN as u32 + 4 {
            return None;
        }
        let in_hello = !self.is_confirmed;
        let is_probe = self.due & bit::PROBE != 0;
        if is_probe && Self::HAS_BEST_EFFORT {
            self.lose_best_effort();
        }
        let limits = self.limits();
        let has_messages = is_open && self.heads.iter().zip(&limits).any(|(h, &limit)| h.acked != limit);
        if is_probe {
            self.backoff = self.backoff.saturating_add(1);
            self.due |= self.flight & bit::CONTROL;
            if self.due & bit::CONTROL == 0 && !has_messages {
                self.due |= bit::PING;
            }
            self.counters.count(|s| s.probes = s.probes.wrapping_add(1));
        }
        let due = self.due;
        let is_wanted = due & bit::CONTROL != 0 || in_hello && due & bit::ACK != 0;
        let is_free = self.flight == 0 || is_probe;
        let numbered = is_wanted && (is_free || in_hello) || is_free && has_messages;
        if !numbered && due & bit::ACK == 0 {
            return None;
        }

        let is_checked = self.is_checked();
        let room = self.datagram_max as usize;
        let mut w = Writer::new(buffer.get_mut(..if is_checked { room - 4 } else { room })?);
        let mut binding = self.write_head(&mut w, now, numbered)?;
        if numbered {
            if due & bit::CLOSE != 0 {
                w.u8(5);
                w.u8(self.close_code);
            }
            if in_hello || due & bit::PING != 0 {
                w.u8(1);
            }
            for head in &mut self.heads {
                head.flying = head.acked;
                if P::FRAGMENTS {
                    head.flying_granules = head.acked_granules;
                }
            }
            if !in_hello && is_open {
                binding = binding.wrapping_add(self.write_messages(&mut w, &limits));
            }
        }
        binding = binding.wrapping_add(self.write_settled(&mut w, numbered));
        if is_checked {
            let len_min = match (self.peer, numbered) {
                (0, _) => FIRST_HELLO_LEN,
                (_, true) => NUMBERED_LEN,
                _ => 0,
            };
            while w.len < len_min {
                w.u8(0);
            }
        }
        let body = w.finish()?;
        let mut len = body.len();
        if is_checked {
            let mut check = crc32c(body);
            if !in_hello {
                check ^= binding ^ self.checked.key_out;
            }
            buffer.get_mut(len..len + 4)?.copy_from_slice(&check.to_le_bytes());
            len += 4;
        }
        if numbered {
            self.due = 0;
            self.next = self.next.wrapping_add(1);
            if is_open {
                self.on_sent(now, due, in_hello);
            } else {
                self.close_code = CLOSE_ANSWER;
            }
        } else {
            self.due &= bit::CONTROL;
        }
        Some(len)
    }

    /// Writes what stands before the frames, and returns the sum over its numbers.
    fn write_head(&self, w: &mut Writer<'_>, now: u64, numbered: bool) -> Option<u32> {
        let mut binding = 0u32;
        let in_hello = !self.is_confirmed;
        let has_acks = self.due & bit::SEEN != 0;
        let delay = (now as u32).wrapping_sub(self.largest_at) >> 3;
        let ack_bits = if has_acks && delay != 0 { 0x10 } else { 0 };
        if in_hello {
            self.write_hello(w, has_acks);
            if has_acks {
                w.u8(ack_bits);
            }
        } else {
            let mut first = first_byte::NUMBERED;
            if has_acks {
                let kind = if numbered { first_byte::NUMBERED_ACK } else { first_byte::ACK_ONLY };
                first = kind | ack_bits;
            }
            w.u8(first);
            w.bytes(self.id.get(..self.id_len.into())?);
            if numbered {
                // After so many probes the peer may restore a shorter one wrongly (R3.7).
                w.number(self.next, if self.backoff > 7 { 28 } else { 14 });
                binding = self.next.wrapping_mul(BIND_PACKET);
            }
        }
        if has_acks {
            // No check binds what is said in a hello (R3.7).
            w.number(self.largest, if in_hello { 28 } else { self.ack_bits });
            if delay != 0 {
                w.varint(delay);
            }
            w.u8(self.run - 1);
            binding = binding.wrapping_add(self.largest.wrapping_mul(BIND_ACKED));
        }
        Some(binding)
    }

    /// A numbered packet has left.
    fn on_sent(&mut self, now: u64, due: u8, in_hello: bool) {
        if Self::GIVES_UP && self.flight == 0 {
            self.silent_at = now;
        }
        self.flight = due & bit::CONTROL | bit::FLYING | if in_hello { bit::HELLO } else { 0 };
        for c in 0..CHANNELS {
            let is_latest = self.is_latest(c);
            let Some(head) = self.heads.get_mut(c) else { break };
            let mut sent = head.flying;
            if is_latest && head.flying_granules != 0 {
                // A value that has begun to arrive replaces older ones.
                sent = sent.wrapping_add(1);
            }
            if precedes(head.sent, sent) {
                head.sent = sent;
            }
        }
        self.sent_at = now as u32;
        self.wake_after(now, self.probe_timeout());
    }

    /// Writes what is settled, and returns the sum over its numbers.
    fn write_settled(&mut self, w: &mut Writer<'_>, numbered: bool) -> u32 {
        let mut sum = 0u32;
        if !self.has_params {
            // Who is known from a bare hello only has not told where its numbers begin.
            return 0;
        }
        for (c, head) in self.heads.iter().enumerate() {
            // A single channel is told of on every packet, so that the last message before it always has its length in front.
            if CHANNELS == 1 || self.untold & 1 << c != 0 {
                w.u8(0x40 | c as u8);
                w.number(head.base, Self::bits(Self::HAS_LATEST && head.mode == Mode::Latest as u8));
                sum = sum.wrapping_add(head.base.wrapping_mul(BIND_OTHER));
            }
        }
        if CHANNELS > 1 && numbered {
            if self.untold == 0 {
                // For the same reason.
                w.u8(0);
            }
            self.flying_told = self.untold;
        }
        sum
    }

    /// Writes messages, the most urgent first, as far as there is room; returns the sum over their numbers.
    fn write_messages(&mut self, w: &mut Writer<'_>, limits: &[u32; CHANNELS]) -> u32 {
        let mut sum = 0u32;
        for class in 0..Self::CLASS_COUNT {
            for i in 0..CHANNELS {
                let mut c = i;
                if CHANNELS > 1 {
                    c += usize::from(self.turn);
                    if c >= CHANNELS {
                        c -= CHANNELS;
                    }
                }
                let is_due =
                    Self::CLASS_COUNT == 1 || P::CHANNELS.get(c).is_some_and(|p| p.priority == class);
                if is_due && let Some(&limit) = limits.get(c) {
                    sum = sum.wrapping_add(self.write_channel(w, c, limit));
                }
            }
        }
        if CHANNELS > 1 {
            self.turn = if usize::from(self.turn) + 1 < CHANNELS { self.turn + 1 } else { 0 };
        }
        sum
    }

    /// Writes messages of one channel up to before `limit`.
    fn write_channel(&mut self, w: &mut Writer<'_>, c: usize, limit: u32) -> u32 {
        let (Some(head), Some(slots)) = (self.heads.get_mut(c), self.slots.get(c)) else { return 0 };
        let bits = Self::bits(
            Self::HAS_LATEST
                && P::CHANNELS.get(c).is_some_and(|channel| channel.mode as u8 == Mode::Latest as u8),
        );
        let mut sum = 0u32;
        let mut kind_before = 0;
        while head.flying != limit {
            let n = head.flying;
            let slot = n as usize % MESSAGES;
            let Some(&state) = slots.out_state.get(slot) else { break };
            let is_withdrawn = Self::HAS_FATES && state >= fate::ONE;
            let total = if is_withdrawn { 0 } else { usize::from(state) };
            let first = if P::FRAGMENTS { head.flying_granules } else { 0 };
            let shift = granule_bits(total as u32);
            let offset = usize::from(first) << shift;
            let mut len = total.wrapping_sub(offset);
            let mut is_whole = true;
            let mut head_len = Self::SETTLED_LEN + Self::MESSAGE_HEAD;
            if P::FRAGMENTS {
                head_len += FRAGMENT_HEAD;
            }
            if is_withdrawn {
                len = 0;
            }
            if w.len + head_len + len > w.buffer.len() {
                let room = w.buffer.len().saturating_sub(w.len + head_len);
                if !P::FRAGMENTS || !self.takes_fragments || room < FRAGMENT_MIN || is_withdrawn {
                    break;
                }
                is_whole = false;
                len = room >> shift << shift;
            }
            let mut kind = 0xc0 | c as u8;
            let is_fragment = P::FRAGMENTS && (first > 0 || !is_whole);
            if is_fragment {
                kind |= 0x20;
            }
            if precedes(n, head.redelivered) {
                kind |= 0x10;
            }
            if is_withdrawn {
                // One is skipped.
                kind = 0x60 | c as u8;
            }
            if kind == kind_before && kind & 0x60 == 0x40 {
                w.u8(7);
            } else {
                w.u8(kind);
                w.number(n, bits);
            }
            if is_fragment && !is_withdrawn {
                w.varint(first.into());
                w.varint(total as u32);
            }
            w.varint(len as u32);
            if let Some(payload) = slots.out.get(slot).and_then(|out| out.get(offset..offset + len)) {
                w.bytes(payload);
            }
            if is_whole {
                head.flying = n.wrapping_add(1);
            }
            if P::FRAGMENTS {
                head.flying_granules = if is_whole { 0 } else { first + (len >> shift) as u16 };
            }
            sum = sum.wrapping_add(n.wrapping_mul(BIND_OTHER));
            kind_before = kind;
            if !is_whole || self.backoff > 1 && !is_withdrawn {
                // The packet is full. Or perhaps the peer has no room for more than the first one (R12.7).
                break;
            }
        }
        sum
    }
}
