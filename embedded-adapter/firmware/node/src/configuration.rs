//! What the images have in common: the size of the link, the line, the addresses.

use core::time::Duration;

use ackline::storage::Inline;
use ackline::{Channel, Config};
use telemetry::MESSAGE_MAX;

/// Readings and commands have the only channel.
pub const CHANNEL: Channel = Channel(0);

/// One channel, four messages of 200 bytes each way and room for as many out of order, eight packets in flight. The
/// micro:bit has 16 KiB of RAM: three messages of 200 bytes.
#[cfg(not(feature = "microbit"))]
pub type Storage = Inline<1, 4, 2048, 8>;
/// The same for the micro:bit.
#[cfg(feature = "microbit")]
pub type Storage = Inline<1, 4, 1024, 8>;

/// Bit rate of the serial line. What the emulated UARTs carry in real time, not more.
pub const BITS_PER_SECOND: u32 =
    if cfg!(any(feature = "lm3s6965evb", feature = "riscv-virt")) { 460_800 } else { 115_200 };

/// The longest datagram in bytes: four small readings, or two large ones, in one packet.
pub const DATAGRAM_MAX: usize = 512;

/// Datagrams that a UDP socket holds each way. A lone acknowledgement takes a place like any other.
pub const SLOTS: usize = 8;

/// Without a request, a reading every second.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// Where the emulator's user-mode network has the node.
pub const ADDRESS: [u8; 4] = [10, 0, 2, 15];
/// Where it has the desktop.
pub const DESKTOP: [u8; 4] = [10, 0, 2, 2];
/// The UDP port of both.
pub const PORT: u16 = 7777;
/// The Ethernet address that QEMU expects of its first guest.
pub const HARDWARE_ADDRESS: [u8; 6] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

/// A UDP link.
pub fn udp() -> Config {
    sized(Config::udp())
}

/// A link on the serial line.
pub fn serial() -> Config {
    sized(Config::serial(BITS_PER_SECOND))
}

fn sized(mut config: Config) -> Config {
    config.datagram_max = DATAGRAM_MAX as u16;
    config.message_max = MESSAGE_MAX as u32;
    config
}
