//! Hellos, and what else is said before an association runs: protocol.md, sections 7 and 8.

use super::codec::{Reader, copy};
use super::receive::Packet;
use super::{Link, Phase, bit, news, place, precedes};
use crate::event::{CloseReason, FailReason};
use crate::link::{Receipt, association_key};
use crate::wire::{VERSION, first_byte, hello_flags};

/// What matters of a hello.
struct Hello<'a> {
    from: &'a [u8],
    incarnation: u64,
    mine: bool,
    /// It is not for an earlier life of ours.
    is_for_us: bool,
    flags: u8,
    number: u32,
    datagram_max: u32,
    window: u32,
    base: u32,
}

impl<const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize, const CHECKED: bool>
    Link<MESSAGES, BYTES, DATAGRAM, CHECKED>
{
    /// Bare hellos and what asks for confirmation are for media that can copy and delay.
    const FLAGS: u8 = hello_flags::ALL & !if CHECKED { 0 } else { hello_flags::CONFIRM | hello_flags::BARE };

    pub(super) fn on_hello(&mut self, now: u64, mut r: Reader<'_>) -> Receipt {
        if r.u8() != VERSION {
            return Receipt::Dropped;
        }
        let len = r.u8();
        let to = r.bytes(len.into());
        let from_len = r.u8();
        let from = r.bytes(from_len.into());
        let incarnation = r.u64();
        let yours = r.u64();
        let flags = r.u8();
        let number = r.u32();
        let mut h = Hello {
            from,
            incarnation,
            mine: yours == self.incarnation,
            is_for_us: (yours == self.incarnation) | (yours == 0),
            flags,
            number,
            datagram_max: DATAGRAM as u32,
            window: MESSAGES as u32,
            base: if incarnation == self.peer { self.base } else { 0 },
        };
        if len > 8 || from_len > 8 || incarnation == 0 || flags & !Self::FLAGS != 0 {
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
        let asks = CHECKED && flags & hello_flags::CONFIRM != 0;
        if !self.frames(r, &mut packet) || incarnation == self.incarnation || asks && !h.mine {
            return Receipt::Dropped;
        }
        let is_bare = CHECKED && flags & hello_flags::BARE != 0;
        let is_closed = self.phase == Phase::Closed;
        if is_closed && (incarnation != self.peer || is_bare || !h.is_for_us) {
            return Receipt::Dropped;
        }
        if incarnation != self.peer {
            if CHECKED && self.peer != 0 {
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
            // What came before did not tell where the messages begin.
            let ahead = h.base.wrapping_sub(self.base);
            if (!self.has_params || ahead <= i32::MAX as u32) && !self.on_skip(self.base, ahead) {
                self.empty_inbox(h.base);
            }
        }
        // R8.8, R7.15.
        let knows = h.mine
            && flags & (hello_flags::KNOWS | hello_flags::MORE) == hello_flags::KNOWS
            && self.is_ours(to);
        if is_bare {
            return Receipt::Accepted;
        }
        if h.is_for_us {
            // Otherwise it leaves out what an earlier life of ours has heard (R8.12).
            self.has_params |= flags & hello_flags::MORE == 0;
            self.on_connected();
            self.obey(now, r.rest, &mut packet);
        }
        // R8.29. What a line carries is in order: no hello of ours that is out of date can come after the restart.
        if knows && (!CHECKED || !self.is_successor || packet.acks_fresh) {
            self.confirm();
        } else {
            self.due |= bit::HELLO;
        }
        Receipt::Accepted
    }

    /// Reads the parameters of a hello. `true`: they are malformed, or its sender cannot take what we send.
    fn read_params(params: &[u8], h: &mut Hello<'_>) -> bool {
        let mut r = Reader::new(params);
        let mut last = 0;
        while !r.rest.is_empty() {
            let id = r.varint();
            let len = r.varint();
            let mut v = Reader::new(r.bytes(len as usize));
            r.is_bad |= id <= last;
            last = id;
            if id == 7 {
                // A channel of which only the newest message counts is not ours to serve.
                r.is_bad |= v.rest.first().is_some_and(|&modes| modes & 3 == 2);
            } else if id == 8 {
                while !v.rest.is_empty() {
                    let channel = v.u8();
                    let base = v.varint();
                    if channel == 0 {
                        h.base = base;
                    }
                }
            } else if id <= 6 || id == 10 {
                let x = v.varint();
                let least = match id {
                    1 => (BYTES + super::transmit::OVERHEAD_MAX) as u32,
                    2 | 6 => 1,
                    4 => BYTES as u32,
                    _ => 0,
                };
                v.is_bad |= x < least || !v.rest.is_empty();
                if id == 1 {
                    h.datagram_max = h.datagram_max.min(x);
                }
                if id == 2 {
                    h.window = h.window.min(x);
                }
                if id == 3 && x < (MESSAGES * BYTES) as u32 {
                    h.window = 1;
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
    fn adopt(&mut self, h: &Hello<'_>) {
        self.is_successor = self.peer != 0;
        if self.is_successor {
            if !CHECKED || self.checked.is_told {
                self.events |= news::RESTARTED;
            }
            self.flag_sent();
            if CHECKED {
                self.fresh = self.next;
                self.take_next_id();
            }
        } else if !CHECKED {
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
        let is_bare = CHECKED && h.flags & hello_flags::BARE != 0;
        self.has_params = false;
        self.largest = h.number;
        if is_bare {
            self.largest = h.number.wrapping_sub(1);
        }
        self.run = 0;
        self.ack_bits = 14;
        self.backoff = 0;
        self.acked = self.settled;
        self.flying = self.settled;
        self.sent = self.settled;
        self.flight = 0;
        self.due = bit::HELLO;
        self.empty_inbox(h.base);
        if CHECKED {
            self.checked.is_suspect = false;
            self.checked.key_in = association_key(h.incarnation, self.incarnation);
            self.checked.key_out = association_key(self.incarnation, h.incarnation);
        }
    }

    fn on_connected(&mut self) {
        if CHECKED && !self.checked.is_told {
            self.checked.is_told = true;
            self.events |= news::CONNECTED;
        }
    }

    /// What was sent may have been sent to an earlier incarnation of the peer.
    fn flag_sent(&mut self) {
        if precedes(self.redelivered, self.sent) {
            self.redelivered = self.sent;
        }
    }

    fn empty_inbox(&mut self, base: u32) {
        self.base = base;
        for state in &mut self.in_len {
            *state = place::EMPTY;
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
        self.due &= !bit::HELLO;
        if self.flight & bit::HELLO != 0 {
            self.flight = 0;
        }
        if CHECKED {
            self.checked.is_suspect = false;
            self.checked.cookie_len = 0;
        }
    }

    // ---- datagram media only

    fn is_ours(&mut self, to: &[u8]) -> bool {
        if !CHECKED {
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
    fn reply(&mut self, h: &Hello<'_>) -> Receipt {
        let c = &mut self.checked;
        c.reply_to = h.incarnation;
        c.reply_flags = hello_flags::BARE;
        if h.flags & hello_flags::CONFIRM == 0 {
            c.reply_flags |= hello_flags::CONFIRM;
        }
        c.reply_id_len = h.from.len() as u8;
        copy(&mut c.reply_id, h.from);
        Receipt::Answered
    }

    /// Retries and resets.
    pub(super) fn on_answer(&mut self, first: u8, mut r: Reader<'_>) -> Receipt {
        if first == first_byte::RETRY {
            let is_mine = r.u64() == self.incarnation;
            let c = &mut self.checked;
            if r.is_bad || !is_mine || self.is_confirmed || self.phase != Phase::Open || r.rest.len() > 16 {
                return Receipt::Dropped;
            }
            c.cookie_len = r.rest.len() as u8;
            copy(&mut c.cookie, r.rest);
        } else {
            // R8.23: it must repeat the packet in flight.
            let is_numbered = r.u8() < 0x40;
            let id = r.bytes(self.id_len.into());
            let last = self.next.wrapping_sub(1);
            let is_last = r.number_before(last) == last;
            let own = self.id.get(..self.id_len.into());
            if first != first_byte::RESET
                || r.is_bad
                || !is_numbered
                || Some(id) != own
                || !is_last
                || self.flight == 0
                || !self.is_confirmed
            {
                return Receipt::Dropped;
            }
            if self.flight & bit::CLOSE != 0 {
                self.finish(CloseReason::Drained, FailReason::Closed);
                return Receipt::Accepted;
            }
            self.is_confirmed = false;
            self.checked.is_suspect = true;
            self.flag_sent();
        }
        self.flight = 0;
        self.due |= bit::HELLO;
        Receipt::Accepted
    }
}

/// A link id of three bytes as a number.
fn value_of(id: &[u8]) -> Option<u32> {
    let [a, b, c] = *id else { return None };
    Some(u32::from(a) | u32::from(b) << 8 | u32::from(c) << 16)
}
