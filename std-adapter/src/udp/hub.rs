//! One UDP socket and its links: datagrams in, datagrams out, timers. Knows nothing about who waits, blocked thread or
//! task: that is [`lead`](super::lead) and the async driver.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ackline::Instant;
use ackline::listener::Incoming;
use ackline::{Config, LinkId, Receipt};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use super::batch::{Batch, Rest};
use super::spin::Spin;
use super::table::Table;
use super::timers::Timers;
use crate::boundary::{Sorter, new_link};
use crate::burst;
use crate::clock::Clock;
use crate::peer::{Peer, State};
use crate::wait::{Interest, Waker, wait};

/// Buffers of one receiving system call. Chosen: with coalescing (GRO) one buffer already holds up to 64 datagrams, and all of
/// them together fit a processor's cache; without, this many datagrams amortise the call.
const BUFFERS: usize = 8;
/// The largest that the kernel coalesces into one buffer.
const BUFFER_LEN: usize = 65_536;
/// The longest answer to a datagram that belongs to no link: what `Listener::incoming` asks for.
const REPLY_MAX: usize = 64;
/// Peers accepted and not yet taken by the application. Further ones are not answered, and try again.
const BACKLOG_MAX: usize = 16_384;
/// Links whose peer has not shown yet that it receives at its address. Beyond it, hellos are answered with a cookie, and
/// nothing is kept. They have no time limit: a peer that opens a connection and then waits is silent. Chosen: a burst of
/// honest peers; 256 links of forged addresses are a few hundred kilobytes.
const UNVALIDATED_MAX: usize = 256;
/// How long an ended link still answers its peer, which may not have heard of the end. Chosen: a few round trips of a
/// long path.
const ENDED_TIME: Duration = Duration::from_secs(1);
/// How long a link that nobody holds any more may take to deliver what was sent.
const ABANDONED_TIME: Duration = Duration::from_secs(60);
/// How long a link must be silent before the memory of its empty queues is given back. Chosen: longer than the pauses of what
/// people would call a running flow.
const TRIM_AFTER: Duration = Duration::from_secs(1);
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

/// What one who reads the socket needs. There is one for each socket: who holds it drives.
pub(crate) struct Receiver {
    sorter: Sorter,
    buffers: Box<[u8]>,
    touched: Vec<Arc<Peer>>,
    pub(super) spin: Spin,
    /// The peer of the datagram before: consecutive ones are mostly from the same.
    last: Option<(LinkId, Arc<Peer>)>,
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
        let buffers = vec![0; BUFFERS * BUFFER_LEN].into_boxed_slice();
        let receiver =
            Box::new(Receiver { sorter, buffers, touched: Vec::new(), spin: Spin::new(), last: None });
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

    // ---- in

    /// Takes in what the socket has, at most one system call's worth. Returns the number of datagrams; zero if there
    /// was none. `mine`: the caller is about to take messages of this peer, and what the link has to say leaves with their
    /// settlements.
    pub(crate) fn receive(&self, receiver: &mut Receiver, mine: Option<&Arc<Peer>>) -> usize {
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
        if filled == 0 {
            receiver.buffers = buffers;
            return 0;
        }
        let now = self.clock.now();
        for incarnation in lock(&self.forgotten).drain(..) {
            receiver.sorter.forget(incarnation);
        }
        let mut count = 0;
        for (meta, buffer) in metas[..filled].iter().zip(buffers.chunks(BUFFER_LEN)) {
            let stride = meta.stride.max(1);
            for datagram in buffer[..meta.len].chunks(stride) {
                count += 1;
                self.dispatch(now, meta.addr, datagram, receiver);
            }
        }
        receiver.buffers = buffers;
        receiver.last = None;
        while let Some(peer) = receiver.touched.pop() {
            let state = peer.lock();
            if mine.is_some_and(|mine| Arc::ptr_eq(mine, &peer)) && state.link.has_delivery() {
                self.leave_soon(&peer, state, now);
            } else {
                self.emit(&peer, state, now);
            }
            peer.notify();
        }
        count
    }

