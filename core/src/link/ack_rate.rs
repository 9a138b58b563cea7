//! How often this side asks its peer to acknowledge.
//!
//! An acknowledgement takes 40 bytes and more with the headers below, and as much work as a message. What needs them is the
//! next packet of a flow that waits for them, and the controller, some times in a round trip; the detection of losses does
//! not, as a gap is acknowledged at once.

use super::Link;
use crate::congestion::Controller;
use crate::storage::{Slots, Storage};

/// Packets between acknowledgements unless asked otherwise (protocol.md, R11.3).
const EVERY: u32 = 2;

/// The longest that acknowledgements are asked to wait, in microseconds (RFC 9000, 18.2, the default), and half (a steady flow)
/// or a quarter (bulk) of the round trip at most.
pub(super) const DELAY_MAX: u32 = 25_000;

/// A storage for so few messages needs every acknowledgement at once to go on, and asks for nothing else.
pub(super) const FEW_MESSAGES: usize = 32;

/// What is asked is looked at again after so many packets, a power of two.
const LOOK_EVERY: u32 = 8;

/// An acknowledgement every `packets`, and after `delay` microseconds at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub(super) struct AckRate {
    pub(super) packets: u32,
    pub(super) delay: u32,
}

impl AckRate {
    pub(super) const BLANK: Self = AckRate { packets: 0, delay: 0 };

    /// What the peer does by itself.
    pub(super) const fn usual(delay: u32) -> Self {
        AckRate { packets: EVERY, delay }
    }
}

impl<S: Storage, C: Controller> Link<S, C> {
    /// Whether acknowledgements wait a moment for the application. A driver asks for datagrams and for messages in the order that it
    /// likes; were the acknowledgement gone before the messages are taken, their settlement would need a packet of its own, and
    /// that one an acknowledgement. (Few messages: they are acknowledged to go on, and the drivers take them first.)
    pub(super) fn holds_acks(&self) -> bool {
        S::MESSAGES_MAX > FEW_MESSAGES && self.has_delivery()
    }

    /// A packet with new messages leaves: what suits the flow may have changed.
    pub(super) fn look_at_ack_rate(&mut self) {
        if S::MESSAGES_MAX <= FEW_MESSAGES || !self.recovery.next.0.is_multiple_of(LOOK_EVERY) {
            return;
        }
        let wanted = self.wanted_ack_rate();
        let asked = self.ack_rate_asked;
        let is_close = asked.delay.abs_diff(wanted.delay) <= wanted.delay / 4;
        if wanted == AckRate::usual(self.peer.ack_delay) || asked.packets != wanted.packets || !is_close {
            self.ack_rate_asked = wanted;
        }
    }

    fn wanted_ack_rate(&self) -> AckRate {
        let usual = AckRate::usual(self.peer.ack_delay);
        if !self.has_room_to_wait() {
            return usual;
        }
        let srtt = self.recovery.rtt.smoothed();
        if self.recovery.in_flight < self.congestion.window() / 2 && !self.has_data() {
            return AckRate { delay: self.ride_after().max(usual.delay), ..usual };
        }
        let (packets, rate) = (self.congestion.ack_every(), self.congestion.pacing_rate());
        if packets == 0 || rate == 0 {
            return usual;
        }
        // As long as so many packets take to leave, and an eighth more.
        let bytes = u64::from(packets) * u64::from(self.peer.datagram_max);
        let delay = (bytes * 1_125_000 / u64::from(rate)).min(u64::from((srtt / 4).min(DELAY_MAX))) as u32;
        AckRate { packets, delay: delay.max(usual.delay) }
    }

    /// Whether this side can go on for long without an acknowledgement: neither the peer's window nor its buffer is near.
    fn has_room_to_wait(&self) -> bool {
        let outs = self.out.as_slice();
        let outstanding: u32 = outs.iter().map(|o| o.outstanding).sum();
        outstanding <= self.peer.buffer / 4
            && outs.iter().all(|o| o.next_send.since(o.cum) <= self.peer.window / 4)
    }
}
