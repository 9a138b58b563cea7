//! What time demands.

use super::endpoint::{Endpoint, Phase, bit};
use super::profile::{Deadline, Profile};
use crate::event::{CloseReason, FailReason};
use crate::time::Instant;

/// The longest wait between two probes in microseconds (R12.6).
const WAIT_MAX: u32 = 5_000_000;

/// Clock resolution and scheduling slack in microseconds (R12.2: G).
const GRANULARITY: u32 = 1_000;

/// The least time in microseconds after which a peer that settles nothing is asked whether it is still there (R16.4).
const PATIENCE_MIN: u32 = 100_000;

/// How long a side whose peer's address may be forged waits for a word, in microseconds (R9.12).
const UNVALIDATED_MAX: u32 = 60_000_000;

impl<P: Profile, const CHANNELS: usize, const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize>
    Endpoint<P, CHANNELS, MESSAGES, BYTES, DATAGRAM>
{
    /// Sets the clock to `wait` microseconds, doubled with every time-out since something new arrived.
    pub(super) fn wake_after(&mut self, now: u64, mut wait: u32) {
        for _ in 0..self.backoff {
            wait = (wait * 2).min(WAIT_MAX);
        }
        self.wake = now.wrapping_add(wait.into());
        if Self::GIVES_UP && self.flight != 0 {
            self.wake = self.wake.min(self.gives_up_at());
        }
    }

    /// When the link ends if nothing is heard (R16.3, R9.12); `u64::MAX`: never.
    fn gives_up_at(&self) -> u64 {
        let mut period = Self::GIVE_UP;
        if P::SERVES && self.is_unvalidated {
            period = UNVALIDATED_MAX;
        }
        if period == 0 { u64::MAX } else { self.silent_at.wrapping_add(period.into()) }
    }

    /// R12.6, without backoff. What the peer holds an acknowledgement back for is in the samples.
    pub(super) fn probe_timeout(&self) -> u32 {
        (self.smoothed_x8 >> 3) + self.variation_x4.max(GRANULARITY)
    }

    /// After a packet was taken: what else time may demand.
    pub(super) fn set_clock(&mut self, now: u64) {
        if Self::GIVES_UP {
            self.silent_at = now;
        }
        if self.flight == 0 {
            self.due &= !bit::PROBE;
            if self.is_unsettled() {
                // R16.4.
                self.wake_after(now, (self.probe_timeout() * 4).max(PATIENCE_MIN));
            } else if Self::KEEP_ALIVE != 0 {
                // R16.2.
                self.backoff = 0;
                self.wake_after(now, Self::KEEP_ALIVE);
            } else {
                self.wake = u64::MAX;
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called (followed by `poll_transmit`), if nothing else
    /// happens before. `None`: not at all. May change with every call that takes `&mut self`.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let mut wake = Instant::from_micros(self.wake);
        if P::Deadline::IS_KEPT {
            wake = wake.min(self.expires.kept());
        }
        (self.phase != Phase::Closed && wake != Instant::MAX).then_some(wake)
    }

    /// Does what time demands: probes, expiry, keep-alive, giving up. Call it when [`poll_timeout`](Self::poll_timeout) says;
    /// calling it earlier changes nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        if P::Deadline::IS_KEPT && self.phase != Phase::Closed && now >= self.expires.kept() {
            self.expire(now);
        }
        let now = now.as_micros();
        if self.phase != Phase::Open || now < self.wake {
            return;
        }
        if Self::GIVES_UP && (self.flight != 0 || self.is_unvalidated) && now >= self.gives_up_at() {
            self.finish(CloseReason::Unreachable, FailReason::Unreachable);
            return;
        }
        // Sent when the medium asks for it: what arrives until then may make it needless.
        self.wake = if P::SERVES && self.is_unvalidated { self.gives_up_at() } else { u64::MAX };
        self.due |= bit::PROBE;
    }
}
