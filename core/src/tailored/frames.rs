//! The frames of a packet: read twice, first to see that all are well-formed, then to be obeyed.

use super::endpoint::Endpoint;
use super::incoming::place;
use super::profile::Profile;
use super::receive::Packet;
use super::transmit::BIND_OTHER;
use crate::compact::codec::Reader;
use crate::wire::granule_bits;

/// A frame, its number restored.
#[derive(Clone, Copy, Default)]
pub(super) struct Frame<'a> {
    /// The first byte. Of a *next*: that of the message before.
    pub(super) kind: u8,
    /// The number of a message, of the first one that is skipped or not settled.
    pub(super) n: u32,
    /// Credit in bytes, one less than how many are skipped, granules before a fragment.
    pub(super) value: u32,
    /// The length of the whole message, of a fragment.
    pub(super) total: u32,
    pub(super) payload: &'a [u8],
}

impl<P: Profile, const CHANNELS: usize, const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize>
    Endpoint<P, CHANNELS, MESSAGES, BYTES, DATAGRAM>
{
    /// From what a number on channel `kind & 15` is restored (R3.5). (Of whole windows, `base` is as good as the highest number.)
    fn reference(&self, kind: u8) -> u32 {
        let c = usize::from(kind & 15);
        let Some(head) = self.heads.get(c) else { return 0 };
        match kind {
            ..0x60 if self.is_latest(c) => head.sent,
            ..0x60 => head.settled,
            _ if self.receives_latest(c) => head.newest,
            _ => head.base,
        }
    }

    /// Reads frames, and obeys them if the packet is sound. `false`: they are malformed.
    pub(super) fn frames(&mut self, mut r: Reader<'_>, packet: &mut Packet) -> bool {
        let mut frame = Frame::default();
        while !r.rest.is_empty() {
            let kind_before = frame.kind;
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
            if P::FRAGMENTS && kind & 0xfe == 8 {
                if !self.series(kind, &frame, &mut r, packet) {
                    return false;
                }
                frame = Frame::default();
                continue;
            }
            let mut n = 0;
            if kind == 6 || kind == 7 {
                // R6.5.
                if frame.ended().is_none() {
                    return false;
                }
                kind = kind_before & 0x9f | (kind & 1) << 6;
                n = frame.n.wrapping_add(1);
            } else if kind == 4 {
                // Nothing is remembered for so long (R6.22), but it is bound.
                n = r.number_before(packet.number);
            } else if kind >= 0x40 {
                n = r.number(self.reference(kind)).0;
            }
            if kind == 4 || kind >= 0x40 {
                packet.binding = packet.binding.wrapping_add(n.wrapping_mul(BIND_OTHER));
            }
            frame = Frame { kind, n, ..Frame::default() };
            match kind {
                1 | 4 | 0x40..=0x4f => {}
                2 => frame.value = r.varint(),
                0x60..=0x6f => {
                    frame.value = r.varint();
                    if frame.value >= i32::MAX as u32 {
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
                0x80.. if P::FRAGMENTS || kind & 0x20 == 0 => {
                    if kind & 0x20 != 0 {
                        frame.value = r.varint();
                        frame.total = r.varint();
                    }
                    let mut len = r.rest.len();
                    if kind & 0x40 != 0 {
                        len = r.varint() as usize;
                        if len >= r.rest.len() {
                            return false;
                        }
                    }
                    frame.payload = r.bytes(len);
                    if kind & 0x20 != 0 && !frame.is_fragment() {
                        return false;
                    }
                }
                // Of fragments, who takes none has said so.
                _ => return false,
            }
            if r.is_bad {
                return false;
            }
            if packet.is_sound && !self.on_frame(&frame, packet) {
                packet.no_room = true;
            }
        }
        !r.is_bad
    }

    /// Reads a series (R6.24) after `before`, and obeys it if the packet is sound. `false`: it is malformed.
    fn series(&mut self, kind: u8, before: &Frame<'_>, r: &mut Reader<'_>, packet: &mut Packet) -> bool {
        let mut len = r.rest.len();
        if kind & 1 != 0 {
            len = r.varint() as usize;
            r.is_bad |= len >= r.rest.len();
        }
        let mut payloads = r.bytes(len);
        let unit = before.ended().unwrap_or(0);
        if r.is_bad || unit == 0 || payloads.is_empty() {
            return false;
        }
        let mut frame = Frame { kind: before.kind & 0x9f, ..*before };
        while !payloads.is_empty() {
            let (payload, rest) = payloads.split_at_checked(unit).unwrap_or((payloads, &[]));
            payloads = rest;
            frame = Frame { n: frame.n.wrapping_add(1), value: 0, total: unit as u32, payload, ..frame };
            if payload.len() < unit {
                frame.kind |= 0x20;
                if !frame.is_fragment() {
                    return false;
                }
            }
            packet.binding = packet.binding.wrapping_add(frame.n.wrapping_mul(BIND_OTHER));
            if packet.is_sound && !self.on_frame(&frame, packet) {
                packet.no_room = true;
            }
        }
        true
    }

    /// Obeys a frame. `false`: there is no room for it.
    fn on_frame(&mut self, frame: &Frame<'_>, packet: &mut Packet) -> bool {
        let kind = frame.kind;
        if kind == 2 && packet.mine {
            self.on_credit(frame.value, packet.number);
        }
        let c = usize::from(kind & 15);
        if kind < 0x40 || c >= CHANNELS {
            // Of another channel, or of none.
            return kind < 0x80;
        }
        if kind < 0x60 {
            if packet.mine {
                self.on_settled(c, frame.n);
            }
            return true;
        }
        if kind < 0x80 {
            return self.on_skip(c, frame.n, frame.value + 1);
        }
        let mut state = frame.payload.len() as u16 + place::READY;
        if kind & 0x10 != 0 {
            state |= place::REDELIVERED;
        }
        self.put(c, frame, state)
    }
}

impl Frame<'_> {
    /// The length of the message that this frame ends (R6.5); `None`: it ends none.
    fn ended(&self) -> Option<usize> {
        let len = self.payload.len();
        if self.kind < 0x80 {
            return None;
        }
        if self.kind & 0x20 == 0 {
            return Some(len);
        }
        let total = self.total as usize;
        let end = ((self.value as usize) << granule_bits(self.total)).wrapping_add(len);
        (end == total).then_some(total)
    }

    /// R6.6.
    fn is_fragment(&self) -> bool {
        let len = self.payload.len() as u32;
        let shift = granule_bits(self.total);
        let left = self.total.wrapping_sub(self.value << shift);
        self.value <= u32::MAX >> shift
            && left <= self.total
            && 0 < len
            && len <= left
            && len < self.total
            && (len == left || len & ((1 << shift) - 1) == 0)
    }
}
