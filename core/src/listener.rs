//! Deciding what an arriving datagram is, before any state is kept for its sender: protocol.md, section 9.
//!
//! One socket carries many links. A [`Listener`] looks at each datagram and says for which link id it is, or that
//! somebody wants to open an association, and writes the answers that need no state: a retry with a cookie, a reset, a
//! version answer. None of them is longer than the datagram that it answers. It holds no links itself: the driver keeps
//! them, by link id and by address.

use core::hash::Hasher;

use siphasher::sip::SipHasher24;

use crate::check::crc32c;
use crate::link::split_check;
use crate::time::Instant;
use crate::wire::{Hello, LinkId, Reader, VERSION, Writer, first_byte};

/// Ended links whose peer's incarnation is remembered, so that a late copy of its hello does not open a new one.
const ENDED_MAX: usize = 64;

/// A cookie holds for one to two of these spans of time, in microseconds (16.8 s). Chosen: longer than any handshake
/// retransmission, shorter than a scan of the address space.
const COOKIE_SPAN_BITS: u32 = 24;

/// Resets that may go out at once, and one more every millisecond. Chosen: a thousand peers learn of a restart within a
/// second, and a flood of strays costs at most 20 kB/s.
const RESETS_MAX: u32 = 256;

/// The longest echo in a reset: first byte, link id, number.
pub(crate) const ECHO_MAX: usize = 1 + 8 + 4;

/// What a datagram is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Incoming {
    /// A packet for the link with this id (one of its [`local_link_ids`](crate::Link::local_link_ids)). If there is no
    /// such link, ask for a [`reset`](Listener::reset).
    Link(LinkId),
    /// A hello. It is for the link with the id `to` if that is not empty and there is such a link; else for the link with
    /// the same address or `incarnation`, if there is one; else somebody wants a new link. Then, if not `is_validated`,
    /// either make one and call [`set_unvalidated`](crate::Link::set_unvalidated) on it, or, when there are many such
    /// links already, ask for a [`retry`](Listener::retry) and keep nothing.
    Hello {
        /// The id of the link that the peer believes to talk to, empty if none.
        to: LinkId,
        /// The incarnation of the peer.
        incarnation: u64,
        /// The hello repeats a cookie that went to this address.
        is_validated: bool,
    },
    /// `reply[..len]` is to be sent back.
    Reply(usize),
    /// Of no use.
    Drop,
}

/// Sorts the datagrams that arrive at a socket with many links.
#[derive(Clone, Debug)]
pub struct Listener {
    key: (u64, u64),
    link_id_len: u8,
    ended: [u64; ENDED_MAX],
    ended_next: usize,
    resets: u32,
    resets_at: Instant,
}

impl Listener {
    /// A listener for links whose `Config::link_id_len` is `link_id_len` (at least 1). `seed` must be unpredictable:
    /// cookies depend on it.
    pub fn new(link_id_len: u8, seed: [u64; 2]) -> Self {
        Listener {
            key: (seed[0], seed[1]),
            link_id_len,
            ended: [0; ENDED_MAX],
            ended_next: 0,
            resets: RESETS_MAX,
            resets_at: Instant::ZERO,
        }
    }

    /// Says what `datagram` from `source` (the bytes of its address and port) is. Keeps nothing. `reply` should have 64
    /// bytes.
    pub fn incoming(&self, now: Instant, source: &[u8], datagram: &[u8], reply: &mut [u8]) -> Incoming {
        let Some((&first, rest)) = datagram.split_first() else { return Incoming::Drop };
        if first & first_byte::LONG == 0 {
            let id = rest.get(..self.link_id_len as usize).and_then(LinkId::new);
            return id.map_or(Incoming::Drop, Incoming::Link);
        }
        let Some(body) = split_check(datagram) else { return Incoming::Drop };
        if first != first_byte::HELLO {
            // Retry and version answers are for somebody who connects; its link is found by address.
            return Incoming::Drop;
        }
        match Hello::peek(body) {
            Ok((VERSION, _)) => {}
            Ok((_, incarnation)) => return answer_version(incarnation, datagram.len(), reply),
            Err(_) => return Incoming::Drop,
        }
        let Ok(h) = Hello::parse(body) else { return Incoming::Drop };
        if h.your_incarnation == 0 && self.ended.contains(&h.incarnation) {
            return Incoming::Drop;
        }
        let is_validated = self.cookie_is_good(now, source, h.incarnation, h.params.cookie);
        Incoming::Hello { to: h.to, incarnation: h.incarnation, is_validated }
    }

