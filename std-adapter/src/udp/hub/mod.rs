//! One UDP socket and its links: datagrams in, datagrams out, timers. Knows nothing about who waits, blocked thread or
//! task: that is [`lead`](super::lead) and the async driver.

mod incoming;
mod time;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ackline::{Config, Instant};
use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};

pub(crate) use self::incoming::Receiver;

use super::batch::{Batch, Rest};
use super::table::Table;
use super::timers::Timers;
use crate::boundary::{Sorter, new_link};
use crate::clock::Clock;
use crate::peer::{Peer, State};
use crate::wait::{Interest, Waker, wait};

/// How long an ended link still answers its peer, which may not have heard of the end. Chosen: a few round trips of a
/// long path.
const ENDED_TIME: Duration = Duration::from_secs(1);
/// How long a link that nobody holds any more may take to deliver what was sent.
const ABANDONED_TIME: Duration = Duration::from_secs(60);
/// How long to wait for room in the socket's send buffer before a datagram counts as lost.
const WRITABLE_WAIT: Duration = Duration::from_millis(5);

thread_local! {
    static BATCH: RefCell<Batch> = RefCell::new(Batch::new());
}

/// How to reach whoever sleeps on the socket.
pub(crate) enum Wake {
    /// A thread in [`wait`].
    Thread(Waker),
    /// A task.
    #[cfg(feature = "tokio")]
    Task(::tokio::sync::Notify),
}

impl Wake {
    /// What a sleeping thread polls beside the socket.
    pub(crate) fn waker(&self) -> Option<&Waker> {
        match self {
            Wake::Thread(waker) => Some(waker),
            #[cfg(feature = "tokio")]
            Wake::Task(_) => None,
        }
    }
}

pub(crate) struct Hub {
    pub(crate) socket: UdpSocket,
    udp: UdpSocketState,
    pub(crate) clock: Clock,
    config: Config,
    accepts: bool,
    table: Mutex<Table>,
    /// Links that have not ended.
    open_count: AtomicUsize,
    unvalidated_count: AtomicUsize,
    timers: Mutex<Timers>,
    /// Incarnations of peers whose ended links were removed, for the sorter.
    forgotten: Mutex<Vec<u64>>,
    /// Peers that have datagrams to emit, for the task that drives.
    #[cfg(feature = "tokio")]
    listed: Mutex<Vec<Arc<Peer>>>,
    backlog: Mutex<VecDeque<Arc<Peer>>>,
    /// Notified when the backlog grows.
    pub(crate) arrivals: event_listener::Event,
    /// Until when the driver sleeps; zero while it does not.
    sleeps_until: AtomicU64,
    /// Whether the stand-in looks at the timers more rarely than usual.
    pub(super) is_drowsy: AtomicBool,
    pub(crate) wake: Wake,
}

impl Hub {
    pub(crate) fn new(
        socket: UdpSocket,
        config: Config,
        accepts: bool,
        wake: Wake,
    ) -> io::Result<(Self, Box<Receiver>)> {
        let udp = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let sorter = Sorter::new(&config)?;
        let receiver = Box::new(Receiver::new(sorter));
        let hub = Hub {
            socket,
            udp,
            clock: Clock::new(),
            config,
            accepts,
            table: Mutex::default(),
            open_count: AtomicUsize::new(0),
            unvalidated_count: AtomicUsize::new(0),
            forgotten: Mutex::default(),
            timers: Mutex::default(),
            #[cfg(feature = "tokio")]
            listed: Mutex::default(),
            backlog: Mutex::default(),
            arrivals: event_listener::Event::new(),
            sleeps_until: AtomicU64::new(0),
            is_drowsy: AtomicBool::new(false),
            wake,
        };
        Ok((hub, receiver))
    }

    /// A new link with the peer at `remote`, known to the table.
    fn add_peer(&self, remote: SocketAddr) -> io::Result<Arc<Peer>> {
        let mut table = lock(&self.table);
        if table.by_address(remote).is_some() {
            let text = format!("there is a connection with {remote} already: use it, or another socket");
            return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
        }
        // Ids are random; others are drawn while one is taken.
        for _ in 0..64 {
            let link = new_link(&self.config)?;
            if table.has_room_for(&link) {
                let ids = link.local_link_ids();
                let peer = Arc::new(Peer::new(link, remote));
                table.insert(ids, remote, &peer);
                self.open_count.fetch_add(1, Ordering::Relaxed);
                return Ok(peer);
            }
        }
        Err(io::Error::other("no free link id: raise Config::link_id_len"))
    }

    /// The same, opened from this side.
    pub(crate) fn open_peer(&self, remote: SocketAddr) -> io::Result<Arc<Peer>> {
        let peer = self.add_peer(remote)?;
        let now = self.clock.now();
        let mut state = peer.lock();
        state.link.connect(now);
        self.emit(&peer, state, now);
        Ok(peer)
    }

    pub(crate) fn take_arrival(&self) -> Option<Arc<Peer>> {
        lock(&self.backlog).pop_front()
    }

    pub(crate) fn peers(&self) -> Vec<Arc<Peer>> {
        lock(&self.table).peers()
    }

    /// Links that have not ended.
    pub(crate) fn open_count(&self) -> usize {
        self.open_count.load(Ordering::Relaxed)
    }

    // ---- out

