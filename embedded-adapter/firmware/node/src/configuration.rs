//! What the images have in common: the link and the line.

use core::time::Duration;

use ackline::Channel;

#[cfg_attr(feature = "compact", path = "configuration/compact.rs")]
#[cfg_attr(feature = "tailored", path = "configuration/tailored.rs")]
#[cfg_attr(not(any(feature = "compact", feature = "tailored")), path = "configuration/full.rs")]
mod link;
pub use link::*;

/// Readings and commands have the only channel.
pub const CHANNEL: Channel = Channel(0);

/// Bit rate of the serial line. What the emulated UARTs carry in real time, not more.
pub const BITS_PER_SECOND: u32 =
    if cfg!(any(feature = "lm3s6965evb", feature = "riscv-virt")) { 460_800 } else { 115_200 };

/// The longest datagram in bytes: four small readings, or two large ones, in one packet.
pub const DATAGRAM_MAX: usize = 512;

/// Without a request, a reading every second.
pub const INTERVAL: Duration = Duration::from_secs(1);
