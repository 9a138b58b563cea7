//! A link's state as seen by a search through all its states: everything that decides what it will do, and nothing else.
//!
//! Times are taken relative to the latest one that was passed in, so that a link does not differ from itself a second later.
//! Bytes of messages that are gone do not count, nor does what only counts. Structs are taken apart field by field: a new
//! field does not compile until it was decided whether it matters.

use core::hash::{Hash, Hasher};

use super::Link;
use super::sent::Fate;
use crate::config::Channel;
use crate::congestion::Controller;
use crate::event::MessageId;
use crate::sequence::Sequence;
use crate::storage::{Ring, Slots, Storage};
use crate::time::Instant;

/// A point in time, seen from `now`: how far ahead, how far back.
pub(super) fn relative(now: Instant, at: Instant) -> (u32, u32) {
    (at.micros_since(now), now.micros_since(at))
}

/// The same for what may not be set.
pub(super) fn relative_to(now: Instant, at: Option<Instant>) -> Option<(u32, u32)> {
    at.map(|at| relative(now, at))
}

impl<S: Storage, C: Controller> Link<S, C> {
    /// Feeds everything that decides what this link will do into `state`, but for its configuration and its congestion
    /// controller (which has to be one without memory). For exhaustive searches; no part of the stable interface.
    #[doc(hidden)]
    pub fn digest(&self, state: &mut impl Hasher) {
        let Link {
            config: _,
            phase,
            now,
            // Follows from the others.
            quiet_until: _,
            random,
            incarnation,
            local_id,
            next_local_id,
            peer,
            generation,
            reply,
            budget,
            cookie,
            last_hello_at,
            out,
            inn,
            deadlines,
            lent,
            last_out,
            last_in,
            packets,
            frames,
            recovery,
            pacer: _,
            congestion: _,
            acks,
            due,
            repetition,
            ack_rate_asked,
            ack_rate_told,
            is_draining,
            is_close_sent,
            close_code,
            settle_rides,
            unheard_since,
            patience,
            last_sent_at,
            last_heard_at,
            is_connected,
            connected_event,
            restarted_event,
            closed_event,
            close_reason,
            stats: _,
        } = self;
        let now = *now;
        // Deadlines are on a grid.
        (now.as_micros() % super::timers::TICK as u64).hash(state);
        (*phase as u8, random, incarnation, local_id, next_local_id, generation).hash(state);
        peer.hash(state);
        reply.hash(state);
        (budget, cookie, lent, last_out, last_in).hash(state);
        (due, ack_rate_asked, ack_rate_told).hash(state);
        (is_draining, is_close_sent, close_code, settle_rides, patience).hash(state);
        (is_connected, connected_event, restarted_event, closed_event.then_some(close_reason)).hash(state);
        repetition.digest(now, self.config.repetition, state);
        // These matter while nobody is known, something is out or unsettled, or if the configuration says so.
        if self.peer.incarnation == 0 {
            relative_to(now, *last_hello_at).hash(state);
        }
        if self.config.give_up.is_some() {
            relative_to(now, *unheard_since).hash(state);
        }
        if self.outstanding() > 0 || self.config.keep_alive.is_some() || budget.is_some() {
            (relative(now, *last_sent_at), relative(now, *last_heard_at)).hash(state);
        }
        recovery.digest(now, state);
        acks.digest(now, state);
        for channel in out.as_slice() {
            channel.digest(state);
        }
        for channel in inn.as_slice() {
            channel.digest(acks.epoch, state);
        }
        for d in (0..deadlines.len()).filter_map(|i| deadlines.at(i)) {
            (relative(now, d.at), d.channel, d.sequence).hash(state);
        }
        frames.len().hash(state);
        for p in (0..packets.len()).filter_map(|i| packets.at(i)) {
            (p.extent, p.fate).hash(state);
            if p.fate == Fate::Gone {
                continue;
            }
            (relative(now, p.sent_at), p.frame_count, p.control).hash(state);
            for i in 0..p.frame_count as u32 {
                let index = p.first_frame.wrapping_add(i).wrapping_sub(recovery.frames_base);
                if let Some(f) = frames.at(index as usize) {
                    (f.sequence, f.extent, f.channel, f.kind).hash(state);
                }
            }
        }
    }

    /// Whether the outbox takes `id` for arrived at the peer, and not yet for settled. For exhaustive searches.
    #[doc(hidden)]
    pub fn is_acknowledged(&self, id: MessageId) -> bool {
        let channel = self.out.as_slice().get(id.channel.0 as usize);
        channel.is_some_and(|c| c.is_acknowledged(Sequence(id.sequence)))
    }

    /// Whether message `sequence` of the peer's `channel` is stored, or taken, or done. For exhaustive searches.
    #[doc(hidden)]
    pub fn has_stored(&self, channel: Channel, sequence: u32) -> bool {
        self.inn.as_slice().get(channel.0 as usize).is_some_and(|c| c.has_stored(Sequence(sequence)))
    }
}
