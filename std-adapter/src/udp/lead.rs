//! Who reads the socket: the thread that waits for something, so that what it waits for costs no change of threads.
//!
//! There is one [`Receiver`] for each socket, and whoever holds it *drives*: sleeps on the socket, takes datagrams in,
//! runs timers, wakes others. A thread that blocks in `recv` takes it if it is free. A stand-in thread takes it when the
//! application has not driven for a while, so that links stay alive while the application computes.
//!
//! The stand-in is in one of three states:
//!
//! ```text
//!   asleep    an application thread drives (it has for longer than a tick); wakes when that thread stops
//!   tending   application threads have driven within the last tick: look every tick, emit what was left to emit; ticks
//!             become longer while nothing ever was
//!   driving   nobody else does
//! ```
//!
//! **Invariant.** While the receiver is free, the stand-in is tending, or on its way out of sleep.

use std::io;
use std::net::UdpSocket;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ackline::Config;
use ackline::Instant;

use super::hub::{Hub, Receiver, Wake, lock};
use super::spin;
use crate::peer::Peer;
use crate::wait::{Interest, Waker, wait};

/// How often the stand-in looks while application threads drive. Chosen: half the shortest delay that the protocol
/// knows (the acknowledgement delay, 1 ms), and rare enough to cost under 1 % of a core; at most so long that a request with
/// its reply in 10 µs is hit by a look once in a hundred times.
const TICK: Duration = Duration::from_micros(500);
const TICK_MAX: Duration = Duration::from_millis(2);
/// Receiving system calls in a row before timers get their turn.
const TURNS_MAX: usize = 8;

pub(crate) struct Driver {
    pub(crate) hub: Arc<Hub>,
    lead: Mutex<Lead>,
    /// Wakes the stand-in.
    relieve: Condvar,
}

struct Lead {
    /// `None` while somebody drives.
    receiver: Option<Box<Receiver>>,
    /// Whether the stand-in sleeps without a time limit.
    is_asleep: bool,
    /// Whether it is the stand-in that drives.
    is_stand_in: bool,
    /// Application threads that wait without driving, or wish to drive.
    followers: usize,
    /// One of them, to be told when the stand-in gives up the receiver.
    wanted: Option<Waiter>,
    /// It was told, and has not woken up yet: until the next look, the receiver is for it.
    is_promised: bool,
    /// Counts the times that application threads drove.
    drives: u64,
    /// Set when every handle is gone: until when links may take to close.
    stop_at: Option<Instant>,
}

/// Who waits, and on what.
#[derive(Clone)]
pub(crate) enum Waiter {
    /// For something of a peer.
    Peer(Arc<Peer>),
    /// For a new peer.
    Arrival,
}

impl Driver {
    /// Starts the stand-in.
    pub(crate) fn start(
        socket: UdpSocket,
        config: Config,
        accepts: bool,
    ) -> io::Result<(Arc<Self>, JoinHandle<()>)> {
        let (hub, receiver) = Hub::new(socket, config, accepts, Wake::Thread(Waker::new()?))?;
        let driver = Arc::new(Driver {
            hub: Arc::new(hub),
            lead: Mutex::new(Lead {
                receiver: Some(receiver),
                is_asleep: false,
                is_stand_in: false,
                followers: 0,
                wanted: None,
                is_promised: false,
                drives: 0,
                stop_at: None,
            }),
            relieve: Condvar::new(),
        });
        let stand_in = driver.clone();
        let thread =
            std::thread::Builder::new().name("ackline-udp".into()).spawn(move || stand_in.stand_in())?;
        Ok((driver, thread))
    }

    /// Every handle is gone: the stand-in ends when all links are closed, or at `stop_at`.
    pub(crate) fn stop(&self, stop_at: Instant) {
        let mut lead = lock(&self.lead);
        lead.stop_at = Some(stop_at);
        drop(lead);
        self.relieve.notify_all();
        self.hub.wake_driver();
    }

    // ---- application threads

