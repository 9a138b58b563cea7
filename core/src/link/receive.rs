//! Taking a datagram apart.
//!
//! A packet is looked at twice: first every frame is parsed and every number restored, without any effect, so that a
//! packet that is malformed, damaged or of another association changes nothing; then the frames are obeyed.

use super::inbox::{Arrival, Stored};
use super::sent::control;
use super::{Link, Phase, Receipt};
use crate::check::crc32c;
use crate::config::{Medium, Mode};
use crate::congestion::Controller;
use crate::event::{CloseReason, FailReason};
use crate::logging::trace;
use crate::sequence::Sequence;
use crate::storage::{Slots, Storage};
use crate::time::Instant;
use crate::wire::{Ack, CHECK_LEN, Frame, Frames, LinkId, Malformed, Reader, Short, first_byte};

/// Codes of close frames: the sender has drained, or given up; or answers somebody who does not know that it is over.
/// An answer is not answered.
pub(super) const CLOSE_DRAINED: u8 = 0;
pub(super) const CLOSE_ABORTED: u8 = 1;
pub(super) const CLOSE_ANSWER: u8 = 2;

/// Sums up the restored numbers of a packet, for its check: a number that was restored wrongly (because the packet is
/// older than the truncation allows) fails it (protocol.md, 4.3).
#[derive(Clone, Copy, Default)]
pub(super) struct Binding(u32);

impl Binding {
    pub(super) fn add_packet(&mut self, n: Sequence) {
        self.0 = self.0.wrapping_add(n.0.wrapping_mul(0x9e37_79b1));
    }
    pub(super) fn add_acked(&mut self, n: Sequence) {
        self.0 = self.0.wrapping_add(n.0.wrapping_mul(0x85eb_ca77));
    }
    pub(super) fn add(&mut self, n: Sequence) {
        self.0 = self.0.wrapping_add(n.0.wrapping_mul(0xc2b2_ae3d));
    }
    /// The check of a packet with the bytes `body`.
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub(super) fn check(self, key: u32, body: &[u8]) -> u32 {
        crc32c(body) ^ key ^ self.0
    }
}