    fn dispatch(&self, now: Instant, source: SocketAddr, datagram: &[u8], receiver: &mut Receiver) {
        let mut reply = [0; REPLY_MAX];
        let answer = match receiver.sorter.sort(now, source, datagram, &mut reply) {
            Incoming::Link(id) => {
                let found = match receiver.last.take_if(|(last, _)| *last == id) {
                    Some((_, peer)) => Some(peer),
                    None => lock(&self.table).by_id(id).cloned(),
                };
                match found {
                    // Only who has heard us knows this id.
                    Some(peer) => {
                        if self.hand_over(now, source, datagram, &peer, true, receiver) {
                            receiver.last = Some((id, peer));
                        }
                        return;
                    }
                    None => receiver.sorter.reset(now, datagram, &mut reply),
                }
            }
            Incoming::Hello { to, incarnation: _, is_validated } => {
                let found = {
                    let table = lock(&self.table);
                    table.by_id(to).or_else(|| table.by_address(source)).cloned()
                };
                let peer = match found {
                    Some(peer) => Some(peer),
                    None if !self.accepts => return,
                    None if !is_validated && self.is_loaded() => None,
                    None => match self.accept_peer(source, is_validated) {
                        Some(peer) => Some(peer),
                        None => return,
                    },
                };
                match peer {
                    Some(peer) => {
                        self.hand_over(now, source, datagram, &peer, is_validated, receiver);
                        return;
                    }
                    None => receiver.sorter.retry(now, source, datagram, &mut reply),
                }
            }
            Incoming::Reply(len) => Some(len),
            // Answers of a listener carry no link id: they are for the link with that address, which judges them.
            Incoming::Drop => {
                let found = lock(&self.table).by_address(source).cloned();
                if let Some(peer) = found {
                    self.hand_over(now, source, datagram, &peer, false, receiver);
                }
                return;
            }
        };
        if let Some(len) = answer {
            let _ = self.transmit(source, &reply[..len], None);
        }
    }

    /// Gives a datagram to the link that it is for. Returns whether its ids and its peer's address are what they were.
    fn hand_over(
        &self,
        now: Instant,
        source: SocketAddr,
        datagram: &[u8],
        peer: &Arc<Peer>,
        validates: bool,
        receiver: &mut Receiver,
    ) -> bool {
        let mut state = peer.lock();
        let is_accepted = state.link.handle_datagram(now, datagram) == Receipt::Accepted;
        if is_accepted && validates && !state.is_validated {
            state.is_validated = true;
            self.unvalidated_count.fetch_sub(1, Ordering::Relaxed);
        }
        // A hello that the link did not like opens nothing.
        let is_arrival = is_accepted && std::mem::take(&mut state.is_new);
        let is_same = state.ids == state.link.local_link_ids() && (!is_accepted || state.remote == source);
        if is_same {
            drop(state);
        } else {
            self.rename(state, source, is_accepted, peer);
        }
        if is_arrival {
            lock(&self.backlog).push_back(peer.clone());
            self.arrivals.notify(usize::MAX);
        }
        if !receiver.touched.last().is_some_and(|last| Arc::ptr_eq(last, peer)) {
            receiver.touched.push(peer.clone());
        }
        is_same
    }

    /// The link has other ids, or its peer another address. Rare: takes both locks, the table's first.
    fn rename(&self, state: MutexGuard<'_, State>, source: SocketAddr, moves: bool, peer: &Arc<Peer>) {
        drop(state);
        let mut table = lock(&self.table);
        let mut state = peer.lock();
        let old = state.ids;
        if old != state.link.local_link_ids() {
            table.replace_ids(old, &mut state.link, peer);
            state.ids = state.link.local_link_ids();
        }
        if moves && state.remote != source {
            table.move_to(state.remote, source, peer);
            state.remote = source;
        }
    }

