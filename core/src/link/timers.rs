//! When the link needs to be called, and what it does then.
//!
//! Every deadline is a multiple of [`TICK`], so that a driver that looks in every tick does the same things at the same
//! times as one that waits for the deadlines.

use super::outbox::Outcome;
use super::{Deadline, Link, Phase};
use crate::congestion::Controller;
use crate::event::{CloseReason, FailReason};
use crate::logging::debug;
use crate::storage::{Ring, Slots, Storage};
use crate::time::Instant;

/// The grain of all deadlines in microseconds. Chosen: half of the shortest useful round trip through a kernel, and ten
/// times finer than most timers.
pub(super) const TICK: u32 = 100;

/// How long the peer may keep a message unsettled before it is asked whether it is still there, in microseconds, at
/// first and at most. Chosen: as a probe of an unreachable peer at most, twelve times a minute, and at first slow enough
/// that an application which settles at once is never asked.
const PATIENCE_MIN: u32 = 100_000;
const PATIENCE_MAX: u32 = 5_000_000;

/// How long a peer whose address may be forged may be silent, in microseconds (R9.12). Chosen: longer than a dozen of its probes
/// take, and short enough that a burst of forged hellos is forgotten before anybody has looked.
const UNPROVEN_TIME: u32 = 60_000_000;

/// The first multiple of [`TICK`] not before `at`.
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
pub(super) fn tick(at: Instant) -> Instant {
    let passed = if cfg!(target_pointer_width = "64") {
        (at.as_micros() % TICK as u64) as u32
    } else {
        // The same without a 64-bit division. 2^32 is 96 more than a multiple of 100.
        const { assert!((1u64 << 32) % TICK as u64 == 96) };
        let (high, low) = ((at.as_micros() >> 32) as u32, at.as_micros() as u32);
        (high % TICK * 96 + low % TICK) % TICK
    };
    if passed == 0 { at } else { at.plus_micros(TICK - passed) }
}

