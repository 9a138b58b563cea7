//! A connection for threads.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ackline::Instant;
use ackline::Stats;
use ackline::UnknownDelivery;
use ackline::config::Channel;
use ackline::event::{CloseReason, DeliveryId, Event, MessageId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::carrier::{BlockingCarrier, Handle};
use crate::clock::Clock;
use crate::error::{ConnectError, RecvError, SendError};
use crate::message::{Message, Messages, Outcomes, Received, Typed};

/// One association with one peer, over UDP or a byte stream.
///
/// Clones share it and may live in different threads: one sends while another receives. When the last clone is dropped,
/// the connection closes, and delivers what was sent before as long as its endpoint lives;
/// [`close`](Self::close) waits for that.
///
/// `send` returning `Ok` says that this side keeps the message until it has an outcome: *settled* (the peer's
/// application accepted it), *expired* or *failed*. [`outcomes`](Self::outcomes) counts them, [`events`](Self::events)
/// names them one by one, [`drain`](Self::drain) waits for all.
#[derive(Clone)]
pub struct Connection(Arc<Handle<dyn BlockingCarrier>>);

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.0.peer).finish()
    }
}

impl Connection {
    pub(crate) fn new(handle: Handle<dyn BlockingCarrier>) -> Self {
        Connection(Arc::new(handle))
    }

    // ---- sending

    /// Sends `payload` on `channel`. Blocks while the outbox is full, or holds 256 KiB that have not left yet.
    ///
    /// # Errors
    ///
    /// [`SendError::TooLarge`], [`SendError::NoSuchChannel`], or [`SendError::Closed`]. Never [`SendError::Full`].
    pub fn send(&self, channel: Channel, payload: &[u8]) -> Result<MessageId, SendError> {
        self.send_waiting(channel, payload, None, Instant::MAX)
    }

    /// Sends `payloads` one after another, which costs less than as many calls of [`send`](Self::send). Blocks as
    /// that does.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send), for one of the messages. Those before it were accepted, it and those after it were not.
    pub fn send_many(&self, channel: Channel, payloads: &[impl AsRef<[u8]>]) -> Result<(), SendError> {
        let mut rest = payloads;
        let mut result = self.0.send_many_soon(channel, &mut rest);
        if result == Err(SendError::Full) {
            self.flush();
            self.wait(Instant::MAX, || {
                result = self.0.send_many_soon(channel, &mut rest);
                result != Err(SendError::Full)
            });
        }
        result
    }

    /// Sends if the outbox has room, and returns at once.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`], and those of [`send`](Self::send).
    pub fn try_send(&self, channel: Channel, payload: &[u8]) -> Result<MessageId, SendError> {
        self.0.try_send(channel, payload)
    }

    /// Sends a message that is worthless after `lifetime`: then, unless it is settled, it ends as *expired*, and an
    /// ordered channel goes on without it. Blocks while the outbox is full, at most for `lifetime`.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send); [`SendError::Full`] if there was no room within `lifetime`.
    pub fn send_before(
        &self,
        channel: Channel,
        payload: &[u8],
        lifetime: Duration,
    ) -> Result<MessageId, SendError> {
        let deadline = self.clock().now() + lifetime;
        self.send_waiting(channel, payload, Some(deadline), deadline)
    }

    /// Sends a value, encoded by postcard. Blocks while the outbox is full.
    ///
    /// # Errors
    ///
    /// [`SendError::Encoding`], and those of [`send`](Self::send).
    pub fn send_typed<T: Serialize + ?Sized>(
        &self,
        channel: Channel,
        value: &T,
    ) -> Result<MessageId, SendError> {
        let payload = postcard::to_stdvec(value).map_err(|_| SendError::Encoding)?;
        self.send(channel, &payload)
    }

    fn send_waiting(
        &self,
        channel: Channel,
        payload: &[u8],
        deadline: Option<Instant>,
        limit: Instant,
    ) -> Result<MessageId, SendError> {
        let mut result = self.0.send_soon(channel, payload, deadline);
        if result == Err(SendError::Full) {
            self.flush();
            self.wait(limit, || {
                result = self.0.send_soon(channel, payload, deadline);
                result != Err(SendError::Full)
            });
        }
        result
    }

    /// Emits what was accepted. Only useful to save the fraction of a millisecond for which messages sent in quick
    /// succession wait for more to share their packets.
    pub fn flush(&self) {
        self.0.flush();
    }

    // ---- receiving

    /// Takes the next message. Blocks until there is one.
    ///
    /// # Errors
    ///
    /// [`RecvError::Closed`] when the connection has ended and everything delivered was taken.
    pub fn recv(&self) -> Result<Message, RecvError> {
        self.recv_until(Instant::MAX)
    }

    /// Takes the next message if there is one, and returns at once.
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
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Message, RecvError> {
        self.recv_until(self.clock().now() + timeout)
    }

