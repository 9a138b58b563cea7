//! Outgoing messages of a channel: from `send` until their outcome was reported and the peer needs no more of them.
//!
//! They stand in a ring by number, and as every packet carries what is not acknowledged from the first on, what is acknowledged
//! is a prefix. What is withdrawn keeps its place until the peer has passed it.

use super::endpoint::{Endpoint, Head, Phase, id_of, precedes};
use super::profile::{Counters, Deadline, Profile};
use crate::compact::codec::copy;
use crate::config::{Channel, Mode};
use crate::error::SendError;
use crate::event::{Event, FailReason, MessageId};
use crate::time::Instant;

/// The upper bits of the state of an outgoing message, above its length: what became of it.
pub(super) mod fate {
    pub(in super::super) const ONE: u16 = 0x2000;
    /// Nothing yet, or it is settled: see `settled`.
    pub(in super::super) const OPEN: u16 = 0;
    pub(in super::super) const EXPIRED: u16 = ONE;
    pub(in super::super) const LOST: u16 = 2 * ONE;
    pub(in super::super) const SUPERSEDED: u16 = 3 * ONE;
    /// Its outcome was reported.
    pub(in super::super) const REPORTED: u16 = 7 * ONE;
    pub(in super::super) const LEN: u16 = ONE - 1;
}

