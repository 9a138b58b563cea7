//! Opening an association, noticing restarts, and answering what belongs to none: protocol.md, sections 7 and 8.
//!
//! Both sides say hello, each with its own incarnation and, once it is known, the other's. Hearing one's own incarnation
//! in a hello proves that the peer receives what is sent. A peer whose incarnation has changed has lost its memory.

use super::ack_rate::AckRate;
use super::peer::{ACK_DELAY_MAX, COOKIE_MAX, Reply, STEPS, association_key, modes_of};
use super::settings::DATAGRAM_MIN;
use super::{Link, Phase, Receipt};
use crate::check::crc32c;
use crate::config::{CHANNELS_MAX, Medium};
use crate::congestion::Controller;
use crate::event::{CloseReason, FailReason};
use crate::logging::debug;
use crate::sequence::Sequence;
use crate::storage::{Slots, Storage};
use crate::time::Instant;
use crate::wire::{
    CHECK_LEN, Frames, Hello, LinkId, Long, Reader, VERSION, copy, first_byte, hello_flags, mode_from,
};

/// The least time between two hellos that answer packets of no association, in microseconds.
const STRAY_GAP: u32 = 10_000;

impl<S: Storage, C: Controller> Link<S, C> {
    pub(super) fn draw_next_id(&mut self) {
        let len = self.config.link_id_len;
        let drawn = LinkId::from_value(super::next_random(&mut self.random), len);
        self.next_local_id = if drawn == self.local_id {
            LinkId::from_value(drawn.value().wrapping_add(1), len)
        } else {
            drawn
        };
    }

    /// Replaces the id that the peer is to use after its next restart. A listener calls this when the id drawn is in use
    /// by another of its links.
    pub fn redraw_next_link_id(&mut self) {
        self.draw_next_id();
    }

    /// Chooses the ids before the link is used; for a listener that keeps them apart.
    pub fn set_local_link_ids(&mut self, current: LinkId, next: LinkId) {
        self.local_id = current;
        self.next_local_id = next;
    }

    /// Limits what is sent to what was received, until the peer has shown that it receives: for a listener, whose peer's
    /// address may be forged. Call it before the first datagram is handed over. If nothing more is heard of the peer for a
    /// minute, the link ends with [`CloseReason::Unreachable`].
    pub fn set_unvalidated(&mut self) {
        self.on_change();
        self.budget = Some(0);
    }

    pub(super) fn on_long(&mut self, now: Instant, datagram: &[u8]) -> Receipt {
        let body = if matches!(self.config.medium, Medium::Datagram { .. }) {
            match split_check(datagram) {
                Some(body) => body,
                None => return self.drop_check(),
            }
        } else {
            datagram
        };
        if body.first() == Some(&first_byte::HELLO) {
            return self.on_hello_bytes(now, body);
        }
        if self.phase == Phase::Closed {
            return self.drop_unknown();
        }
        let mut r = Reader::new(body);
        let first = r.u8().unwrap_or(0);
        match Long::parse(first, &mut r) {
            Ok(Long::Retry { incarnation, cookie }) => self.on_retry(now, incarnation, cookie),
            Ok(Long::Reset { echo }) => self.on_reset(echo),
            Ok(Long::Version { incarnation, supported }) => self.on_version(incarnation, supported),
            Err(_) => self.drop_malformed(),
        }
    }

    fn on_hello_bytes(&mut self, now: Instant, body: &[u8]) -> Receipt {
        match Hello::peek(body) {
            Ok((VERSION, _)) => {}
            // A listener answers other versions; a link alone has nobody to be asked about.
            Ok(_) => return self.drop_unknown(),
            Err(_) => return self.drop_malformed(),
        }
        match Hello::parse(body) {
            Ok(h) => self.on_hello(now, &h),
            Err(_) => self.drop_malformed(),
        }
    }

