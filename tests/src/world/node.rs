//! One node: its power, its clock, its endpoint, its application, and the path that it sends on.

use super::application::{Reader, Take};
use crate::endpoint::{Endpoint, Micros};
use crate::net::{Framing, Path, PathConfig};
use crate::oracle::{Contract, MessageKey};

/// How a node is set up.
pub struct NodeSetup {
    /// What its endpoint promises.
    pub contract: Contract,
    /// The path on which it sends to its peer.
    pub path: PathConfig,
    /// Whether it opens the association at every boot, or waits for the peer to do so.
    pub connects: bool,
    /// Whether its application opens another link, as after a reboot, when it has given the peer up.
    pub reopens: bool,
    /// When it is first switched on.
    pub boots_at: Micros,
    /// How its application reads.
    pub reader: Reader,
    /// Datagrams that its socket holds while it is stalled.
    pub socket_count: usize,
    /// Makes an encoder, or a decoder, of a serial line.
    pub framing: Option<fn() -> Box<dyn Framing>>,
}

impl NodeSetup {
    /// A node with this contract on a clean 5 ms path that connects, reads at once, and has a socket of 128 datagrams.
    pub fn new(contract: Contract) -> Self {
        NodeSetup {
            contract,
            path: PathConfig::default(),
            connects: true,
            reopens: false,
            boots_at: 0,
            reader: Reader::default(),
            socket_count: 128,
            framing: None,
        }
    }

    /// Sending on `path`.
    pub fn path(self, path: PathConfig) -> Self {
        NodeSetup { path, ..self }
    }

    /// Waiting for the peer to connect.
    pub fn listening(self) -> Self {
        NodeSetup { connects: false, ..self }
    }

    /// Switched on at `boots_at`.
    pub fn booting_at(self, boots_at: Micros) -> Self {
        NodeSetup { boots_at, ..self }
    }

    /// Reading like this.
    pub fn reader(self, reader: Reader) -> Self {
        NodeSetup { reader, ..self }
    }

    /// Framing its datagrams like this (for serial paths).
    pub fn framing(self, framing: fn() -> Box<dyn Framing>) -> Self {
        NodeSetup { framing: Some(framing), ..self }
    }
}

/// A delivery that the application works on: (incarnation, handle, message).
pub(super) type Work<D> = (u32, D, MessageKey);

pub(super) struct Node<E: Endpoint> {
    /// `None` while the power is off.
    pub(super) endpoint: Option<E>,
    pub(super) kept_memory: Option<E>,
    pub(super) has_booted: bool,
    pub(super) incarnation: u32,
    pub(super) boots: u64,
    pub(super) peer: usize,
    pub(super) connects: bool,
    pub(super) reopens: bool,
    pub(super) path: Path,
    pub(super) decoder: Option<Box<dyn Framing>>,
    pub(super) make_framing: Option<fn() -> Box<dyn Framing>>,
    pub(super) reader: Reader,
    pub(super) take_pending: bool,
    pub(super) paused_until: Micros,
    /// What the application wanted to settle while the node slept.
    pub(super) kept_work: Vec<Work<E::DeliveryId>>,
    pub(super) stalled_until: Micros,
    pub(super) waiting_count: usize,
    pub(super) socket_count: usize,
    clock_offset: i64,
    clock_max: Micros,
    pub(super) wake_generation: u64,
    pub(super) last_wake: Option<Micros>,
    pub(super) spins: u32,
}

/// What every clock starts at. Not zero, so that a clock can be set back, and different per node, so that mixing up clocks
/// shows.
const CLOCK_START: i64 = 1_000_000_000;

impl<E: Endpoint> Node<E> {
    pub(super) fn new(index: usize, peer: usize, setup: NodeSetup, mut path: Path) -> Self {
        if let Some(make) = setup.framing {
            path.set_framing(make());
        }
        Node {
            endpoint: None,
            kept_memory: None,
            has_booted: false,
            incarnation: 0,
            boots: 0,
            peer,
            connects: setup.connects,
            reopens: setup.reopens,
            path,
            decoder: setup.framing.map(|make| make()),
            make_framing: setup.framing,
            reader: setup.reader,
            take_pending: false,
            paused_until: 0,
            kept_work: Vec::new(),
            stalled_until: 0,
            waiting_count: 0,
            socket_count: setup.socket_count,
            clock_offset: CLOCK_START + 123_456_789 * index as i64,
            clock_max: 0,
            wake_generation: 0,
            last_wake: None,
            spins: 0,
        }
    }

    /// The node's clock at `now`.
    pub(super) fn local(&mut self, now: Micros) -> Micros {
        let local = now.saturating_add_signed(self.clock_offset);
        self.clock_max = self.clock_max.max(local);
        local
    }

    /// The latest time that the node's clock has shown up to `now`: what a link whose clock never steps back believes.
    pub(super) fn latest_local(&mut self, now: Micros) -> Micros {
        self.local(now);
        self.clock_max
    }

    /// When the node's clock will show `local`.
    pub(super) fn world_time(&self, local: Micros) -> Micros {
        local.saturating_add_signed(-self.clock_offset)
    }

    pub(super) fn step_clock(&mut self, by: i64) {
        self.clock_offset += by;
    }

    pub(super) fn takes_at_once(&self, now: Micros) -> bool {
        self.reader.take == Take::AtOnce && now >= self.paused_until
    }
}