    fn is_loaded(&self) -> bool {
        self.unvalidated_count.load(Ordering::Relaxed) >= UNVALIDATED_MAX
    }

    fn accept_peer(&self, source: SocketAddr, is_validated: bool) -> Option<Arc<Peer>> {
        if lock(&self.backlog).len() >= BACKLOG_MAX {
            return None;
        }
        let peer = self.add_peer(source).ok()?;
        let mut state = peer.lock();
        state.is_new = true;
        if !is_validated {
            state.is_validated = false;
            state.link.set_unvalidated();
            self.unvalidated_count.fetch_add(1, Ordering::Relaxed);
        }
        drop(state);
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
        self.schedule(peer, &mut state);
        drop(state);
        if has_events {
            peer.notify();
        }
    }

    /// Sees to it that the driver looks at the link when its time comes.
    fn schedule(&self, peer: &Arc<Peer>, state: &mut State) {
        let idle = if state.is_trimmed { Instant::MAX } else { state.emitted_at + TRIM_AFTER };
        let deadline = state.link.poll_timeout().unwrap_or(idle).min(state.until).min(state.leave_at);
        if deadline < state.scheduled {
            state.scheduled = deadline;
            lock(&self.timers).push(deadline, peer.clone());
            if deadline.as_micros() < self.sleeps_until.load(Ordering::SeqCst) {
                self.wake_driver();
            }
        }
    }

    /// The time that a link was given is over: it ends, or is forgotten if it has ended.
    fn time_is_up(&self, peer: &Arc<Peer>, mut state: MutexGuard<'_, State>, now: Instant) {
        if !state.is_ending {
            state.link.abort(now);
            self.emit(peer, state, now);
            peer.notify();
            return;
        }
        state.until = Instant::MAX;
        let (ids, remote, incarnation) = (state.ids, state.remote, state.link.peer_incarnation());
        drop(state);
        lock(&self.table).remove(ids, remote, peer);
        if incarnation != 0 {
            lock(&self.forgotten).push(incarnation);
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

    /// What `peer` has to emit may wait for more, for a fraction of a millisecond. Returns whether nothing waited before.
    pub(crate) fn leave_soon(
        &self,
        peer: &Arc<Peer>,
        mut state: MutexGuard<'_, State>,
        now: Instant,
    ) -> bool {
        let is_first = state.leave_at == Instant::MAX;
        if is_first {
            state.leave_at = now + burst::TIME;
            self.schedule(peer, &mut state);
        }
        is_first
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

    // ---- time

    /// Lets the links whose time has come do what they have to. Returns how many had something that waited for more.
    pub(crate) fn run_timers(&self) -> usize {
        let now = self.clock.now();
        let mut count = 0;
        loop {
            let Some((deadline, peer)) = lock(&self.timers).pop(now) else { break };
            let mut state = peer.lock();
            if deadline != state.scheduled {
                // An earlier one was set since, and has replaced this one. To set it again would double it for ever.
                continue;
            }
            state.scheduled = Instant::MAX;
            count += usize::from(state.leave_at <= now);
            if state.until <= now {
                self.time_is_up(&peer, state, now);
                continue;
            }
            match state.link.poll_timeout() {
                _ if state.leave_at <= now => self.emit(&peer, state, now),
                Some(deadline) if deadline <= now => {
                    state.link.handle_timeout(now);
                    self.emit(&peer, state, now);
                }
                None if !state.is_trimmed && now - state.emitted_at >= TRIM_AFTER => {
                    state.link.trim();
                    state.is_trimmed = true;
                }
                _ => self.schedule(&peer, &mut state),
            }
        }
        count
    }

    /// When the next timer is due.
    pub(super) fn next_timer(&self) -> Instant {
        lock(&self.timers).next().unwrap_or(Instant::MAX)
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