    /// The restart matrix (protocol.md, 8.3).
    fn on_hello(&mut self, now: Instant, h: &Hello<'_>) -> Receipt {
        if h.incarnation == self.incarnation {
            // An echo of our own.
            return self.drop_unknown();
        }
        if !self.hello_is_sound(h) {
            return self.drop_malformed();
        }
        let mine = h.your_incarnation == self.incarnation;
        let asks = h.flags & hello_flags::CONFIRM != 0;
        if asks && !mine {
            // It is for an earlier life of ours.
            return self.drop_unknown();
        }
        if h.incarnation == self.peer.incarnation {
            return self.on_peer_hello(now, h, mine, asks);
        }
        if self.phase == Phase::Closed {
            return self.drop_unknown();
        }
        // Section 8.4: on a medium that copies and delays, a known peer is replaced only by somebody who has heard what we said
        // after that peer was taken: our next id was told to nobody else.
        let proven = mine && !asks && (h.to == self.next_local_id || self.peer.is_suspect);
        if self.peer.incarnation != 0 && self.can_reorder() && !proven {
            let flags = hello_flags::BARE | if asks { 0 } else { hello_flags::CONFIRM };
            self.reply = Reply::Hello { incarnation: h.incarnation, id: h.from, flags };
            return Receipt::Answered;
        }
        if self.is_close_sent {
            // Whoever we told that it is over has forgotten everything: it is over.
            self.end(CloseReason::Drained, FailReason::Closed);
            return Receipt::Accepted;
        }
        self.adopt(now, h, mine);
        if asks {
            self.ask_confirmation(now);
        } else {
            self.on_hello_body(now, h, mine);
        }
        Receipt::Accepted
    }

    /// A hello of the incarnation that we know.
    fn on_peer_hello(&mut self, now: Instant, h: &Hello<'_>, mine: bool, asks: bool) -> Receipt {
        if asks || h.flags & hello_flags::BARE != 0 {
            // Only who is not confirmed has anything to show to its peer.
            if self.peer.is_confirmed || !mine || self.phase == Phase::Closed {
                return self.drop_unknown();
            }
            self.peer.id = h.from;
            self.ask_confirmation(now);
            return Receipt::Accepted;
        }
        // Section 8.3: only a hello that is newer than everything received counts; others are late copies.
        let newest = match self.acks.largest() {
            Some(l) if self.peer.hello_number.precedes(l) => l,
            _ => self.peer.hello_number,
        };
        if !newest.precedes(h.number) {
            return self.drop_unknown();
        }
        if self.phase == Phase::Closed {
            return self.on_hello_after_end(now, h, mine);
        }
        let comes_more = h.flags & hello_flags::MORE != 0;
        self.take_modes(h);
        self.take_bases(h, !self.peer.has_params);
        // What an earlier life of ours has heard is left out of what is for that one.
        self.peer.has_params |= !comes_more && (mine || h.your_incarnation == 0);
        let knows = h.flags & hello_flags::KNOWS != 0 && !comes_more;
        let is_present = h.to == self.local_id && !self.peer.is_suspect;
        let confirms = mine && knows && (is_present || self.is_offered_id(h.to));
        if mine {
            self.peer.id = h.from;
            self.peer.is_stranger = false;
        }
        self.on_hello_body(now, h, mine);
        // R8.29: who replaced another peer may have adopted us, and know our parameters, from a hello of long ago.
        let has_heard = self.has_heard_bases() || self.peer.is_confirmed || self.generation == 0;
        if confirms && has_heard {
            self.take_offered_id(h.to);
            self.confirm();
        } else {
            if !mine {
                // It has not heard us, or has fallen for somebody else.
                self.doubt();
            }
            self.due.hello = true;
        }
        Receipt::Accepted
    }

    /// The peer is not confirmed, and has not heard that it is over.
    fn on_hello_after_end(&mut self, now: Instant, h: &Hello<'_>, mine: bool) -> Receipt {
        if mine {
            self.peer.id = h.from;
        } else if h.your_incarnation != 0 {
            return self.drop_unknown();
        }
        if !mine {
            self.doubt();
        }
        self.answer_after_end(now, h.number, 2, h.frames);
        Receipt::Accepted
    }

