//! Taking a datagram apart: first every frame is parsed and every number restored, without any effect, so that a packet that is
//! malformed, damaged or of another association changes nothing; then the frames are obeyed.

use super::codec::Reader;
use super::transmit::{BIND_ACKED, BIND_OTHER, BIND_PACKET, CLOSE_ANSWER};
use super::{Link, Phase, bit, news, place, precedes};
use crate::check::crc32c;
use crate::event::{CloseReason, FailReason};
use crate::link::Receipt;
use crate::time::Instant;

/// Of how many numbers an acknowledgement tells at most. Chosen: more than a peer sends before it hears of one, and fewer
/// than make it ask to forget old ones (R11.7).
const RUN_MAX: u8 = 32;

/// The longest sample of the round trip in microseconds that is believed. Chosen: a probe that waited longer was answered
/// late by somebody who was not there.
const SAMPLE_MAX: u32 = 4_000_000;

/// What a packet brings, as far as it matters for acknowledging it.
#[derive(Default)]
pub(super) struct Body {
    /// The sum over the restored numbers.
    pub(super) binding: u32,
    is_eliciting: bool,
    no_room: bool,
    has_close: bool,
    close_code: u8,
}

impl<const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize, const CHECKED: bool>
    Link<MESSAGES, BYTES, DATAGRAM, CHECKED>
{
    /// Takes in a datagram.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Receipt {
        let now = now.as_micros();
        let (body, check) = if CHECKED {
            let Some((body, check)) = datagram.split_last_chunk::<4>() else { return Receipt::Dropped };
            (body, crc32c(body) ^ u32::from_le_bytes(*check))
        } else {
            (datagram, 0)
        };
        let mut r = Reader::new(body);
        let first = r.u8();
        let receipt = if first < 0x80 {
            self.on_short(now, first, r, check)
        } else if check != 0 || self.phase == Phase::Closed {
            Receipt::Dropped
        } else if first == 0x80 {
            self.on_hello(now, r)
        } else if CHECKED {
            self.on_answer(first, r)
        } else {
            Receipt::Dropped
        };
        if receipt == Receipt::Accepted {
            self.set_clock(now);
        }
        receipt
    }

    /// `check`: what the sum over the bytes lacks to be the check.
    fn on_short(&mut self, now: u64, first: u8, mut r: Reader<'_>, check: u32) -> Receipt {
        if self.peer == 0 {
            // R8.26.
            if !CHECKED && self.phase != Phase::Closed && self.flight == 0 {
                self.open();
            }
            return Receipt::Dropped;
        }
        let mut id = 0;
        if CHECKED {
            id = u32::from(r.u8()) | u32::from(r.u8()) << 8 | u32::from(r.u8()) << 16;
            if id != self.checked.local_id && id != self.checked.next_id {
                return Receipt::Dropped;
            }
        }
        let mut body = Body::default();
        let mut number = None;
        if first < 0x40 {
            let (n, bits) = r.number(self.largest.wrapping_add(1));
            number = Some((n, bits));
            body.binding = n.wrapping_mul(BIND_PACKET);
        }
        let mut acked = None;
        if first >= 0x20 {
            let largest = self.acks(first & 0x1f, &mut r);
            acked = Some(largest);
            body.binding = body.binding.wrapping_add(largest.wrapping_mul(BIND_ACKED));
        } else {
            r.is_bad |= first != 0;
        }
        let frames = r.rest;
        self.frames(&mut r, number.map(|n| n.0), false, true, &mut body);
        let is_bound = !CHECKED || check == body.binding ^ self.checked.key_in;
        if r.is_bad || first & 0xe0 == 0x40 || !is_bound {
            return Receipt::Dropped;
        }
        if CHECKED && id == self.checked.next_id {
            self.take_next_id();
        }
        self.obey(now, number, acked, frames, true, body);
        self.confirm();
        Receipt::Accepted
    }

    /// Reads acknowledgement fields; returns the largest number.
    pub(super) fn acks(&self, bits: u8, r: &mut Reader<'_>) -> u32 {
        let largest = r.number_before(self.next.wrapping_sub(1));
        if bits & 0x10 != 0 {
            r.is_bad |= r.varint().wrapping_sub(1) >= u32::MAX >> 3;
        }
        let mut span = r.varint() >> 1;
        for _ in 0..2 * (bits & 15) {
            // Halves cannot overflow.
            span = span.saturating_add((r.varint() >> 1).saturating_add(1));
        }
        r.is_bad |= span >= 1 << 30;
        largest
    }

    /// What follows from a packet all of which is well-formed.
    pub(super) fn obey(
        &mut self,
        now: u64,
        number: Option<(u32, u32)>,
        acked: Option<u32>,
        frames: &[u8],
        mine: bool,
        mut body: Body,
    ) {
        if self.phase != Phase::Closed {
            let mut r = Reader::new(frames);
            self.frames(&mut r, number.map(|n| n.0), true, mine, &mut body);
            // Settlements come before acknowledgements (R6.19).
            if acked == Some(self.next.wrapping_sub(1)) && self.flight != 0 {
                self.on_acked(now);
            }
        }
        let is_eliciting = body.is_eliciting;
        if let Some((n, bits)) = number
            && !body.no_room
        {
            self.on_number(now, n, bits, is_eliciting);
        }
        if self.phase == Phase::Closed {
            // R15.3.
            if number.is_some() && !(body.has_close && body.close_code == CLOSE_ANSWER) {
                self.due |= bit::CLOSE;
            }
        } else if body.has_close {
            let reason = if self.is_draining && self.settled == self.end {
                CloseReason::Drained
            } else {
                CloseReason::Peer
            };
            let due = self.due;
            self.finish(reason, FailReason::PeerClosed);
            self.due = due & (bit::ACK | bit::SEEN);
            if body.close_code != CLOSE_ANSWER {
                self.due |= bit::CLOSE;
            }
        }
        self.check_drained();
    }

    /// The packet in flight has arrived.
    fn on_acked(&mut self, now: u64) {
        let flight = core::mem::take(&mut self.flight);
        let sample = (now as u32).wrapping_sub(self.sent_at);
        if sample < SAMPLE_MAX {
            // RFC 9002, 5.3, without the first sample's special case.
            let error = sample.wrapping_sub(self.smoothed_x8 >> 3);
            self.smoothed_x8 = self.smoothed_x8.wrapping_add(error);
            let deviation = (error as i32).unsigned_abs();
            self.variation_x4 = self.variation_x4 - (self.variation_x4 >> 2) + deviation;
        }
        if precedes(self.acked, self.flying) {
            self.acked = self.flying;
            self.backoff = 0;
        }
        if flight & (bit::CONTROL & !bit::PING) != 0 {
            self.backoff = 0;
        }
        if flight & bit::CLOSE != 0 {
            self.finish(CloseReason::Drained, FailReason::Closed);
        }
    }

    /// A numbered packet was received and stored.
    pub(super) fn on_number(&mut self, now: u64, n: u32, bits: u32, is_eliciting: bool) {
        let distance = n.wrapping_sub(self.largest) as i32;
        if distance > 0 {
            if distance > 1 {
                self.run = 0;
            }
            self.largest = n;
            self.largest_at = now as u32;
            self.ack_len = (bits / 7) as u8;
        }
        if distance > 0 || distance == -i32::from(self.run) {
            self.run = (self.run + 1).min(RUN_MAX);
        }
        self.due |= bit::SEEN | if is_eliciting { bit::ACK } else { 0 };
    }

    /// Reads frames; obeys them if `apply`.
    pub(super) fn frames(
        &mut self,
        r: &mut Reader<'_>,
        number: Option<u32>,
        apply: bool,
        mine: bool,
        body: &mut Body,
    ) {
        let mut n = 0u32;
        let mut kind_before = 0;
        while !r.rest.is_empty() {
            let mut kind = r.u8();
            if kind == 0 {
                r.is_bad |= r.rest.iter().any(|&b| b != 0);
                return;
            }
            // All but settled frames need a number.
            r.is_bad |= number.is_none() && kind & 0xe0 != 0x40;
            body.is_eliciting |= kind != 4;
            if kind == 6 || kind == 7 {
                r.is_bad |= kind_before == 0;
                kind = kind_before & 0xbf | (kind & 1) << 6;
                n = n.wrapping_add(1);
            } else if kind >= 0x40 {
                let is_settled = kind < 0x60;
                let reference = match kind & 15 {
                    0 if is_settled => self.settled,
                    0 => self.base,
                    _ => 0,
                };
                n = r.number(reference).0;
            }
            let is_first = kind & 15 == 0;
            kind_before = 0;
            match kind {
                1 => {}
                2 => {
                    if r.varint() < (MESSAGES * BYTES) as u32 && apply && mine {
                        self.window = 1;
                    }
                }
                3 => {
                    r.varint();
                    r.varint();
                }
                4 => {
                    // Nothing is remembered for so long (R6.22), but it is bound.
                    n = r.number_before(number.unwrap_or(0));
                }
                5 => {
                    body.close_code = r.u8();
                    body.has_close = true;
                }
                0x40..=0x5f => {
                    if kind & 0x10 != 0 {
                        Self::more(r);
                    }
                    if apply && mine && is_first {
                        self.on_settled(n);
                    }
                }
                0x60..=0x6f => {
                    let count = r.varint();
                    r.is_bad |= count >= i32::MAX as u32;
                    if apply && is_first {
                        body.no_room |= !self.on_skip(n, count.wrapping_add(1));
                    }
                }
                0x80.. => {
                    let mut len = r.rest.len();
                    if kind & 0x40 != 0 {
                        len = r.varint() as usize;
                        r.is_bad |= len >= r.rest.len();
                    }
                    let payload = r.bytes(len);
                    // We take no fragments, and say so.
                    r.is_bad |= kind & 0x20 != 0;
                    kind_before = kind;
                    if apply {
                        body.no_room |= !is_first || !self.store(n, payload, kind & 0x10 != 0);
                    }
                }
                _ => r.is_bad = true,
            }
            if kind >= 0x40 || kind == 4 {
                body.binding = body.binding.wrapping_add(n.wrapping_mul(BIND_OTHER));
            }
            if r.is_bad {
                return;
            }
        }
    }

    /// The rest of a frame *settled and more*. It is heard of when the number passes it (R6.17).
    fn more(r: &mut Reader<'_>) {
        let count = r.u8();
        let mut span = 0u32;
        for _ in 0..2 * u32::from(count) {
            span = span.saturating_add((r.varint() >> 1).saturating_add(1));
        }
        r.is_bad |= count == 0 || span >= 1 << 30;
    }

    /// All messages before `n` are settled.
    fn on_settled(&mut self, n: u32) {
        let count = n.wrapping_sub(self.settled);
        if count == 0 || count > self.sent.wrapping_sub(self.settled) {
            return;
        }
        self.settled = n;
        if precedes(self.acked, n) {
            self.acked = n;
        }
        self.backoff = 0;
        if self.events & news::REFUSED != 0 {
            self.events ^= news::REFUSED | news::WRITABLE;
        }
    }

    /// The place of incoming message `n`. `Err`: whether it is a duplicate.
    fn place(&mut self, n: u32) -> Result<&mut u16, bool> {
        let index = n.wrapping_sub(self.base);
        if index >= MESSAGES as u32 {
            return Err(index > i32::MAX as u32);
        }
        match self.in_len.get_mut(n as usize % MESSAGES) {
            Some(state) if *state == place::EMPTY => Ok(state),
            _ => Err(true),
        }
    }

    /// Stores a message. `false`: there is no room.
    fn store(&mut self, n: u32, payload: &[u8], redelivered: bool) -> bool {
        let state = match self.place(n) {
            Ok(state) => state,
            Err(is_duplicate) => return is_duplicate,
        };
        *state = payload.len() as u16 | if redelivered { place::REDELIVERED } else { 0 };
        let room = self.inn.get_mut(n as usize % MESSAGES).and_then(|s| s.get_mut(..payload.len()));
        match room {
            Some(room) => room.copy_from_slice(payload),
            None => {
                if let Some(state) = self.in_len.get_mut(n as usize % MESSAGES) {
                    *state = place::EMPTY;
                }
                return false;
            }
        }
        true
    }

    /// `count` messages from `first` on will not come. `false`: it cannot be noted.
    pub(super) fn on_skip(&mut self, first: u32, count: u32) -> bool {
        if count > 64 {
            return false;
        }
        for i in 0..count {
            match self.place(first.wrapping_add(i)) {
                Ok(state) => *state = place::SKIPPED,
                Err(false) => return false,
                Err(true) => {}
            }
        }
        self.pass_skipped();
        true
    }
}
