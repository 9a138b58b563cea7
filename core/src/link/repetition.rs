//! Spare-room repetition: young messages of a thin flow ride once more in the room that later packets leave, or alone a
//! little later. A lost packet then costs one interval between messages instead of a round trip.
//!
//! Only where loss was seen, while the path has room, and while nothing waits to be sent: it never takes the place of
//! anything else. Every message is repeated at most twice while acknowledgements come, so at most two thirds of the bytes of a
//! thin flow are copies. Messages that should have been acknowledged, and whose copies should have been, ride again until they
//! are: when acknowledgements do not come, a fade may just have ended.

use core::hash::{Hash, Hasher};

use super::Link;
use super::ack_rate::{DELAY_MAX, FEW_MESSAGES};
use super::digest::{relative, relative_to};
use super::outbox::Offer;
use super::sent::FrameKind;
use super::timers::{TICK, tick};
use super::transmit::Draft;
use crate::config::Mode;
use crate::congestion::Controller;
use crate::storage::{Slots, Storage};
use crate::time::Instant;
use crate::wire::Writer;

/// Loss (in 1/65536) from which on messages are repeated: one packet in a thousand.
const LOSS_FEW: u32 = 65;

/// Loss from which on short messages are repeated twice: one packet in thirty. Chosen: there, losing a message and its
/// copy is about as likely as one loss is at the threshold above.
pub(super) const LOSS_MANY: u32 = 65_536 / 30;

/// Up to this length in bytes, a message counts as short: it takes no more than the headers around it do.
const SHORT: u32 = 64;

/// The longest time, in microseconds, after which a copy goes alone, if the flow has no packet for it to ride in soon.
/// Chosen: with a quarter of the round trip, a copy beats a retransmission by most of a round trip.
const COPY_AFTER_MAX: u32 = 10_000;

/// After so many probe timeouts nobody is taken to be in a fade any more, and only probes go on. Chosen: with the backoff, 63 probe
/// timeouts, which is seconds where fades last for tens of milliseconds.
const OVERDUE_PROBES: u8 = 6;

/// Overdue messages ride again this often in a round trip. Measured with fades of 40 ms in the mean on a round trip of 40 ms: p99
/// 111 ms at 40 % of the wire; a quarter costs 3 % of the wire more.
const OVERDUE_PARTS: u32 = 2;

/// Longer gaps between packets with new messages count as this long, in microseconds.
const GAP_MAX: u32 = 1 << 20;

/// When to repeat what.
#[derive(Clone, Debug)]
pub(super) struct Repetition {
    /// When copies of young messages go out alone.
    pub(super) copy_at: Option<Instant>,
    /// When overdue messages may ride again.
    overdue_at: Instant,
    /// When new messages were last sent.
    new_at: Instant,
    /// The usual time between packets with new messages, in microseconds.
    gap: u32,
}

impl Repetition {
    pub(super) const BLANK: Self =
        Repetition { copy_at: None, overdue_at: Instant::ZERO, new_at: Instant::ZERO, gap: 0 };

    pub(super) fn start(&mut self) {
        self.gap = GAP_MAX;
    }

    /// For [`Link::digest`]. Only the timer matters where nothing is repeated.
    pub(super) fn digest(&self, now: Instant, repeats: bool, state: &mut impl Hasher) {
        let Repetition { copy_at, overdue_at, new_at, gap } = self;
        relative_to(now, *copy_at).hash(state);
        if repeats {
            (relative(now, *overdue_at), relative(now, *new_at), gap).hash(state);
        }
    }
}

impl<S: Storage, C: Controller> Link<S, C> {
    /// Whether copies may be sent: loss was seen, and there is room on the path that nobody waits for.
    fn is_thin(&self) -> bool {
        self.config.repetition
            && self.recovery.loss >= LOSS_FEW
            && self.recovery.in_flight < self.congestion.window() / 2
            && self.peer.is_confirmed
            && !self.congestion.is_congested()
    }

    fn copies_max(&self) -> u8 {
        if self.recovery.loss >= LOSS_MANY { 2 } else { 1 }
    }

    /// A packet with new messages, or with copies that may be repeated, has left: (further) copies are due a little later.
    /// `is_behind`: some of the older ones did not fit, and stay due.
    pub(super) fn expect_copies(&mut self, now: Instant, is_behind: bool) {
        if !self.is_thin() {
            return;
        }
        let ride = self.ride_after();
        let after = if ride > 0 { ride } else { (self.recovery.rtt.smoothed() / 4).min(COPY_AFTER_MAX) };
        if self.repetition.copy_at.is_none() || !is_behind {
            self.repetition.copy_at = Some(tick(now.plus_micros(after)));
        }
    }

    /// A packet with new messages leaves: how often that happens decides when copies are wanted.
    pub(super) fn on_new_messages(&mut self, now: Instant) {
        let gap = now.micros_since(self.repetition.new_at).min(GAP_MAX);
        self.repetition.gap = self.repetition.gap - self.repetition.gap / 4 + gap / 4;
        self.repetition.new_at = now;
    }

    /// How long to wait for the next packet of a steady flow, in microseconds: a little longer than it usually takes. Zero
    /// where that is too long for a copy to be of use.
    pub(super) fn ride_after(&self) -> u32 {
        let after = self.repetition.gap + self.repetition.gap / 8;
        let most = (self.recovery.rtt.smoothed() / 2).min(DELAY_MAX);
        if after <= most { after } else { 0 }
    }

