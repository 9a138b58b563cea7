//! The application's side of a link: opening and closing it, sending, taking and settling messages, events.

use super::inbox::InChannel;
use super::outbox::{OutChannel, Outcome};
use super::{Deadline, Link, Phase, ack_rate, following, receive, timers, transmit};
use crate::config::{Channel, Mode};
use crate::congestion::Controller;
use crate::error::{SendError, UnknownDelivery};
use crate::event::{CloseReason, Delivery, DeliveryId, Event, FailReason, MessageId};
use crate::sequence::Sequence;
use crate::storage::{Slots, Storage};
use crate::time::Instant;

impl<S: Storage, C: Controller> Link<S, C> {
    /// Opens the association actively, instead of waiting for the peer to do so. Both sides may. Does nothing on a link
    /// that is open or closed.
    pub fn connect(&mut self, now: Instant) {
        self.tick(now);
        self.on_change();
        if self.phase == Phase::Idle {
            self.phase = Phase::Open;
            self.due.hello = true;
        }
    }

    /// Takes a message into the outbox of `channel`. It may be sent before the link is connected.
    ///
    /// It will have exactly one outcome, by [`poll_event`](Self::poll_event). `Ok` does not say that it was sent.
    ///
    /// # Errors
    ///
    /// Nothing was taken. [`SendError::Full`]: try again after [`Event::Writable`]. [`SendError::TooLarge`]: never on this
    /// link. [`SendError::NoSuchChannel`]: the storage has fewer channels. [`SendError::Closed`].
    pub fn send(&mut self, now: Instant, channel: Channel, payload: &[u8]) -> Result<MessageId, SendError> {
        self.enqueue(now, channel, payload, None)
    }

    /// The same with a deadline: if the message is not settled by then, its outcome is [`Event::Expired`], and nothing
    /// waits for it any more. A deadline that has passed expires it at the next [`handle_timeout`](Self::handle_timeout).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); [`SendError::NoSuchChannel`] also if the storage has no deadlines.
    pub fn send_before(
        &mut self,
        now: Instant,
        channel: Channel,
        payload: &[u8],
        deadline: Instant,
    ) -> Result<MessageId, SendError> {
        if !S::DEADLINES {
            return Err(SendError::NoSuchChannel);
        }
        self.enqueue(now, channel, payload, Some(deadline))
    }

    fn enqueue(
        &mut self,
        now: Instant,
        channel: Channel,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> Result<MessageId, SendError> {
        self.tick(now);
        if self.phase == Phase::Closed || self.is_draining {
            return Err(SendError::Closed);
        }
        let max = self.config.message_max.min(self.peer.message_max).min(self.unfragmented_max());
        if payload.len() as u64 > max as u64 {
            return Err(SendError::TooLarge { max });
        }
        let (c, limit) = (channel.0 as usize, self.config.send_buffer);
        if !self.peer.has_channel(c) {
            return Err(SendError::NoSuchChannel);
        }
        let has_deadline_room = deadline.is_none() || self.has_deadline_room();
        if deadline.is_some() {
            self.on_change();
        }
        let config = &self.config;
        let out = self
            .out
            .ensure(c, |i, out| out.start(config.channel(i), Sequence(0)))
            .ok_or(SendError::NoSuchChannel)?;
        if !has_deadline_room {
            out.on_refused();
            return Err(SendError::Full);
        }
        // What stands behind something that waits changes nothing yet.
        let is_behind = out.next_send != out.end() && out.config.mode != Mode::Latest;
        let supersedes = out.config.mode == Mode::Latest;
        let sequence = out.push(payload, limit, deadline.is_some()).ok_or(SendError::Full)?;
        if supersedes {
            self.drop_stale_deadlines();
        }
        if !is_behind {
            self.on_change();
        }
        self.stats.messages_sent = self.stats.messages_sent.wrapping_add(1);
        if let Some(at) = deadline {
            self.insert_deadline(Deadline { at: timers::tick(at), channel: channel.0, sequence });
        }
        Ok(MessageId { channel, sequence: sequence.0 })
    }

    /// Without fragmentation a message must fit a packet: header with link id and number, acknowledgement and
    /// settlement, frame head, check. (What does not fit beside a hello waits until the handshake is over.)
    pub(super) fn unfragmented_max(&self) -> u32 {
        if S::FRAGMENTATION && (self.peer.fragments || self.peer.incarnation == 0) {
            return u32::MAX;
        }
        self.peer.datagram_max.saturating_sub(transmit::OVERHEAD_MAX)
    }

    /// The next received message, if there is one: lower channels are not preferred, channels take turns.
    ///
    /// On a channel with [`Settle::OnTake`](crate::Settle::OnTake) taking it settles it. Poll for datagrams afterwards: the settlement goes out.
    pub fn recv(&mut self, now: Instant) -> Option<Delivery<'_>> {
        self.tick(now);
        self.release_lent();
        let epoch = self.acks.epoch;
        let channels = self.inn.as_mut_slice();
        let count = channels.len();
        let mut c = self.last_in as usize;
        let mut found = None;
        for _ in 0..count {
            c = following(c, count);
            found = channels.get_mut(c)?.take(epoch);
            if found.is_some() {
                break;
            }
        }
        let taken = found?;
        self.on_change();
        self.last_in = c as u8;
        self.lent = Some((c as u8, taken.position));
        if let Some(eliciting) = taken.settled {
            self.on_settled_here(c, eliciting);
        }
        self.stats.messages_received = self.stats.messages_received.wrapping_add(1);
        let id =
            DeliveryId { channel: Channel(c as u8), sequence: taken.sequence.0, generation: self.generation };
        let payload = self.inn.as_slice().get(c)?.payload(taken.position, taken.len);
        Some(Delivery { id, payload, redelivered: taken.redelivered })
    }

