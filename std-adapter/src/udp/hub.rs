//! One UDP socket and its links: datagrams in, datagrams out, timers. Knows nothing about who waits, blocked thread or
//! task: that is [`lead`](super::lead) and the async driver.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ackline::Instant;
use ackline::{Config, Receipt};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use super::batch::{Batch, Rest};
use super::table::Table;
use super::timers::Timers;
use crate::boundary::{Addressee, Sorter, new_link};
use crate::clock::{Clock, entropy};
use crate::peer::{Peer, State};
use crate::wait::{Interest, Waker, wait};

/// Buffers of one receiving system call. Chosen: with coalescing (GRO) one buffer already holds up to 64 datagrams;
/// without, this many datagrams amortise the call.
const BUFFERS: usize = 16;
/// The largest that the kernel coalesces into one buffer.
const BUFFER_LEN: usize = 65_536;
/// The longest answer to a datagram that belongs to no link. Never longer than what it answers.
const REPLY_MAX: usize = 256;
/// Peers accepted and not yet taken by the application. Further ones are not answered, and try again.
const BACKLOG_MAX: usize = 16_384;
/// How long to wait for room in the socket's send buffer before a datagram counts as lost.
const WRITABLE_WAIT: std::time::Duration = std::time::Duration::from_millis(5);

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
    timers: Mutex<Timers>,
    /// Peers that have datagrams to emit, for whoever drives next.
    listed: Mutex<Vec<Arc<Peer>>>,
    backlog: Mutex<VecDeque<Arc<Peer>>>,
    /// Notified when the backlog grows.
    pub(crate) arrivals: event_listener::Event,
    /// Until when the driver sleeps; zero while it does not.
    sleeps_until: AtomicU64,
    /// Whether somebody will look at `listed` soon without being woken.
    pub(crate) is_tended: AtomicBool,
    pub(crate) wake: Wake,
}

/// What one who reads the socket needs. There is one for each socket: who holds it drives.
pub(crate) struct Receiver {
    sorter: Sorter,
    buffers: Box<[u8]>,
    touched: Vec<Arc<Peer>>,
}

impl Hub {
    pub(crate) fn new(
        socket: UdpSocket,
        config: Config,
        accepts: bool,
        wake: Wake,
    ) -> io::Result<(Self, Box<Receiver>)> {
        let udp = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let sorter = Sorter::new(&config, entropy()?);
        let buffers = vec![0; BUFFERS * BUFFER_LEN].into_boxed_slice();
        let receiver = Box::new(Receiver { sorter, buffers, touched: Vec::new() });
        let hub = Hub {
            socket,
            udp,
            clock: Clock::new(),
            config,
            accepts,
            table: Mutex::default(),
            timers: Mutex::default(),
            listed: Mutex::default(),
            backlog: Mutex::default(),
            arrivals: event_listener::Event::new(),
            sleeps_until: AtomicU64::new(0),
            is_tended: AtomicBool::new(false),
            wake,
        };
        Ok((hub, receiver))
    }

    /// A new link with the peer at `remote`, known to the table.
    pub(crate) fn add_peer(&self, remote: SocketAddr) -> io::Result<Arc<Peer>> {
        let mut table = lock(&self.table);
        // Ids are random; another seed is tried while one is taken.
        for _ in 0..64 {
            let link = new_link(&self.config, entropy()?);
            let id = link.local_link_id();
            if !table.contains(id) {
                let peer = Arc::new(Peer::new(link, remote));
                table.insert(id, remote, peer.clone());
                return Ok(peer);
            }
        }
        Err(io::Error::other("no free link id: raise Config::link_id_len"))
    }

    pub(crate) fn take_arrival(&self) -> Option<Arc<Peer>> {
        lock(&self.backlog).pop_front()
    }

    pub(crate) fn peers(&self) -> Vec<Arc<Peer>> {
        lock(&self.table).peers()
    }

    pub(crate) fn peer_count(&self) -> usize {
        lock(&self.table).len()
    }

    // ---- in

