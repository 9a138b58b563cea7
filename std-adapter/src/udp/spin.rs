//! Whether to look for datagrams for a moment before sleeping: a thread that sleeps may need longer to wake up than the peer
//! to answer.
//!
//! Worth it only where answers are quick and where a processor is free for the peer's thread meanwhile. Both are found out
//! by trying: waits that were short suggest it, and every attempt in vain doubles the number of waits until the next.

use std::time::Duration;

/// How long to look. Chosen: a round trip over loopback takes 10 to 20 µs, and as much again if the peer has fallen asleep.
pub(super) const TIME: Duration = Duration::from_micros(50);
/// Waits up to this long may be short ones to which falling asleep and waking up were added. Chosen: on a virtual machine, each
/// of the two threads of an exchange needs up to 50 µs to wake up.
const QUICK: Duration = Duration::from_micros(150);
/// Doublings at most: on a busy machine, one wait in a thousand is longer by [`TIME`].
const DOUBLINGS_MAX: u32 = 10;

pub(super) struct Spin {
    has_processors: bool,
    /// The last wait was short.
    is_quick: bool,
    /// Attempts in vain since the last good one, and waits until the next.
    failures: u32,
    pause: u32,
}

impl Spin {
    pub(super) fn new() -> Self {
        let has_processors = std::thread::available_parallelism().is_ok_and(|count| count.get() > 1);
        Spin { has_processors, is_quick: false, failures: 0, pause: 0 }
    }

    /// Whether waits are short at present.
    pub(super) fn is_quick(&self) -> bool {
        self.is_quick
    }

    /// A wait begins: whether to look before sleeping.
    pub(super) fn is_worth_it(&mut self) -> bool {
        if !self.has_processors || !self.is_quick {
            return false;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return false;
        }
        true
    }

    /// It was tried. `any`: something came.
    pub(super) fn on_tried(&mut self, any: bool) {
        self.failures = if any { 0 } else { (self.failures + 1).min(DOUBLINGS_MAX) };
        self.pause = (1 << self.failures) - 1;
    }

    /// The thread slept, and was woken after `time` in all.
    pub(super) fn on_waited(&mut self, time: Duration) {
        self.is_quick = time <= QUICK;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn willing() -> Spin {
        Spin { has_processors: true, is_quick: true, failures: 0, pause: 0 }
    }

    #[test]
    fn looking_goes_on_while_something_comes() {
        let mut spin = willing();
        for _ in 0..100 {
            assert!(spin.is_worth_it());
            spin.on_tried(true);
        }
    }

    #[test]
    fn looking_in_vain_becomes_rare_and_never_ends() {
        let mut spin = willing();
        let mut tries = Vec::new();
        for wait in 0..5000 {
            if spin.is_worth_it() {
                tries.push(wait);
                spin.on_tried(false);
            }
        }
        assert_eq!(tries[..5], [0, 2, 6, 14, 30]);
        assert_eq!(tries.windows(2).last().map(|pair| pair[1] - pair[0]), Some(1024));
    }

    #[test]
    fn long_waits_are_slept_through() {
        let mut spin = willing();
        spin.on_waited(QUICK * 2);
        assert!(!spin.is_worth_it());
    }
}
