//! Hellos, and what else is said before an association runs: protocol.md, sections 7 and 8.

use super::endpoint::{Endpoint, Phase, bit, news};
use super::profile::{Counters, Profile};
use super::receive::Packet;
use crate::compact::codec::{Reader, copy};
use crate::config::Mode;
use crate::event::{CloseReason, FailReason};
use crate::link::{Receipt, association_key};
use crate::wire::{VERSION, hello_flags};

/// What matters of a hello.
struct Hello<'a, const CHANNELS: usize> {
    from: &'a [u8],
    incarnation: u64,
    mine: bool,
    /// It is not for an earlier life of ours.
    is_for_us: bool,
    flags: u8,
    number: u32,
    datagram_max: u32,
    window: u32,
    credit: u32,
    takes_fragments: bool,
    modes: &'a [u8],
    bases: [u32; CHANNELS],
}

impl<P: Profile, const CHANNELS: usize, const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize>
    Endpoint<P, CHANNELS, MESSAGES, BYTES, DATAGRAM>
{
    pub(super) fn on_hello(&mut self, now: u64, mut r: Reader<'_>) -> Receipt {
        let version = r.u8();
        if version != VERSION && !P::SERVES {
            return Receipt::Dropped;
        }
        let len = r.u8();
        let to = r.bytes(len.into());
        let from_len = r.u8();
        let from = r.bytes(from_len.into());
        let incarnation = r.u64();
        if P::SERVES && version != VERSION {
            return self.answer_version(incarnation, r.is_bad);
        }
        let yours = r.u64();
        let flags = r.u8();
        let number = r.u32();
        let mut h = Hello {
            from,
            incarnation,
            mine: yours == self.incarnation,
            is_for_us: yours == self.incarnation || yours == 0,
            flags,
            number,
            datagram_max: DATAGRAM as u32,
            window: MESSAGES as u32,
            credit: 65_536,
            takes_fragments: P::FRAGMENTS,
            modes: &[],
            bases: [0; CHANNELS],
        };
        if incarnation == self.peer {
            // R7.14.
            for (base, head) in h.bases.iter_mut().zip(&self.heads) {
                *base = head.base;
            }
        }
        // Bare hellos and what asks for confirmation are for media that can copy and delay.
        let is_checked = self.is_checked();
        let known = hello_flags::ALL & !if is_checked { 0 } else { hello_flags::CONFIRM | hello_flags::BARE };
        if len > 8 || from_len > 8 || incarnation == 0 || flags & !known != 0 {
            return Receipt::Dropped;
        }
        let len = r.varint();
        if Self::read_params(r.bytes(len as usize), &mut h) {
            return Receipt::Dropped;
        }
        let mut packet = Packet { number, is_numbered: true, bits: 14, mine: h.mine, ..Packet::default() };
        if flags & hello_flags::ACK != 0 {
            let bits = r.u8();
            if bits > 0x1f {
                return Receipt::Dropped;
            }
            self.acks(bits, &mut r, &mut packet);
        }
        let asks = is_checked && flags & hello_flags::CONFIRM != 0;
        if !self.frames(r, &mut packet) || incarnation == self.incarnation || asks && !h.mine {
            return Receipt::Dropped;
        }
        let is_bare = is_checked && flags & hello_flags::BARE != 0;
        let comes_more = flags & hello_flags::MORE != 0;
        let is_closed = self.phase == Phase::Closed;
        if is_closed && (incarnation != self.peer || is_bare || !h.is_for_us) {
            return Receipt::Dropped;
        }
        if incarnation != self.peer {
            if is_checked && self.peer != 0 {
                let proven = h.mine && !asks && self.is_next_id(to);
                if !proven {
                    return self.reply(&h);
                }
            }
            if (self.flight | self.due) & bit::CLOSE != 0 {
                // R15.5.
                self.finish(CloseReason::Drained, FailReason::Closed);
                return Receipt::Accepted;
            }
            self.adopt(&h);
        } else if asks || is_bare {
            if self.is_confirmed || !h.mine {
                return Receipt::Dropped;
            }
            self.take_id(from);
            self.flight = 0;
            self.due |= bit::HELLO;
            return Receipt::Accepted;
        } else {
            if number.wrapping_sub(self.largest) as i32 <= 0 {
                return Receipt::Dropped;
            }
            self.is_confirmed = false;
            if h.mine {
                self.take_id(from);
            }
            if is_closed {
                // R15.3.
                self.obey(now, r.rest, &mut packet);
                return Receipt::Accepted;
            }
            // What came before did not tell how and where the channels begin.
            let is_first = !self.has_params;
            if !h.modes.is_empty() {
                self.take_modes(h.modes);
            }
            for (c, &base) in h.bases.iter().enumerate() {
                self.on_base(c, base, is_first);
            }
        }
        // R8.8.
        let knows = h.mine && flags & hello_flags::KNOWS != 0 && self.is_ours(to) && !comes_more;
        if is_bare {
            return Receipt::Accepted;
        }
        if h.is_for_us {
            // Otherwise it leaves out what an earlier life of ours has heard (R8.12).
            self.has_params |= !comes_more;
            self.on_connected();
            self.obey(now, r.rest, &mut packet);
        }
        // R8.29. What a line carries is in order: no hello of ours that is out of date can come after the restart.
        if knows && (!is_checked || !self.is_successor || packet.acks_fresh) {
            self.confirm();
        } else {
            self.due |= bit::HELLO;
        }
        Receipt::Accepted
    }

    /// Reads the parameters of a hello. `true`: they are malformed, or its sender cannot take what we send.
    fn read_params<'a>(params: &'a [u8], h: &mut Hello<'a, CHANNELS>) -> bool {
        let mut r = Reader::new(params);
        let mut last = 0;
        while !r.rest.is_empty() {
            let id = r.varint();
            let len = r.varint();
            let mut v = Reader::new(r.bytes(len as usize));
            r.is_bad |= id <= last;
            last = id;
            if id == 7 {
                // A latest channel is not received where no channel of ours is of that kind.
                h.modes = v.rest;
                v.is_bad |=
                    !Self::HAS_LATEST && (0..CHANNELS).any(|c| mode_of(h.modes, c) == Mode::Latest as u8);
            } else if id == 8 {
                while !v.rest.is_empty() {
                    let channel = v.u8();
                    let base = v.varint();
                    if let Some(own) = h.bases.get_mut(usize::from(channel)) {
                        *own = base;
                    }
                }
            } else if id <= 6 || id == 10 {
                let x = v.varint();
                let least = match id {
                    1 => Self::DATAGRAM_MIN as u32,
                    2 => 1,
                    4 => Self::MESSAGE_MAX as u32,
                    6 => CHANNELS as u32,
                    _ => 0,
                };
                v.is_bad |= x < least || !v.rest.is_empty();
                match id {
                    1 => h.datagram_max = h.datagram_max.min(x),
                    2 => h.window = h.window.min(x),
                    3 if Self::HAS_CREDIT => h.credit = x,
                    3 if x < Self::BUFFER => h.window = 1,
                    10 if P::FRAGMENTS && x == 0 => {
                        h.takes_fragments = false;
                        v.is_bad |= h.datagram_max < Self::WHOLE_MIN as u32;
                    }
                    _ => {}
                }
            }
            r.is_bad |= v.is_bad;
            if r.is_bad {
                break;
            }
        }
        r.is_bad
    }

    /// Makes the sender of `h` the peer (R8.9).
    fn adopt(&mut self, h: &Hello<'_, CHANNELS>) {
        self.is_successor = self.peer != 0;
        if self.is_successor {
            if !Self::HAS_DATAGRAMS || self.checked.is_told {
                self.events |= news::RESTARTED;
                self.counters.count(|s| s.peer_restarts = s.peer_restarts.wrapping_add(1));
            }
            self.flag_sent();
            if Self::HAS_DATAGRAMS {
                self.take_next_id();
            }
        } else if !Self::HAS_DATAGRAMS {
            self.events |= news::CONNECTED;
        }
        // R8.30.
        if h.is_for_us {
            self.on_connected();
        }
        self.phase = Phase::Open;
        self.is_confirmed = false;
        self.peer = h.incarnation;
        self.take_id(h.from);
        self.datagram_max = h.datagram_max;
        self.window = h.window as u8;
        if Self::HAS_CREDIT {
            self.credit = h.credit;
            self.credit_at = h.number;
        }
        if P::FRAGMENTS {
            self.takes_fragments = h.takes_fragments;
        }
        let is_bare = Self::HAS_DATAGRAMS && h.flags & hello_flags::BARE != 0;
        self.has_params = false;
        self.fresh = self.next;
        self.largest = h.number;
        if is_bare {
            self.largest = h.number.wrapping_sub(1);
        }
        self.run = 0;
        self.ack_bits = 14;
        self.backoff = 0;
        self.flight = 0;
        self.due = bit::HELLO;
        if CHANNELS > 1 {
            self.untold = 0;
        }
        if Self::HAS_EXPLICIT {
            self.generation = self.generation.wrapping_add(1);
        }
        for (c, &base) in h.bases.iter().enumerate() {
            self.send_again(c);
            self.empty_inbox(c, base);
        }
        self.take_modes(h.modes);
        if Self::HAS_DATAGRAMS {
            self.checked.is_suspect = false;
            self.checked.key_in = association_key(h.incarnation, self.incarnation);
            self.checked.key_out = association_key(self.incarnation, h.incarnation);
        }
    }

    fn on_connected(&mut self) {
        if Self::HAS_DATAGRAMS && !self.checked.is_told {
            self.checked.is_told = true;
            self.events |= news::CONNECTED;
        }
    }

    fn take_modes(&mut self, modes: &[u8]) {
        if Self::IS_SCATTERED || Self::HAS_LATEST {
            for (c, head) in self.heads.iter_mut().enumerate() {
                head.mode = mode_of(modes, c);
            }
        }
    }

    fn take_id(&mut self, id: &[u8]) {
        self.id_len = id.len() as u8;
        copy(&mut self.id, id);
    }

    /// The peer knows this association.
    pub(super) fn confirm(&mut self) {
        self.on_connected();
        self.is_confirmed = true;
        if P::SERVES {
            self.is_unvalidated = false;
        }
        self.due &= !bit::HELLO;
        if self.flight & bit::HELLO != 0 {
            self.flight = 0;
        }
        if Self::HAS_DATAGRAMS {
            self.checked.is_suspect = false;
            self.checked.cookie_len = 0;
        }
    }

    /// Whether the link id is ours. Where it is the next one, it becomes the present one.
    fn is_ours(&mut self, to: &[u8]) -> bool {
        if !self.is_checked() {
            return to.is_empty();
        }
        if self.is_next_id(to) {
            self.take_next_id();
            return true;
        }
        value_of(to) == Some(self.checked.local_id)
    }

    fn is_next_id(&self, to: &[u8]) -> bool {
        value_of(to) == Some(self.checked.next_id)
    }

    pub(super) fn take_next_id(&mut self) {
        self.checked.local_id = self.checked.next_id;
        self.draw_next_id();
    }

    pub(super) fn draw_next_id(&mut self) {
        let id = self.checked.next_id.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
        self.checked.next_id = (id ^ self.incarnation as u32) & 0xff_ffff;
        if self.checked.next_id == self.checked.local_id {
            self.checked.next_id ^= 1;
        }
    }

    /// R8.15.
    fn reply(&mut self, h: &Hello<'_, CHANNELS>) -> Receipt {
        let c = &mut self.checked;
        c.reply_to = h.incarnation;
        c.reply = hello_flags::BARE;
        if h.flags & hello_flags::CONFIRM == 0 {
            c.reply |= hello_flags::CONFIRM;
        }
        c.reply_id_len = h.from.len() as u8;
        copy(&mut c.reply_id, h.from);
        Receipt::Answered
    }
}

/// The mode of a channel (parameter 7).
fn mode_of(modes: &[u8], c: usize) -> u8 {
    modes.get(c / 4).map_or(Mode::Ordered as u8, |&four| four >> (c % 4 * 2) & 3)
}

/// A link id of three bytes as a number.
fn value_of(id: &[u8]) -> Option<u32> {
    let [a, b, c] = *id else { return None };
    Some(u32::from(a) | u32::from(b) << 8 | u32::from(c) << 16)
}