    /// Waits until `ready` answers, at most until `limit`. Drives meanwhile if nobody else does.
    pub(crate) fn wait_for<T>(
        &self,
        waiter: &Waiter,
        limit: Instant,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        if let Some(value) = ready() {
            return Some(value);
        }
        if let Waiter::Peer(peer) = waiter {
            self.hub.leave_now(peer);
        }
        loop {
            let Some(mut receiver) = lock(&self.lead).receiver.take() else {
                match self.follow(waiter, limit, &mut ready) {
                    Followed::Ready(value) => return Some(value),
                    Followed::Late => return None,
                    Followed::Again => continue,
                }
            };
            let value = self.drive_until(&mut receiver, waiter, limit, &mut ready);
            self.release(receiver);
            return value;
        }
    }

    /// Takes in what is there, if nobody else drives at the moment. Never waits.
    pub(crate) fn drive_once(&self) {
        let receiver = lock(&self.lead).receiver.take();
        match receiver {
            Some(mut receiver) => {
                for _ in 0..TURNS_MAX {
                    if self.hub.receive(&mut receiver, None) == 0 {
                        break;
                    }
                }
                self.hub.run_timers();
                self.release(receiver);
            }
            None => self.ask_stand_in(None),
        }
    }

    fn drive_until<T>(
        &self,
        receiver: &mut Receiver,
        waiter: &Waiter,
        limit: Instant,
        ready: &mut impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let mine = match waiter {
            Waiter::Peer(peer) => Some(peer),
            Waiter::Arrival => None,
        };
        loop {
            if let Some(peer) = mine {
                self.hub.leave_now(peer);
            }
            let value = ready();
            if value.is_some() {
                return value;
            }
            if self.take_in(receiver, mine, limit)
                && let Some(value) = ready()
            {
                return Some(value);
            }
            self.hub.run_timers();
            if self.hub.clock.now() >= limit {
                return ready();
            }
        }
    }

    /// Waits for datagrams, until the next timer or `limit` at most, and takes them in. Returns whether there were any.
    fn take_in(&self, receiver: &mut Receiver, mine: Option<&Arc<Peer>>, limit: Instant) -> bool {
        let clock = self.hub.clock;
        let began = clock.now();
        // Where one processor serves both, the answer may be there by the time that the question has been sent.
        if receiver.spin.is_quick() && self.hub.receive(receiver, mine) > 0 {
            return true;
        }
        if receiver.spin.is_worth_it() {
            let until = (began + spin::TIME).min(limit).min(self.hub.next_timer());
            loop {
                let any = self.hub.receive(receiver, mine) > 0;
                let is_late = !any && clock.now() >= until;
                if any || is_late {
                    receiver.spin.on_tried(any);
                }
                if any {
                    return true;
                }
                if is_late {
                    break;
                }
            }
        }
        if !self.sleep(limit) {
            return false;
        }
        let any = self.hub.receive(receiver, mine) > 0;
        receiver.spin.on_waited(clock.now() - began);
        any
    }

    /// Sleeps on the socket, until the next timer or `limit` at most. Returns whether there is something to receive.
    fn sleep(&self, limit: Instant) -> bool {
        let Some(waker) = self.hub.wake.waker() else { return false };
        let until = self.hub.sleep_until(limit);
        let timeout = (until != Instant::MAX).then(|| self.hub.clock.until(until));
        let result = wait(&self.hub.socket, Interest::Readable, Some(waker), timeout);
        self.hub.awake();
        let (readable, woken) = result.unwrap_or((false, false));
        if woken {
            waker.clear();
        }
        readable
    }

    fn release(&self, receiver: Box<Receiver>) {
        let mut lead = lock(&self.lead);
        lead.receiver = Some(receiver);
        lead.drives += 1;
        // Asleep, it must begin to tend; with followers about, it must drive for them.
        if lead.is_asleep || lead.followers > 0 {
            drop(lead);
            self.relieve.notify_one();
        }
    }