    /// Whether [`recv`](Self::recv) would give something.
    pub fn has_delivery(&self) -> bool {
        self.inn.as_slice().iter().any(InChannel::is_ready)
    }

    /// Settles a message that was taken on a channel with [`Settle::Explicit`](crate::Settle::Explicit): its sender may forget it.
    ///
    /// # Errors
    ///
    /// [`UnknownDelivery`]: it was settled before, or its sender has restarted since and will send what it still holds
    /// again under other names.
    pub fn settle(&mut self, now: Instant, id: DeliveryId) -> Result<(), UnknownDelivery> {
        self.tick(now);
        self.on_change();
        if id.generation != self.generation {
            return Err(UnknownDelivery);
        }
        let epoch = self.acks.epoch;
        let c = id.channel.0 as usize;
        let channel = self.inn.as_mut_slice().get_mut(c).ok_or(UnknownDelivery)?;
        let eliciting = channel.settle(Sequence(id.sequence), epoch).ok_or(UnknownDelivery)?;
        self.on_settled_here(c, eliciting);
        Ok(())
    }

    fn on_settled_here(&mut self, c: usize, eliciting: bool) {
        self.due.settled |= eliciting;
        let next = self.recovery.next;
        if let Some(channel) = self.inn.as_mut_slice().get_mut(c) {
            channel.changed_at = next;
        }
    }

    pub(super) fn release_lent(&mut self) {
        if let Some((c, position)) = self.lent.take()
            && let Some(channel) = self.inn.as_mut_slice().get_mut(c as usize)
        {
            channel.release(position);
        }
    }

    /// What happened since the last call, one event at a time. Must be drained: an outcome keeps its place in the outbox
    /// until it is taken.
    pub fn poll_event(&mut self) -> Option<Event> {
        if core::mem::take(&mut self.connected_event) {
            return Some(Event::Connected);
        }
        if core::mem::take(&mut self.restarted_event) {
            return Some(Event::PeerRestarted);
        }
        for (c, out) in self.out.as_mut_slice().iter_mut().enumerate() {
            let waiting = out.waiting();
            if let Some((n, outcome)) = out.pop_outcome() {
                if S::MESSAGES_MAX > ack_rate::FEW_MESSAGES && out.waiting() != waiting {
                    self.quiet_until = Instant::ZERO;
                }
                let id = MessageId { channel: Channel(c as u8), sequence: n.0 };
                return Some(match outcome {
                    Outcome::Settled => Event::Settled(id),
                    Outcome::Expired => Event::Expired(id),
                    Outcome::Failed(reason) => Event::Failed(id, reason),
                });
            }
            if out.take_writable() {
                return Some(Event::Writable(Channel(c as u8)));
            }
        }
        core::mem::take(&mut self.closed_event).then_some(Event::Closed(self.close_reason))
    }

    /// Whether [`poll_event`](Self::poll_event) would give something.
    pub fn has_event(&self) -> bool {
        self.connected_event
            || self.restarted_event
            || self.closed_event
            || self.out.as_slice().iter().any(|o| o.has_outcome() || o.is_writable())
    }

    /// Ends the link in order: no more messages are accepted, what was accepted is delivered and settled, then the peer
    /// is told, then [`Event::Closed`] with [`CloseReason::Drained`] comes. Without a peer that answers this never ends:
    /// see [`Config::give_up`](crate::Config::give_up), or [`abort`](Self::abort).
    pub fn close(&mut self, now: Instant) {
        self.tick(now);
        self.on_change();
        self.is_draining = true;
        if self.phase == Phase::Idle {
            self.end(CloseReason::Drained, FailReason::Closed);
        }
        self.check_drained();
    }

    /// Ends the link at once: what is not settled fails, the peer is told once.
    pub fn abort(&mut self, now: Instant) {
        self.tick(now);
        self.on_change();
        if self.phase == Phase::Closed {
            return;
        }
        let tell = self.is_connected;
        self.end(CloseReason::Aborted, FailReason::Closed);
        self.due.close = tell;
        self.close_code = receive::CLOSE_ABORTED;
    }

    /// If everything that was accepted before `close` is settled, the peer is to be told.
    pub(super) fn check_drained(&mut self) {
        if self.is_draining
            && self.phase == Phase::Open
            && !self.is_close_sent
            && self.out.as_slice().iter().all(OutChannel::is_drained)
        {
            self.due.close = true;
        }
    }
}
