//! Exhaustive exploration: every interleaving of what can happen to a small pair of real links.
//!
//! Random schedules try much and prove nothing; here the configuration is small and nothing is left out. A state is the two
//! [`Link`](ackline::Link)s, the datagrams under way, and what both applications have done and seen. From each state every
//! possible step is taken: an application sends, takes, settles or closes; any of the first three datagrams in a direction arrives,
//! is lost or is copied; a timer fires; a side loses its memory. What was seen before is not looked at again, and the
//! search ends when nothing new is left. At every step the promises are checked ([`model`]), and where nothing can
//! happen any more, everything must have its outcome.
//!
//! Because faults are counted and the search ends, *every* continuation of every state ends in such a resting state: there
//! is no deadlock (a state at rest with something owed) and no livelock (a run that does not end; it would pass
//! [`DEPTH_MAX`]).
//!
//! What is abstracted, and why that is sound or where it is not:
//!
//! - Time. It passes only when a timer fires, up to that timer's deadline, on both sides. So datagrams take no time on the
//!   clocks, and any time in the order of steps. A timer that fires while something else could happen, or before an earlier
//!   one of the other side (which is late then), is *early*, and early ones are counted like faults (but for those after
//!   which only acknowledgements leave).
//! - States are equal if their 128-bit digests are (SipHash-1-3). At 10^8 states the probability that any two different
//!   ones were taken for one is below 10^-22. The digest of a link holds all that decides what it does next, times
//!   relative to its clock.
//! - Every call is followed by `poll_transmit` until it gives nothing, as the driver's contract demands.
//! - Of a direction, the first three datagrams can overtake each other; a copy goes to the end.

pub mod model;
pub mod search;
pub mod setup;
pub mod setups;

pub use search::{Report, explore};
pub use setup::{Memory, Setup};

/// Steps after which a run that has not come to rest counts as endless. The longest that was ever seen has fewer than a
/// third.
pub const DEPTH_MAX: usize = 400;
