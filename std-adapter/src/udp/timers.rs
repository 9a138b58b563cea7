//! When which link needs the clock: a heap of deadlines, so that idle links cost nothing.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use ackline::Instant;

use crate::peer::Peer;

/// Deadlines, soonest first. A peer may be in it more than once: an entry is a time to look at the link's own deadline,
/// which may have moved to a later one since.
#[derive(Default)]
pub(super) struct Timers(BinaryHeap<Timer>);

struct Timer {
    deadline: Instant,
    peer: Arc<Peer>,
}

impl Timers {
    pub(super) fn push(&mut self, deadline: Instant, peer: Arc<Peer>) {
        self.0.push(Timer { deadline, peer });
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|timer| timer.deadline)
    }

    /// Takes the next peer that is due at `now`, and the deadline that was set for it.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(Instant, Arc<Peer>)> {
        if self.next()? > now {
            return None;
        }
        let timer = self.0.pop()?;
        if self.0.is_empty() && self.0.capacity() > 1024 {
            self.0 = BinaryHeap::new();
        }
        Some((timer.deadline, timer.peer))
    }
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.deadline == other.deadline
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> Ordering {
        // `BinaryHeap` gives the greatest first.
        other.deadline.cmp(&self.deadline)
    }
}
