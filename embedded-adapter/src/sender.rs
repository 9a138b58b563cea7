//! The application's sending half.

use core::fmt;
use core::future::poll_fn;
use core::task::Poll;

use ackline::{Channel, Event, FailReason, Instant, MessageId, SendError};
use embassy_sync::blocking_mutex::raw::{NoopRawMutex, RawMutex};

use crate::state::{Guarded, Shared};
use crate::{Deadlines, Drive, now};

/// Sends messages. Copy it to every task that sends.
pub struct Sender<'a, L, M = NoopRawMutex> {
    pub(crate) shared: &'a Shared<L, M>,
}

impl<L, M> Clone for Sender<'_, L, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L, M> Copy for Sender<'_, L, M> {}

/// Why [`Sender::send_settled`] cannot say that the peer's application has the message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt-1", derive(defmt::Format))]
#[non_exhaustive]
pub enum NotSettled {
    /// It was never sent. The error says what to do.
    Refused(SendError),
    /// Its deadline passed first. It may have arrived.
    Expired,
    /// It will not be settled. It may have arrived.
    Failed(FailReason),
}

impl fmt::Display for NotSettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotSettled::Refused(error) => error.fmt(f),
            NotSettled::Expired => f.write_str("the message's deadline passed before it was settled"),
            NotSettled::Failed(_) => f.write_str("the message will not be settled"),
        }
    }
}

impl core::error::Error for NotSettled {}

impl<L: Drive, M: RawMutex> Sender<'_, L, M> {
    /// Opens the link. One side has to; it does no harm if both do.
    pub fn connect(&self) {
        self.act(|link, now| link.connect(now));
    }

    /// Queues a message, if there is room now.
    ///
    /// # Errors
    ///
    /// [`SendError`], each with its remedy.
    pub fn try_send(&self, channel: Channel, payload: &[u8]) -> Result<MessageId, SendError> {
        self.act(|link, now| link.send(now, channel, payload))
    }

    /// Queues a message as soon as there is room. Dropped before it is ready, it has queued nothing.
    ///
    /// # Errors
    ///
    /// [`SendError`], but never [`Full`](SendError::Full).
    pub async fn send(&self, channel: Channel, payload: &[u8]) -> Result<MessageId, SendError> {
        self.send_when_room(|link| link.send(now(), channel, payload)).await
    }

    /// Sends a message and waits until the peer's application has accepted it. Its outcome is not reported to
    /// [`Events`](crate::Events). Dropped before it has queued the message, it has sent nothing; dropped while it waits for
    /// the outcome, it takes nothing back: the message goes on its way, and the outcome to `Events`.
    ///
    /// # Errors
    ///
    /// [`NotSettled`], with the reason.
    pub async fn send_settled(&self, channel: Channel, payload: &[u8]) -> Result<(), NotSettled> {
        let place = poll_fn(|cx| {
            self.shared.with(|guarded| {
                let Some(place) = guarded.free_place() else {
                    guarded.wait_with_senders(cx.waker());
                    return Poll::Pending;
                };
                let sent = guarded.send_or_wait(cx, |link| link.send(now(), channel, payload));
                let Some(sent) = sent else { return Poll::Pending };
                // In the same breath, or the outcome could pass by.
                let taken = sent.map(|id| {
                    guarded.wait_in(place, id);
                    Place { shared: self.shared, place }
                });
                guarded.on_application();
                Poll::Ready(taken)
            })
        })
        .await
        .map_err(NotSettled::Refused)?;
        poll_fn(|cx| place.poll_outcome(cx)).await
    }

    /// Accepts no more messages, waits for those under way, then tells the peer. The runner ends when that is done.
    pub fn close(&self) {
        self.act(|link, now| link.close(now));
    }

    /// Ends the link at once.
    pub fn abort(&self) {
        self.act(|link, now| link.abort(now));
    }

    /// Whether the handshake is complete.
    pub fn is_connected(&self) -> bool {
        self.shared.with(|guarded| guarded.link.is_connected())
    }

    /// The link's counters, all zeros where it [keeps none](Drive::stats).
    pub fn stats(&self) -> ackline::Stats {
        self.shared.with(|guarded| guarded.link.stats())
    }

    fn act<R>(&self, act: impl FnOnce(&mut L, Instant) -> R) -> R {
        self.shared.with(|guarded| {
            let result = act(&mut guarded.link, now());
            guarded.on_application();
            result
        })
    }

    async fn send_when_room(
        &self,
        mut send: impl FnMut(&mut L) -> Result<MessageId, SendError>,
    ) -> Result<MessageId, SendError> {
        poll_fn(|cx| {
            self.shared.with(|guarded| match guarded.send_or_wait(cx, &mut send) {
                Some(sent) => {
                    guarded.on_application();
                    Poll::Ready(sent)
                }
                None => Poll::Pending,
            })
        })
        .await
    }
}

impl<L: Deadlines, M: RawMutex> Sender<'_, L, M> {
    /// Queues a message as soon as there is room; it expires at `deadline` unless it is settled by then. Compare with
    /// [`now`](crate::now).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_before(
        &self,
        channel: Channel,
        payload: &[u8],
        deadline: Instant,
    ) -> Result<MessageId, SendError> {
        self.send_when_room(|link| link.send_before(now(), channel, payload, deadline)).await
    }
}

/// A place among those that wait for an outcome, free again when dropped.
struct Place<'a, L: Drive, M: RawMutex> {
    shared: &'a Shared<L, M>,
    place: usize,
}

impl<L: Drive, M: RawMutex> Place<'_, L, M> {
    fn poll_outcome(&self, cx: &mut core::task::Context<'_>) -> Poll<Result<(), NotSettled>> {
        self.with(|guarded, place| match guarded.take_outcome(place) {
            Some(Event::Expired(_)) => Poll::Ready(Err(NotSettled::Expired)),
            Some(Event::Failed(_, reason)) => Poll::Ready(Err(NotSettled::Failed(reason))),
            Some(_) => Poll::Ready(Ok(())),
            None => {
                guarded.wait_with_senders(cx.waker());
                Poll::Pending
            }
        })
    }

    fn with<R>(&self, use_it: impl FnOnce(&mut Guarded<L>, usize) -> R) -> R {
        self.shared.with(|guarded| use_it(guarded, self.place))
    }
}

impl<L: Drive, M: RawMutex> Drop for Place<'_, L, M> {
    fn drop(&mut self) {
        self.with(Guarded::leave);
    }
}