impl<P: Profile, const CHANNELS: usize, const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize>
    Endpoint<P, CHANNELS, MESSAGES, BYTES, DATAGRAM>
{
    /// Takes a message into the outbox of a channel. It may be sent before the link is connected.
    ///
    /// It will have exactly one outcome, by [`poll_event`](Self::poll_event). `Ok` does not say that it was sent.
    ///
    /// # Errors
    ///
    /// Nothing was taken. [`SendError::Full`]: `MESSAGES` of the channel are not settled (or their outcomes were not polled); try
    /// again after [`Event::Writable`]. [`SendError::TooLarge`]: longer than [`MESSAGE_MAX`](Self::MESSAGE_MAX).
    /// [`SendError::NoSuchChannel`]: `CHANNELS` or above. [`SendError::Closed`]: closed, or not started.
    pub fn send(&mut self, _now: Instant, channel: Channel, payload: &[u8]) -> Result<MessageId, SendError> {
        self.accept(channel, payload, Instant::MAX)
    }

    fn accept(
        &mut self,
        channel: Channel,
        payload: &[u8],
        deadline: Instant,
    ) -> Result<MessageId, SendError> {
        if self.phase == Phase::Closed || self.is_draining {
            return Err(SendError::Closed);
        }
        let c = usize::from(channel.0);
        if c >= CHANNELS {
            return Err(SendError::NoSuchChannel);
        }
        if !self.has_room(c) {
            self.refused |= 1 << c;
            return Err(SendError::Full);
        }
        let too_large = Err(SendError::TooLarge { max: Self::MESSAGE_MAX as u32 });
        if P::FRAGMENTS && payload.len() > Self::MESSAGE_MAX {
            return too_large;
        }
        let (Some(head), Some(slots)) = (self.heads.get_mut(c), self.slots.get_mut(c)) else {
            return Err(SendError::NoSuchChannel);
        };
        let n = head.end;
        let slot = n as usize % MESSAGES;
        if let (Some(room), Some(state)) = (slots.out.get_mut(slot), slots.out_state.get_mut(slot)) {
            if !copy(room, payload) {
                return too_large;
            }
            *state = payload.len() as u16;
        }
        head.end = n.wrapping_add(1);
        if P::Deadline::IS_KEPT {
            if let Some(kept) = slots.deadlines.get_mut(slot) {
                *kept = P::Deadline::keep(deadline);
            }
            self.expires = P::Deadline::keep(self.expires.kept().min(deadline));
        }
        if self.is_latest(c) {
            // R14.4.
            let first = self.acked(c);
            self.withdraw(c, first, n, fate::SUPERSEDED);
            self.pass_withdrawn(c);
        }
        self.counters.count(|s| s.messages_sent = s.messages_sent.wrapping_add(1));
        Ok(id_of(c, n))
    }

    /// Whether another message may be accepted.
    pub(super) fn has_room(&self, c: usize) -> bool {
        self.heads.get(c).is_some_and(|h| {
            let first = if Self::HAS_FATES { h.reported } else { h.settled };
            h.end.wrapping_sub(first) < MESSAGES as u32
        })
    }

    fn acked(&self, c: usize) -> u32 {
        self.heads.get(c).map_or(0, |h| h.acked)
    }

    pub(super) fn is_latest(&self, c: usize) -> bool {
        Self::HAS_LATEST && P::CHANNELS.get(c).is_some_and(|channel| channel.mode == Mode::Latest)
    }

    pub(super) fn is_best_effort(&self, c: usize) -> bool {
        Self::HAS_BEST_EFFORT && P::CHANNELS.get(c).is_some_and(|channel| channel.mode == Mode::BestEffort)
    }

    /// Length and fate of message `n`.
    pub(super) fn state(&self, c: usize, n: u32) -> u16 {
        self.slots.get(c).and_then(|s| s.out_state.get(n as usize % MESSAGES)).copied().unwrap_or(0)
    }

    // ---- outcomes

    fn outcome(&self, c: usize, head: &Head, n: u32) -> Option<Event> {
        let id = id_of(c, n);
        match self.state(c, n) & !fate::LEN {
            fate::OPEN if precedes(n, head.settled) => Some(Event::Settled(id)),
            fate::OPEN if self.phase == Phase::Closed => Some(Event::Failed(id, self.failure)),
            fate::EXPIRED => Some(Event::Expired(id)),
            fate::LOST => Some(Event::Failed(id, FailReason::Lost)),
            fate::SUPERSEDED => Some(Event::Failed(id, FailReason::Superseded)),
            _ => None,
        }
    }

    /// The first message with an outcome that was not reported.
    fn first_outcome(&self, c: usize) -> Option<(u32, Event)> {
        let head = self.heads.get(c)?;
        let mut n = head.reported;
        while n != head.end {
            let event = self.outcome(c, head, n);
            if event.is_some() {
                return Some((n, event?));
            }
            n = n.wrapping_add(1);
        }
        None
    }

    pub(super) fn has_outcome(&self, c: usize) -> bool {
        if Self::HAS_FATES {
            return self.first_outcome(c).is_some();
        }
        self.heads
            .get(c)
            .is_some_and(|h| h.reported != h.settled || self.phase == Phase::Closed && h.reported != h.end)
    }

    pub(super) fn poll_outcome(&mut self, c: usize) -> Option<Event> {
        if !Self::HAS_FATES {
            return self.poll_settled(c);
        }
        let (n, event) = self.first_outcome(c)?;
        self.counters.count(|s| {
            let counter = match event {
                Event::Settled(_) => &mut s.messages_settled,
                Event::Expired(_) => &mut s.messages_expired,
                _ => &mut s.messages_failed,
            };
            *counter = counter.wrapping_add(1);
        });
        if let Some(state) = self.slots.get_mut(c)?.out_state.get_mut(n as usize % MESSAGES) {
            *state |= fate::REPORTED;
        }
        self.pass_reported(c);
        Some(event)
    }

    /// The next outcome where messages are settled or fail in the order of their numbers.
    fn poll_settled(&mut self, c: usize) -> Option<Event> {
        let head = self.heads.get_mut(c)?;
        let n = head.reported;
        if n != head.settled {
            self.counters.count(|s| s.messages_settled = s.messages_settled.wrapping_add(1));
            head.reported = n.wrapping_add(1);
            return Some(Event::Settled(id_of(c, n)));
        }
        if self.phase == Phase::Closed && n != head.end {
            self.counters.count(|s| s.messages_failed = s.messages_failed.wrapping_add(1));
            head.settled = n.wrapping_add(1);
            head.reported = head.settled;
            return Some(Event::Failed(id_of(c, n), self.failure));
        }
        None
    }

    /// The places of messages that are settled, or passed by the peer, and reported, become free.
    fn pass_reported(&mut self, c: usize) {
        let (Some(head), Some(slots)) = (self.heads.get_mut(c), self.slots.get(c)) else { return };
        while head.reported != head.settled
            && slots.out_state.get(head.reported as usize % MESSAGES).is_some_and(|&s| s >= fate::REPORTED)
        {
            head.reported = head.reported.wrapping_add(1);
        }
    }

    /// Whether a message before `to` has no outcome.
    fn has_open(&self, c: usize, to: u32) -> bool {
        let Some(head) = self.heads.get(c) else { return false };
        let mut n = head.settled;
        if !Self::HAS_FATES {
            return n != to;
        }
        while precedes(n, to) {
            if self.state(c, n) < fate::ONE {
                return true;
            }
            n = n.wrapping_add(1);
        }
        false
    }

    /// Whether a message has no outcome.
    pub(super) fn is_owed(&self) -> bool {
        (0..CHANNELS).any(|c| self.has_open(c, self.heads.get(c).map_or(0, |h| h.end)))
    }

    /// Whether a message is acknowledged, and not settled.
    pub(super) fn is_unsettled(&self) -> bool {
        (0..CHANNELS).any(|c| self.has_open(c, self.acked(c)))
    }

    // ---- what the peer says

    /// All messages before `n` are settled.
    pub(super) fn on_settled(&mut self, c: usize, n: u32) {
        let Some(head) = self.heads.get_mut(c) else { return };
        let count = n.wrapping_sub(head.settled);
        if count == 0 || count > head.sent.wrapping_sub(head.settled) {
            return;
        }
        if Self::HAS_LATEST {
            self.supersede_before(c, n);
        }
        let Some(head) = self.heads.get_mut(c) else { return };
        head.settled = n;
        if precedes(head.acked, n) {
            head.acked = n;
            if P::FRAGMENTS {
                head.acked_granules = 0;
            }
        }
        self.backoff = 0;
        if self.is_latest(c) {
            self.pass_withdrawn(c);
        } else if Self::HAS_FATES {
            self.pass_reported(c);
        }
    }

    /// The packet in flight has arrived. Returns whether it brought anything new.
    pub(super) fn on_flown(&mut self, c: usize) -> bool {
        let Some(head) = self.heads.get_mut(c) else { return false };
        let flying = head.flying;
        let is_new = precedes(head.acked, flying)
            || P::FRAGMENTS && head.acked == flying && head.acked_granules < head.flying_granules;
        if is_new {
            head.acked = flying;
            if P::FRAGMENTS {
                head.acked_granules = head.flying_granules;
            }
        }
        if self.is_latest(c) {
            // R14.6.
            self.supersede_before(c, flying);
            self.pass_withdrawn(c);
        }
        is_new
    }

    /// The peer has none of the messages any more: those without outcome are sent again.
    pub(super) fn send_again(&mut self, c: usize) {
        let Some(head) = self.heads.get_mut(c) else { return };
        let (settled, sent, end) = (head.settled, head.sent, head.end);
        head.acked = settled;
        head.flying = settled;
        head.sent = settled;
        if P::FRAGMENTS {
            head.acked_granules = 0;
            head.flying_granules = 0;
        }
        if self.is_best_effort(c) {
            self.withdraw(c, settled, sent, fate::LOST);
        }
        if self.is_latest(c) {
            self.supersede_before(c, end);
            self.pass_withdrawn(c);
        }
    }

    /// What was sent may have been sent to an earlier incarnation of the peer.
    pub(super) fn flag_sent(&mut self) {
        for head in &mut self.heads {
            if precedes(head.redelivered, head.sent) {
                head.redelivered = head.sent;
            }
        }
    }

    // ---- what will not be sent any more

    /// Gives the messages from `first` to before `end` that have no outcome this one.
    fn withdraw(&mut self, c: usize, first: u32, end: u32, fate: u16) {
        let Some(slots) = self.slots.get_mut(c) else { return };
        let mut n = first;
        while precedes(n, end) {
            if let Some(state) = slots.out_state.get_mut(n as usize % MESSAGES)
                && *state < fate::ONE
            {
                *state |= fate;
            }
            n = n.wrapping_add(1);
        }
    }

    /// On a channel of mode `Latest`: what is older than the message before `n` is superseded.
    fn supersede_before(&mut self, c: usize, n: u32) {
        if self.is_latest(c) {
            let settled = self.heads.get(c).map_or(0, |h| h.settled);
            self.withdraw(c, settled, n.wrapping_sub(1), fate::SUPERSEDED);
        }
    }

    /// On a channel of mode `Latest`, the peer need not hear of what is withdrawn.
    fn pass_withdrawn(&mut self, c: usize) {
        let (Some(head), Some(slots)) = (self.heads.get_mut(c), self.slots.get(c)) else { return };
        let pass = |mut n: u32, end: u32| {
            while n != end && slots.out_state.get(n as usize % MESSAGES).is_some_and(|&s| s >= fate::ONE) {
                n = n.wrapping_add(1);
            }
            n
        };
        head.settled = pass(head.settled, head.end);
        let acked =
            pass(if precedes(head.acked, head.settled) { head.settled } else { head.acked }, head.end);
        if acked != head.acked {
            head.acked = acked;
            head.acked_granules = 0;
        }
        if precedes(head.sent, head.settled) {
            head.sent = head.settled;
        }
        self.pass_reported(c);
    }

    /// R14.7: a probe timeout is all that tells of a loss here.
    pub(super) fn lose_best_effort(&mut self) {
        for c in 0..CHANNELS {
            if self.is_best_effort(c)
                && let Some(head) = self.heads.get(c)
            {
                let end = head.flying.wrapping_add((head.flying_granules > 0).into());
                self.withdraw(c, head.acked, end, fate::LOST);
            }
        }
    }

    /// R14.9: what has passed its deadline is withdrawn.
    pub(super) fn expire(&mut self, now: Instant) {
        let mut next = Instant::MAX;
        for c in 0..CHANNELS {
            let Some(head) = self.heads.get(c) else { continue };
            let mut n = head.settled;
            let (sent, end) = (head.sent, head.end);
            while n != end {
                let slot = n as usize % MESSAGES;
                let deadline =
                    self.slots.get(c).and_then(|s| s.deadlines.get(slot)).map_or(next, |d| d.kept());
                let after = n.wrapping_add(1);
                if deadline <= now {
                    self.withdraw(c, n, after, fate::EXPIRED);
                    if precedes(n, sent) {
                        // The peer has dropped older values when this one began to arrive (R14.5).
                        self.supersede_before(c, after);
                    }
                } else if self.state(c, n) < fate::ONE {
                    next = next.min(deadline);
                }
                n = after;
            }
            if self.is_latest(c) {
                self.pass_withdrawn(c);
            }
        }
        self.expires = P::Deadline::keep(next);
        self.check_drained();
    }
}

impl<P, const CHANNELS: usize, const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize>
    Endpoint<P, CHANNELS, MESSAGES, BYTES, DATAGRAM>
where
    P: Profile<Deadline = Instant>,
{
    /// Like [`send`](Self::send), for a message that is of no use after `deadline`: unless it is settled before, its outcome
    /// is [`Event::Expired`] then, and an ordered channel goes on without it.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn send_before(
        &mut self,
        _now: Instant,
        channel: Channel,
        payload: &[u8],
        deadline: Instant,
    ) -> Result<MessageId, SendError> {
        self.accept(channel, payload, deadline)
    }
}
