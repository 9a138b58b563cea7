//! What a schedule does to a world.

use super::application::{Reader, Traffic};
use crate::endpoint::Micros;
use crate::net::PathConfig;

/// Something that happens to a world at a given time. `node` names the node it happens to; for a path, the node that sends
/// on it.
#[derive(Clone, Debug)]
pub enum Action {
    /// The path changes.
    SetPath {
        /// The sending node.
        node: usize,
        /// What the path is like from now on.
        config: Box<PathConfig>,
    },
    /// Nothing passes one way.
    Outage {
        /// The sending node.
        node: usize,
        /// For how long.
        lasting: Micros,
    },
    /// Datagrams above this size vanish from now on.
    Mtu {
        /// The sending node.
        node: usize,
        /// The largest that passes.
        mtu: usize,
    },
    /// One packet is lost.
    LoseNth {
        /// The sending node.
        node: usize,
        /// Which, from now on: 0 is the next.
        n: u64,
    },
    /// All paths become clean.
    Heal,
    /// The node loses its power.
    Reboot {
        /// Which node.
        node: usize,
        /// How long it is off.
        down: Micros,
        /// Whether its endpoint is handed to the factory at the boot (see [`Boot::memory`](crate::endpoint::Boot)).
        keeps_memory: bool,
    },
    /// The node does nothing for a while; its socket fills up meanwhile.
    Stall {
        /// Which node.
        node: usize,
        /// For how long.
        lasting: Micros,
    },
    /// The node's clock jumps.
    StepClock {
        /// Which node.
        node: usize,
        /// By how many microseconds; negative: back.
        by: i64,
    },
    /// The node's application takes nothing for a while.
    PauseReader {
        /// Which node.
        node: usize,
        /// For how long.
        lasting: Micros,
    },
    /// The node's application changes its habits.
    SetReader {
        /// Which node.
        node: usize,
        /// The new ones.
        reader: Reader,
    },
    /// A datagram from nowhere arrives.
    Inject {
        /// The node that receives it.
        node: usize,
        /// What arrives (on a serial line: bytes of the stream).
        bytes: Vec<u8>,
    },
    /// More messages are offered, beginning at the traffic's own start or now, whichever is later.
    Offer(Traffic),
    /// The application closes the link.
    Close {
        /// Which node.
        node: usize,
    },
    /// The application gives the link up.
    Abort {
        /// Which node.
        node: usize,
    },
}