    /// Emits what the link of `peer` has to emit, then sees to its timer and its end. Takes the lock, and holds it
    /// during no system call.
    pub(crate) fn emit<'a>(&self, peer: &'a Arc<Peer>, mut state: MutexGuard<'a, State>, now: Instant) {
        if state.is_emitting {
            state.again = true;
            return;
        }
        state.is_emitting = true;
        let mut state = BATCH.with_borrow_mut(|batch| self.emit_batches(peer, state, now, batch));
        state.is_emitting = false;
        self.finish(peer, state);
    }

    fn emit_batches<'a>(
        &self,
        peer: &'a Arc<Peer>,
        mut state: MutexGuard<'a, State>,
        mut now: Instant,
        batch: &mut Batch,
    ) -> MutexGuard<'a, State> {
        let datagram_max = usize::from(self.config.datagram_max);
        let segments_max = self.udp.max_gso_segments();
        loop {
            state.again = false;
            state.is_listed = false;
            state.leave_at = Instant::MAX;
            state.is_trimmed = false;
            state.burst.on_emit();
            let rest = batch.fill(now, &mut state.link, datagram_max, segments_max);
            if batch.is_empty() {
                return state;
            }
            let remote = state.remote;
            drop(state);
            if self.transmit(remote, batch.contents(), Some(batch.segment_len())).is_err() {
                // Lost, like any datagram: the link's recovery deals with it.
                log::debug!("a datagram for {remote} could not be sent");
            }
            state = peer.lock();
            if rest == Rest::Drained && !state.again {
                return state;
            }
            now = self.clock.now();
        }
    }

    /// Timer, outcomes and end of a link that was just worked on.
    fn finish(&self, peer: &Arc<Peer>, mut state: MutexGuard<'_, State>) {
        let now = self.clock.now();
        state.burst.after_emit(now);
        state.emitted_at = now;
        let has_events = state.drain_events();
        if state.link.is_closed() && !state.is_ending {
            state.is_ending = true;
            state.until = now + ENDED_TIME;
            self.open_count.fetch_sub(1, Ordering::Relaxed);
            if !state.is_validated {
                state.is_validated = true;
                self.unvalidated_count.fetch_sub(1, Ordering::Relaxed);
            }
            self.arrivals.notify(usize::MAX);
        }
        self.schedule(peer, state);
        if has_events {
            peer.notify();
        }
    }

    /// Nobody holds the connection any more.
    pub(crate) fn abandon(&self, peer: &Arc<Peer>, now: Instant) {
        let mut state = peer.lock();
        if !state.is_ending {
            state.until = state.until.min(now + ABANDONED_TIME);
            state.close(now);
            self.emit(peer, state, now);
        }
    }

    /// What `peer` has to emit may wait for more, at most until `at`. Returns whether that is news.
    pub(crate) fn leave_by(&self, peer: &Arc<Peer>, mut state: MutexGuard<'_, State>, at: Instant) -> bool {
        let is_news = at < state.leave_at;
        if is_news {
            state.leave_at = at;
            self.schedule(peer, state);
        }
        is_news
    }

    /// Emits what waits for more: the application waits.
    pub(crate) fn leave_now(&self, peer: &Arc<Peer>) {
        let state = peer.lock();
        if state.leave_at != Instant::MAX {
            self.emit(peer, state, self.clock.now());
        }
    }

    /// Leaves it to the driver to emit what `peer` has.
    #[cfg(feature = "tokio")]
    pub(crate) fn list(&self, peer: &Arc<Peer>, mut state: MutexGuard<'_, State>) {
        if !state.is_listed {
            state.is_listed = true;
            drop(state);
            lock(&self.listed).push(peer.clone());
        }
    }

    /// Emits what was left to the driver.
    #[cfg(feature = "tokio")]
    pub(crate) fn emit_listed(&self) {
        let listed = {
            let mut list = lock(&self.listed);
            if list.is_empty() {
                return;
            }
            std::mem::take(&mut *list)
        };
        for peer in &listed {
            let state = peer.lock();
            // Unless somebody did meanwhile.
            if state.is_listed {
                self.emit(peer, state, self.clock.now());
            }
        }
        // Keeps the allocation unless another was begun meanwhile.
        let mut list = lock(&self.listed);
        if list.capacity() == 0 {
            *list = listed;
            list.clear();
        }
    }

    fn transmit(
        &self,
        destination: SocketAddr,
        contents: &[u8],
        segment_len: Option<usize>,
    ) -> io::Result<()> {
        let transmit = Transmit { destination, ecn: None, contents, segment_size: segment_len, src_ip: None };
        for _ in 0..4 {
            match self.udp.try_send(UdpSockRef::from(&self.socket), &transmit) {
                // A task must not block its thread: the datagram counts as lost.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && self.wake.waker().is_some() => {
                    wait(&self.socket, Interest::Writable, None, Some(WRITABLE_WAIT))?;
                }
                result => return result,
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Ends every link at once.
    pub(crate) fn abort_all(&self) {
        for peer in self.peers() {
            let now = self.clock.now();
            let mut state = peer.lock();
            state.link.abort(now);
            self.emit(&peer, state, now);
            peer.notify();
        }
    }

    pub(crate) fn wake_driver(&self) {
        match &self.wake {
            Wake::Thread(waker) => waker.wake(),
            #[cfg(feature = "tokio")]
            Wake::Task(notify) => notify.notify_one(),
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
