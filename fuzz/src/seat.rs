//! Where a link sits: medium, limits and storage, drawn by the engine.

use std::time::Duration;

use ackline::congestion::{FixedRate, NewReno, PathModel};
use ackline::storage::{Heap, Inline};
use ackline::{ChannelConfig, Config, Link, Medium, Mode};
use arbitrary::Arbitrary;

/// Little of everything: 4 channels of 8 messages and 2 KiB each way, 16 packets in flight.
pub type Small = Inline<4, 8, 2048, 16>;
/// The least: 1 channel, 4 messages, 512 bytes, no fragments, no deadlines.
pub type Tiny = Inline<1, 4, 512, 8>;

/// What carries the datagrams.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carrier {
    /// Packets carry a check.
    Checked,
    /// They do not, if both sides want it so.
    Unchecked,
    /// A serial line.
    Framed,
}

/// Storage and controller.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Build {
    /// Heap, path model.
    Heap,
    /// Small inline storage, NewReno.
    Small,
    /// Tiny inline storage, fixed rate.
    Tiny,
}

/// The configuration of one side.
#[derive(Arbitrary, Clone, Debug)]
pub struct Seat {
    /// What carries the datagrams.
    pub carrier: Carrier,
    /// Storage and controller.
    pub build: Build,
    id_len: u8,
    datagram_max: u16,
    message_max: u16,
    window: u8,
    buffer: u16,
    modes: [u8; 4],
    explicit: u8,
    ack_delay: u16,
    keep_alive: Option<u16>,
    give_up: Option<u16>,
    repetition: bool,
}

impl Seat {
    /// For `Link::new`.
    pub fn config(&self) -> Config {
        let mut config = match self.carrier {
            Carrier::Checked | Carrier::Unchecked => Config::udp(),
            Carrier::Framed => Config::serial(115_200),
        };
        if self.carrier == Carrier::Unchecked {
            config.medium = Medium::Datagram { check: false };
        }
        config.link_id_len = self.id_len % 9;
        config.datagram_max = 96 + self.datagram_max % 1_400;
        config.message_max = 1 + u32::from(self.message_max);
        config.receive_window = 1 + u32::from(self.window);
        config.receive_buffer = u32::from(self.buffer).max(64);
        config.ack_delay = Duration::from_micros(u64::from(self.ack_delay));
        config.keep_alive = self.keep_alive.map(|ms| Duration::from_millis(u64::from(ms) + 20));
        config.give_up = self.give_up.map(|ms| Duration::from_millis(u64::from(ms) + 100));
        config.repetition = self.repetition;
        for (c, mode) in self.modes.iter().enumerate() {
            let mode =
                [Mode::Ordered, Mode::Unordered, Mode::Latest, Mode::BestEffort][usize::from(mode % 4)];
            let channel = ChannelConfig::new(mode).priority(mode as u8);
            let explicit = self.explicit >> c & 1 == 1;
            let channel = if explicit { channel.settle_explicitly() } else { channel };
            config = config.channel(c as u8, channel);
        }
        config
    }

    /// Bytes of the link's id.
    pub fn id_len(&self) -> usize {
        usize::from(self.id_len % 9)
    }

    /// With heap storage.
    pub fn heap(&self, seed: u64) -> Link<Heap, PathModel> {
        Link::new(&self.config(), PathModel::new(), seed)
    }

    /// With small inline storage.
    pub fn small(&self, seed: u64) -> Link<Small, NewReno> {
        Link::new(&self.config(), NewReno::new(), seed)
    }

    /// With the least storage.
    pub fn tiny(&self, seed: u64) -> Link<Tiny, FixedRate> {
        Link::new(&self.config(), FixedRate::new(11_520), seed)
    }
}

/// Runs a generic function with a watched link of the storage that `$seat` names.
#[macro_export]
macro_rules! with_link {
    ($seat:expr, $seed:expr, $run:ident($($argument:expr),*)) => {
        match $seat.build {
            $crate::seat::Build::Heap => $run($crate::watch::Watch::new($seat.heap($seed)), $($argument),*),
            $crate::seat::Build::Small => $run($crate::watch::Watch::new($seat.small($seed)), $($argument),*),
            $crate::seat::Build::Tiny => $run($crate::watch::Watch::new($seat.tiny($seed)), $($argument),*),
        }
    };
}
