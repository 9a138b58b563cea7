//! A configuration to explore, and the links that it boots.

use std::time::Duration;

use ackline::congestion::FixedWindow;
use ackline::storage::Inline;
use ackline::{ChannelConfig, Config, Link, Medium, Mode};

/// The links that are explored: one channel of four messages each way, eight packets in flight.
pub type Tiny = Link<Inline<1, 4, 1024, 8>, FixedWindow>;

/// What survives a reboot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Memory {
    /// Nothing: what was accepted and has no outcome is gone with its sender. That is all that the core promises.
    Nothing,
    /// The application's own durable outbox: what has no outcome is offered again to the new link. (The core has no durable
    /// outbox; this is how an application builds one on it.)
    Outbox,
    /// Everything: the node was asleep and deaf for 10 s.
    Everything,
}

/// A configuration to explore.
#[derive(Clone, Debug)]
pub struct Setup {
    /// For tables.
    pub name: &'static str,
    /// Messages that each side sends.
    pub messages: [u8; 2],
    /// Payload bytes of each, at least 3.
    pub len: usize,
    /// The mode of the channel.
    pub mode: Mode,
    /// Whether the applications settle by a call of their own.
    pub settles: bool,
    /// Which sides open the association.
    pub connects: [bool; 2],
    /// Whether datagrams keep their order and are never copied: a serial line.
    pub is_framed: bool,
    /// Datagrams lost, in all.
    pub losses: u8,
    /// Datagrams copied, in all.
    pub copies: u8,
    /// Timers that fire early, in all.
    pub early: u8,
    /// Reboots, of either side, in all.
    pub reboots: u8,
    /// What a reboot leaves.
    pub memory: Memory,
    /// Whether the search begins with the association that follows from a handshake without faults.
    pub is_connected: bool,
    /// Whether applications take what arrives at once, or at any later time.
    pub takes_at_once: bool,
    /// How long acknowledgements are held back.
    pub ack_delay: Duration,
    /// Which sides close the link when all they sent has its outcome.
    pub closes: [bool; 2],
}

impl Setup {
    /// No fault, no message, side 0 connects.
    pub const fn new(name: &'static str) -> Self {
        Setup {
            name,
            messages: [0, 0],
            len: 4,
            mode: Mode::Ordered,
            settles: false,
            connects: [true, false],
            is_framed: false,
            losses: 0,
            copies: 0,
            early: 0,
            reboots: 0,
            memory: Memory::Nothing,
            is_connected: false,
            takes_at_once: false,
            ack_delay: Duration::from_millis(1),
            closes: [false, false],
        }
    }

    fn config(&self) -> Config {
        let mut config = if self.is_framed { Config::serial(0) } else { Config::udp() };
        let channel = ChannelConfig::new(self.mode);
        config = config.channel(0, if self.settles { channel.settle_explicitly() } else { channel });
        config.datagram_max = 128;
        config.ack_delay = self.ack_delay;
        // What cannot arise without loss would only make the states larger.
        config.repetition = false;
        if let Medium::Datagram { .. } = config.medium {
            config.link_id_len = 1;
        }
        config
    }

    pub(super) fn boot(&self, side: usize, incarnation: u8) -> Tiny {
        let seed = 1 + side as u64 * 1_000 + u64::from(incarnation);
        Link::new(&self.config(), FixedWindow::new(1 << 20), seed)
    }
}
