//! The application's receiving half.

use core::fmt;
use core::future::poll_fn;
use core::task::Poll;

use ackline::{Channel, Delivery, DeliveryId, UnknownDelivery};
use embassy_sync::blocking_mutex::raw::{NoopRawMutex, RawMutex};

use crate::state::Shared;
use crate::{Drive, Settles, now};

/// Receives messages, in one task.
pub struct Receiver<'a, L, M = NoopRawMutex> {
    pub(crate) shared: &'a Shared<L, M>,
}

/// A message that was copied to the caller's buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Received {
    /// For [`Receiver::settle`], on channels that are settled explicitly.
    pub id: DeliveryId,
    /// The channel it arrived on.
    pub channel: Channel,
    /// Its length in bytes; it is at the start of the buffer.
    pub len: usize,
    /// True if an earlier incarnation of this side may have processed it.
    pub redelivered: bool,
}

/// Why nothing was received. No message was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt-1", derive(defmt::Format))]
#[non_exhaustive]
pub enum RecvError {
    /// The link is closed, and everything that had arrived was taken.
    Closed,
    /// The buffer could be too small for a message. Pass one of `needed` bytes, or lower `Config::message_max`.
    BufferTooSmall {
        /// The longest message that can arrive, in bytes.
        needed: usize,
    },
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::Closed => f.write_str("the link is closed"),
            RecvError::BufferTooSmall { needed } => write!(f, "the buffer must hold {needed} bytes"),
        }
    }
}

impl core::error::Error for RecvError {}

impl<L: Drive, M: RawMutex> Receiver<'_, L, M> {
    /// Takes the next message, copied to the start of `buffer`. Dropped before it is ready, it has taken nothing.
    ///
    /// # Errors
    ///
    /// [`RecvError`], each with its remedy.
    pub async fn recv(&mut self, buffer: &mut [u8]) -> Result<Received, RecvError> {
        let needed = self.shared.with(|guarded| guarded.link.message_max());
        if buffer.len() < needed {
            return Err(RecvError::BufferTooSmall { needed });
        }
        self.recv_with(|delivery| {
            let len = delivery.payload.len();
            buffer[..len].copy_from_slice(delivery.payload);
            Received { id: delivery.id, channel: delivery.id.channel, len, redelivered: delivery.redelivered }
        })
        .await
    }

    /// Takes the next message and lets `read` look at it in place. Dropped before it is ready, it has taken nothing.
    ///
    /// `read` must not use the link's other halves: they are locked, and it would panic.
    ///
    /// # Errors
    ///
    /// [`RecvError::Closed`].
    pub async fn recv_with<R>(&mut self, read: impl FnOnce(Delivery<'_>) -> R) -> Result<R, RecvError> {
        let mut read = Some(read);
        poll_fn(|cx| {
            self.shared.with(|guarded| {
                guarded.turns = 0;
                if let Some(delivery) = guarded.link.recv(now())
                    && let Some(read) = read.take()
                {
                    let result = read(delivery);
                    // Room for the peer's next message, and a settlement to tell it.
                    guarded.on_application();
                    return Poll::Ready(Ok(result));
                }
                if guarded.link.is_closed() {
                    return Poll::Ready(Err(RecvError::Closed));
                }
                guarded.receiver.register(cx.waker());
                Poll::Pending
            })
        })
        .await
    }
}

impl<L: Settles, M: RawMutex> Receiver<'_, L, M> {
    /// Settles a message of a channel that is settled explicitly.
    ///
    /// # Errors
    ///
    /// [`UnknownDelivery`] if it was settled before, or its sender has restarted since.
    pub fn settle(&mut self, id: DeliveryId) -> Result<(), UnknownDelivery> {
        self.shared.with(|guarded| {
            let result = guarded.link.settle(now(), id);
            guarded.on_application();
            result
        })
    }
}
