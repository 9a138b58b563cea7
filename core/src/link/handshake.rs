//! Opening an association, noticing restarts, and answering what belongs to none: protocol.md, sections 7 and 8.
//!
//! Both sides say hello, each with its own incarnation and, once it is known, the other's. Hearing one's own incarnation
//! in a hello proves that the peer receives what is sent. A peer whose incarnation has changed has lost its memory.

use core::ops::Range;

use super::ack_rate::AckRate;
use super::settings::DATAGRAM_MIN;
use super::{Link, Phase, Receipt};
use crate::check::crc32c;
use crate::config::{CHANNELS_MAX, Medium, Mode};
use crate::congestion::Controller;
use crate::event::{CloseReason, FailReason};
use crate::listener::ECHO_MAX;
use crate::logging::debug;
use crate::sequence::Sequence;
use crate::storage::{Slots, Storage};
use crate::time::Instant;
use crate::wire::{
    CHECK_LEN, Frames, Hello, LinkId, Long, Params, Reader, VERSION, Writer, copy, first_byte, hello_flags,
    mode_from,
};

/// The least time between two hellos that answer packets of no association, in microseconds.
const STRAY_GAP: u32 = 10_000;

/// The largest receive buffer that is told in a hello, in bytes: what takes four (protocol.md, R7.16).
const BUFFER_MAX: u32 = (1 << 28) - 1;

/// The longest acknowledgement delay that is believed, in microseconds (protocol.md, 10).
const ACK_DELAY_MAX: u32 = 1_000_000;

/// The longest cookie that is kept and sent back.
const COOKIE_MAX: usize = 16;

/// Over UDP a first hello is at least so long, so that the answer is not longer (protocol.md, 8.1).
pub(super) const HELLO_PADDED: usize = 96;

/// What a hello may leave to later ones, in the order in which it is told: the modes, and the base of each channel.
pub(super) const STEPS: u8 = 1 + CHANNELS_MAX as u8;

/// What must find room behind the parameters of a hello, beside acknowledgement fields: a ping.
const REST_LEN: usize = 1;

/// A cookie to be sent with the next hello.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Cookie {
    bytes: [u8; COOKIE_MAX],
    len: u8,
}

impl Cookie {
    pub(super) const EMPTY: Cookie = Cookie { bytes: [0; COOKIE_MAX], len: 0 };

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len as usize).unwrap_or(&[])
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// What is known about the peer.
#[derive(Clone, Debug, Hash)]
pub(super) struct Peer {
    /// 0: nothing was heard.
    pub(super) incarnation: u64,
    pub(super) id: LinkId,
    /// It has shown that it knows this association.
    pub(super) is_confirmed: bool,
    /// It took us for an earlier life of ours when it was adopted, and has not named us since.
    pub(super) is_stranger: bool,
    /// A reset said that it may have restarted.
    pub(super) is_suspect: bool,
    pub(super) no_check: bool,
    /// It has told all its parameters: we have had a hello of it that was not bare nor for an earlier life of ours, and of
    /// which no more comes.
    has_params: bool,
    /// Of the steps of what it has to hear: those that it has heard, and those that it will have heard when it acknowledges
    /// a packet from this one on.
    told: u8,
    pub(super) telling: u8,
    pub(super) telling_since: Sequence,
    /// It can put fragments together.
    pub(super) fragments: bool,
    /// The number of the packet whose credit or ack rate holds.
    pub(super) control_number: Sequence,
    /// The number of the hello that was taken last.
    pub(super) hello_number: Sequence,
    pub(super) datagram_max: u32,
    pub(super) window: u32,
    pub(super) buffer: u32,
    pub(super) message_max: u32,
    pub(super) ack_delay: u32,
    channels: u8,
    /// Two bits for each channel.
    modes: u32,
    /// What the checks of packets in either direction start from.
    pub(super) key_in: u32,
    pub(super) key_out: u32,
}

impl Peer {
    pub(super) const BLANK: Self = Peer {
        incarnation: 0,
        id: LinkId::EMPTY,
        is_confirmed: false,
        is_stranger: false,
        is_suspect: false,
        no_check: false,
        has_params: false,
        told: 0,
        telling: 0,
        telling_since: Sequence(0),
        fragments: false,
        control_number: Sequence(0),
        hello_number: Sequence(0),
        datagram_max: 0,
        window: 0,
        buffer: 0,
        message_max: 0,
        ack_delay: 0,
        channels: 0,
        modes: 0,
        key_in: 0,
        key_out: 0,
    };

    /// Nobody yet: what may be sent in a first hello is bounded by what every peer can take.
    pub(super) fn start(&mut self, datagram_max: u32) {
        let d = Params::default();
        self.datagram_max = datagram_max;
        self.window = d.window;
        self.buffer = d.buffer;
        self.message_max = u32::MAX;
        self.ack_delay = d.ack_delay;
        self.channels = CHANNELS_MAX as u8;
        self.tell_again(Sequence(0));
    }

    /// Packets from number `since` on tell everything anew.
    pub(super) fn tell_again(&mut self, since: Sequence) {
        self.told = 0;
        self.telling = STEPS;
        self.telling_since = since;
    }

    pub(super) fn mode(&self, c: usize) -> Mode {
        mode_from((self.modes >> ((2 * c as u32) & 31)) as u8)
    }

    pub(super) fn has_channel(&self, c: usize) -> bool {
        c < self.channels as usize
    }
}

/// An answer to somebody who is not the peer (yet). Nothing is remembered of it.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum Reply {
    /// Nobody is to be answered.
    None,
    /// A hello without a body, with these flags.
    Hello { incarnation: u64, id: LinkId, flags: u8 },
    /// A reset that repeats these bytes.
    Reset { echo: [u8; ECHO_MAX], len: u8 },
}

/// Two bits for each channel, as parameter 7 has them.
fn modes_of(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).rev().fold(0, |all, &byte| all << 8 | byte as u32)
}

/// The start of the check of packets from incarnation `from` to `to`: a packet of another association fails.
pub(crate) fn association_key(from: u64, to: u64) -> u32 {
    let mixed =
        from.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ to.rotate_left(32).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    (mixed ^ mixed >> 32) as u32
}

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

    // ---- receiving

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

    // ---- sending

    /// Writes the head of a hello to the peer, with as much of what the peer has to hear as leaves room for the rest. Returns
    /// how many steps it has heard then, and whether acknowledgement fields are to follow. `None` if not one step fits.
    pub(super) fn write_hello(&self, now: Instant, w: &mut Writer<'_>, has_acks: bool) -> Option<(u8, bool)> {
        let flags = if self.peer.has_params { hello_flags::KNOWS } else { 0 };
        // To a peer that has perhaps restarted: who answers to this id has heard us just now, and may replace it.
        let from = if self.peer.is_suspect { self.next_local_id } else { self.local_id };
        let told = self.peer.told;
        for acks in [has_acks, false] {
            let rest = if acks { REST_LEN + self.acks.fields_len(now) } else { REST_LEN };
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

/// Cuts off the check of a long packet. `None` if it is wrong.
pub(crate) fn split_check(datagram: &[u8]) -> Option<&[u8]> {
    let (body, check) = datagram.split_last_chunk::<CHECK_LEN>()?;
    (crc32c(body) == u32::from_le_bytes(*check)).then_some(body)
}
