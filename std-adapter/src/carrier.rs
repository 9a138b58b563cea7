//! What carries the datagrams of a connection, as far as the connection must know.

use std::sync::{Arc, MutexGuard};

use ackline::Instant;
use ackline::UnknownDelivery;
use ackline::config::Channel;
use ackline::event::{DeliveryId, Event, MessageId};

use crate::clock::Clock;
use crate::error::{ConnectError, RecvError, SendError};
use crate::message::{Messages, Outcomes, Received};
use crate::peer::{Peer, State};

/// Messages that enter the outbox under one lock: others get their turn, and packets leave, in between.
const LOCKED_MAX: usize = 64;

/// Takes the datagrams of a link to its peer and back.
pub(crate) trait Carrier: Send + Sync {
    /// The clock that times the links.
    fn clock(&self) -> Clock;

    /// Emits what the link has to emit, now.
    fn emit<'a>(&self, peer: &'a Arc<Peer>, state: MutexGuard<'a, State>, now: Instant);

    /// The task is about to wait: emits what waits for more.
    #[cfg(feature = "tokio")]
    fn before_wait(&self, _peer: &Arc<Peer>) {}

    /// Nobody holds the connection any more: it closes by itself.
    fn abandon(&self, peer: &Arc<Peer>, now: Instant);

    /// A message was accepted: emits now, or within a fraction of a millisecond if more seem to follow.
    fn after_send<'a>(&self, peer: &'a Arc<Peer>, state: MutexGuard<'a, State>, now: Instant);

    /// A message was taken or settled: its settlement leaves now, or within a fraction of a millisecond.
    fn after_take<'a>(&self, peer: &'a Arc<Peer>, state: MutexGuard<'a, State>, now: Instant);
}

/// A carrier whose users block.
pub(crate) trait BlockingCarrier: Carrier {
    /// Waits until `ready` answers true, at most until `limit`. Returns its last answer.
    fn wait(&self, peer: &Arc<Peer>, limit: Instant, ready: &mut dyn FnMut() -> bool) -> bool;
}

/// One connection, for all its handles. When the last is dropped, the link closes: what was sent before is still
/// delivered while the carrier lives.
pub(crate) struct Handle<C: Carrier + ?Sized> {
    pub(crate) peer: Arc<Peer>,
    pub(crate) carrier: Arc<C>,
}

/// What a connection can do without waiting, for threads and tasks alike.
impl<C: Carrier + ?Sized> Handle<C> {
    pub(crate) fn now(&self) -> Instant {
        self.carrier.clock().now()
    }

    pub(crate) fn try_send(&self, channel: Channel, payload: &[u8]) -> Result<MessageId, SendError> {
        self.send_if(channel, payload, None, |_| true)
    }

    /// The same for calls that can wait: answers [`SendError::Full`] also while enough waits to leave.
    pub(crate) fn send_soon(
        &self,
        channel: Channel,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> Result<MessageId, SendError> {
        self.send_if(channel, payload, deadline, State::has_room_ahead)
    }

    fn send_if(
        &self,
        channel: Channel,
        payload: &[u8],
        deadline: Option<Instant>,
        may_send: impl FnOnce(&State) -> bool,
    ) -> Result<MessageId, SendError> {
        let now = self.now();
        let mut state = self.peer.lock();
        if !may_send(&state) {
            return Err(SendError::Full);
        }
        state.burst.before_send(now);
        let result = state.send(now, channel, payload, deadline);
        if result.is_ok() {
            self.carrier.after_send(&self.peer, state, now);
        }
        result
    }

    /// Sends as many of `payloads` as may leave soon, and takes them off the slice.
    pub(crate) fn send_many_soon<P: AsRef<[u8]>>(
        &self,
        channel: Channel,
        payloads: &mut &[P],
    ) -> Result<(), SendError> {
        while !payloads.is_empty() {
            let now = self.now();
            let mut state = self.peer.lock();
            if !state.has_room_ahead() {
                return Err(SendError::Full);
            }
            state.burst.before_send(now);
            let mut result = Ok(());
            let mut count = 0;
            for payload in payloads.iter().take(LOCKED_MAX) {
                result = state.send(now, channel, payload.as_ref(), None).map(|_| ());
                if result.is_err() {
                    break;
                }
                count += 1;
            }
            *payloads = &payloads[count..];
            if count > 0 {
                self.carrier.after_send(&self.peer, state, self.now());
            }
            result?;
        }
        Ok(())
    }

    pub(crate) fn take_many(&self, messages: &mut Messages) -> Result<(), RecvError> {
        let now = self.now();
        let mut state = self.peer.lock();
        let result = state.take_many(now, messages);
        if result.is_ok() {
            self.carrier.after_take(&self.peer, state, now);
        }
        result
    }

    pub(crate) fn take(&self, payload: &mut Vec<u8>) -> Result<Received, RecvError> {
        let now = self.now();
        let mut state = self.peer.lock();
        let result = state.take(now, payload);
        if result.is_ok() {
            self.carrier.after_take(&self.peer, state, now);
        }
        result
    }

    pub(crate) fn settle(&self, id: DeliveryId) -> Result<(), UnknownDelivery> {
        let now = self.now();
        let mut state = self.peer.lock();
        let result = state.settle(now, id);
        self.carrier.after_take(&self.peer, state, now);
        result
    }

    pub(crate) fn flush(&self) {
        let now = self.now();
        self.carrier.emit(&self.peer, self.peer.lock(), now);
    }

    pub(crate) fn outcomes(&self) -> Outcomes {
        self.peer.lock().outcomes()
    }

    pub(crate) fn next_event(&self) -> Option<Event> {
        let now = self.now();
        let mut state = self.peer.lock();
        let event = state.next_event();
        if event.is_some() {
            // A place in the outbox is free now: a message that waited for it may leave.
            self.carrier.after_take(&self.peer, state, now);
        }
        event
    }

    /// `None` while neither is so.
    pub(crate) fn connected(&self) -> Option<Result<(), ConnectError>> {
        let mut state = self.peer.lock();
        if let Some(reason) = state.close_reason() {
            return Some(Err(ConnectError::Closed(Some(reason))));
        }
        if state.link.is_closed() {
            return Some(Err(ConnectError::Closed(None)));
        }
        state.link.is_connected().then_some(Ok(()))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.peer.lock().link.is_closed()
    }

    pub(crate) fn start_closing(&self) {
        let now = self.now();
        let mut state = self.peer.lock();
        state.close(now);
        self.carrier.emit(&self.peer, state, now);
    }

    pub(crate) fn abort(&self) {
        let now = self.now();
        let mut state = self.peer.lock();
        state.link.abort(now);
        self.carrier.emit(&self.peer, state, now);
    }
}

impl<C: Carrier + ?Sized> Drop for Handle<C> {
    fn drop(&mut self) {
        self.carrier.abandon(&self.peer, self.now());
    }
}
