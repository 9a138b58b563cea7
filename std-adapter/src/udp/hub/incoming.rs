//! Datagrams in: from the socket to the links.

use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

use ackline::listener::Incoming;
use ackline::{Instant, LinkId, Receipt};
use quinn_udp::{RecvMeta, UdpSockRef};

use super::{Hub, lock};
use crate::boundary::Sorter;
use crate::burst;
use crate::peer::{Peer, State};
use crate::udp::spin::Spin;

/// Buffers of one receiving system call, at most. Chosen: this many small datagrams amortise the call.
const BUFFERS: usize = 8;
/// The largest that the kernel coalesces into one buffer.
const BUFFER_LEN: usize = 65_536;
/// The longest answer to a datagram that belongs to no link: what `Listener::incoming` asks for.
const REPLY_MAX: usize = 64;
/// Peers accepted and not yet taken by the application. Further ones are not answered, and try again.
const BACKLOG_MAX: usize = 16_384;
/// Links whose peer has not shown yet that it receives at its address. Beyond it, hellos are answered with a cookie, and
/// nothing is kept. Each of them ends by itself when its peer proves nothing for a minute (protocol.md, R9.12). Chosen: a
/// burst of honest peers; 256 links of forged addresses are a few hundred kilobytes.
const UNVALIDATED_MAX: usize = 256;

/// What one who reads the socket needs. There is one for each socket: who holds it drives.
pub(crate) struct Receiver {
    sorter: Sorter,
    buffers: Box<[u8]>,
    /// How many of them the next system call gets.
    width: usize,
    touched: Vec<Arc<Peer>>,
    pub(in crate::udp) spin: Spin,
    /// The peer of the datagram before: consecutive ones are mostly from the same.
    last: Option<(LinkId, Arc<Peer>)>,
}

impl Receiver {
    pub(super) fn new(sorter: Sorter) -> Self {
        let buffers = vec![0; BUFFERS * BUFFER_LEN].into_boxed_slice();
        Receiver { sorter, buffers, width: 1, touched: Vec::new(), spin: Spin::new(), last: None }
    }

    /// The last system call filled so many buffers with so many bytes. With coalescing (GRO) one buffer holds up to 64
    /// datagrams: a second would only push the first out of the processor's cache before it is looked at. Small datagrams
    /// that wait share a call.
    fn adapt_width(&mut self, filled: usize, bytes: usize) {
        if bytes >= BUFFER_LEN / 2 || filled * 2 <= self.width {
            self.width = (self.width / 2).max(1);
        } else if filled == self.width {
            self.width = (self.width * 2).min(BUFFERS);
        }
    }
}

impl Hub {
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
            self.udp.recv(UdpSockRef::from(&self.socket), &mut slices[..receiver.width], &mut metas)
        };
        // Errors here are echoes of earlier datagrams (WSAECONNRESET, ECONNREFUSED) or of a network that is down:
        // the links' own timers deal with a peer that is not there.
        let filled = received.unwrap_or(0);
        if filled == 0 {
            receiver.buffers = buffers;
            return 0;
        }
        let now = self.clock.now();
        receiver.adapt_width(filled, metas[..filled].iter().map(|meta| meta.len).sum());
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
                self.leave_by(&peer, state, now + burst::SETTLE_TIME);
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
        let is_arrival = std::mem::take(&mut state.is_new);
        if is_arrival && !is_accepted {
            self.discard(state, peer);
            return false;
        }
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

    /// A hello that its new link did not like opens nothing.
    fn discard(&self, mut state: MutexGuard<'_, State>, peer: &Arc<Peer>) {
        state.is_ending = true;
        self.open_count.fetch_sub(1, Ordering::Relaxed);
        if !state.is_validated {
            self.unvalidated_count.fetch_sub(1, Ordering::Relaxed);
        }
        let (ids, remote) = (state.ids, state.remote);
        drop(state);
        lock(&self.table).remove(ids, remote, peer);
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
}
