//! Messages that are serde types, in postcard's encoding.

use core::fmt;

use ackline::SendError;
use postcard::Error as Malformed;

/// Why a value was not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt-1", derive(defmt::Format))]
pub enum SendTypedError {
    /// Its encoding is longer than the buffer.
    TooLarge,
    /// The link refused it.
    Refused(SendError),
}

impl fmt::Display for SendTypedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendTypedError::TooLarge => f.write_str("the value's encoding is longer than the buffer"),
            SendTypedError::Refused(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SendTypedError {}

/// Encodes `value` to the start of `buffer`, for `Link::send`.
///
/// # Errors
///
/// [`SendTypedError::TooLarge`] if it does not fit.
pub fn encode<'b, T: serde::Serialize>(value: &T, buffer: &'b mut [u8]) -> Result<&'b [u8], SendTypedError> {
    match postcard::to_slice(value, buffer) {
        Ok(encoded) => Ok(encoded),
        Err(_) => Err(SendTypedError::TooLarge),
    }
}

/// Decodes a payload. The value may borrow from it.
///
/// # Errors
///
/// postcard's, if the payload is not the encoding of a `T`: the peer speaks another application protocol.
pub fn decode<'b, T: serde::Deserialize<'b>>(payload: &'b [u8]) -> Result<T, Malformed> {
    postcard::from_bytes(payload)
}

#[cfg(feature = "embassy-sync-08")]
mod tasks {
    use ackline::{Channel, MessageId};
    use embassy_sync::blocking_mutex::raw::RawMutex;
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::{Malformed, SendTypedError, decode, encode};
    use crate::{Drive, Receiver, RecvError, Sender};

    impl<L: Drive, M: RawMutex> Sender<'_, L, M> {
        /// As [`send`](Sender::send), a value whose encoding has at most `N` bytes.
        ///
        /// # Errors
        ///
        /// [`SendTypedError`].
        pub async fn send_typed<const N: usize>(
            &self,
            channel: Channel,
            value: &impl Serialize,
        ) -> Result<MessageId, SendTypedError> {
            let mut buffer = [0; N];
            let payload = encode(value, &mut buffer)?;
            self.send(channel, payload).await.map_err(SendTypedError::Refused)
        }
    }

    impl<L: Drive, M: RawMutex> Receiver<'_, L, M> {
        /// Takes the next message as a `T`. For types that borrow from the message, use
        /// [`recv_with`](Receiver::recv_with) and [`decode`].
        ///
        /// # Errors
        ///
        /// [`RecvError`]; inside, postcard's error for a message that is not a `T`. That one was taken.
        pub async fn recv_typed<T: DeserializeOwned>(&mut self) -> Result<Result<T, Malformed>, RecvError> {
            self.recv_with(|delivery| decode(delivery.payload)).await
        }
    }
}
