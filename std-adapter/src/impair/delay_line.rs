use std::cmp::Reverse;
use std::collections::BinaryHeap;

use ackline::Instant;

/// What is under way: bytes with the time at which they arrive. Equal times keep the order of entry.
#[derive(Debug, Default)]
pub(super) struct DelayLine {
    heap: BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>>,
    entered: u64,
    spare: Vec<Vec<u8>>,
}

/// Buffers kept for reuse. Chosen: a batch of receive buffers.
const SPARE_MAX: usize = 64;

impl DelayLine {
    pub(super) fn push(&mut self, arrives: Instant, bytes: &[u8]) {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.extend_from_slice(bytes);
        self.entered += 1;
        self.heap.push(Reverse((arrives, self.entered, buffer)));
    }

    /// Moves the next arrival that is due at `now` into `out` (cleared first).
    pub(super) fn pop(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        match self.heap.peek() {
            Some(Reverse((arrives, _, _))) if *arrives <= now => {}
            _ => return false,
        }
        let Some(Reverse((_, _, mut buffer))) = self.heap.pop() else { return false };
        std::mem::swap(out, &mut buffer);
        buffer.clear();
        if self.spare.len() < SPARE_MAX {
            self.spare.push(buffer);
        }
        true
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((arrives, _, _))| *arrives)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}