    /// Writes the answer to a hello for which no state shall be kept: the same hello again with a cookie. Returns its
    /// length. `None` if the hello is too short for an answer.
    pub fn retry(&self, now: Instant, source: &[u8], datagram: &[u8], reply: &mut [u8]) -> Option<usize> {
        let (_, incarnation) = Hello::peek(datagram).ok()?;
        let cookie = self.cookie(source, incarnation, now.as_micros() >> COOKIE_SPAN_BITS);
        let mut w = Writer::new(reply);
        let ok = w.u8(first_byte::RETRY) && w.bytes(&incarnation.to_le_bytes()) && w.bytes(&cookie);
        finish(ok, w, datagram.len())
    }

    /// Writes the answer to a packet for a link that does not exist. Returns its length. `None` if it shall not be
    /// answered: it does not ask for anything, is too short, or there were too many.
    pub fn reset(&mut self, now: Instant, datagram: &[u8], reply: &mut [u8]) -> Option<usize> {
        let (echo, len) = echo_of(self.link_id_len, datagram)?;
        let refill = now.saturating_duration_since(self.resets_at).as_millis().min(RESETS_MAX as u128) as u32;
        if refill > 0 {
            self.resets = (self.resets + refill).min(RESETS_MAX);
            self.resets_at = now;
        }
        let left = self.resets.checked_sub(1)?;
        let mut w = Writer::new(reply);
        let ok = w.u8(first_byte::RESET) && w.bytes(echo.get(..len as usize)?);
        let n = finish(ok, w, datagram.len() - 1)?;
        self.resets = left;
        Some(n)
    }

    /// The link with the peer `incarnation` has ended and is forgotten: late copies of its hello are not to open another.
    pub fn on_ended(&mut self, incarnation: u64) {
        self.ended[self.ended_next % ENDED_MAX] = incarnation;
        self.ended_next = (self.ended_next + 1) % ENDED_MAX;
    }

    fn cookie(&self, source: &[u8], incarnation: u64, span: u64) -> [u8; 8] {
        let mut h = SipHasher24::new_with_keys(self.key.0, self.key.1);
        h.write(source);
        h.write_u64(incarnation);
        h.write_u64(span);
        h.finish().to_le_bytes()
    }

    fn cookie_is_good(&self, now: Instant, source: &[u8], incarnation: u64, cookie: &[u8]) -> bool {
        let span = now.as_micros() >> COOKIE_SPAN_BITS;
        [span, span.wrapping_sub(1)].iter().any(|&s| self.cookie(source, incarnation, s) == cookie)
    }
}

/// What a reset repeats of `datagram`: everything up to the packet number. `None` if it shall not be answered, because it
/// has no number or is not longer than the reset would be.
pub(crate) fn echo_of(link_id_len: u8, datagram: &[u8]) -> Option<([u8; ECHO_MAX], u8)> {
    let mut r = Reader::new(datagram);
    let first = r.u8().ok()?;
    if !matches!(first & 0xe0, first_byte::NUMBERED | first_byte::NUMBERED_ACK) {
        return None;
    }
    r.bytes(link_id_len as usize).ok()?;
    r.truncated().ok()?;
    let len = datagram.len() - r.rest().len();
    let mut echo = [0; ECHO_MAX];
    crate::wire::copy(echo.get_mut(..len)?, datagram);
    (1 + len + crate::wire::CHECK_LEN < datagram.len()).then_some((echo, len as u8))
}

fn answer_version(incarnation: u64, len_max: usize, reply: &mut [u8]) -> Incoming {
    let mut w = Writer::new(reply);
    let ok = w.u8(first_byte::VERSION) && w.bytes(&incarnation.to_le_bytes()) && w.u8(VERSION);
    finish(ok, w, len_max).map_or(Incoming::Drop, Incoming::Reply)
}

