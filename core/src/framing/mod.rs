//! Byte streams to datagrams and back, for serial lines and pipes, which have no packet boundaries.
//!
//! **Invariant.** A [`Deframer`] hands out what a [`FrameEncoder`] was given, each datagram once and in order, or
//! drops it; it never hands out part of a datagram, nor two of them as one. One damaged, missing or surplus byte
//! on the line costs at most two frames that are neighbours: the damaged one, and the next if the delimiter between
//! them went. Every zero byte is a new start, whatever came before it. No input makes anything here panic.
//!
//! # On the wire
//!
//! ```text
//!   COBS( datagram | check )  00
//! ```
//!
//! - *check*: CRC-32C of the datagram (4 bytes), or CRC-16/IBM-SDLC (2 bytes), least significant byte first. Both ends
//!   must be set to the same [`FrameCheck`]. The check covers the whole frame: there is no length or header outside it
//!   that could be damaged unseen.
//! - *COBS* (Cheshire and Baker, 1999) cuts its input at zeros, and after 254 bytes without one. A block is a code
//!   byte, `1 +` its count of bytes, followed by the bytes. A zero of the input stands between two blocks, unless the
//!   first is full (code 255). No byte of the result is zero. A frame whose last block is full ends there; the empty
//!   block that some encoders put behind it is accepted.
//! - *00* ends the frame. It appears nowhere else, so a receiver that lost its place finds it at the next zero.
//! - Any number of zeros may stand between frames. A sender puts one before the first frame after silence
//!   ([`FrameEncoder::after_silence`]), so that noise picked up by an idle line ends there and not in the frame.
//! - An empty datagram has a frame like any other, `01 01 01 01 01 00`, but one that a stuck line hits upon more easily
//!   than a sum that is not zero: give it no meaning.
//!
//! The cost is the check, one byte per 254 begun, and the delimiter: 6 bytes for a datagram of up to 250 bytes with
//! CRC-32C, 4 bytes up to 252 with CRC-16.
//!
//! # Why this is not crate `cobs`
//!
//! Its encoder returns to each code byte when the block is complete, so the whole frame must sit in a second buffer
//! before the first byte can leave. [`FrameEncoder`] looks ahead in the datagram instead and gives out bytes as a UART
//! asks for them. Its decoder keeps more states than a checked frame needs: with it, sending and receiving took 1,076
//! bytes of flash on a Cortex-M0+ (`opt-level = "z"`, both checks without tables), and 852 as it is here. `cobs` 0.5 is
//! the reference in the tests.

mod deframer;
mod encoder;
mod frame_check;
#[cfg(test)]
mod tests;

pub use deframer::{Deframer, DeframerIn, FrameStats};
pub use encoder::{FrameEncoder, FrameError, encode, encoded_len_max};
pub use frame_check::FrameCheck;

/// The byte that ends every frame and that no frame contains.
pub const DELIMITER: u8 = 0;
