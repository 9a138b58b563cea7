//! The network stack of a UDP image on an emulated board: addresses, Ethernet, an interface, a bound socket.
//!
//! On a board of your own this is what its HAL's examples show; ackline wants nothing of it but the socket.

#[cfg(feature = "udp-embassy-net")]
pub mod embassy_net;
#[cfg(feature = "udp-smoltcp")]
pub mod smoltcp;

/// Where the emulator's user-mode network has the node.
const ADDRESS: [u8; 4] = [10, 0, 2, 15];
/// Where it has the desktop.
const DESKTOP: [u8; 4] = [10, 0, 2, 2];
/// The UDP port of both.
const PORT: u16 = 7777;
/// The Ethernet address that QEMU expects of its first guest.
const HARDWARE_ADDRESS: [u8; 6] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

/// Datagrams that a socket holds each way. A lone acknowledgement takes a place like any other.
const SLOTS: usize = 8;
/// Bytes that a socket holds each way: four full datagrams.
const HELD_MAX: usize = 4 * crate::DATAGRAM_MAX;
