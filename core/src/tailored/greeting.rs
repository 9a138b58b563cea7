//! Writing hellos: protocol.md, section 7.

use super::endpoint::Endpoint;
use super::profile::Profile;
use super::transmit::FIRST_HELLO_LEN;
use crate::compact::codec::Writer;
use crate::wire::{VERSION, first_byte, hello_flags};

/// Room for the parameters that never change.
const PARAMS_MAX: usize = 6 * 5 + 2 + 4;

impl<P: Profile, const CHANNELS: usize, const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize>
    Endpoint<P, CHANNELS, MESSAGES, BYTES, DATAGRAM>
{
    /// Parameters 1 to 7 of our hellos, and how many bytes they are.
    const PARAMS: ([u8; PARAMS_MAX], usize) = {
        let values = [
            (1, DATAGRAM as u32),
            (2, MESSAGES as u32),
            (3, Self::BUFFER),
            (4, Self::MESSAGE_MAX as u32),
            (5, 0),
            (6, CHANNELS as u32),
        ];
        let defaults = [1200, 64, 65_536, 65_536, 1000, 16];
        let mut bytes = [0; PARAMS_MAX];
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
        if Self::IS_SCATTERED || Self::HAS_LATEST {
            bytes[len] = 7;
            bytes[len + 1] = CHANNELS.div_ceil(4) as u8;
            len += 2;
            let mut c = 0;
            while c < CHANNELS {
                bytes[len + c / 4] |= (P::CHANNELS[c].mode as u8) << (c % 4 * 2);
                c += 1;
            }
            len += CHANNELS.div_ceil(4);
        }
        (bytes, len)
    };

    /// Of a hello: what stands before the parameters, where they grow with bases and a cookie, and what follows.
    pub(super) const HELLO_LEN_MAX: usize = 1 + 1 + 9 + 4 + 8 + 8 + 1 + 4 + 2
        + Self::PARAMS.1 + (2 + 6 * CHANNELS) + 18 + 3
        // Acknowledgement fields, close, ping, settlements, check.
        + 11 + 2 + 1 + Self::SETTLED_LEN + 4;

    /// Who may be made to say hello to a stranger says no more than the stranger's first hello did (R8.6).
    pub(super) const FIRST_ANSWER_IS_SHORT: () = assert!(
        !P::SERVES
            || Self::HELLO_LEN_MAX - (2 + 6 * CHANNELS) - 18 - 2 - Self::SETTLED_LEN <= FIRST_HELLO_LEN + 4
    );

    /// Writes a hello up to its parameters.
    pub(super) fn write_hello(&self, w: &mut Writer<'_>, has_acks: bool) {
        let mut flags = if has_acks { hello_flags::ACK } else { 0 };
        if self.has_params {
            flags |= hello_flags::KNOWS;
        }
        let from = if self.checked.is_suspect { self.checked.next_id } else { self.checked.local_id };
        let id = self.id.get(..self.id_len.into()).unwrap_or(&[]);
        self.write_hello_to(w, self.peer, id, from, flags);
    }

    pub(super) fn write_hello_to(&self, w: &mut Writer<'_>, peer: u64, id: &[u8], from: u32, flags: u8) {
        w.u8(first_byte::HELLO);
        w.u8(VERSION);
        w.u8(id.len() as u8);
        w.bytes(id);
        if self.is_checked() {
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
        if flags & hello_flags::BARE == 0 {
            self.write_bases(w);
        }
        if Self::HAS_DATAGRAMS && self.checked.cookie_len > 0 {
            w.u8(9);
            w.u8(self.checked.cookie_len);
            w.bytes(self.checked.cookie.get(..self.checked.cookie_len.into()).unwrap_or(&[]));
        }
        if !P::FRAGMENTS {
            w.bytes(&[10, 1, 0]);
        }
        let len = w.len - len_at - 1;
        let mut first = len as u8;
        if Self::HELLO_LEN_MAX > 127 && len > 127 {
            // The length has a second byte, and everything moves behind it.
            first |= 128;
            w.u8(0);
            let mut carried = (len >> 7) as u8;
            for byte in w.buffer.iter_mut().take(w.len).skip(len_at + 1) {
                core::mem::swap(byte, &mut carried);
            }
        }
        if let Some(b) = w.buffer.get_mut(len_at) {
            *b = first;
        }
    }

    fn write_bases(&self, w: &mut Writer<'_>) {
        let mut at = 0;
        for (c, head) in self.heads.iter().enumerate() {
            if head.settled == 0 {
                continue;
            }
            if at == 0 {
                w.u8(8);
                at = w.len;
                w.u8(0);
            }
            w.u8(c as u8);
            w.varint(head.settled);
        }
        let len = w.len - at - 1;
        if at != 0
            && let Some(b) = w.buffer.get_mut(at)
        {
            *b = len as u8;
        }
    }
}
