//! Bytes to packets and frames, and back: `docs/protocol.md`, sections 3 to 7.
//!
//! Parsers are total: any input gives a value or [`Malformed`], never a panic, and nothing is copied. Encoding is
//! canonical: a value has one encoding, and another one is malformed.

mod ack;
mod codec;
mod frame;
mod hello;
mod packet;

pub use ack::{ACK_RANGES_MAX, Ack, AckRanges};
pub use codec::{Malformed, Reader, Writer};
pub(crate) use codec::{copy, move_down, varint_len};
pub(crate) use frame::fragment_overhead;
pub use frame::{Frame, Frames, Message, Placed, Settled, granule_bits, granules_to};
pub use hello::{HELLO_LEN_MIN, Hello, Pairs, Param, Params, VERSION, hello_flags, mode_from};
pub use packet::{CHECK_LEN, LINK_ID_LEN_MAX, LinkId, Long, Short, first_byte};