    /// When copies of young messages go out on their own.
    pub(super) fn repetition_timeout(&self) -> Option<Instant> {
        match (self.repetition.copy_at, self.overdue_timeout()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// The time for copies has come: they are wanted if there is anything to repeat.
    pub(super) fn on_repetition_timeout(&mut self, now: Instant) {
        if self.overdue_timeout().is_some_and(|t| t <= now) {
            self.due.copies = true;
        }
        if self.repetition.copy_at.is_none_or(|t| t > now) {
            return;
        }
        self.repetition.copy_at = None;
        let copies_max = self.copies_max();
        let thin = self.is_thin() && !self.has_data();
        self.due.copies |= thin
            && self.out.as_mut_slice().iter_mut().any(|o| {
                o.config.mode != Mode::BestEffort
                    && o.next_copy(o.cum, None, copies_max, copies_max, SHORT).is_some()
            });
    }

    /// Puts copies of messages sent before this packet into what room it has left.
    pub(super) fn write_copies(&mut self, now: Instant, w: &mut Writer<'_>, draft: &mut Draft) {
        if !self.is_thin() || self.has_data() {
            return;
        }
        for c in 0..self.out.as_slice().len() {
            self.write_copies_of(w, draft, c);
        }
        if self.overdue_timeout().is_some_and(|t| t <= now) {
            let part = self.recovery.rtt.smoothed() / OVERDUE_PARTS;
            self.repetition.overdue_at = now.plus_micros(part.max(self.recovery.granularity).max(TICK));
            for c in 0..self.out.as_slice().len() {
                self.write_overdue(now, w, draft, c);
            }
        }
    }

    /// When to look for overdue messages: so long after the oldest packet in flight left, it would have been declared lost if
    /// anything sent later had been acknowledged.
    pub(super) fn overdue_timeout(&self) -> Option<Instant> {
        if S::MESSAGES_MAX <= FEW_MESSAGES || !self.is_thin() || self.has_data() || !self.can_number() {
            return None;
        }
        let is_waiting = self.out.as_slice().iter().any(|o| o.outstanding > 0);
        if !is_waiting || self.recovery.probe_count >= OVERDUE_PROBES {
            return None;
        }
        let oldest = self.packet(self.oldest_open()?)?;
        let after = self.recovery.loss_delay() + self.peer_ack_delay();
        Some(tick(oldest.sent_at.plus_micros(after).max(self.repetition.overdue_at)))
    }

    /// The first 64 messages of channel `c` that are not known to have arrived, as bits: those that are in a packet in flight
    /// younger than `age`.
    fn carried(&self, now: Instant, c: usize, age: u32) -> u64 {
        let mut bits = 0;
        let mut n = self.recovery.next;
        let Some(cum) = self.out.as_slice().get(c).map(|o| o.cum) else { return 0 };
        while n != self.recovery.base {
            n = n.plus(u32::MAX);
            let Some(p) = self.packet(n) else { break };
            if now.micros_since(p.sent_at) >= age {
                break;
            }
            for f in (0..p.frame_count as u32).filter_map(|i| self.frame(p, i)) {
                if f.channel as usize == c && f.kind == FrameKind::Messages {
                    for i in 0..f.extent {
                        bits |= 1u64.checked_shl(f.sequence.plus(i).since(cum)).unwrap_or(0);
                    }
                }
            }
        }
        bits
    }

    /// The first overdue message of channel `c` from `from` on. `young`, `younger`: what later packets carry.
    fn next_overdue(&self, c: usize, from: u32, young: u64, younger: u64) -> Option<(u32, Offer)> {
        let out = self.out.as_slice().get(c)?;
        (from..64).find_map(|i| {
            let again = out.was_overdue(out.cum.plus(i));
            let is_carried = if again { younger } else { young } >> i & 1 == 1;
            if is_carried { None } else { out.copy_offer(out.cum.plus(i)).map(|o| (i, o)) }
        })
    }

    /// Copies of overdue messages of channel `c`.
    fn write_overdue(&mut self, now: Instant, w: &mut Writer<'_>, draft: &mut Draft, c: usize) {
        if self.out.as_slice().get(c).is_none_or(|o| o.config.mode == Mode::BestEffort) {
            return;
        }
        let young = self.carried(now, c, self.recovery.loss_delay());
        let younger = self.carried(now, c, self.recovery.rtt.smoothed() / 2);
        let mut from = 0;
        while let Some((i, offer)) = self.next_overdue(c, from, young, younger) {
            if draft.is_full || !self.can_number() || self.write_message(w, draft, c, &offer, false).is_none()
            {
                return;
            }
            if let Some(out) = self.out.as_mut_slice().get_mut(c) {
                out.on_overdue_sent(offer.sequence);
            }
            self.stats.repeated = self.stats.repeated.wrapping_add(1);
            from = i + 1;
        }
    }

    /// Copies of messages of channel `c`: first of those that had none, which are the youngest.
    fn write_copies_of(&mut self, w: &mut Writer<'_>, draft: &mut Draft, c: usize) {
        let copies_max = self.copies_max();
        let mut to = None;
        for count in 0..copies_max {
            let Some(out) = self.out.as_slice().get(c) else { return };
            if out.config.mode == Mode::BestEffort {
                return;
            }
            let mut from = out.cum;
            let mut first = None;
            while let Some(out) = self.out.as_mut_slice().get_mut(c)
                && let Some(offer) = out.next_copy(from, to, count, copies_max, SHORT)
            {
                draft.is_behind |= draft.is_full
                    || !self.can_number()
                    || self.write_message(w, draft, c, &offer, false).is_none();
                if draft.is_behind {
                    return;
                }
                from = offer.sequence.plus(1);
                first = first.or(Some(offer.sequence));
                self.on_copy_sent(c, offer.sequence);
                draft.has_copies |= count + 1 < copies_max && offer.len <= SHORT;
            }
            // What rides now does not ride twice.
            to = first.or(to);
        }
    }
}
