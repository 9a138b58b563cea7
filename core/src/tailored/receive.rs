//! Taking a datagram apart: first every frame is parsed and every number restored, without any effect, so that a packet that is
//! malformed, damaged or of another association changes nothing; then the frames are obeyed.

use super::endpoint::{Endpoint, Phase, bit, precedes};
use super::profile::{Counters, Profile};
use super::transmit::{BIND_ACKED, BIND_PACKET, CLOSE_ANSWER};
use crate::check::crc32c;
use crate::compact::codec::Reader;
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

impl<P: Profile, const CHANNELS: usize, const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize>
    Endpoint<P, CHANNELS, MESSAGES, BYTES, DATAGRAM>
{
    /// Takes in a datagram. Whatever it is, it is never an error: what is of no use is dropped.
    ///
    /// Afterwards: `recv`, `poll_event`, `poll_transmit`, `poll_timeout`. Taking messages before transmitting saves packets:
    /// what is settled then rides with the acknowledgement.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Receipt {
        let receipt = self.take_apart(now.as_micros(), datagram);
        if receipt == Receipt::Accepted {
            self.set_clock(now.as_micros());
        }
        self.counters.count(|s| {
            s.datagrams_received = s.datagrams_received.wrapping_add(1);
            s.bytes_received = s.bytes_received.wrapping_add(datagram.len() as u64);
            s.dropped_unknown = s.dropped_unknown.wrapping_add((receipt == Receipt::Dropped).into());
        });
        receipt
    }

    fn take_apart(&mut self, now: u64, datagram: &[u8]) -> Receipt {
        let (body, check) = if self.is_checked() {
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
        } else if (Self::HAS_DATAGRAMS || P::SERVES) && self.phase != Phase::Closed {
            self.on_answer(first, r)
        } else {
            Receipt::Dropped
        };
        if P::SERVES && receipt == Receipt::Accepted {
            self.budget = self.budget.saturating_add(datagram.len() as u32);
        }
        receipt
    }

    /// `check`: what the sum over the bytes lacks to be the check.
    fn on_short(&mut self, now: u64, first: u8, mut r: Reader<'_>, check: u32) -> Receipt {
        // Over a line, who has not told everything yet may take us for an earlier life (R8.8).
        if self.peer == 0 || !self.is_checked() && !self.has_params {
            return self.on_stray(first, r);
        }
        let mut id = 0;
        if self.is_checked() {
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
        if self.is_checked() {
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
        packet.acks_fresh = !precedes(largest, self.fresh);
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
            let reason =
                if self.is_draining && !self.is_owed() { CloseReason::Drained } else { CloseReason::Peer };
            self.finish(reason, FailReason::PeerClosed);
            is_closed = true;
        }
        if packet.no_room {
            self.counters.count(|s| s.dropped_no_room = s.dropped_no_room.wrapping_add(1));
        } else if packet.is_numbered {
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
        for c in 0..CHANNELS {
            if self.on_flown(c) {
                self.backoff = 0;
            }
        }
        if CHANNELS > 1 {
            self.untold &= !self.flying_told;
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
}
