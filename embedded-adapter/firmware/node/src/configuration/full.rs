//! The full link.

use ackline::congestion::{FixedRate, NewReno};
use ackline::storage::Inline;
use ackline::{Config, Link};
use telemetry::MESSAGE_MAX;

use super::{BITS_PER_SECOND, DATAGRAM_MAX};

/// One channel, four messages of 200 bytes each way and room for as many out of order, eight packets in flight. The
/// micro:bit has 16 KiB of RAM: three messages of 200 bytes.
type Storage = Inline<1, 4, { if cfg!(feature = "microbit") { 1024 } else { 2048 } }, 8>;

/// A link on the serial line.
pub type SerialLink = Link<Storage, FixedRate>;
/// A link over UDP.
pub type UdpLink = Link<Storage, NewReno>;

/// Starts a link on the serial line, at a rate of ten bits to a byte.
pub fn start_serial(link: &mut SerialLink, seed: u64) {
    link.start(&sized(Config::serial(BITS_PER_SECOND)), FixedRate::new(BITS_PER_SECOND / 10), seed);
}

/// Starts a link over UDP.
pub fn start_udp(link: &mut UdpLink, seed: u64) {
    link.start(&sized(Config::udp()), NewReno::new(), seed);
}

fn sized(mut config: Config) -> Config {
    config.datagram_max = DATAGRAM_MAX as u16;
    config.message_max = MESSAGE_MAX as u32;
    config
}
