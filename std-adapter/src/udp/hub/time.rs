//! When the driver looks at which link.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use ackline::Instant;

use super::{Hub, lock};
use crate::peer::{Peer, State};

/// How long a link must be silent before the memory of its empty queues is given back. Chosen: longer than the pauses of what
/// people would call a running flow.
const TRIM_AFTER: Duration = Duration::from_secs(1);
/// Which timers are looked at once more before the driver sleeps, and how many. Chosen: an exchange over a local network
/// lasts a fraction of the time; what is due later is not likely to wake anybody, and as many links are not busy at once.
const SOON: Duration = Duration::from_millis(2);
const PUT_OFF_MAX: usize = 32;

impl Hub {
    /// Sees to it that the driver looks at the link when its time comes. Gives the lock back before it wakes anybody.
    pub(super) fn schedule(&self, peer: &Arc<Peer>, mut state: MutexGuard<'_, State>) {
        let deadline = due_at(&state);
        if deadline < state.scheduled {
            state.scheduled = deadline;
            lock(&self.timers).push(deadline, peer.clone());
            drop(state);
            if deadline.as_micros() < self.sleeps_until.load(Ordering::SeqCst) {
                self.wake_driver();
            }
        }
    }

    /// The time that a link was given is over: it ends, or is forgotten if it has ended.
    fn time_is_up(&self, peer: &Arc<Peer>, mut state: MutexGuard<'_, State>, now: Instant) {
        if !state.is_ending {
            state.link.abort(now);
            self.emit(peer, state, now);
            peer.notify();
            return;
        }
        state.until = Instant::MAX;
        let (ids, remote, incarnation) = (state.ids, state.remote, state.link.peer_incarnation());
        drop(state);
        lock(&self.table).remove(ids, remote, peer);
        if incarnation != 0 {
            lock(&self.forgotten).push(incarnation);
        }
    }

    /// Lets the links whose time has come do what they have to. Returns how many had something that waited for more.
    pub(crate) fn run_timers(&self) -> usize {
        let now = self.clock.now();
        let mut count = 0;
        loop {
            let Some((deadline, peer)) = lock(&self.timers).pop(now) else { break };
            let mut state = peer.lock();
            if deadline != state.scheduled {
                // An earlier one was set since, and has replaced this one. To set it again would double it for ever.
                continue;
            }
            state.scheduled = Instant::MAX;
            count += usize::from(state.leave_at <= now);
            if state.until <= now {
                self.time_is_up(&peer, state, now);
                continue;
            }
            match state.link.poll_timeout() {
                _ if state.leave_at <= now => self.emit(&peer, state, now),
                Some(deadline) if deadline <= now => {
                    state.link.handle_timeout(now);
                    self.emit(&peer, state, now);
                }
                None if !state.is_trimmed && now - state.emitted_at >= TRIM_AFTER => {
                    state.link.trim();
                    state.is_trimmed = true;
                }
                _ => self.schedule(&peer, state),
            }
        }
        count
    }

    /// Moves timers that would soon be due to where their links' deadlines are by now: a link that is worked on puts its
    /// deadline off again and again, and the driver would wake up for nothing.
    fn put_off_timers(&self) {
        let soon = self.clock.now() + SOON;
        for _ in 0..PUT_OFF_MAX {
            let Some((deadline, peer)) = lock(&self.timers).pop(soon) else { return };
            let mut state = peer.lock();
            if deadline != state.scheduled {
                continue;
            }
            state.scheduled = due_at(&state);
            let is_put_off = state.scheduled > deadline;
            if state.scheduled != Instant::MAX {
                lock(&self.timers).push(state.scheduled, peer.clone());
            }
            if !is_put_off {
                return;
            }
        }
    }

    /// When the next timer is due.
    pub(in crate::udp) fn next_timer(&self) -> Instant {
        lock(&self.timers).next().unwrap_or(Instant::MAX)
    }

    /// Announces a sleep of the driver and returns until when it may last, at most until `limit`. From here until
    /// [`awake`](Self::awake), whoever sets an earlier deadline wakes the driver.
    pub(crate) fn sleep_until(&self, limit: Instant) -> Instant {
        self.put_off_timers();
        // Announced before the timers are read: a deadline set in between is either seen here or wakes.
        self.sleeps_until.store(u64::MAX, Ordering::SeqCst);
        let deadline = lock(&self.timers).next().unwrap_or(Instant::MAX).min(limit);
        self.sleeps_until.store(deadline.as_micros(), Ordering::SeqCst);
        deadline
    }

    pub(crate) fn awake(&self) {
        self.sleeps_until.store(0, Ordering::SeqCst);
    }
}

/// When the link has to be looked at next.
fn due_at(state: &State) -> Instant {
    let idle = if state.is_trimmed { Instant::MAX } else { state.emitted_at + TRIM_AFTER };
    state.link.poll_timeout().unwrap_or(idle).min(state.until).min(state.leave_at)
}
