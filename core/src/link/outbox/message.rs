//! One message in the outbox.

use crate::event::FailReason;
use crate::sequence::Sequence;
use crate::storage::Item;

/// Where a message stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub(super) enum Stage {
    /// Waits for its first transmission in this association, or is being cut into its first fragments.
    Queued,
    /// Sent and not known to have arrived.
    Sent,
    /// Arrived; the peer's application has not taken responsibility.
    Acked,
    /// Withdrawn: the peer is (to be) told that it will not come.
    Skipped,
    /// Finished for the peer. `position` holds the length of the run of finished ones that begins here.
    Done,
}

/// What the sender is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub(in crate::link) enum Outcome {
    Settled,
    Expired,
    Failed(FailReason),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub(super) enum Report {
    /// No outcome yet.
    Open,
    /// In the list of outcomes.
    Pending,
    /// The application has it.
    Taken,
}

#[derive(Clone, Debug, Hash)]
pub(super) struct OutMessage {
    pub(super) stage: Stage,
    pub(super) report: Report,
    pub(super) outcome: Outcome,
    /// In the list of lost ones.
    pub(super) is_lost: bool,
    /// Was sent to an earlier incarnation of the peer.
    pub(super) redelivered: bool,
    /// Has the trailer for fragments.
    pub(super) trailer: bool,
    pub(super) has_deadline: bool,
    /// Its length is part of `outstanding`.
    pub(super) is_counted: bool,
    /// How many packets in flight carry it (whole messages only).
    pub(super) live: u8,
    /// Unasked copies sent.
    pub(super) copies: u8,
    pub(super) position: u32,
    pub(super) len: u32,
    /// Bytes sent for the first time, for a message that goes in fragments.
    pub(super) progress: u32,
    pub(super) next_lost: Sequence,
    pub(super) next_outcome: Sequence,
}

impl Item for OutMessage {
    const BLANK: Self = OutMessage {
        stage: Stage::Queued,
        report: Report::Open,
        outcome: Outcome::Failed(FailReason::Lost),
        is_lost: false,
        redelivered: false,
        trailer: false,
        has_deadline: false,
        is_counted: false,
        live: 0,
        copies: 0,
        position: 0,
        len: 0,
        progress: 0,
        next_lost: Sequence(0),
        next_outcome: Sequence(0),
    };
}
