//! Spare-room repetition: young messages of a thin flow ride once more in the room that later packets leave, or alone a
//! little later. A lost packet then costs one interval between messages instead of a round trip.
//!
//! Only where loss was seen, while the path has room, and while nothing waits to be sent: it never takes the place of
//! anything else. Every message is repeated at most twice, so at most two thirds of the bytes of a thin flow are copies.

use super::Link;
use super::timers::tick;
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
const LOSS_MANY: u32 = 65_536 / 30;

/// Up to this length in bytes, a message counts as short: it takes no more than the headers around it do.
const SHORT: u32 = 64;

/// The longest time, in microseconds, that a message waits for a packet in which its copy can ride (then it goes alone).
/// Chosen: with a quarter of the round trip, a copy beats a retransmission by most of a round trip.
const COPY_AFTER_MAX: u32 = 10_000;

/// Copies in one packet.
const COPIES_IN_PACKET: usize = 8;

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

    /// Messages were sent: their copies are due a little later.
    pub(super) fn expect_copies(&mut self, now: Instant) {
        if !self.config.repetition || !self.is_thin() {
            self.ack_delay_asked = self.peer.ack_delay;
            return;
        }
        let after = (self.recovery.rtt.smoothed() / 4).min(COPY_AFTER_MAX);
        // A little later than a flow of that interval sends its next message, so that the copy can ride with it.
        let after = after + after / 8;
        if self.copy_at.is_none() {
            self.copy_at = Some(tick(now.plus_micros(after)));
        }
        // The copies mend what is lost, so acknowledgements can wait as long as they do: every second packet gets one.
        // Told again when it has changed by more than a quarter. Where copies are lost, too, probes must not wait.
        if self.recovery.loss >= LOSS_MANY {
            self.ack_delay_asked = self.peer.ack_delay;
        } else if self.ack_delay_asked.abs_diff(after) > after / 4 {
            self.ack_delay_asked = after.max(self.peer.ack_delay);
        }
    }

    /// When copies of young messages go out on their own.
    pub(super) fn repetition_timeout(&self) -> Option<Instant> {
        self.copy_at
    }

    /// The time for copies has come: they are wanted if there is anything to repeat.
    pub(super) fn on_repetition_timeout(&mut self, now: Instant) {
        if self.copy_at.is_none_or(|t| t > now) {
            return;
        }
        self.copy_at = None;
        let copies_max = self.copies_max();
        let thin = self.is_thin() && !self.has_data();
        self.due.copies = thin
            && self.out.as_mut_slice().iter_mut().any(|o| {
                o.config.mode != Mode::BestEffort && o.next_copy(o.cum, copies_max, SHORT).is_some()
            });
    }

    /// Puts copies of messages sent before this packet into what room it has left.
    pub(super) fn write_copies(&mut self, w: &mut Writer<'_>, draft: &mut Draft) {
        if !self.is_thin() || self.has_data() {
            return;
        }
        let copies_max = self.copies_max();
        for c in 0..self.out.as_slice().len() {
            if self.out.as_slice()[c].config.mode == Mode::BestEffort {
                continue;
            }
            let mut from = self.out.as_slice()[c].cum;
            for _ in 0..COPIES_IN_PACKET {
                let Some(offer) = self.out.as_mut_slice()[c].next_copy(from, copies_max, SHORT) else {
                    break;
                };
                if draft.is_full
                    || !self.can_number()
                    || self.write_message(w, draft, c, &offer, false).is_none()
                {
                    return;
                }
                from = offer.sequence.plus(1);
                self.out.as_mut_slice()[c].on_copy_sent(offer.sequence);
                self.stats.repeated = self.stats.repeated.wrapping_add(1);
                draft.has_copies |= copies_max > 1;
            }
        }
    }
}
