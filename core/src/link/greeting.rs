//! Saying hello, and answering who is not the peer: the sending side of the handshake (protocol.md, sections 7 and 8).

use core::ops::Range;

use super::Link;
use super::peer::{ACK_DELAY_MAX, Reply, STEPS};
use crate::check::crc32c;
use crate::config::Medium;
use crate::congestion::Controller;
use crate::sequence::Sequence;
use crate::storage::{Slots, Storage};
use crate::time::Instant;
use crate::wire::{CHECK_LEN, Hello, LinkId, Params, Writer, first_byte, hello_flags};

/// The largest receive buffer that is told in a hello, in bytes: what takes four (protocol.md, R7.16).
const BUFFER_MAX: u32 = (1 << 28) - 1;

/// Over UDP a first hello is at least so long, so that the answer is not longer (protocol.md, 8.1).
pub(super) const HELLO_PADDED: usize = 96;

/// Bytes of a ping, of a close, and of the longest credit frame.
const PING_LEN: usize = 1;
const CLOSE_LEN: usize = 2;
const CREDIT_LEN_MAX: usize = 6;

impl<S: Storage, C: Controller> Link<S, C> {
    /// Writes the head of a hello to the peer, with as much of what the peer has to hear as leaves room for the rest. Returns
    /// how many steps it has heard then, and whether acknowledgement fields are to follow. `None` if not one step fits.
    pub(super) fn write_hello(&self, now: Instant, w: &mut Writer<'_>, has_acks: bool) -> Option<(u8, bool)> {
        let flags = if self.peer.has_params { hello_flags::KNOWS } else { 0 };
        // To a peer that has perhaps restarted: who answers to this id has heard us just now, and may replace it.
        let from = if self.peer.is_suspect { self.next_local_id } else { self.local_id };
        let told = self.peer.told;
        for acks in [has_acks, false] {
            let rest = self.rest_len() + if acks { self.acks.fields_len(now) } else { 0 };
            let mut to = STEPS;
            loop {
                let flags = flags
                    | if acks { hello_flags::ACK } else { 0 }
                    | if to < STEPS { hello_flags::MORE } else { 0 };
                w.truncate(0);
                let fits = self.write_hello_to(w, self.peer.incarnation, self.peer.id, from, flags, told..to);
                if fits && w.room() >= rest {
                    return Some((to, acks));
                }
                // Beside a cookie there need not be room for any.
                if to <= told + u8::from(self.cookie.is_empty()) {
                    break;
                }
                to -= 1;
            }
        }
        None
    }

    /// What must find room behind the parameters of a hello, beside acknowledgement fields: a hello that was asked for by what
    /// it has no room for would be asked for again, without end. (R7.16: it fits 96 bytes, if need be without those fields.)
    fn rest_len(&self) -> usize {
        let close = if self.due.close { CLOSE_LEN } else { 0 };
        let credit = if self.due.credit { CREDIT_LEN_MAX } else { 0 };
        PING_LEN + close + credit
    }

    /// Whether short packets of the peer may be meant for an earlier life of ours, and nothing in them would show it.
    pub(super) fn is_estranged(&self) -> bool {
        self.peer.is_stranger && !self.has_check()
    }

    /// Whether `id` is the one that the peer was told when we thought that it had restarted. Somebody else may have been
    /// told the same: the check of the packet must show that it is from the peer.
    pub(super) fn is_offered_id(&self, id: LinkId) -> bool {
        id == self.next_local_id && (self.peer.is_suspect || self.has_check())
    }

    /// The peer has not restarted, and uses the id that it was told when we thought so.
    pub(super) fn take_offered_id(&mut self, id: LinkId) {
        if id != self.local_id && self.is_offered_id(id) {
            self.local_id = id;
            self.draw_next_id();
        }
    }

    fn write_hello_to(
        &self,
        w: &mut Writer<'_>,
        incarnation: u64,
        to: LinkId,
        from: LinkId,
        flags: u8,
        steps: Range<u8>,
    ) -> bool {
        let no_check = matches!(self.config.medium, Medium::Datagram { check: false });
        let flags = flags | if no_check { hello_flags::NO_CHECK } else { 0 };
        let modes =
            (0..self.out.len_max()).rev().fold(0, |all, c| all << 2 | self.config.channel(c).mode as u32);
        let used = 4 - modes.leading_zeros() as usize / 8;
        let modes = modes.to_le_bytes();
        let params = Params {
            datagram_max: self.config.datagram_max,
            window: self.config.receive_window,
            buffer: self.config.receive_buffer.min(BUFFER_MAX),
            message_max: self.config.message_max,
            // The peer believes no more.
            ack_delay: self.config.ack_delay.min(ACK_DELAY_MAX),
            channels: self.inn.len_max() as u32,
            modes: if steps.contains(&0) { modes.get(..used).unwrap_or(&[]) } else { &[] },
            cookie: self.cookie.as_bytes(),
            fragments: u32::from(S::FRAGMENTATION),
            ..Params::default()
        };
        let hello = Hello {
            to,
            from,
            incarnation: self.incarnation,
            your_incarnation: incarnation,
            flags,
            number: self.recovery.next,
            params,
            ack: None,
            frames: &[],
        };
        let channels = self.out.as_slice().iter().enumerate();
        let bases = channels.filter(|(c, o)| steps.contains(&(*c as u8 + 1)) && o.cum != Sequence(0));
        let pairs = bases.map(|(c, o)| (c as u8, o.cum));
        hello.encode_head(w) && params.encode(pairs, w)
    }

    /// Answers somebody who is not the peer (yet).
    pub(super) fn transmit_reply(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let mut w = Writer::new(buffer);
        let ok = match core::mem::replace(&mut self.reply, Reply::None) {
            Reply::None => return None,
            Reply::Hello { incarnation, id, flags } => {
                // It is short; the one that follows it says the rest.
                self.write_hello_to(&mut w, incarnation, id, self.next_local_id, flags, 0..0)
            }
            Reply::Reset { echo, len } => {
                w.u8(first_byte::RESET) && w.bytes(echo.get(..len as usize).unwrap_or(&[]))
            }
        };
        let check = crc32c(w.written());
        (ok && (!self.can_reorder() || w.bytes(&check.to_le_bytes()))).then_some(w.len())
    }

    /// How long a hello must be at least: what opens an association over UDP is padded.
    pub(super) fn hello_padding(&self) -> usize {
        match self.config.medium {
            Medium::Datagram { .. } if self.peer.incarnation == 0 => HELLO_PADDED - CHECK_LEN,
            _ => 0,
        }
    }
}