impl<S: Storage, C: Controller> Link<S, C> {
    /// When [`handle_timeout`](Self::handle_timeout) wants to be called (followed by `poll_transmit`), if nothing else
    /// happens before. `None`: not at all. May change with every call that takes `&mut self`.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.now < self.quiet_until {
            let at = (self.quiet_until != Instant::MAX).then_some(self.quiet_until);
            debug_assert_eq!(at, self.next_timeout(), "nothing changed but the deadline");
            return at;
        }
        self.next_timeout()
    }

    /// The same, found out anew.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        if self.phase != Phase::Open {
            return None;
        }
        // An acknowledgement in a hello takes a number; without one it has to wait.
        let can_ack = self.peer.is_confirmed || self.can_number();
        let mut at = if can_ack { self.acks.timeout(self.holds_acks()) } else { None };
        let mut consider = |t: Option<Instant>| {
            if let Some(t) = t {
                at = Some(at.map_or(t, |a: Instant| a.min(t)));
            }
        };
        consider(self.recovery.timeout(self.peer_ack_delay(), self.line_micros()));
        consider(self.pacing_timeout());
        consider(self.repetition_timeout());
        consider(self.keep_alive_at());
        consider(self.patience_at());
        consider(self.give_up_at());
        consider(self.deadlines.at(0).map(|d| d.at));
        at
    }

    /// Does what time demands: declares losses, probes, expires messages. Call it when
    /// [`poll_timeout`](Self::poll_timeout) says; calling it earlier changes nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.tick(now);
        self.on_change();
        if self.phase != Phase::Open {
            return;
        }
        self.on_recovery_timeout(now);
        self.expire(now);
        self.on_repetition_timeout(now);
        if self.keep_alive_at().is_some_and(|t| t <= now) {
            self.due.ping = true;
        }
        if self.patience_at().is_some_and(|t| t <= now) {
            self.patience = self.patience.saturating_add(1);
            self.due.ping = true;
        }
        if self.give_up_at().is_some_and(|t| t <= now) {
            debug!("nothing heard: giving up");
            self.end(CloseReason::Unreachable, FailReason::Unreachable);
        }
    }

    fn keep_alive_at(&self) -> Option<Instant> {
        let period = self.config.keep_alive?;
        // While something is out, probes do the work.
        if !self.is_connected || self.recovery.open_count > 0 || self.due.ping {
            return None;
        }
        Some(tick(self.last_sent_at.plus_micros(period)))
    }

    /// When to ask a peer that holds messages unsettled whether it is still there: if it has restarted, it does not know
    /// of them and has no reason to speak.
    fn patience_at(&self) -> Option<Instant> {
        if !self.is_connected || self.recovery.open_count > 0 || self.due.ping {
            return None;
        }
        let window = self.peer.window;
        let is_waiting = |o: &super::OutChannel<S>| o.outstanding > 0 || o.waits_for_window(window);
        // What has expired is not outstanding, and yet `close` and the window wait until the peer is done with it.
        if !self.is_draining && !self.out.as_slice().iter().any(is_waiting) {
            return None;
        }
        let first = self.probe_timeout().saturating_mul(4).max(PATIENCE_MIN);
        let wait = first.saturating_mul(1 << self.patience.min(16)).min(PATIENCE_MAX.max(first));
        Some(tick(self.last_sent_at.max(self.last_heard_at).plus_micros(wait)))
    }

    fn give_up_at(&self) -> Option<Instant> {
        let unproven = self.budget.map(|_| self.last_heard_at.plus_micros(UNPROVEN_TIME));
        let limit =
            self.config.give_up.zip(self.unheard_since).map(|(limit, since)| since.plus_micros(limit));
        Some(tick(unproven.into_iter().chain(limit).min()?))
    }

    // ---- deadlines of messages

    /// Whether one more deadline fits; drops those of finished messages when it does not.
    pub(super) fn has_deadline_room(&mut self) -> bool {
        if self.deadlines.len() < self.deadlines.len_max() {
            return true;
        }
        for _ in 0..self.deadlines.len() {
            let Some(&d) = self.deadlines.at(0) else { break };
            self.deadlines.drop_front();
            if self.is_live(&d) {
                self.deadlines.push_back(d);
            }
        }
        self.deadlines.len() < self.deadlines.len_max()
    }

    fn is_live(&self, d: &Deadline) -> bool {
        self.out.as_slice().get(d.channel as usize).is_some_and(|o| o.has_deadline(d.sequence))
    }

    /// Inserts in order of time. Walks over later deadlines only: with one time-to-live for all messages, none.
    pub(super) fn insert_deadline(&mut self, d: Deadline) {
        if !self.deadlines.push_back(d) {
            return;
        }
        let mut i = self.deadlines.len() - 1;
        while i > 0 {
            let Some(&before) = self.deadlines.at(i - 1) else { return };
            if before.at <= d.at {
                return;
            }
            if let Some(x) = self.deadlines.at_mut(i) {
                *x = before;
            }
            if let Some(x) = self.deadlines.at_mut(i - 1) {
                *x = d;
            }
            i -= 1;
        }
    }

    fn expire(&mut self, now: Instant) {
        if !S::DEADLINES {
            return;
        }
        let mut count = 0;
        while let Some(d) = self.deadlines.at(0).copied() {
            // A deadline of a finished message goes early, so that nobody is woken for it.
            let live = self.is_live(&d);
            if live && d.at > now {
                break;
            }
            self.pop_deadline();
            if live && let Some(out) = self.out.as_mut_slice().get_mut(d.channel as usize) {
                count += u32::from(out.withdraw(d.sequence, Outcome::Expired));
            }
        }
        if count > 0 {
            debug!("{} messages expired", count);
            self.stats.messages_expired = self.stats.messages_expired.wrapping_add(count);
            self.check_drained();
        }
    }

    /// Deadlines of messages that were settled meanwhile need no wake-up.
    pub(super) fn drop_stale_deadlines(&mut self) {
        if !S::DEADLINES {
            return;
        }
        while let Some(d) = self.deadlines.at(0).copied() {
            if self.is_live(&d) {
                return;
            }
            self.pop_deadline();
        }
    }

    /// Forgets the first deadline: another message with a deadline finds room, on whatever channel.
    fn pop_deadline(&mut self) {
        self.deadlines.drop_front();
        for out in self.out.as_mut_slice() {
            out.on_room();
        }
    }
}
