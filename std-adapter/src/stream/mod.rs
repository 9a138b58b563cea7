//! Byte streams: serial ports, TCP and Unix sockets, pipes. Datagrams become frames of the core's
//! [`framing`](ackline::framing): COBS, a CRC-32C over each, a zero byte between.
//!
//! One stream carries one connection. Both ends may open it at the same time; it does not matter who is first, or
//! whether the other end is there yet.

mod byte_stream;
mod driver;
pub(crate) mod line;
#[cfg(feature = "serial")]
mod port;

pub use byte_stream::ByteStream;
pub(crate) use byte_stream::is_temporary;
pub use driver::{accept, connect};
#[cfg(feature = "serial")]
pub use port::open_port;

use ackline::framing::FrameCheck;

/// The check of every frame. Desktop and firmware must agree; CRC-32C is what both use.
pub(crate) const CHECK: FrameCheck = FrameCheck::Crc32;