impl<S: Storage, C: Controller> Link<S, C> {
    /// Takes in a datagram. Whatever it is, it is never an error: what is of no use is dropped and counted in
    /// [`stats`](Self::stats).
    ///
    /// Afterwards: `poll_transmit`, `recv`, `poll_event`, `poll_timeout`.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Receipt {
        let now = self.tick(now);
        self.release_lent();
        self.on_change();
        self.acks.on_datagram();
        self.stats.datagrams_received = self.stats.datagrams_received.wrapping_add(1);
        self.stats.bytes_received = self.stats.bytes_received.wrapping_add(datagram.len() as u64);
        let receipt = match datagram.first() {
            None => self.drop_malformed(),
            Some(first) if first & first_byte::LONG != 0 => self.on_long(now, datagram),
            Some(_) => self.on_short(now, datagram),
        };
        // Whatever it was may have ended messages, those of a hello that asks for confirmation among them.
        self.drop_stale_deadlines();
        if receipt == Receipt::Accepted
            && let Some(b) = &mut self.budget
        {
            *b = b.saturating_add(datagram.len() as u32);
        }
        receipt
    }

    fn on_short(&mut self, now: Instant, datagram: &[u8]) -> Receipt {
        if self.peer.incarnation == 0 {
            return self.on_stray(now, datagram);
        }
        let id_len = self.local_id.as_bytes().len();
        let id = datagram.get(1..1 + id_len).unwrap_or(&[]);
        let offered = (id != self.local_id.as_bytes()).then(|| LinkId::new(id).unwrap_or_default());
        if offered.is_some_and(|id| !self.is_offered_id(id)) {
            // R8.26: a peer that is not confirmed may take us for an earlier life of ours, and not have heard our hello.
            return if self.peer.is_confirmed { self.drop_unknown() } else { self.on_stray(now, datagram) };
        }
        if self.is_estranged() {
            // R8.8.
            return self.on_stray(now, datagram);
        }
        let (body, check) = if self.has_check() {
            let Some((body, check)) = datagram.split_last_chunk::<CHECK_LEN>() else {
                return self.drop_malformed();
            };
            (body, Some(u32::from_le_bytes(*check)))
        } else {
            (datagram, None)
        };
        let Some((&first, rest)) = body.split_first() else { return self.drop_malformed() };
        let mut r = Reader::new(rest.get(id_len..).unwrap_or(&[]));
        let Ok(short) = Short::parse(first, &mut r) else { return self.drop_malformed() };
        let mut binding = Binding::default();
        let number = short.number.map(|(low, len)| self.restore_number(low, len));
        if let Some(n) = number {
            binding.add_packet(n);
        }
        let acked = short.ack.map(|a| self.restore_acked(a.largest));
        if let Some(n) = acked {
            binding.add_acked(n);
        }
        if self.examine(short.frames, number, &mut binding).is_err() {
            return self.drop_malformed();
        }
        if check.is_some_and(|c| c != binding.check(self.peer.key_in, body)) {
            return self.drop_check();
        }
        let number_len = short.number.map_or(0, |(_, len)| len);
        // R8.25: while a reset is believed, a packet to the id from before may be an old one.
        let confirms = !self.peer.is_suspect || self.is_offered_id(offered.unwrap_or(self.local_id));
        if let Some(id) = offered {
            self.take_offered_id(id);
        }
        if !self.peer.is_confirmed && confirms {
            self.confirm();
        }
        if self.phase == Phase::Closed {
            if let Some(n) = number {
                self.answer_after_end(now, n, number_len, short.frames);
            }
            return Receipt::Accepted;
        }
        self.on_body(now, number, number_len, short.ack.as_ref().zip(acked), short.frames, true);
        Receipt::Accepted
    }

    /// The peer has not heard that it is over: tells it again, once for every packet (R15.3).
    pub(super) fn answer_after_end(&mut self, now: Instant, number: Sequence, number_len: u8, frames: &[u8]) {
        self.acks.on_packet(now, number, number_len, true);
        self.due.close |= !Frames::new(frames).any(|f| f == Ok(Frame::Close { code: CLOSE_ANSWER }));
    }

    fn restore_number(&self, low: u32, len: u8) -> Sequence {
        let reference = self.acks.largest().unwrap_or(self.peer.hello_number).plus(1);
        Sequence::expand(low, len, reference)
    }

    pub(super) fn restore_acked(&self, (low, len): (u32, u8)) -> Sequence {
        Sequence::expand_before(low, len, self.recovery.next.plus(u32::MAX))
    }

    /// The first look: are all frames well-formed, and what are their numbers?
    fn examine(
        &self,
        frames: &[u8],
        packet: Option<Sequence>,
        binding: &mut Binding,
    ) -> Result<(), Malformed> {
        let mut previous = Sequence(0);
        for frame in Frames::new(frames) {
            match frame? {
                Frame::Settled { channel, number, .. } => binding.add(self.restore_settled(channel, number)),
                _ if packet.is_none() => return Err(Malformed),
                Frame::Skip { channel, number, .. } => binding.add(self.restore_message(channel, number)),
                Frame::Floor { number: (low, len) } => {
                    binding.add(Sequence::expand_before(low, len, packet.unwrap_or_default()));
                }
                Frame::Message(m) => {
                    previous = match m.number {
                        Some(number) => self.restore_message(m.channel, number),
                        None => previous.plus(1),
                    };
                    binding.add(previous);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn restore_message(&self, channel: u8, (low, len): (u32, u8)) -> Sequence {
        let reference = match self.inn.as_slice().get(channel as usize) {
            Some(c) => c.reference(),
            None => Sequence(0),
        };
        Sequence::expand(low, len, reference)
    }

    fn restore_settled(&self, channel: u8, (low, len): (u32, u8)) -> Sequence {
        match self.out.as_slice().get(channel as usize) {
            Some(out) if out.config.mode == Mode::Latest => Sequence::expand(low, len, out.next_send),
            Some(out) => Sequence::expand(low, len, out.cum),
            None => Sequence(low),
        }
    }

    /// The second look: obeys the frames of a packet. `mine`: its sender knows this incarnation, so that what it says of
    /// our messages holds.
    pub(super) fn on_body(
        &mut self,
        now: Instant,
        number: Option<Sequence>,
        number_len: u8,
        ack: Option<(&Ack<'_>, Sequence)>,
        frames: &[u8],
        mine: bool,
    ) {
        let mut body = Body { packet: number, ..Body::default() };
        for frame in Frames::new(frames) {
            let Ok(frame) = frame else { break };
            body.is_eliciting |= frame.is_eliciting() && number.is_some();
            self.on_frame(now, &frame, mine, &mut body);
        }
        if let Some((ack, largest)) = ack {
            self.on_ack(now, ack, largest);
        }
        self.on_heard(now);
        self.check_drained();
        if let Some(n) = number {
            if body.no_room {
                trace!("packet {} not stored", n.0);
                self.stats.dropped_no_room = self.stats.dropped_no_room.wrapping_add(1);
            } else {
                // Hellos carry whole numbers; to acknowledge them takes no more bytes than other packets have.
                let number_len = if number_len == 4 { 2 } else { number_len };
                self.acks.on_packet(now, n, number_len, body.is_eliciting);
            }
            if let Some(floor) = body.floor {
                self.acks.on_floor(floor);
            }
        }
        if let Some(code) = body.close {
            self.on_close(code);
        }
    }

    /// The peer has been heard, and what was to be acknowledged by that is.
    pub(super) fn on_heard(&mut self, now: Instant) {
        self.last_heard_at = now;
        self.unheard_since = (self.recovery.open_count > 0).then_some(now);
    }

    fn on_frame(&mut self, now: Instant, frame: &Frame<'_>, mine: bool, body: &mut Body) {
        match *frame {
            Frame::Ping => {}
            // What an overtaken packet says of these is out of date.
            Frame::Credit { .. } | Frame::AckRate { .. }
                if body.packet.is_some_and(|n| n.precedes(self.peer.control_number)) => {}
            Frame::Credit { bytes } if mine => {
                self.peer.buffer = bytes;
                self.peer.control_number = body.packet.unwrap_or_default();
            }
            Frame::AckRate { packets, delay } => {
                self.acks.set_rate(packets, delay);
                self.peer.control_number = body.packet.unwrap_or_default();
            }
            Frame::Floor { number: (low, len) } => {
                body.floor = body.packet.map(|n| Sequence::expand_before(low, len, n));
            }
            Frame::Close { code } => body.close = Some(code),
            Frame::Settled { channel, number, more } if mine => {
                let base = self.restore_settled(channel, number);
                if let Some(out) = self.out.as_mut_slice().get_mut(channel as usize) {
                    let count = out.on_settled(base, more.ranges(base));
                    self.stats.messages_settled = self.stats.messages_settled.wrapping_add(count);
                    if count > 0 {
                        self.patience = 0;
                        // A place among the deadlines may have become free, for whatever channel.
                        for out in self.out.as_mut_slice() {
                            out.on_room();
                        }
                    }
                }
            }
            Frame::Skip { channel, number, count } => {
                let n = self.restore_message(channel, number);
                let window = self.config.receive_window;
                let changed_at = self.recovery.next;
                // However many skips a packet carries: together they walk over two windows at most.
                body.skipped = body.skipped.saturating_add(count);
                if body.skipped > window.saturating_mul(2) {
                    body.no_room = true;
                } else if let Some(c) = self.in_channel(channel) {
                    body.no_room |= !c.on_skip(n, count, window);
                    c.changed_at = changed_at;
                }
            }
            Frame::Message(ref m) => {
                let n = match m.number {
                    Some(number) => self.restore_message(m.channel, number),
                    None => body.previous.plus(1),
                };
                body.previous = n;
                let (offset, total) = m.fragment.unwrap_or((0, m.payload.len() as u32));
                let arrival =
                    Arrival { sequence: n, offset, total, payload: m.payload, redelivered: m.redelivered };
                self.on_message(m.channel, &arrival, body);
            }
            Frame::Credit { .. } | Frame::Settled { .. } => {}
        }
        let _ = now;
    }

    fn on_message(&mut self, channel: u8, arrival: &Arrival<'_>, body: &mut Body) {
        let (window, epoch) = (self.config.receive_window, self.acks.epoch);
        let (changed_at, receive_buffer) = (self.recovery.next, self.config.receive_buffer);
        let held: u32 = self.inn.as_slice().iter().map(|c| c.held).sum();
        let too_long = arrival.total > self.config.message_max;
        let is_there = (channel as usize) < self.inn.as_slice().len();
        let c = if is_there {
            self.inn.as_mut_slice().get_mut(channel as usize)
        } else {
            self.in_channel(channel)
        };
        let Some(c) = c else {
            body.no_room = true;
            return;
        };
        // A channel may use what the others leave, and as much again for the holes that out-of-order arrivals leave.
        let limit = (receive_buffer + c.held).saturating_sub(held).saturating_mul(2).saturating_add(4096);
        if too_long {
            body.no_room = true;
            return;
        }
        match c.store(arrival, window, limit, epoch) {
            Stored::New => {}
            Stored::NoRoom => body.no_room = true,
            Stored::Duplicate => {
                // The peer may have missed our word on it: it rides with the next acknowledgement.
                if c.mode() != Mode::BestEffort {
                    c.is_unconfirmed = true;
                    c.changed_at = changed_at;
                }
                self.stats.duplicates = self.stats.duplicates.wrapping_add(1);
            }
        }
    }

    /// The peer has ended the link.
    fn on_close(&mut self, code: u8) {
        let reason =
            if self.is_draining && self.is_drained() { CloseReason::Drained } else { CloseReason::Peer };
        self.end(reason, FailReason::PeerClosed);
        // Answered, or else it comes again and again.
        self.due.close = code != CLOSE_ANSWER;
        self.close_code = CLOSE_ANSWER;
    }

    /// Whether control bits of a sent packet ask for an acknowledgement.
    pub(super) const fn control_elicits(bits: u8) -> bool {
        bits & !control::HELLO != 0
    }

    /// Whether the medium can reorder packets.
    pub(super) fn can_reorder(&self) -> bool {
        matches!(self.config.medium, Medium::Datagram { .. })
    }
}

/// What a packet brought, as far as it matters for acknowledging it.
#[derive(Default)]
struct Body {
    packet: Option<Sequence>,
    previous: Sequence,
    floor: Option<Sequence>,
    skipped: u32,
    is_eliciting: bool,
    no_room: bool,
    close: Option<u8>,
}
