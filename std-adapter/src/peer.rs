//! One link with everything around it that does not depend on what carries its datagrams: the lock, the waiting, the
//! outcomes, and the way out.
//!
//! **Invariant.** No lock is held across a system call: whoever emits takes datagrams out under the lock
//! ([`Peer::collect`]), releases it, and sends. At most one thread emits for a peer at a time, so that two threads
//! never reorder its packets; one that finds another at it leaves a note (`again`) and goes on.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ackline::Stats;
use ackline::config::Channel;
use ackline::event::{CloseReason, DeliveryId, Event, MessageId};
use ackline::{Instant, LinkId};

use crate::boundary::Link;
use crate::burst::Burst;
use crate::error::{RecvError, SendError};
use crate::message::{Messages, Outcomes, Received};

/// Outcomes kept for a reader that is behind. Beyond it they stay in the link, whose outbox then fills: back-pressure.
/// Chosen: more than a link's outbox of one channel holds by default (32,768).
const EVENTS_MAX: usize = 65_536;

/// Payload bytes that calls which can wait let queue up before anything of them has left: what the path cannot take now stays
/// with the application, and out of memory. Chosen: more than a system call takes, less than a processor's cache.
const AHEAD_LEN: u32 = 256 << 10;

/// One link and those who wait for it.
#[derive(Debug)]
pub(crate) struct Peer {
    state: Mutex<State>,
    /// Notified when a delivery, room, an outcome or the end may have come.
    pub(crate) changed: event_listener::Event,
}

/// What the lock guards.
pub(crate) struct State {
    pub(crate) link: Link,
    /// Where its datagrams go (UDP).
    pub(crate) remote: SocketAddr,
    /// The ids under which the link is known to its socket (UDP).
    pub(crate) ids: [LinkId; 2],
    /// The peer has shown that it receives at its address (UDP).
    pub(crate) is_validated: bool,
    /// The application has not been told of it yet (UDP).
    pub(crate) is_new: bool,
    /// When the socket ends the link by force, or forgets it when it has ended (UDP).
    pub(crate) until: Instant,
    /// The link has ended, and the socket knows (UDP).
    pub(crate) is_ending: bool,
    /// Datagrams were announced to the driver, which emits them soon (UDP, tasks).
    pub(crate) is_listed: bool,
    /// Somebody emits at the moment / must look again when done.
    pub(crate) is_emitting: bool,
    pub(crate) again: bool,
    /// When the driver looks at the timers of this link next.
    pub(crate) scheduled: Instant,
    /// What was done since datagrams were last taken out.
    pub(crate) burst: Burst,
    /// Until when what was done in a burst may wait to leave; `MAX` while nothing does (UDP, threads).
    pub(crate) leave_at: Instant,
    /// When datagrams were last taken out, and whether the memory that empty queues keep was given back since (UDP).
    pub(crate) emitted_at: Instant,
    pub(crate) is_trimmed: bool,
    events: VecDeque<Event>,
    watchers: usize,
    close_reason: Option<CloseReason>,
    settled: u64,
    expired: u64,
    failed: u64,
    sent: u64,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("remote", &self.remote).finish_non_exhaustive()
    }
}

