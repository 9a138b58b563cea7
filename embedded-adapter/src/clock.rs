//! Time, as embassy-time has it.

use core::future::Future;
use core::pin::pin;
use core::task::Context;

use ackline::Instant;
use embassy_time::{TICK_HZ, Timer};

/// The present on the clock that all links of this crate use: microseconds since the time driver's origin.
pub fn now() -> Instant {
    Instant::from_micros(embassy_time::Instant::now().as_micros())
}

/// Wakes the task of `cx` at `deadline`, or at once if that has passed.
pub(crate) fn wake_at(deadline: Instant, cx: &mut Context<'_>) {
    let micros = deadline.as_micros();
    // Rounded up to a tick, or the task would be woken too early, again and again.
    let ticks = if TICK_HZ == 1_000_000 { micros } else { ceil_ticks(micros) };
    // One poll registers the waker; the timer itself need not live on.
    let _ = pin!(Timer::at(embassy_time::Instant::from_ticks(ticks))).poll(cx);
}

fn ceil_ticks(micros: u64) -> u64 {
    let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
    seconds.saturating_mul(TICK_HZ).saturating_add((rest * TICK_HZ).div_ceil(1_000_000))
}
