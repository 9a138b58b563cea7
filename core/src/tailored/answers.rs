//! Retries, resets and version answers, and packets that are not of this association: protocol.md, 4.4, 8.7 to 8.9.

use super::endpoint::{Endpoint, Phase, bit};
use super::profile::{Media, Profile};
use crate::check::crc32c;
use crate::compact::codec::{Reader, Writer, copy};
use crate::event::{CloseReason, FailReason};
use crate::link::Receipt;
use crate::wire::{VERSION, first_byte};

impl<P: Profile, const CHANNELS: usize, const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize>
    Endpoint<P, CHANNELS, MESSAGES, BYTES, DATAGRAM>
{
    /// Takes a long packet that is no hello.
    pub(super) fn on_answer(&mut self, first: u8, mut r: Reader<'_>) -> Receipt {
        if P::SERVES && first == first_byte::VERSION {
            return self.on_version(r);
        }
        if P::MEDIA == Media::Framed {
            return Receipt::Dropped;
        }
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

    /// R8.28.
    fn on_version(&mut self, mut r: Reader<'_>) -> Receipt {
        let is_mine = r.u64() == self.incarnation;
        // No `contains`: it brings 200 bytes of the library along.
        #[allow(clippy::manual_contains)]
        if r.is_bad || !is_mine || self.peer != 0 || r.rest.iter().any(|&v| v == VERSION) {
            return Receipt::Dropped;
        }
        self.finish(CloseReason::Version { peer: r.u8() }, FailReason::Unreachable);
        Receipt::Accepted
    }

    /// R8.27. (No hello is as short as the answer.)
    pub(super) fn answer_version(&mut self, incarnation: u64, is_bad: bool) -> Receipt {
        if is_bad {
            return Receipt::Dropped;
        }
        self.checked.reply = first_byte::VERSION;
        self.checked.reply_to = incarnation;
        Receipt::Answered
    }

    /// R8.26.
    pub(super) fn on_stray(&mut self, first: u8, mut r: Reader<'_>) -> Receipt {
        if self.phase == Phase::Closed {
            return Receipt::Dropped;
        }
        if !self.is_checked() {
            if self.flight == 0 {
                self.open();
            }
            return Receipt::Dropped;
        }
        if !P::SERVES || self.phase == Phase::Open || first >= 0x40 {
            return Receipt::Dropped;
        }
        let rest_len = r.rest.len();
        // Up to the last byte of the number, which has no top bit.
        let c = &mut self.checked;
        let mut w = Writer::new(&mut c.reply_id);
        w.u8(first);
        for _ in 0..3 {
            w.u8(r.u8());
        }
        while w.len < 8 {
            let byte = r.u8();
            w.u8(byte);
            if byte < 0x80 {
                break;
            }
        }
        // R8.22: the reset, which has one byte more than it repeats, is shorter than the packet.
        if r.is_bad || w.len >= rest_len {
            return Receipt::Dropped;
        }
        c.reply_id_len = w.len as u8;
        c.reply = first_byte::RESET;
        Receipt::Answered
    }

    /// Writes what is to be said to somebody who is not the peer.
    pub(super) fn transmit_reply(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let reply = core::mem::take(&mut self.checked.reply);
        let c = &self.checked;
        let mut w = Writer::new(buffer);
        let id = c.reply_id.get(..c.reply_id_len.into())?;
        if P::SERVES && reply >= 0x80 {
            w.u8(reply);
            if reply == first_byte::VERSION {
                w.u64(c.reply_to);
                w.u8(VERSION);
            } else {
                w.bytes(id);
            }
        } else {
            self.write_hello_to(&mut w, c.reply_to, id, c.next_id, reply);
        }
        let len = w.finish()?.len();
        if !self.is_checked() {
            return Some(len);
        }
        let check = crc32c(buffer.get(..len)?);
        buffer.get_mut(len..len + 4)?.copy_from_slice(&check.to_le_bytes());
        Some(len + 4)
    }
}