impl Peer {
    pub(crate) fn new(link: Link, remote: SocketAddr) -> Self {
        let ids = link.local_link_ids();
        Peer {
            state: Mutex::new(State {
                link,
                remote,
                ids,
                is_validated: true,
                is_new: false,
                until: Instant::MAX,
                is_ending: false,
                is_listed: false,
                is_emitting: false,
                again: false,
                scheduled: Instant::MAX,
                burst: Burst::new(),
                leave_at: Instant::MAX,
                emitted_at: Instant::ZERO,
                is_trimmed: true,
                events: VecDeque::new(),
                watchers: 0,
                close_reason: None,
                settled: 0,
                expired: 0,
                failed: 0,
                sent: 0,
            }),
            changed: event_listener::Event::new(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held leaves a link that is still total: it drops what it does not understand.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes everyone who waits for this peer.
    pub(crate) fn notify(&self) {
        self.changed.notify(usize::MAX);
    }

    pub(crate) fn stats(&self) -> Stats {
        self.lock().link.stats()
    }
}

impl State {
    pub(crate) fn send(
        &mut self,
        now: Instant,
        channel: Channel,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> Result<MessageId, SendError> {
        let result = match deadline {
            Some(deadline) => self.link.send_before(now, channel, payload, deadline),
            None => self.link.send(now, channel, payload),
        };
        match result {
            Ok(id) => {
                self.sent += 1;
                self.burst.on_send(now, payload.len());
                Ok(id)
            }
            Err(ackline::SendError::Closed) => {
                self.drain_events();
                Err(SendError::Closed(self.close_reason))
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Whether calls that can wait should go on. A closed link says why not by itself.
    pub(crate) fn has_room_ahead(&self) -> bool {
        self.link.unsent_len() < AHEAD_LEN || self.link.is_closed()
    }

    /// Takes one message into `payload` (cleared first).
    pub(crate) fn take(&mut self, now: Instant, payload: &mut Vec<u8>) -> Result<Received, RecvError> {
        if let Some(delivery) = self.link.recv(now) {
            payload.clear();
            payload.extend_from_slice(delivery.payload);
            self.burst.on_take(delivery.payload.len());
            return Ok(Received { id: delivery.id, redelivered: delivery.redelivered });
        }
        if self.has_ended() { Err(RecvError::Closed(self.close_reason)) } else { Err(RecvError::Empty) }
    }

    /// Takes messages into `messages` (cleared first), as many as it may hold.
    pub(crate) fn take_many(&mut self, now: Instant, messages: &mut Messages) -> Result<(), RecvError> {
        messages.clear();
        while !messages.is_full()
            && let Some(delivery) = self.link.recv(now)
        {
            self.burst.on_take(delivery.payload.len());
            messages.push(&delivery);
        }
        match messages.is_empty() {
            false => Ok(()),
            true if self.has_ended() => Err(RecvError::Closed(self.close_reason)),
            true => Err(RecvError::Empty),
        }
    }

    pub(crate) fn settle(&mut self, now: Instant, id: DeliveryId) -> Result<(), ackline::UnknownDelivery> {
        self.burst.on_take(0);
        self.link.settle(now, id)
    }

    /// Whether nothing will be delivered any more.
    fn has_ended(&mut self) -> bool {
        if self.close_reason.is_none() {
            self.drain_events();
        }
        self.close_reason.is_some() || self.link.is_closed()
    }

    /// Moves events out of the link: counts them all, keeps them for those who watch.
    pub(crate) fn drain_events(&mut self) -> bool {
        let mut any = false;
        while self.events.len() < EVENTS_MAX {
            let Some(event) = self.link.poll_event() else { break };
            any = true;
            match event {
                Event::Settled(_) => self.settled += 1,
                Event::Expired(_) => self.expired += 1,
                Event::Failed(..) => self.failed += 1,
                Event::Closed(reason) => self.close_reason = Some(reason),
                _ => {}
            }
            if self.watchers > 0 {
                self.events.push_back(event);
            }
        }
        any
    }

    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.drain_events();
        let event = self.events.pop_front();
        if self.events.is_empty() && self.events.capacity() > 4096 {
            self.events = VecDeque::new();
        }
        event
    }

    pub(crate) fn watch(&mut self) {
        self.watchers += 1;
    }

    pub(crate) fn unwatch(&mut self) {
        self.watchers -= 1;
        if self.watchers == 0 {
            self.events = VecDeque::new();
        }
    }

    /// Ends the link in order. A peer that has not shown yet that it receives may not be sent enough to be told.
    pub(crate) fn close(&mut self, now: Instant) {
        self.link.close(now);
        if !self.is_validated && self.link.is_drained() {
            self.link.abort(now);
        }
    }

    pub(crate) fn close_reason(&mut self) -> Option<CloseReason> {
        self.drain_events();
        self.close_reason
    }

    pub(crate) fn outcomes(&mut self) -> Outcomes {
        self.drain_events();
        let ended = self.settled + self.expired + self.failed;
        Outcomes {
            sent: self.sent,
            settled: self.settled,
            expired: self.expired,
            failed: self.failed,
            outstanding: self.sent.saturating_sub(ended),
        }
    }
}
