//! What an endpoint can do, as constants: what is left out is not compiled.

use core::time::Duration;

use crate::config::{ChannelConfig, Mode, Settle};
use crate::stats::Stats;
use crate::time::Instant;

/// What carries the datagrams of an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Media {
    /// Frames of [`framing`](crate::framing) on a byte stream: checked there, never copied, never reordered.
    Framed,
    /// Datagrams: packets carry link ids and a check.
    Datagrams,
    /// One of the two: datagrams, unless [`set_framed`](super::Endpoint::set_framed) said otherwise before the start.
    Both,
}

/// What an [`Endpoint`](super::Endpoint) can do. Everything is known to the compiler, so that each program pays for what it
/// uses.
pub trait Profile {
    /// What carries the datagrams.
    const MEDIA: Media;

    /// The channels of the link, 1 to 16, as many as the endpoint's `CHANNELS`. Mode and priority are for what is sent, `settle`
    /// is for what is received. Modes that no channel here has cost nothing: where the peer uses them, unordered and
    /// best-effort messages are delivered in order, and a peer that sends on a channel of mode `Latest` is not talked to.
    const CHANNELS: &'static [ChannelConfig] = &[ChannelConfig::new(Mode::Ordered)];

    /// Messages may be longer than a packet, in both directions.
    const FRAGMENTS: bool = false;

    /// The endpoint may wait on a datagram medium, and answers what a waiting side has to: stray packets by resets, hellos of
    /// other versions by version answers. It also believes version answers.
    const SERVES: bool = false;

    /// Something is sent after so long a silence of ours, up to 8 s.
    const KEEP_ALIVE: Option<Duration> = None;

    /// The link ends when something was in flight for so long while nothing was heard, up to an hour.
    const GIVE_UP: Option<Duration> = None;

    /// The deadlines of messages: [`Instant`], or `()` for none.
    type Deadline: Deadline;

    /// What is counted: [`Stats`], or `()` for nothing.
    type Counters: Counters;
}

/// The deadline of a message.
pub trait Deadline: Copy {
    /// There are deadlines.
    const IS_KEPT: bool;
    /// What a place begins with: all zeros.
    const ZERO: Self;
    /// Keeps a deadline.
    fn keep(deadline: Instant) -> Self;
    /// What was kept.
    fn kept(self) -> Instant;
}

impl Deadline for () {
    const IS_KEPT: bool = false;
    const ZERO: Self = ();
    fn keep(_: Instant) -> Self {}
    fn kept(self) -> Instant {
        Instant::MAX
    }
}

impl Deadline for Instant {
    const IS_KEPT: bool = true;
    const ZERO: Self = Instant::ZERO;
    fn keep(deadline: Instant) -> Self {
        deadline
    }
    fn kept(self) -> Instant {
        self
    }
}

/// Counters of an endpoint.
pub trait Counters: Copy {
    /// Nothing counted yet.
    const ZERO: Self;
    /// Counts, if counters are kept.
    fn count(&mut self, count: impl FnOnce(&mut Stats));
    /// What was counted.
    fn kept(self) -> Stats;
}

impl Counters for () {
    const ZERO: Self = ();
    fn count(&mut self, _: impl FnOnce(&mut Stats)) {}
    fn kept(self) -> Stats {
        Stats::ZERO
    }
}

impl Counters for Stats {
    const ZERO: Self = Stats::ZERO;
    fn count(&mut self, count: impl FnOnce(&mut Stats)) {
        count(self);
    }
    fn kept(self) -> Stats {
        self
    }
}

/// Whether a channel has this mode.
pub(super) const fn has_mode(channels: &[ChannelConfig], mode: Mode) -> bool {
    let mut i = 0;
    while i < channels.len() {
        if channels[i].mode as u8 == mode as u8 {
            return true;
        }
        i += 1;
    }
    false
}

/// Whether the application settles a channel's messages after it has taken them.
pub(super) const fn has_explicit(channels: &[ChannelConfig]) -> bool {
    let mut i = 0;
    while i < channels.len() {
        if matches!(channels[i].settle, Settle::Explicit) {
            return true;
        }
        i += 1;
    }
    false
}

/// How many classes of priority there are.
pub(super) const fn class_count(channels: &[ChannelConfig]) -> u8 {
    let mut count = 1;
    let mut i = 0;
    while i < channels.len() {
        if channels[i].priority >= count {
            count = channels[i].priority + 1;
        }
        i += 1;
    }
    count
}

/// A period in microseconds, 0 for none.
pub(super) const fn micros(period: Option<Duration>) -> u32 {
    match period {
        Some(period) => period.as_micros() as u32,
        None => 0,
    }
}