    /// Waits while somebody else drives.
    fn follow<T>(
        &self,
        waiter: &Waiter,
        limit: Instant,
        ready: &mut impl FnMut() -> Option<T>,
    ) -> Followed<T> {
        let event = match waiter {
            Waiter::Peer(peer) => &peer.changed,
            Waiter::Arrival => &self.hub.arrivals,
        };
        // On the stack: waiting allocates nothing.
        event_listener::listener!(*event => listener);
        let alone = {
            let mut lead = lock(&self.lead);
            if lead.receiver.is_some() {
                return Followed::Again;
            }
            lead.followers += 1;
            lead.followers == 1 && lead.is_stand_in
        };
        // What came before the listener was set up is seen here, what comes later is heard.
        let mut value = ready();
        if value.is_none() && self.hub.clock.now() < limit {
            if alone {
                self.ask_stand_in(Some(waiter.clone()));
            }
            if limit == Instant::MAX {
                event_listener::Listener::wait(listener);
            } else {
                let _ = event_listener::Listener::wait_timeout(listener, self.hub.clock.until(limit));
            }
            value = ready();
        }
        let mut lead = lock(&self.lead);
        lead.followers -= 1;
        lead.is_promised = false;
        drop(lead);
        match value {
            Some(value) => Followed::Ready(value),
            None if self.hub.clock.now() >= limit => Followed::Late,
            None => Followed::Again,
        }
    }

    /// Asks the stand-in, if it drives, to give up the receiver.
    fn ask_stand_in(&self, waiter: Option<Waiter>) {
        let mut lead = lock(&self.lead);
        if !lead.is_stand_in || lead.wanted.is_some() {
            return;
        }
        // Without a waiter, the caller comes back by itself: nobody listens for arrivals then, or does no harm.
        lead.wanted = Some(waiter.unwrap_or(Waiter::Arrival));
        drop(lead);
        self.hub.wake_driver();
    }

    // ---- the stand-in

    /// Something was left to the stand-in, which may not look for a while.
    pub(crate) fn rouse(&self) {
        if self.hub.is_drowsy.load(Ordering::Relaxed) {
            self.relieve.notify_one();
        }
    }

    fn stand_in(&self) {
        let mut seen = 0;
        let mut tick = TICK;
        loop {
            let mut lead = lock(&self.lead);
            if self.is_done(&lead) {
                break;
            }
            let moved = lead.drives != std::mem::replace(&mut seen, lead.drives);
            let takes_over = (!moved || lead.followers > 0) && !lead.is_promised;
            if let Some(receiver) = lead.receiver.take_if(|_| takes_over) {
                lead.is_stand_in = true;
                drop(lead);
                tick = TICK;
                let receiver = self.drive(receiver);
                let mut lead = lock(&self.lead);
                lead.receiver = Some(receiver);
                lead.is_stand_in = false;
                // So that the next look does not take it back at once.
                lead.drives += 1;
                let wanted = lead.wanted.take();
                // Who follows counts as one until it runs again, which may take longer than the way back to here.
                lead.is_promised = wanted.is_some();
                drop(lead);
                match wanted {
                    Some(Waiter::Peer(peer)) => peer.notify(),
                    Some(Waiter::Arrival) => {
                        self.hub.arrivals.notify(usize::MAX);
                    }
                    None => {}
                }
                continue;
            }
            if lead.receiver.is_none() && !moved && lead.stop_at.is_none() {
                // An application thread has been driving for a whole tick.
                lead.is_asleep = true;
                lead = self.relieve.wait(lead).unwrap_or_else(PoisonError::into_inner);
                lead.is_asleep = false;
                continue;
            }
            let is_free = lead.receiver.is_some();
            self.hub.is_drowsy.store(tick > TICK, Ordering::Relaxed);
            let (mut lead, _) = self.relieve.wait_timeout(lead, tick).unwrap_or_else(PoisonError::into_inner);
            lead.is_promised = false;
            drop(lead);
            let any = is_free && self.hub.run_timers() > 0;
            tick = if any { TICK } else { (tick * 2).min(TICK_MAX) };
        }
        self.hub.abort_all();
    }

    /// Drives until an application thread wants to, or it is time to stop.
    fn drive(&self, mut receiver: Box<Receiver>) -> Box<Receiver> {
        loop {
            let limit = {
                let lead = lock(&self.lead);
                if lead.wanted.is_some() || self.is_done(&lead) {
                    return receiver;
                }
                lead.stop_at.unwrap_or(Instant::MAX)
            };
            if self.sleep(limit) {
                for _ in 0..TURNS_MAX {
                    if self.hub.receive(&mut receiver, None) == 0 {
                        break;
                    }
                }
            }
            self.hub.run_timers();
        }
    }

    fn is_done(&self, lead: &Lead) -> bool {
        lead.stop_at.is_some_and(|at| self.hub.clock.now() >= at || self.hub.open_count() == 0)
    }
}

enum Followed<T> {
    Ready(T),
    Late,
    Again,
}
