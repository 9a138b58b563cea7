//! When what the application does leaves: at once, or a moment later together with more.
//!
//! A call that stands alone pays for its system call and has the shortest way. Calls in quick succession share packets and
//! system calls: their messages and settlements wait until a system call's worth has come together, until the application
//! waits for something, or for a fraction of a millisecond.

use std::time::Duration;

use ackline::Instant;

/// Calls less than this after the end of the one before are a burst. Chosen: a loop that sends takes a fraction of it.
const GAP: Duration = Duration::from_micros(3);
/// Calls in a burst before messages wait for more.
const CALLS: u32 = 4;
/// Bytes that wait at most: a full batch of one system call.
const LEN: usize = 60_000;
/// How long the first of them waits at most.
pub(crate) const TIME: Duration = Duration::from_micros(200);
/// How long settlements wait at most. Chosen: the acknowledgement delay of the protocol. They ride with the acknowledgement then,
/// and no driver is woken for them alone.
pub(crate) const SETTLE_TIME: Duration = Duration::from_millis(1);
/// Messages and bytes taken before their settlements leave. Chosen: a thirty-second part of the default window, and of what a
/// fast local path has in flight, so that the sender never waits for them.
const TAKEN_COUNT: u32 = 1024;
const TAKEN_LEN: usize = 256 << 10;

/// Bytes that a message takes on the wire beside its payload, about.
const OVERHEAD_LEN: usize = 4;

/// What was done since datagrams were last taken out of a link.
#[derive(Debug)]
pub(crate) struct Burst {
    /// Calls in quick succession, and when the last of them ended.
    streak: u32,
    last_call: Instant,
    /// Bytes accepted, since when.
    unsent_len: usize,
    unsent_since: Instant,
    /// Messages and bytes taken.
    taken_count: u32,
    taken_len: usize,
}

/// When to take datagrams out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Leave {
    /// Now: nothing else may follow.
    Now,
    /// Now: enough has come together, and more follows.
    Full,
    /// A moment later, or when the application waits.
    Later,
}

impl Burst {
    pub(crate) const fn new() -> Self {
        Burst {
            streak: 0,
            last_call: Instant::ZERO,
            unsent_len: 0,
            unsent_since: Instant::ZERO,
            taken_count: 0,
            taken_len: 0,
        }
    }

    /// A message of `len` bytes was accepted.
    pub(crate) fn on_send(&mut self, now: Instant, len: usize) {
        if self.unsent_len == 0 {
            self.unsent_since = now;
        }
        self.unsent_len += len + OVERHEAD_LEN;
    }

    /// A message of `len` bytes was taken, or settled.
    pub(crate) fn on_take(&mut self, len: usize) {
        // Who alternates between sending and receiving waits for answers.
        self.streak = 0;
        self.taken_count += 1;
        self.taken_len += len;
    }

    /// A call that sends begins.
    pub(crate) fn before_send(&mut self, now: Instant) {
        self.streak = if now - self.last_call < GAP { self.streak.saturating_add(1) } else { 0 };
    }

    /// It ends.
    pub(crate) fn after_send(&mut self, now: Instant) -> Leave {
        self.last_call = now;
        if self.streak < CALLS {
            Leave::Now
        } else if self.unsent_len >= LEN || now - self.unsent_since >= TIME {
            Leave::Full
        } else {
            Leave::Later
        }
    }

    /// A call that took or settled ends.
    pub(crate) fn after_take(&self) -> Leave {
        let is_full = self.taken_count >= TAKEN_COUNT || self.taken_len >= TAKEN_LEN;
        if is_full { Leave::Full } else { Leave::Later }
    }

    /// Datagrams are taken out.
    pub(crate) fn on_emit(&mut self) {
        self.unsent_len = 0;
        self.taken_count = 0;
        self.taken_len = 0;
    }

    /// That took until `now`, and does not count as a pause of the application.
    pub(crate) fn after_emit(&mut self, now: Instant) {
        self.last_call = now;
    }
}
