//! Putting a packet together, and when.
//!
//! At most one packet that asks for an acknowledgement is in flight. It carries everything that is not acknowledged, as
//! far as it fits: when it is lost, the next one is put together in the same way. So there is nothing to remember of a
//! packet but its number, which is the last one used.

use super::codec::Writer;
use super::{Link, Phase, bit, precedes};
use crate::check::crc32c;
use crate::time::Instant;
use crate::wire::{VERSION, first_byte, hello_flags};

/// What stands around one message at most: first byte, link id, number, acknowledgement fields with settlement, head of the
/// message, check.
pub(super) const OVERHEAD_MAX: usize = 1 + 8 + 4 + 10 + 2 + 4 + 4;

pub(super) const CLOSE_ABORTED: u8 = 1;
pub(super) const CLOSE_ANSWER: u8 = 2;

/// The longest wait between two probes in microseconds (R12.6).
const WAIT_MAX: u32 = 5_000_000;

/// Clock resolution and scheduling slack in microseconds (R12.2: G).
const GRANULARITY: u32 = 1_000;

/// The least time in microseconds after which a peer that settles nothing is asked whether it is still there (R16.4).
const PATIENCE_MIN: u32 = 100_000;

/// A first hello is at least so long, without its check (R8.3).
const FIRST_HELLO_LEN: usize = 92;

/// A packet that expects an answer is at least so long, so that a reset can be shorter (R6.23).
const NUMBERED_LEN: usize = 16;

/// What the sums over restored numbers are made of (R4.8).
pub(super) const BIND_PACKET: u32 = 0x9e37_79b1;
pub(super) const BIND_ACKED: u32 = 0x85eb_ca77;
pub(super) const BIND_OTHER: u32 = 0xc2b2_ae3d;

