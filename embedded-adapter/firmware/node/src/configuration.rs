//! What the images have in common: the link, the line, the addresses.

use core::time::Duration;

use ackline::Channel;

#[cfg_attr(feature = "compact", path = "configuration/compact.rs")]
#[cfg_attr(not(feature = "compact"), path = "configuration/full.rs")]
mod link;
pub use link::*;

/// Readings and commands have the only channel.
pub const CHANNEL: Channel = Channel(0);

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
