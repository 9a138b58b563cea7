use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use ackline::Instant;
use rustix::event::{PollFd, PollFlags};

use super::ProxyStats;
use crate::clock::Clock;
use crate::impair::{DatagramImpairer, Profile};
use crate::wait::{Waker, poll};

/// Relays datagrams between any number of clients and one upstream address, and does a [`Profile`] to each direction.
///
/// Every client gets an upstream socket of its own, so that the upstream side sees as many peers as there are. Runs on a
/// thread of its own until it is dropped.
#[derive(Debug)]
pub struct UdpProxy {
    local: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    waker: Waker,
    stats: Mutex<ProxyStats>,
}

/// Clients served at once; datagrams of further ones are dropped. Chosen: within the usual limit of open files (1,024).
const CLIENTS_MAX: usize = 512;
/// The longest UDP payload over IPv4, and of any IPv6 packet without jumbograms.
const DATAGRAM_MAX: usize = 65_535;
/// Datagrams taken from one socket before the others get their turn.
const TURN: usize = 64;

impl UdpProxy {
    /// Relays from `listen` to `upstream`. `forward` is done to what goes upstream, `back` to the answers.
    ///
    /// # Errors
    ///
    /// `listen` cannot be bound: it is taken, or not an address of this machine.
    pub fn start(
        listen: SocketAddr,
        upstream: SocketAddr,
        forward: Profile,
        back: Profile,
        seed: u64,
    ) -> io::Result<Self> {
        let socket = UdpSocket::bind(listen)?;
        socket.set_nonblocking(true)?;
        let local = socket.local_addr()?;
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            waker: Waker::new()?,
            stats: Mutex::new(ProxyStats::default()),
        });
        let relay = Relay {
            socket,
            upstream,
            profiles: (forward, back),
            seed,
            clock: Clock::new(),
            clients: Vec::new(),
            by_address: HashMap::new(),
            buffer: vec![0; DATAGRAM_MAX],
            arrived: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("ackline-proxy".into()).spawn({
            let shared = shared.clone();
            move || relay.run(&shared)
        })?;
        Ok(UdpProxy { local, shared, thread: Some(thread) })
    }

    /// The address that clients send to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Counters.
    pub fn stats(&self) -> ProxyStats {
        *self.shared.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UdpProxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.waker.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One client and the two directions between it and upstream.
struct Client {
    address: SocketAddr,
    upstream: UdpSocket,
    forward: DatagramImpairer,
    back: DatagramImpairer,
}

struct Relay {
    socket: UdpSocket,
    upstream: SocketAddr,
    profiles: (Profile, Profile),
    seed: u64,
    clock: Clock,
    clients: Vec<Client>,
    by_address: HashMap<SocketAddr, usize>,
    buffer: Vec<u8>,
    arrived: Vec<u8>,
}

impl Relay {
    fn run(mut self, shared: &Shared) {
        let mut readable = Vec::new();
        while !shared.stop.load(Ordering::Acquire) {
            if self.wait(shared, &mut readable).is_err() {
                break;
            }
            if readable.first() == Some(&true) {
                self.take_from_clients();
            }
            for (index, _) in readable.iter().skip(1).enumerate().filter(|(_, ready)| **ready) {
                self.take_from_upstream(index);
            }
            self.pass_on();
            self.publish(shared);
        }
    }

    /// Waits for datagrams or the next arrival. `readable` tells about the clients' socket, then each client's.
    fn wait(&self, shared: &Shared, readable: &mut Vec<bool>) -> io::Result<()> {
        let due = self.clients.iter().flat_map(|c| [c.forward.poll_timeout(), c.back.poll_timeout()]);
        let timeout = due.flatten().min().map(|due| self.clock.until(due));
        let mut fds = vec![PollFd::new(&self.socket, PollFlags::IN)];
        fds.extend(self.clients.iter().map(|c| PollFd::new(&c.upstream, PollFlags::IN)));
        fds.push(PollFd::new(shared.waker.socket(), PollFlags::IN));
        poll(&mut fds, timeout)?;
        readable.clear();
        readable.extend(fds.iter().map(|fd| !fd.revents().is_empty()));
        if readable.pop() == Some(true) {
            shared.waker.clear();
        }
        Ok(())
    }

    fn take_from_clients(&mut self) {
        for _ in 0..TURN {
            match self.socket.recv_from(&mut self.buffer) {
                Ok((len, address)) => {
                    let now = self.clock.now();
                    let Some(index) = self.client(address) else { continue };
                    self.clients[index].forward.push(now, &self.buffer[..len]);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                // An answer of the network to an earlier datagram (WSAECONNRESET, ECONNREFUSED): no error here.
                Err(_) => {}
            }
        }
    }

    fn take_from_upstream(&mut self, index: usize) {
        let client = &mut self.clients[index];
        for _ in 0..TURN {
            match client.upstream.recv(&mut self.buffer) {
                Ok(len) => client.back.push(self.clock.now(), &self.buffer[..len]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                // The upstream side is not there at the moment: it may come back.
                Err(_) => {}
            }
        }
    }

    fn client(&mut self, address: SocketAddr) -> Option<usize> {
        if let Some(&index) = self.by_address.get(&address) {
            return Some(index);
        }
        if self.clients.len() >= CLIENTS_MAX {
            return None;
        }
        let any: IpAddr = match self.upstream {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let upstream = UdpSocket::bind((any, 0)).ok()?;
        upstream.connect(self.upstream).ok()?;
        upstream.set_nonblocking(true).ok()?;
        let index = self.clients.len();
        let mut seeds = fastrand::Rng::with_seed(self.seed.wrapping_add(index as u64));
        self.clients.push(Client {
            address,
            upstream,
            forward: DatagramImpairer::new(self.profiles.0.clone(), seeds.u64(..)),
            back: DatagramImpairer::new(self.profiles.1.clone(), seeds.u64(..)),
        });
        self.by_address.insert(address, index);
        Some(index)
    }

    /// Sends on what has arrived. What the socket does not take is lost, as a router would.
    fn pass_on(&mut self) {
        let now: Instant = self.clock.now();
        for client in &mut self.clients {
            while client.forward.poll(now, &mut self.arrived) {
                let _ = client.upstream.send(&self.arrived);
            }
            while client.back.poll(now, &mut self.arrived) {
                let _ = self.socket.send_to(&self.arrived, client.address);
            }
        }
    }

    fn publish(&self, shared: &Shared) {
        let mut sum = ProxyStats { clients: self.clients.len() as u64, ..ProxyStats::default() };
        for client in &self.clients {
            sum.forward = sum.forward.plus(client.forward.stats());
            sum.back = sum.back.plus(client.back.stats());
        }
        *shared.stats.lock().unwrap_or_else(PoisonError::into_inner) = sum;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LOCALHOST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    #[test]
    fn clients_are_told_apart_and_answers_find_their_way() {
        let upstream = UdpSocket::bind(LOCALHOST).unwrap();
        upstream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let none = Profile::default();
        let proxy =
            UdpProxy::start(LOCALHOST, upstream.local_addr().unwrap(), none.clone(), none, 1).unwrap();
        let clients: Vec<_> = (0..3).map(|_| UdpSocket::bind(LOCALHOST).unwrap()).collect();
        for (n, client) in clients.iter().enumerate() {
            client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            client.send_to(&[n as u8], proxy.local_addr()).unwrap();
        }
        let mut buffer = [0; 16];
        for _ in &clients {
            let (len, from) = upstream.recv_from(&mut buffer).unwrap();
            assert_eq!(len, 1);
            upstream.send_to(&[buffer[0], 0xaa], from).unwrap();
        }
        for (n, client) in clients.iter().enumerate() {
            assert_eq!(client.recv(&mut buffer).unwrap(), 2);
            assert_eq!(buffer[..2], [n as u8, 0xaa]);
        }
        // Published a moment after the datagram leaves.
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        while proxy.stats().back.given < 3 {
            assert!(std::time::Instant::now() < deadline, "{:?}", proxy.stats());
            std::thread::yield_now();
        }
        assert_eq!(proxy.stats().clients, 3);
    }

    #[test]
    fn loss_and_repetition_on_real_sockets_meet_their_rates() {
        let upstream = UdpSocket::bind(LOCALHOST).unwrap();
        upstream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let profile = Profile { loss: 0.2, duplicate: 0.05, ..Profile::default() };
        let proxy =
            UdpProxy::start(LOCALHOST, upstream.local_addr().unwrap(), profile, Profile::default(), 42)
                .unwrap();
        let client = UdpSocket::bind(LOCALHOST).unwrap();
        let mut buffer = [0; 16];
        let (mut sent, mut arrived) = (0_u64, 0_u64);
        // In small groups, so that no socket buffer overflows.
        for _ in 0..200 {
            for _ in 0..20 {
                client.send_to(&[7; 8], proxy.local_addr()).unwrap();
                sent += 1;
            }
            while proxy.stats().forward.taken < sent {
                std::thread::yield_now();
            }
            while arrived < proxy.stats().forward.given {
                upstream.recv(&mut buffer).unwrap();
                arrived += 1;
            }
        }
        let stats = proxy.stats().forward;
        assert_eq!(arrived, stats.given);
        assert!((stats.lost as f64 / sent as f64 - 0.2).abs() < 0.03, "{stats:?}");
        assert!((stats.duplicated as f64 / (sent - stats.lost) as f64 - 0.05).abs() < 0.015, "{stats:?}");
    }
}