    /// The peer may not know this association, and has to show that it does.
    fn doubt(&mut self) {
        self.peer.is_confirmed = false;
        self.peer.tell_again(self.recovery.next);
    }

    /// Whether the peer has acknowledged all that it has to hear of our channels since it was adopted. What one hello told and
    /// was acknowledged, the next leaves out (R7.12).
    pub(super) fn has_heard_bases(&mut self) -> bool {
        let peer = &mut self.peer;
        if self.recovery.largest_acked.is_some_and(|n| !n.precedes(peer.telling_since)) {
            peer.told = peer.telling;
            peer.telling = STEPS;
            peer.telling_since = self.recovery.next;
        }
        peer.told == STEPS
    }

    /// The hello from which the peer was taken need not have told the modes of its channels.
    fn take_modes(&mut self, h: &Hello<'_>) {
        if h.params.modes.is_empty() {
            return;
        }
        self.peer.modes = modes_of(h.params.modes);
        for (c, channel) in self.inn.as_mut_slice().iter_mut().enumerate() {
            channel.set_mode(self.peer.mode(c));
        }
    }

    /// The peer's messages before these numbers will not come (again). `begins`: no hello has told yet where
    /// all of them begin.
    fn take_bases(&mut self, h: &Hello<'_>, begins: bool) {
        let window = self.config.receive_window;
        for (c, base) in h.params.bases.iter() {
            // What was lent out is not touched again before `recv` or `handle_datagram`, which have given it back.
            if let Some(channel) = self.in_channel(c) {
                channel.on_base(base, window, begins);
            }
        }
    }

    /// The peer has heard us and keeps its earlier association until it hears this from us once more.
    fn ask_confirmation(&mut self, now: Instant) {
        self.doubt();
        self.due.hello = true;
        self.due.ping = true;
        // What rode in our first hello was not looked at.
        self.lose_all(now);
    }

    /// Whether every frame in a hello is well-formed.
    fn hello_is_sound(&self, h: &Hello<'_>) -> bool {
        h.params.datagram_max >= DATAGRAM_MIN
            && h.params.window > 0
            && h.params.channels > 0
            && Frames::new(h.frames).all(|f| f.is_ok())
    }

    /// What rides in a hello. Not looked at if it was meant for an earlier life of ours.
    fn on_hello_body(&mut self, now: Instant, h: &Hello<'_>, mine: bool) {
        if h.flags & hello_flags::BARE != 0 {
            self.peer.hello_number = h.number.plus(u32::MAX);
            return;
        }
        self.peer.hello_number = h.number;
        if !mine && h.your_incarnation != 0 {
            // The peer is not silent (R16.3).
            self.on_heard(now);
            return;
        }
        self.on_connected();
        // Whoever has more to tell waits for an answer.
        self.due.ping |= h.flags & hello_flags::MORE != 0;
        let ack = if mine { h.ack.as_ref() } else { None };
        let largest = ack.map(|a| self.restore_acked(a.largest));
        self.on_body(now, Some(h.number), 4, ack.zip(largest), h.frames, mine);
    }