/// Adds the check. `None` if the answer would be longer than `len_max`.
fn finish(ok: bool, mut w: Writer<'_>, len_max: usize) -> Option<usize> {
    let check = crc32c(w.written());
    (ok && w.bytes(&check.to_le_bytes()) && w.len() <= len_max).then_some(w.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::NewReno;
    use crate::storage::Inline;
    use crate::{Channel, Config, Event, Link};

    type Node = Link<Inline<1, 8, 1024, 16>, NewReno>;

    fn transmit(link: &mut Node, now: Instant) -> Option<std::vec::Vec<u8>> {
        let mut b = [0; 1200];
        link.poll_transmit(now, &mut b).map(|n| b[..n].to_vec())
    }

    #[test]
    fn hello_is_retried_with_a_cookie_that_holds_for_one_address_only() {
        let now = Instant::from_millis(1);
        let listener = Listener::new(3, [1, 2]);
        let mut a = Node::new(&Config::udp(), NewReno::new(), 7);
        a.connect(now);
        a.send(now, Channel(0), b"early").unwrap();
        let hello = transmit(&mut a, now).unwrap();
        let mut reply = [0; 64];
        let Incoming::Hello { is_validated: false, .. } = listener.incoming(now, b"a", &hello, &mut reply)
        else {
            panic!("no hello")
        };
        let n = listener.retry(now, b"a", &hello, &mut reply).unwrap();
        assert!(n <= hello.len());
        a.handle_datagram(now, &reply[..n]);
        let again = transmit(&mut a, now).unwrap();
        let validated = |source: &[u8]| match listener.incoming(now, source, &again, &mut [0; 64]) {
            Incoming::Hello { is_validated, .. } => is_validated,
            _ => false,
        };
        assert!(validated(b"a") && !validated(b"b"));
        // The message rides in the second hello, too.
        let mut b = Node::new(&Config::udp(), NewReno::new(), 8);
        b.handle_datagram(now, &again);
        assert_eq!(b.recv(now).unwrap().payload, b"early");
    }

    #[test]
    fn reset_makes_the_survivor_say_hello_and_a_forged_one_does_not() {
        let now = Instant::from_millis(1);
        let (mut a, mut b) =
            (Node::new(&Config::udp(), NewReno::new(), 7), Node::new(&Config::udp(), NewReno::new(), 8));
        a.connect(now);
        for _ in 0..3 {
            while let Some(d) = transmit(&mut a, now) {
                b.handle_datagram(now, &d);
            }
            while let Some(d) = transmit(&mut b, now) {
                a.handle_datagram(now, &d);
            }
        }
        assert_eq!(a.poll_event(), Some(Event::Connected));
        a.send(now, Channel(0), b"to somebody who has forgotten").unwrap();
        let packet = transmit(&mut a, now).unwrap();
        assert!(packet[0] < 0x80);
        let mut listener = Listener::new(3, [1, 2]);
        let mut reply = [0; 64];
        let n = listener.reset(now, &packet, &mut reply).unwrap();
        assert!(n < packet.len());
        let mut forged = packet.clone();
        forged[1] ^= 1;
        let mut forged_reply = [0; 64];
        let m = listener.reset(now, &forged, &mut forged_reply).unwrap();
        a.handle_datagram(now, &forged_reply[..m]);
        assert_eq!(transmit(&mut a, now), None);
        a.handle_datagram(now, &reply[..n]);
        assert_eq!(transmit(&mut a, now).unwrap()[0], first_byte::HELLO);
    }

    #[test]
    fn another_version_is_answered_with_ours() {
        let now = Instant::from_millis(1);
        let mut a = Node::new(&Config::udp(), NewReno::new(), 7);
        a.connect(now);
        let mut hello = transmit(&mut a, now).unwrap();
        hello[1] = 99;
        let n = hello.len() - 4;
        let check = crc32c(&hello[..n]).to_le_bytes();
        hello[n..].copy_from_slice(&check);
        let mut reply = [0; 64];
        let Incoming::Reply(len) = Listener::new(3, [1, 2]).incoming(now, b"a", &hello, &mut reply) else {
            panic!("no answer")
        };
        // It names our version, which the asker speaks: believed only by somebody who does not.
        a.handle_datagram(now, &reply[..len]);
        assert!(!a.is_closed());
        let mut other = [0; 32];
        let mut w = Writer::new(&mut other);
        assert!(w.u8(first_byte::VERSION) && w.bytes(&a.incarnation().to_le_bytes()) && w.u8(99));
        let len = finish(true, w, 32).unwrap();
        a.handle_datagram(now, &other[..len]);
        assert!(a.is_closed());
    }
}
