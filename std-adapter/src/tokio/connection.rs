use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ackline::config::Channel;
use ackline::event::{CloseReason, DeliveryId, Event, MessageId};
use ackline::{Stats, UnknownDelivery};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout_at;

use crate::carrier::{Carrier, Handle};
use crate::error::{ConnectError, RecvError, SendError};
use crate::message::{Message, Messages, Outcomes, Received, Typed};

/// One association with one peer, for tasks. Clones share it; see [`Connection`](crate::Connection) for what `send`
/// promises and what dropping does.
#[derive(Clone)]
pub struct Connection(Arc<Handle<dyn Carrier>>);

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.0.peer).finish()
    }
}

impl Connection {
    pub(crate) fn new(handle: Handle<dyn Carrier>) -> Self {
        Connection(Arc::new(handle))
    }

    /// Sends `payload` on `channel`. Waits while the outbox is full, or holds 256 KiB that have not left yet.
    ///
    /// # Errors
    ///
    /// [`SendError::TooLarge`], [`SendError::NoSuchChannel`], or [`SendError::Closed`]. Never [`SendError::Full`].
    pub async fn send(&self, channel: Channel, payload: &[u8]) -> Result<MessageId, SendError> {
        self.until(|| match self.0.send_soon(channel, payload, None) {
            Err(SendError::Full) => None,
            result => Some(result),
        })
        .await
    }

    /// Sends `payloads` one after another, which costs less than as many calls of [`send`](Self::send). Waits while the outbox
    /// is full. Dropped before it is complete, it has sent those at the beginning.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send), for one of the messages. Those before it were accepted, it and those after it were not.
    pub async fn send_many(&self, channel: Channel, payloads: &[impl AsRef<[u8]>]) -> Result<(), SendError> {
        let mut rest = payloads;
        self.until(|| match self.0.send_many_soon(channel, &mut rest) {
            Err(SendError::Full) => None,
            result => Some(result),
        })
        .await
    }

    /// Sends if the outbox has room.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`], and those of [`send`](Self::send).
    pub fn try_send(&self, channel: Channel, payload: &[u8]) -> Result<MessageId, SendError> {
        self.0.try_send(channel, payload)
    }

    /// Sends a message that is worthless after `lifetime`. Waits while the outbox is full, at most for `lifetime`.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send); [`SendError::Full`] if there was no room within `lifetime`.
    pub async fn send_before(
        &self,
        channel: Channel,
        payload: &[u8],
        lifetime: Duration,
    ) -> Result<MessageId, SendError> {
        let deadline = Some(self.0.now() + lifetime);
        let sent = self.until(|| match self.0.send_soon(channel, payload, deadline) {
            Err(SendError::Full) => None,
            result => Some(result),
        });
        within(lifetime, sent).await.unwrap_or(Err(SendError::Full))
    }

    /// Sends a value, encoded by postcard. Waits while the outbox is full.
    ///
    /// # Errors
    ///
    /// [`SendError::Encoding`], and those of [`send`](Self::send).
    pub async fn send_typed<T: Serialize + ?Sized>(
        &self,
        channel: Channel,
        value: &T,
    ) -> Result<MessageId, SendError> {
        let payload = postcard::to_stdvec(value).map_err(|_| SendError::Encoding)?;
        self.send(channel, &payload).await
    }

    /// Emits what was accepted; see [`Connection::flush`](crate::Connection::flush).
    pub fn flush(&self) {
        self.0.flush();
    }

    /// Takes the next message. Waits until there is one.
    ///
    /// # Errors
    ///
    /// [`RecvError::Closed`] when the connection has ended and everything delivered was taken.
    pub async fn recv(&self) -> Result<Message, RecvError> {
        let mut payload = Vec::new();
        let received = self.recv_into(&mut payload).await?;
        Ok(Message { payload, id: received.id, redelivered: received.redelivered })
    }

    /// Takes the next message if there is one.
    ///
    /// # Errors
    ///
    /// [`RecvError::Empty`], [`RecvError::Closed`].
    pub fn try_recv(&self) -> Result<Message, RecvError> {
        let mut payload = Vec::new();
        let received = self.0.take(&mut payload)?;
        Ok(Message { payload, id: received.id, redelivered: received.redelivered })
    }

    /// Takes the next message, if there is one within `timeout`.
    ///
    /// # Errors
    ///
    /// [`RecvError::TimedOut`], [`RecvError::Closed`].
    pub async fn recv_timeout(&self, timeout: Duration) -> Result<Message, RecvError> {
        within(timeout, self.recv()).await.unwrap_or(Err(RecvError::TimedOut))
    }

    /// Takes the next message into `payload`, which is cleared first and keeps its allocation.
    ///
    /// # Errors
    ///
    /// [`RecvError::Closed`].
    pub async fn recv_into(&self, payload: &mut Vec<u8>) -> Result<Received, RecvError> {
        self.until(|| match self.0.take(payload) {
            Err(RecvError::Empty) => None,
            result => Some(result),
        })
        .await
    }

