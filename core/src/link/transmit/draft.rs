//! A packet while it is written.

use crate::link::peer::STEPS;
use crate::link::receive::Binding;
use crate::sequence::Sequence;
use crate::wire::Placed;

/// A packet being written.
pub(in crate::link) struct Draft {
    pub(super) binding: Binding,
    pub(super) control: u8,
    /// It acknowledges something.
    pub(super) has_acks: bool,
    /// How much the peer has heard of our channels when it has heard this hello.
    pub(super) telling: u8,
    /// A bit for each channel whose settlements it tells.
    pub(super) told: u16,
    /// There was no room for all settlements.
    pub(super) must_tell_more: bool,
    pub(in crate::link) frame_count: u16,
    pub(super) first_frame: u32,
    pub(super) is_eliciting: bool,
    /// The message written last, while nothing follows it: where its kind stands, and its length field.
    pub(super) last_message: Option<Placed>,
    /// What is written there is a series.
    pub(super) is_in_series: bool,
    /// The message that ended with the last frame, for the compact forms: channel, number, flag, length.
    pub(super) previous: Option<(u8, Sequence, bool, u32)>,
    /// It carries copies of messages that may be repeated once more.
    pub(in crate::link) has_copies: bool,
    /// Copies that were due did not fit.
    pub(in crate::link) is_behind: bool,
    /// No message fits any more.
    pub(in crate::link) is_full: bool,
}

impl Draft {
    /// It is a hello of which more comes: messages wait for that (R7.13).
    pub(super) fn comes_more(&self) -> bool {
        self.telling < STEPS
    }
}