impl<const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize, const CHECKED: bool>
    Link<MESSAGES, BYTES, DATAGRAM, CHECKED>
{
    /// Parameters 1 to 6 of our hellos, each with a value of a fixed number of bytes, and how many bytes they are.
    const PARAMS: ([u8; 32], usize) = {
        let values = [
            (1, DATAGRAM as u32),
            (2, MESSAGES as u32),
            (3, (MESSAGES * BYTES) as u32),
            (4, BYTES as u32),
            (5, 0),
            (6, 1),
        ];
        let defaults = [1200, 64, 65_536, 65_536, 1000, 16];
        let mut bytes = [0; 32];
        let mut len = 0;
        let mut i = 0;
        while i < values.len() {
            let (id, mut value) = values[i];
            if value != defaults[i] {
                bytes[len] = id;
                let at = len + 1;
                len += 2;
                while value > 127 {
                    bytes[len] = value as u8 | 128;
                    value >>= 7;
                    len += 1;
                }
                bytes[len] = value as u8;
                len += 1;
                bytes[at] = (len - at - 1) as u8;
            }
            i += 1;
        }
        (bytes, len)
    };

    /// One after the last message that may be sent now.
    fn limit(&self) -> u32 {
        let waiting = self.end.wrapping_sub(self.settled);
        self.settled.wrapping_add(waiting.min(u32::from(self.window)))
    }

    /// Writes the next datagram to emit into `buffer` and returns its length; `None` if there is nothing to emit now. Call it
    /// until then, after every other call that takes `&mut self`.
    ///
    /// `buffer` must hold `DATAGRAM` bytes; into a shorter one nothing is written.
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
        if CHECKED && self.checked.reply_flags != 0 {
            return self.transmit_reply(buffer);
        }
        let now = now.as_micros();
        let is_open = self.phase == Phase::Open;
        if !is_open && (self.peer == 0 || !self.is_confirmed && self.due & bit::CLOSE == 0) {
            return None;
        }
        let in_hello = !self.is_confirmed;
        let limit = if is_open { self.limit() } else { self.acked };
        let is_probe = self.due & bit::PROBE != 0;
        if is_probe {
            self.backoff = self.backoff.saturating_add(1);
            self.due |= self.flight & bit::CONTROL;
            if self.due & bit::CONTROL == 0 && limit == self.acked {
                self.due |= bit::PING;
            }
        }
        let due = self.due;
        let is_wanted = due & bit::CONTROL != 0 || in_hello && due & bit::ACK != 0;
        let is_free = self.flight == 0 || is_probe;
        let numbered = is_wanted && (is_free || in_hello) || is_free && limit != self.acked;
        if !numbered && due & bit::ACK == 0 {
            return None;
        }

        let room = self.datagram_max as usize;
        let mut w = Writer::new(buffer.get_mut(..if CHECKED { room - 4 } else { room })?);
        let mut binding = 0u32;
        let has_acks = due & bit::SEEN != 0;
        let delay = (now as u32).wrapping_sub(self.largest_at) >> 3;
        let ack_bits = if has_acks && delay != 0 { 0x10 } else { 0 };
        if in_hello {
            self.write_hello(&mut w, has_acks);
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
        let mut flying = self.acked;
        if numbered {
            if due & bit::CLOSE != 0 {
                w.u8(5);
                w.u8(self.close_code);
            }
            if in_hello || due & bit::PING != 0 {
                w.u8(1);
            }
            let mut kind_before = 0;
            while !in_hello && flying != limit {
                let slot = flying as usize % MESSAGES;
                let len = usize::from(*self.out_len.get(slot)?);
                if w.len + len + 6 > w.buffer.len() {
                    break;
                }
                let mut kind = 0xc0;
                if precedes(flying, self.redelivered) {
                    kind = 0xd0;
                }
                if kind == kind_before {
                    w.u8(7);
                } else {
                    w.u8(kind);
                    w.number(flying, 7);
                    kind_before = kind;
                }
                w.varint(len as u32);
                w.bytes(self.out.get(slot)?.get(..len)?);
                binding = binding.wrapping_add(flying.wrapping_mul(BIND_OTHER));
                flying = flying.wrapping_add(1);
                if self.backoff > 1 {
                    // Perhaps the peer has no room for more than the first one (R12.7).
                    break;
                }
            }
        }
        if self.has_params {
            // On every packet, so that the last message before it always has its length in front. (Who is known from a bare
            // hello only has not told where its numbers begin.)
            w.u8(0x40);
            w.number(self.base, 7);
            binding = binding.wrapping_add(self.base.wrapping_mul(BIND_OTHER));
        }
        if CHECKED {
            let len = match (self.peer, numbered) {
                (0, _) => FIRST_HELLO_LEN,
                (_, true) => NUMBERED_LEN,
                _ => 0,
            };
            while w.len < len {
                w.u8(0);
            }
        }
        let body = w.finish()?;
        let mut len = body.len();
        if CHECKED {
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
                self.flight = due & bit::CONTROL | bit::FLYING | if in_hello { bit::HELLO } else { 0 };
                self.flying = flying;
                if precedes(self.sent, flying) {
                    self.sent = flying;
                }
                self.sent_at = now as u32;
                self.wake_after(now, self.probe_timeout());
            } else {
                self.close_code = CLOSE_ANSWER;
            }
        } else {
            self.due &= bit::CONTROL;
        }
        Some(len)
    }

    /// Sets the clock to `wait` microseconds, doubled with every time-out since something new arrived.
    pub(super) fn wake_after(&mut self, now: u64, mut wait: u32) {
        for _ in 0..self.backoff {
            wait = (wait * 2).min(WAIT_MAX);
        }
        self.wake = now.wrapping_add(wait.into());
    }

    /// R12.6, without backoff. What the peer holds an acknowledgement back for is in the samples.
    fn probe_timeout(&self) -> u32 {
        (self.smoothed_x8 >> 3) + self.variation_x4.max(GRANULARITY)
    }

    /// After a packet was taken: what else time may demand.
    pub(super) fn set_clock(&mut self, now: u64) {
        if self.flight == 0 {
            self.due &= !bit::PROBE;
            if self.settled == self.acked {
                self.wake = u64::MAX;
            } else {
                // R16.4.
                self.wake_after(now, (self.probe_timeout() * 4).max(PATIENCE_MIN));
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called (followed by `poll_transmit`), if nothing else
    /// happens before. `None`: not at all. May change with every call that takes `&mut self`.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.phase == Phase::Open && self.wake != u64::MAX).then_some(Instant::from_micros(self.wake))
    }

    /// Does what time demands: probes. Call it when [`poll_timeout`](Self::poll_timeout) says; calling it earlier changes
    /// nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.phase != Phase::Open || now.as_micros() < self.wake {
            return;
        }
        // Sent when the medium asks for it: what arrives until then may make it needless.
        self.wake = u64::MAX;
        self.due |= bit::PROBE;
    }

    /// Writes a hello up to its parameters.
    fn write_hello(&self, w: &mut Writer<'_>, has_acks: bool) {
        let mut flags = if has_acks { hello_flags::ACK } else { 0 };
        if self.has_params {
            flags |= hello_flags::KNOWS;
        }
        let from = if self.checked.is_suspect { self.checked.next_id } else { self.checked.local_id };
        let id = self.id.get(..self.id_len.into()).unwrap_or(&[]);
        self.write_hello_to(w, self.peer, id, from, flags);
    }

    fn write_hello_to(&self, w: &mut Writer<'_>, peer: u64, id: &[u8], from: u32, flags: u8) {
        w.u8(first_byte::HELLO);
        w.u8(VERSION);
        w.u8(id.len() as u8);
        w.bytes(id);
        if CHECKED {
            w.u8(3);
            w.low_bytes(from, 3);
        } else {
            w.u8(0);
        }
        w.u64(self.incarnation);
        w.u64(peer);
        w.u8(flags);
        w.low_bytes(self.next, 4);
        let len_at = w.len;
        w.u8(0);
        w.bytes(Self::PARAMS.0.get(..Self::PARAMS.1).unwrap_or(&[]));
        if self.settled != 0 && flags & hello_flags::BARE == 0 {
            w.u8(8);
            let at = w.len;
            w.u8(0);
            w.u8(0);
            w.varint(self.settled);
            let len = w.len - at - 1;
            if let Some(b) = w.buffer.get_mut(at) {
                *b = len as u8;
            }
        }
        if CHECKED && self.checked.cookie_len > 0 {
            w.u8(9);
            w.u8(self.checked.cookie_len);
            w.bytes(self.checked.cookie.get(..self.checked.cookie_len.into()).unwrap_or(&[]));
        }
        // No fragments.
        w.bytes(&[10, 1, 0]);
        let len = w.len - len_at - 1;
        if let Some(b) = w.buffer.get_mut(len_at) {
            *b = len as u8;
        }
    }

    /// R8.15.
    fn transmit_reply(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let flags = core::mem::take(&mut self.checked.reply_flags);
        let c = &self.checked;
        let mut w = Writer::new(buffer);
        let id = c.reply_id.get(..c.reply_id_len.into())?;
        self.write_hello_to(&mut w, c.reply_to, id, c.next_id, flags);
        let len = w.finish()?.len();
        let check = crc32c(buffer.get(..len)?);
        buffer.get_mut(len..len + 4)?.copy_from_slice(&check.to_le_bytes());
        Some(len + 4)
    }
}
