//! Why a call was refused. Bytes from the network never lead here: they are dropped and counted.

use core::fmt;

/// Why `send` did not accept a message. Nothing was queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SendError {
    /// The outbox of the channel is full. Try again after the next `Event::Writable` of that channel.
    Full,
    /// The message is longer than this side, or the peer, can take. Split it or raise `Config::message_max`.
    TooLarge {
        /// The largest message in bytes.
        max: u32,
    },
    /// The storage (this side's or the peer's) has no such channel. Use a smaller number or a storage with more channels.
    NoSuchChannel,
    /// The link was closed, by either side. Make a new one.
    Closed,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::Full => f.write_str("the outbox is full: wait until it is writable, then send again"),
            SendError::TooLarge { max } => write!(f, "the message is too large: at most {max} bytes"),
            SendError::NoSuchChannel => {
                f.write_str("no such channel: the storage of this side or of the peer has fewer channels")
            }
            SendError::Closed => f.write_str("the link is closed"),
        }
    }
}

impl core::error::Error for SendError {}

/// The delivery is not waiting to be settled: it was settled before, or its sender has restarted since.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct UnknownDelivery;

impl fmt::Display for UnknownDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the delivery is not waiting to be settled: settled before, or its sender restarted since",
        )
    }
}

impl core::error::Error for UnknownDelivery {}
