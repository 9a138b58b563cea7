//! How fast to send: the [`Controller`] trait and the controllers that come with it.
//!
//! A controller counts bytes, not packets, and reads no clock. It is told of every packet that is sent, acknowledged or
//! declared lost, and answers with a window (bytes in flight) and a pacing rate.

mod fixed;
mod newreno;
mod path_model;
mod units;

pub use fixed::{FixedRate, FixedWindow};
pub use newreno::NewReno;
pub use path_model::PathModel;

use crate::rtt::Rtt;
use crate::storage::Item;
use crate::time::Instant;

/// Decides how many bytes may be in flight and how fast they leave.
///
/// Calls for one incoming acknowledgement come in this order: `on_acked` for every newly acknowledged packet (oldest
/// first), `on_lost` for every packet that this acknowledgement shows to be lost, then one `on_ack_end`.
pub trait Controller {
    /// What the controller wants to remember with every packet in flight.
    type Stamp: Copy + Item;

    /// A packet of `bytes` leaves at `now`, while `in_flight` bytes (without it) are outstanding.
    fn on_sent(&mut self, now: Instant, bytes: u32, in_flight: u32) -> Self::Stamp;

    /// A packet of `bytes`, sent at `sent_at`, was acknowledged for the first time.
    fn on_acked(&mut self, now: Instant, sent_at: Instant, bytes: u32, stamp: &Self::Stamp, rtt: &Rtt);

    /// A packet of `bytes`, sent at `sent_at`, was declared lost.
    fn on_lost(&mut self, now: Instant, sent_at: Instant, bytes: u32, stamp: &Self::Stamp, rtt: &Rtt);

    /// A packet that was declared lost has arrived after all.
    fn on_spurious(&mut self, now: Instant, bytes: u32) {
        let _ = (now, bytes);
    }

    /// An acknowledgement was processed; `in_flight` bytes are outstanding after it.
    fn on_ack_end(&mut self, now: Instant, in_flight: u32, rtt: &Rtt);

    /// There was nothing to send although window and pacing allowed it. Samples of what is in flight now (`in_flight`
    /// bytes) say nothing about the path's capacity.
    fn on_app_limited(&mut self, in_flight: u32) {
        let _ = in_flight;
    }

    /// The datagram size in use has changed, or is known for the first time.
    fn on_datagram_max(&mut self, bytes: u32) {
        let _ = bytes;
    }

    /// The peer has restarted or the path has changed: forget what was measured.
    fn reset(&mut self);

    /// Bytes that may be in flight.
    fn window(&self) -> u32;

    /// Bytes per second at which packets are released, `0` for no pacing.
    fn pacing_rate(&self) -> u32;

    /// How many packets of a full path the peer may wait for before it acknowledges; `0` for as few as it does by itself.
    fn ack_every(&self) -> u32 {
        0
    }

    /// True if queueing delay or loss says that the path is full: optional traffic should wait.
    fn is_congested(&self) -> bool {
        false
    }
}