    /// Makes the sender of `h` the peer.
    fn adopt(&mut self, now: Instant, h: &Hello<'_>, mine: bool) {
        let had_peer = self.peer.incarnation != 0;
        if had_peer {
            debug!("the peer has restarted");
            self.local_id = self.next_local_id;
            self.draw_next_id();
            self.generation = self.generation.wrapping_add(1);
            self.forget_sent();
            self.peer.tell_again(self.recovery.next);
            self.congestion.reset();
            if self.is_connected {
                self.restarted_event = true;
                self.stats.peer_restarts = self.stats.peer_restarts.wrapping_add(1);
            }
        }
        self.phase = Phase::Open;
        self.cookie.len = 0;
        self.acks.restart();
        self.release_lent();
        self.take_params(h);
        // After a restart the peer needs our numbers as they are now, and our new id: only its next packet shows that it
        // has them.
        self.peer.is_stranger = !mine && h.your_incarnation != 0;
        self.peer.has_params =
            h.flags & (hello_flags::BARE | hello_flags::MORE) == 0 && !self.peer.is_stranger;
        let knows = h.flags & (hello_flags::KNOWS | hello_flags::MORE) == hello_flags::KNOWS;
        self.peer.is_confirmed = mine && knows && h.to == self.local_id && !had_peer;
        let max = self.config.message_max.min(self.peer.message_max).min(self.unfragmented_max());
        let mut failed = 0;
        for (c, out) in self.out.as_mut_slice().iter_mut().enumerate() {
            if had_peer {
                failed += out.restart();
            } else {
                out.on_first_answer();
            }
            failed += out.fail_unacceptable(max, self.peer.has_channel(c));
        }
        self.stats.messages_failed = self.stats.messages_failed.wrapping_add(failed);
        if self.peer.is_confirmed {
            self.confirm();
        } else {
            self.due.hello = true;
        }
        // Who took us for an earlier life may be long dead (R8.30).
        if !self.peer.is_stranger {
            self.on_connected();
        }
        self.check_drained();
        self.last_heard_at = now;
    }

    fn on_connected(&mut self) {
        self.connected_event |= !self.is_connected;
        self.is_connected = true;
    }

    fn take_params(&mut self, h: &Hello<'_>) {
        let p = &h.params;
        let wants_check = matches!(self.config.medium, Medium::Datagram { check: true });
        let peer = &mut self.peer;
        peer.incarnation = h.incarnation;
        peer.id = h.from;
        peer.is_suspect = false;
        peer.no_check = h.flags & hello_flags::NO_CHECK != 0 && !wants_check;
        peer.hello_number = h.number.plus(u32::MAX);
        peer.control_number = h.number;
        peer.fragments = p.fragments != 0;
        peer.datagram_max = p.datagram_max.min(self.config.datagram_max);
        peer.window = p.window;
        peer.buffer = p.buffer;
        peer.message_max = p.message_max;
        peer.ack_delay = p.ack_delay.min(ACK_DELAY_MAX);
        self.ack_rate_asked = AckRate::usual(peer.ack_delay);
        self.ack_rate_told = self.ack_rate_asked;
        peer.channels = p.channels.min(CHANNELS_MAX as u32) as u8;
        peer.modes = modes_of(p.modes);
        peer.key_in = association_key(h.incarnation, self.incarnation);
        peer.key_out = association_key(self.incarnation, h.incarnation);
        self.congestion.on_datagram_max(self.peer.datagram_max);
        for (c, channel) in self.inn.as_mut_slice().iter_mut().enumerate() {
            channel.restart(self.peer.mode(c), Sequence(0));
        }
        for (c, base) in p.bases.iter() {
            if let Some(channel) = self.in_channel(c) {
                let mode = channel.mode();
                channel.restart(mode, base);
            }
        }
    }

    /// The incoming channel `c`, made if need be. `None` if the storage has no such channel.
    pub(super) fn in_channel(&mut self, c: u8) -> Option<&mut super::InChannel<S>> {
        let modes = self.peer.modes;
        let config = &self.config;
        self.inn.ensure(c as usize, |i, channel| {
            let mode = mode_from((modes >> ((2 * i as u32) & 31)) as u8);
            channel.start(mode, config.channel(i).settle);
        })
    }

    /// The peer knows this association: packets need no hello any more.
    pub(super) fn confirm(&mut self) {
        self.on_connected();
        self.peer.is_confirmed = true;
        self.peer.told = STEPS;
        self.peer.telling = STEPS;
        self.peer.is_suspect = false;
        self.budget = None;
        self.due.hello = false;
        self.cookie.len = 0;
    }

