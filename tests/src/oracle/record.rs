//! What the oracle remembers: one [`Record`] per accepted message, one [`Contract`] per node.

use super::payload::MessageKey;
use crate::endpoint::{Micros, Mode, Outcome};

/// What one node is configured to promise.
#[derive(Clone, Debug)]
pub struct Contract {
    /// Modes of the channels that this node sends on.
    pub modes: Vec<Mode>,
    /// For each channel that this node receives on: whether its application settles explicitly.
    pub is_explicit: Vec<bool>,
    /// Whether the node may be active at rest.
    pub has_keep_alive: bool,
    /// After how long a silence of its peer the node may give it up, if ever.
    pub give_up: Option<Micros>,
}

impl Contract {
    /// Channels of these modes, settled on take, silent at rest, never giving up.
    pub fn new(modes: &[Mode]) -> Self {
        Contract {
            modes: modes.to_vec(),
            is_explicit: vec![false; modes.len()],
            has_keep_alive: false,
            give_up: None,
        }
    }
}

/// A message that was accepted.
#[derive(Clone, Debug)]
pub struct Record {
    /// Which.
    pub key: MessageKey,
    /// Its length in bytes.
    pub len: usize,
    /// When the application first offered it (it may have been refused for lack of room before it was accepted).
    pub offered_at: Micros,
    /// When it was accepted.
    pub sent_at: Micros,
    /// Its deadline on its sender's clock.
    pub deadline: Option<Micros>,
    /// Which incarnations of the receiver took it, and when.
    pub taken: Vec<(u32, Micros)>,
    /// When a receiving application first accepted it.
    pub accepted_at: Option<Micros>,
    /// Its outcome, and when the sender learned of it.
    pub outcome: Option<(Outcome, Micros)>,
    /// Accepted before the handshake was complete, when the peer's limits were unknown.
    pub is_early: bool,
    /// The sender lost its memory (or ended) before the outcome was known: none is owed any more.
    pub is_orphan: bool,
}

impl Record {
    /// Time from the offer to the first delivery.
    pub fn latency(&self) -> Option<Micros> {
        self.taken.first().map(|(_, at)| at - self.offered_at)
    }
}