    /// Takes the messages that are there into `messages`; see [`Connection::recv_many`](crate::Connection::recv_many). Waits
    /// until there is one.
    ///
    /// # Errors
    ///
    /// [`RecvError::Closed`].
    pub async fn recv_many(&self, messages: &mut Messages) -> Result<(), RecvError> {
        self.until(|| match self.0.take_many(messages) {
            Err(RecvError::Empty) => None,
            result => Some(result),
        })
        .await
    }

    /// Takes the next message as a value, decoded by postcard.
    ///
    /// # Errors
    ///
    /// [`RecvError::Decoding`], [`RecvError::Closed`].
    pub async fn recv_typed<T: DeserializeOwned>(&self) -> Result<Typed<T>, RecvError> {
        let message = self.recv().await?;
        let value = postcard::from_bytes(&message.payload).map_err(|_| RecvError::Decoding)?;
        Ok(Typed { value, id: message.id, redelivered: message.redelivered })
    }

    /// Settles a message of a channel that is configured with `settle_explicitly`.
    ///
    /// # Errors
    ///
    /// [`UnknownDelivery`]: it was settled before, or its sender has restarted since and will send it again.
    pub fn settle(&self, id: DeliveryId) -> Result<(), UnknownDelivery> {
        self.0.settle(id)
    }

    /// How the messages sent so far have ended.
    pub fn outcomes(&self) -> Outcomes {
        self.0.outcomes()
    }

    /// Waits until every message sent has an outcome, at most for `timeout`.
    pub async fn drain(&self, timeout: Duration) -> Outcomes {
        self.0.flush();
        let drained = self.until(|| (self.0.outcomes().outstanding == 0).then_some(()));
        let _ = within(timeout, drained).await;
        self.outcomes()
    }

    /// From now on, what happens on this connection, one by one; see [`Connection::events`](crate::Connection::events).
    pub fn events(&self) -> Events {
        self.0.peer.lock().watch();
        Events(self.clone())
    }

    /// Waits until the peer has answered, at most for `timeout`. Messages may be sent before.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub async fn wait_connected(&self, timeout: Duration) -> Result<(), ConnectError> {
        let connected = self.until(|| self.0.connected());
        within(timeout, connected).await.unwrap_or(Err(ConnectError::TimedOut))
    }

    /// Whether the handshake is complete and the connection has not ended.
    pub fn is_connected(&self) -> bool {
        self.0.peer.lock().link.is_connected()
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Why it ended, if it did.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.0.peer.lock().close_reason()
    }

    /// Stops accepting messages, waits until those sent have an outcome and the peer knows, at most for `timeout`.
    /// Returns whether that happened; if not, the connection is still closing.
    pub async fn close(&self, timeout: Duration) -> bool {
        self.0.start_closing();
        within(timeout, self.until(|| self.0.is_closed().then_some(()))).await.is_some()
    }

    /// Ends the connection at once. Messages without an outcome fail.
    pub fn abort(&self) {
        self.0.abort();
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.0.peer.stats()
    }

    /// The address of the peer; unspecified on a byte stream.
    pub fn peer_addr(&self) -> std::net::SocketAddr {
        self.0.peer.lock().remote
    }

    /// Waits until `ready` answers. Whatever `ready` takes is returned in the same poll: dropping the future loses
    /// nothing.
    async fn until<T>(&self, mut ready: impl FnMut() -> Option<T>) -> T {
        loop {
            if let Some(value) = ready() {
                return value;
            }
            self.0.carrier.before_wait(&self.0.peer);
            // On the stack: waiting allocates nothing.
            event_listener::listener!(self.0.peer.changed => listener);
            // What came before the listener was set up is seen here, what comes later is heard.
            if let Some(value) = ready() {
                return value;
            }
            listener.await;
        }
    }
}

/// The output of `future`, if it comes within `timeout`.
async fn within<T>(timeout: Duration, future: impl Future<Output = T>) -> Option<T> {
    timeout_at(tokio::time::Instant::now() + timeout, future).await.ok()
}

/// What happens on a connection, in order, since [`Connection::events`]. Several of them share one sequence.
#[derive(Debug)]
pub struct Events(Connection);

impl Events {
    /// The next event; `None` when the connection has ended and everything was told.
    pub async fn next_event(&self) -> Option<Event> {
        let handle = &self.0.0;
        self.0
            .until(|| match handle.next_event() {
                Some(event) => Some(Some(event)),
                None if handle.is_closed() => Some(handle.next_event()),
                None => None,
            })
            .await
    }

    /// The next event, if there is one.
    pub fn try_next(&self) -> Option<Event> {
        self.0.0.next_event()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.0.0.peer.lock().unwatch();
    }
}