    /// Takes the next message into `payload`, which is cleared first and keeps its allocation. Blocks until there is
    /// one.
    ///
    /// # Errors
    ///
    /// [`RecvError::Closed`].
    pub fn recv_into(&self, payload: &mut Vec<u8>) -> Result<Received, RecvError> {
        self.take_until(payload, Instant::MAX)
    }

    /// Takes the messages that are there into `messages`, which is cleared first and keeps its memory: up to about 1,000, or
    /// 256 KiB. Costs less than taking them one by one. Blocks until there is one.
    ///
    /// # Errors
    ///
    /// [`RecvError::Closed`].
    pub fn recv_many(&self, messages: &mut Messages) -> Result<(), RecvError> {
        let mut result = self.0.take_many(messages);
        if result == Err(RecvError::Empty) {
            self.wait(Instant::MAX, || {
                result = self.0.take_many(messages);
                result != Err(RecvError::Empty)
            });
        }
        result
    }

    /// Takes the next message as a value, decoded by postcard. Blocks until there is one.
    ///
    /// # Errors
    ///
    /// [`RecvError::Decoding`], [`RecvError::Closed`].
    pub fn recv_typed<T: DeserializeOwned>(&self) -> Result<Typed<T>, RecvError> {
        let message = self.recv()?;
        let value = postcard::from_bytes(&message.payload).map_err(|_| RecvError::Decoding)?;
        Ok(Typed { value, id: message.id, redelivered: message.redelivered })
    }

    fn recv_until(&self, limit: Instant) -> Result<Message, RecvError> {
        let mut payload = Vec::new();
        let received = self.take_until(&mut payload, limit)?;
        Ok(Message { payload, id: received.id, redelivered: received.redelivered })
    }

    fn take_until(&self, payload: &mut Vec<u8>, limit: Instant) -> Result<Received, RecvError> {
        let mut result = self.0.take(payload);
        if result == Err(RecvError::Empty)
            && !self.wait(limit, || {
                result = self.0.take(payload);
                result != Err(RecvError::Empty)
            })
        {
            result = Err(RecvError::TimedOut);
        }
        result
    }

    /// Settles a message of a channel that is configured with `settle_explicitly`: its sender may forget it.
    ///
    /// # Errors
    ///
    /// [`UnknownDelivery`]: it was settled before, or its sender has restarted since and will send it again.
    pub fn settle(&self, id: DeliveryId) -> Result<(), UnknownDelivery> {
        self.0.settle(id)
    }

    // ---- outcomes

    /// How the messages sent so far have ended.
    pub fn outcomes(&self) -> Outcomes {
        self.0.outcomes()
    }

    /// Waits until every message sent has an outcome, at most for `timeout`. `outstanding` of the answer is zero if so.
    pub fn drain(&self, timeout: Duration) -> Outcomes {
        self.flush();
        self.wait(self.clock().now() + timeout, || self.outcomes().outstanding == 0);
        self.outcomes()
    }

    /// From now on, what happens on this connection, one by one. Without this, outcomes are only counted. Whoever
    /// asks for it must read it: a reader that is 65,536 events behind makes `send` block.
    pub fn events(&self) -> Events {
        self.0.peer.lock().watch();
        Events(self.clone())
    }

    // ---- the connection itself

    /// Waits until the peer has answered, at most for `timeout`. Messages may be sent before.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub fn wait_connected(&self, timeout: Duration) -> Result<(), ConnectError> {
        let mut connected = None;
        self.wait(self.clock().now() + timeout, || {
            connected = self.0.connected();
            connected.is_some()
        });
        connected.unwrap_or(Err(ConnectError::TimedOut))
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
    pub fn close(&self, timeout: Duration) -> bool {
        self.0.start_closing();
        self.wait(self.clock().now() + timeout, || self.is_closed())
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

    fn clock(&self) -> Clock {
        self.0.carrier.clock()
    }

    fn wait(&self, limit: Instant, mut ready: impl FnMut() -> bool) -> bool {
        self.0.carrier.wait(&self.0.peer, limit, &mut ready)
    }
}

/// What happens on a connection, in order, since [`Connection::events`]. Several of them share one sequence.
#[derive(Debug)]
pub struct Events(Connection);

impl Events {
    /// The next event. Blocks until there is one; `None` when the connection has ended and everything was told.
    pub fn next_event(&self) -> Option<Event> {
        self.next_until(Instant::MAX)
    }

    /// The next event, if there is one.
    pub fn try_next(&self) -> Option<Event> {
        self.0.0.next_event()
    }

    /// The next event, if there is one within `timeout`.
    pub fn next_timeout(&self, timeout: Duration) -> Option<Event> {
        self.next_until(self.0.clock().now() + timeout)
    }

    fn next_until(&self, limit: Instant) -> Option<Event> {
        let mut event = None;
        self.0.wait(limit, || {
            event = self.try_next();
            event.is_some() || self.0.is_closed()
        });
        event
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.0.0.peer.lock().unwatch();
    }
}