    /// Takes in what the socket has, at most one system call's worth. Returns the number of datagrams; zero if there
    /// was none.
    pub(crate) fn receive(self: &Arc<Self>, receiver: &mut Receiver) -> usize {
        let mut metas = [RecvMeta::default(); BUFFERS];
        let mut buffers = std::mem::take(&mut receiver.buffers);
        let received = {
            let mut chunks = buffers.chunks_mut(BUFFER_LEN);
            let mut slices: [IoSliceMut<'_>; BUFFERS] =
                std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
            self.udp.recv(UdpSockRef::from(&self.socket), &mut slices, &mut metas)
        };
        // Errors here are echoes of earlier datagrams (WSAECONNRESET, ECONNREFUSED) or of a network that is down:
        // the links' own timers deal with a peer that is not there.
        let filled = received.unwrap_or(0);
        let now = self.clock.now();
        let mut count = 0;
        for (meta, buffer) in metas[..filled].iter().zip(buffers.chunks(BUFFER_LEN)) {
            let stride = meta.stride.max(1);
            for datagram in buffer[..meta.len].chunks(stride) {
                count += 1;
                self.dispatch(now, meta.addr, datagram, receiver);
            }
        }
        receiver.buffers = buffers;
        while let Some(peer) = receiver.touched.pop() {
            let state = peer.lock();
            self.emit(&peer, state, now);
            peer.notify();
        }
        count
    }

    fn dispatch(&self, now: Instant, source: SocketAddr, datagram: &[u8], receiver: &mut Receiver) {
        let mut reply = [0; REPLY_MAX];
        let peer = match receiver.sorter.sort(now, source, datagram, &mut reply) {
            Addressee::Link(id) => lock(&self.table).by_id(id).cloned(),
            Addressee::Opening => self.opening_peer(source),
            Addressee::Reply(len) => {
                let _ = self.transmit(source, &reply[..len], None);
                None
            }
            Addressee::None => None,
        };
        let Some(peer) = peer else { return };
        let mut state = peer.lock();
        let receipt = state.link.handle_datagram(now, datagram);
        if receipt == Receipt::Accepted && state.remote != source {
            let (id, from) = (state.link.local_link_id(), std::mem::replace(&mut state.remote, source));
            drop(state);
            lock(&self.table).move_to(id, from, source);
        } else {
            drop(state);
        }
        if !receiver.touched.last().is_some_and(|last| Arc::ptr_eq(last, &peer)) {
            receiver.touched.push(peer);
        }
    }

    fn opening_peer(&self, source: SocketAddr) -> Option<Arc<Peer>> {
        if let Some(peer) = lock(&self.table).by_address(source) {
            return Some(peer.clone());
        }
        if !self.accepts || lock(&self.backlog).len() >= BACKLOG_MAX {
            return None;
        }
        let peer = self.add_peer(source).ok()?;
        lock(&self.backlog).push_back(peer.clone());
        self.arrivals.notify(usize::MAX);
        Some(peer)
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
            state.unsent_len = 0;
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
        let has_events = state.drain_events();
        if let Some(deadline) = state.link.poll_timeout()
            && deadline < state.scheduled
        {
            state.scheduled = deadline;
            lock(&self.timers).push(deadline, peer.clone());
            if deadline.as_micros() < self.sleeps_until.load(Ordering::SeqCst) {
                self.wake_driver();
            }
        }
        let ended = state.link.is_closed().then(|| (state.link.local_link_id(), state.remote));
        drop(state);
        if let Some((id, remote)) = ended {
            lock(&self.table).remove(id, remote);
        }
        if has_events || ended.is_some() {
            peer.notify();
        }
    }

    /// Leaves it to the driver to emit what `peer` has.
    pub(crate) fn list(&self, peer: &Arc<Peer>, mut state: MutexGuard<'_, State>) {
        if !state.is_listed {
            state.is_listed = true;
            drop(state);
            lock(&self.listed).push(peer.clone());
        }
    }

    /// Emits what was left to the driver.
    pub(crate) fn emit_listed(&self) {
        let listed = std::mem::take(&mut *lock(&self.listed));
        for peer in &listed {
            let mut state = peer.lock();
            state.is_listed = false;
            if state.unsent_len > 0 {
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

    // ---- time

    /// Lets the links whose time has come do what they have to.
    pub(crate) fn run_timers(&self) {
        let now = self.clock.now();
        loop {
            let Some(peer) = lock(&self.timers).pop(now) else { break };
            let mut state = peer.lock();
            state.scheduled = Instant::MAX;
            if state.link.poll_timeout().is_some_and(|deadline| deadline <= now) {
                state.link.handle_timeout(now);
            }
            self.emit(&peer, state, now);
        }
    }

    /// Announces a sleep of the driver and returns until when it may last, at most until `limit`. From here until
    /// [`awake`](Self::awake), whoever sets an earlier deadline wakes the driver.
    pub(crate) fn sleep_until(&self, limit: Instant) -> Instant {
        // Announced before the timers are read: a deadline set in between is either seen here or wakes.
        self.sleeps_until.store(u64::MAX, Ordering::SeqCst);
        let deadline = lock(&self.timers).next().unwrap_or(Instant::MAX).min(limit);
        self.sleeps_until.store(deadline.as_micros(), Ordering::SeqCst);
        deadline
    }

    pub(crate) fn awake(&self) {
        self.sleeps_until.store(0, Ordering::SeqCst);
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
