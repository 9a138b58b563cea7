//! Taking a datagram apart: first every frame is parsed and every number restored, without any effect, so that a packet that is
//! malformed, damaged or of another association changes nothing; then the frames are obeyed.

use super::codec::Reader;
use super::codec::copy;
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

/// A packet that is taken apart: what is known of it before its frames are looked at, and what they bring.
#[derive(Default)]
pub(super) struct Packet {
    /// Its number, if it has one.
    pub(super) number: u32,
    pub(super) is_numbered: bool,
    /// Of how many bits its number was.
    pub(super) bits: u8,
    /// The largest number that it acknowledges is the last one that was used.
    pub(super) acks_last: bool,
    /// It is one that was used since the peer was adopted.
    pub(super) acks_fresh: bool,
    /// Its sender knows this incarnation, so that what it says of our messages holds.
    pub(super) mine: bool,
    /// Its frames were found well-formed, and are to be obeyed.
    pub(super) is_sound: bool,
    pub(super) is_eliciting: bool,
    pub(super) no_room: bool,
    /// The code of a close frame, and 256.
    pub(super) close: u32,
    /// The sum over the restored numbers.
    pub(super) binding: u32,
}

impl<const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize, const CHECKED: bool>
    Link<MESSAGES, BYTES, DATAGRAM, CHECKED>
{
    /// Takes in a datagram. Whatever it is, it is never an error: what is of no use is dropped.
    ///
    /// Afterwards: `recv`, `poll_event`, `poll_transmit`, `poll_timeout`. Taking messages before transmitting saves packets:
    /// what is settled then rides with the acknowledgement.
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
        } else if check != 0 {
            Receipt::Dropped
        } else if first == 0x80 {
            self.on_hello(now, r)
        } else if CHECKED && self.phase != Phase::Closed {
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
        // Over a line, who has not told everything yet may take us for an earlier life (R8.8).
        if if CHECKED { self.peer == 0 } else { !self.has_params } {
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
        let mut packet = Packet { mine: true, ..Packet::default() };
        if first < 0x40 {
            let bits;
            (packet.number, bits) = r.number(self.largest.wrapping_add(1));
            packet.bits = bits as u8;
            packet.is_numbered = true;
            packet.binding = packet.number.wrapping_mul(BIND_PACKET);
        }
        if first >= 0x20 {
            self.acks(first & 0x1f, &mut r, &mut packet);
        } else if first != 0 {
            return Receipt::Dropped;
        }
        if first & 0xe0 == 0x40 || !self.frames(r, &mut packet) {
            return Receipt::Dropped;
        }
        if CHECKED {
            if check != packet.binding ^ self.checked.key_in {
                return Receipt::Dropped;
            }
            if id == self.checked.next_id {
                self.take_next_id();
            }
        }
        self.obey(now, r.rest, &mut packet);
        self.confirm();
        Receipt::Accepted
    }

    /// Reads acknowledgement fields.
    pub(super) fn acks(&self, bits: u8, r: &mut Reader<'_>, packet: &mut Packet) {
        let last = self.next.wrapping_sub(1);
        let largest = r.number_before(last);
        packet.acks_last = largest == last;
        packet.acks_fresh = CHECKED && !precedes(largest, self.fresh);
        packet.binding = packet.binding.wrapping_add(largest.wrapping_mul(BIND_ACKED));
        if bits & 0x10 != 0 && r.varint().wrapping_sub(1) >= u32::MAX >> 3 {
            r.is_bad = true;
        }
        let first = r.varint();
        r.spans(first, bits & 15);
    }

    /// What follows from a packet all of which is well-formed.
    pub(super) fn obey(&mut self, now: u64, frames: &[u8], packet: &mut Packet) {
        let mut is_closed = self.phase == Phase::Closed;
        packet.is_sound = !is_closed;
        self.frames(Reader::new(frames), packet);
        // Settlements come before acknowledgements (R6.19).
        if packet.acks_last && packet.mine && self.flight != 0 {
            self.on_acked(now);
        }
        if packet.close != 0 && !is_closed {
            let reason = if self.is_draining && self.settled == self.end {
                CloseReason::Drained
            } else {
                CloseReason::Peer
            };
            self.finish(reason, FailReason::PeerClosed);
            is_closed = true;
        }
        if packet.is_numbered && !packet.no_room {
            self.on_number(now, packet);
            if is_closed && packet.close != 256 + u32::from(CLOSE_ANSWER) {
                // R15.2, R15.3.
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
    fn on_number(&mut self, now: u64, packet: &Packet) {
        let distance = packet.number.wrapping_sub(self.largest) as i32;
        if distance > 1 {
            self.run = 0;
        }
        if distance > 0 {
            self.largest = packet.number;
            self.largest_at = now as u32;
            self.ack_bits = packet.bits;
        }
        if (distance > 0 || distance == -i32::from(self.run)) && self.run < RUN_MAX {
            self.run += 1;
        }
        if self.run > 0 {
            self.due |= bit::SEEN;
            if packet.is_eliciting {
                self.due |= bit::ACK;
            }
        }
    }

    /// Reads frames, and obeys them if the packet is sound. `false`: they are malformed.
    pub(super) fn frames(&mut self, mut r: Reader<'_>, packet: &mut Packet) -> bool {
        let mut n = 0u32;
        let mut kind_before = 0;
        while !r.rest.is_empty() {
            let mut kind = r.u8();
            if kind == 0 {
                return !r.is_bad && r.rest.iter().all(|&b| b == 0);
            }
            // All but settled frames need a number.
            if !packet.is_numbered && kind & 0xe0 != 0x40 {
                return false;
            }
            if kind != 4 {
                packet.is_eliciting = true;
            }
            if kind == 6 || kind == 7 {
                if kind_before == 0 {
                    return false;
                }
                kind = kind_before & 0xbf | (kind & 1) << 6;
                n = n.wrapping_add(1);
            } else if kind == 4 {
                // Nothing is remembered for so long (R6.22), but it is bound.
                n = r.number_before(packet.number);
            } else if kind >= 0x40 {
                let mut reference = if kind < 0x60 { self.settled } else { self.base };
                if kind & 15 != 0 {
                    reference = 0;
                }
                n = r.number(reference).0;
            }
            if kind == 4 || kind >= 0x40 {
                packet.binding = packet.binding.wrapping_add(n.wrapping_mul(BIND_OTHER));
            }
            kind_before = 0;
            let mut value = 0;
            let mut payload: &[u8] = &[];
            match kind {
                1 | 4 | 0x40..=0x4f => {}
                2 => value = r.varint(),
                0x60..=0x6f => {
                    value = r.varint();
                    if value >= i32::MAX as u32 {
                        return false;
                    }
                }
                3 => {
                    r.varint();
                    r.varint();
                }
                5 => packet.close = 256 + u32::from(r.u8()),
                0x50..=0x5f => {
                    // What is settled besides is heard of when the number passes it (R6.17).
                    let count = r.u8();
                    if count == 0 {
                        return false;
                    }
                    r.spans(0, count);
                }
                // We take no fragments, and say so.
                0x80.. if kind & 0x20 == 0 => {
                    let mut len = r.rest.len();
                    if kind & 0x40 != 0 {
                        len = r.varint() as usize;
                        if len >= r.rest.len() {
                            return false;
                        }
                    }
                    payload = r.bytes(len);
                    kind_before = kind;
                }
                _ => return false,
            }
            if r.is_bad {
                return false;
            }
            if packet.is_sound && !self.on_frame(kind, n, value, payload, packet) {
                packet.no_room = true;
            }
        }
        !r.is_bad
    }

    /// Obeys a frame. `false`: there is no room for it.
    fn on_frame(&mut self, kind: u8, n: u32, value: u32, payload: &[u8], packet: &mut Packet) -> bool {
        if kind == 2 && packet.mine && value < (MESSAGES * BYTES) as u32 {
            self.window = 1;
        }
        if kind & 15 != 0 {
            // Of another channel, or neither.
            return kind < 0x80;
        }
        if kind < 0x60 {
            if packet.mine {
                self.on_settled(n);
            }
            return true;
        }
        if kind < 0x80 {
            return self.on_skip(n, value + 1);
        }
        let mut state = payload.len() as u16 + place::READY;
        if kind & 0x10 != 0 {
            state |= place::REDELIVERED;
        }
        self.put(n, state, payload)
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

    /// Notes what became of incoming message `n`, if that is not known yet. `false`: there is no room.
    fn put(&mut self, n: u32, state: u16, payload: &[u8]) -> bool {
        let index = n.wrapping_sub(self.base);
        if index >= MESSAGES as u32 {
            // What is before was taken.
            return index > i32::MAX as u32;
        }
        let slot = n as usize % MESSAGES;
        let (Some(room), Some(own)) = (self.inn.get_mut(slot), self.in_len.get_mut(slot)) else {
            return false;
        };
        if *own == place::EMPTY {
            if !copy(room, payload) {
                return false;
            }
            *own = state;
        }
        true
    }

    /// `count` messages from `first` on will not come. `false`: it cannot be noted.
    pub(super) fn on_skip(&mut self, first: u32, count: u32) -> bool {
        // As many as can be outstanding, and as many that are behind.
        if count > 64 {
            return false;
        }
        for i in 0..count {
            if !self.put(first.wrapping_add(i), place::SKIPPED, &[]) {
                return false;
            }
        }
        self.pass_skipped();
        true
    }
}
