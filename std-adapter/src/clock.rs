//! The one place that reads a clock and the one that draws entropy.

use std::time::Duration;

use ackline::Instant;

/// Translates the system's monotonic clock to the core's microseconds. Copies share their origin.
#[derive(Clone, Copy, Debug)]
pub struct Clock(std::time::Instant);

impl Clock {
    /// A clock that starts now, at one second: no link sees a time of zero, and differences to the past exist.
    pub fn new() -> Self {
        Clock(std::time::Instant::now())
    }

    /// The time.
    pub fn now(&self) -> Instant {
        let elapsed = self.0.elapsed();
        Instant::from_micros(1_000_000 + elapsed.as_secs() * 1_000_000 + u64::from(elapsed.subsec_micros()))
    }

    /// How long it is until `deadline`, zero if it has passed.
    pub fn until(&self, deadline: Instant) -> Duration {
        deadline.saturating_duration_since(self.now())
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new()
    }
}

/// A seed that no other start of any link has: entropy of the operating system.
///
/// # Errors
///
/// The system has no entropy to give, which a desktop system only says before it has booted.
pub(crate) fn entropy() -> std::io::Result<u64> {
    getrandom::u64().map_err(|e| std::io::Error::other(format!("no entropy from the system: {e}")))
}
