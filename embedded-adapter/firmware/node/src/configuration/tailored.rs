//! A tailored link: a feature more than the compact one has, counters, for what it costs.

use ackline::Stats;
use ackline::tailored::{Endpoint, Media, Profile};
use telemetry::MESSAGE_MAX;

use super::DATAGRAM_MAX;

/// One ordered channel, counters, on the medium that the image has.
pub enum Telemetry<const IS_UDP: bool> {}

impl<const IS_UDP: bool> Profile for Telemetry<IS_UDP> {
    const MEDIA: Media = if IS_UDP { Media::Datagrams } else { Media::Framed };
    type Deadline = ();
    type Counters = Stats;
}

type Link<const IS_UDP: bool> = Endpoint<Telemetry<IS_UDP>, 1, 4, MESSAGE_MAX, DATAGRAM_MAX>;

/// A link on the serial line: four messages each way.
pub type SerialLink = Link<false>;
/// A link over UDP.
pub type UdpLink = Link<true>;

/// Starts a link on the serial line. Until it has measured, it takes a round trip for 50 ms, as `Config::serial` does.
pub fn start_serial(link: &mut SerialLink, seed: u64) {
    link.start(seed, 50_000);
}

/// Starts a link over UDP. Until it has measured, it takes a round trip for 100 ms, as `Config::udp` does.
pub fn start_udp(link: &mut UdpLink, seed: u64) {
    link.start(seed, 100_000);
}
