//! The compact link: a sixth of the flash.

use ackline::compact::{Datagrams, Serial};
use telemetry::MESSAGE_MAX;

use super::DATAGRAM_MAX;

/// A link on the serial line: four messages each way.
pub type SerialLink = Serial<4, MESSAGE_MAX, DATAGRAM_MAX>;
/// A link over UDP.
pub type UdpLink = Datagrams<4, MESSAGE_MAX, DATAGRAM_MAX>;

/// Starts a link on the serial line. Until it has measured, it takes a round trip for 50 ms, as `Config::serial` does.
pub fn start_serial(link: &mut SerialLink, seed: u64) {
    link.start(seed, 50_000);
}

/// Starts a link over UDP. Until it has measured, it takes a round trip for 100 ms, as `Config::udp` does.
pub fn start_udp(link: &mut UdpLink, seed: u64) {
    link.start(seed, 100_000);
}