    fn on_retry(&mut self, now: Instant, incarnation: u64, cookie: &[u8]) -> Receipt {
        let fits = cookie.len() <= COOKIE_MAX;
        if incarnation != self.incarnation || self.peer.is_confirmed || !fits || self.phase != Phase::Open {
            return self.drop_unknown();
        }
        self.cookie.len = cookie.len() as u8;
        copy(&mut self.cookie.bytes, cookie);
        // What rode in the hello was not looked at. But an earlier one may have been answered, by somebody who has restarted.
        if self.recovery.next != self.recovery.start.plus(1) {
            for out in self.out.as_mut_slice() {
                out.on_first_answer();
            }
        }
        self.lose_all(now);
        self.due.hello = true;
        Receipt::Accepted
    }

    /// Believed only if it repeats the beginning of a packet in flight: link id and number. And all it does is to make us
    /// say hello.
    fn on_reset(&mut self, echo: &[u8]) -> Receipt {
        let mut r = Reader::new(echo);
        let id = self.peer.id;
        let proof = (|| {
            let first = r.u8().ok()?;
            let numbered = matches!(first & 0xe0, first_byte::NUMBERED | first_byte::NUMBERED_ACK);
            let same = r.bytes(id.as_bytes().len()).ok()? == id.as_bytes();
            let (low, len) = r.truncated().ok()?;
            let n = Sequence::expand_before(low, len, self.recovery.next.plus(u32::MAX));
            Some(numbered && same && self.packet(n).is_some())
        })();
        if proof != Some(true) || !self.peer.is_confirmed || self.phase != Phase::Open {
            return self.drop_unknown();
        }
        debug!("reset by the peer");
        if self.is_close_sent {
            self.end(CloseReason::Drained, FailReason::Closed);
            return Receipt::Accepted;
        }
        self.doubt();
        self.peer.is_suspect = true;
        self.due.hello = true;
        Receipt::Accepted
    }

    fn on_version(&mut self, incarnation: u64, supported: &[u8]) -> Receipt {
        #[allow(clippy::manual_contains)] // `contains` brings 200 bytes of the library along
        let is_known = supported.iter().any(|&v| v == VERSION);
        if incarnation != self.incarnation || self.peer.incarnation != 0 || is_known {
            return self.drop_unknown();
        }
        let peer = supported.first().copied().unwrap_or(0);
        self.end(CloseReason::Version { peer }, FailReason::Unreachable);
        Receipt::Accepted
    }

    /// A packet of no association that we know. Who has opened actively, or is alone on the line, says hello, now and
    /// then; others answer with a reset, which is shorter than what it answers.
    pub(super) fn on_stray(&mut self, now: Instant, datagram: &[u8]) -> Receipt {
        let is_quiet = self.last_hello_at.is_none_or(|t| now.micros_since(t) >= STRAY_GAP);
        match self.phase {
            Phase::Idle if self.can_reorder() => {
                let id_len = self.config.link_id_len;
                if let Some((echo, len)) = crate::listener::echo_of(id_len, datagram) {
                    self.reply = Reply::Reset { echo, len };
                    return Receipt::Answered;
                }
                self.reply = Reply::None;
            }
            Phase::Idle | Phase::Open if is_quiet => {
                self.phase = Phase::Open;
                self.due.hello = true;
            }
            _ => {}
        }
        self.drop_unknown()
    }

    pub(super) fn drop_check(&mut self) -> Receipt {
        self.stats.dropped_check = self.stats.dropped_check.wrapping_add(1);
        debug!("dropped: check");
        Receipt::Dropped
    }

    pub(super) fn drop_malformed(&mut self) -> Receipt {
        self.stats.dropped_malformed = self.stats.dropped_malformed.wrapping_add(1);
        debug!("dropped: malformed");
        Receipt::Dropped
    }

    pub(super) fn drop_unknown(&mut self) -> Receipt {
        self.stats.dropped_unknown = self.stats.dropped_unknown.wrapping_add(1);
        debug!("dropped: not of this association");
        Receipt::Dropped
    }
}

/// Cuts off the check of a long packet. `None` if it is wrong.
pub(crate) fn split_check(datagram: &[u8]) -> Option<&[u8]> {
    let (body, check) = datagram.split_last_chunk::<CHECK_LEN>()?;
    (crc32c(body) == u32::from_le_bytes(*check)).then_some(body)
}
