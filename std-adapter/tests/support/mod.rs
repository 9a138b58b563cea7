//! Links with addresses of their own that share one process with the endpoint they talk to.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use ackline::congestion::PathModel;
use ackline::storage::Heap;
use ackline_std::{Channel, Config, Connection, Endpoint};

/// Resident bytes of this process.
pub fn resident_len() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

type Link = ackline::Link<Heap, PathModel>;

/// The other end of a connection: a link, and the socket's address. The socket itself is opened while it is needed only, so that
/// there may be more of them than files.
pub struct Remote {
    link: Link,
    started: Instant,
    address: SocketAddr,
    server: SocketAddr,
}

impl Remote {
    /// Opens link number `n` from an address of its own, has two messages settled, and falls silent.
    pub fn open(server: &Endpoint, n: u32) -> (Self, Connection) {
        let [_, high, middle, low] = n.to_be_bytes();
        let address = SocketAddr::new(Ipv4Addr::new(127, 1 + high, middle, low).into(), 0);
        let socket = UdpSocket::bind(address).unwrap();
        let mut remote = Remote {
            link: Link::new(&Config::udp(), PathModel::new(), 0x5eed_0000 + u64::from(n)),
            started: Instant::now(),
            address: socket.local_addr().unwrap(),
            server: server.local_addr(),
        };
        socket.connect(remote.server).unwrap();
        socket.set_nonblocking(true).unwrap();
        let now = remote.now();
        remote.link.connect(now);
        remote.link.send(now, Channel(0), &n.to_be_bytes()).unwrap();
        let mut accepted = None;
        let mut taken = 0;
        // An idle link asks for nothing: everything is acknowledged both ways then.
        while remote.link.stats().messages_settled < 2 || remote.link.poll_timeout().is_some() {
            let stats = remote.link.stats();
            assert!(remote.started.elapsed() < Duration::from_secs(60), "{n}: {stats:#?}");
            remote.exchange(&socket);
            if accepted.is_none() {
                accepted = server.accept_timeout(Duration::from_micros(200));
            }
            if let Some(connection) = &accepted
                && let Ok(message) = connection.try_recv()
            {
                assert_eq!(message.payload, n.to_be_bytes());
                taken += 1;
            }
            if taken == 1 && remote.link.is_connected() && stats.messages_sent == 1 {
                // Shows the server that its answer was heard.
                let now = remote.now();
                remote.link.send(now, Channel(0), &n.to_be_bytes()).unwrap();
            }
        }
        (remote, accepted.unwrap())
    }

    /// Sends what the link has to send and takes in what has arrived.
    fn exchange(&mut self, socket: &UdpSocket) {
        let mut buffer = [0; 2048];
        let now = self.now();
        if self.link.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.link.handle_timeout(now);
        }
        while let Some(len) = self.link.poll_transmit(now, &mut buffer[..1200]) {
            socket.send(&buffer[..len]).unwrap();
        }
        while let Ok(len) = socket.recv(&mut buffer) {
            self.link.handle_datagram(self.now(), &buffer[..len]);
        }
        while self.link.poll_event().is_some() {}
    }

    /// Sends `payload`, has `meanwhile` done, and takes in the answers.
    pub fn send<T>(&mut self, payload: &[u8], meanwhile: impl FnOnce() -> T) -> T {
        let socket = UdpSocket::bind(self.address).unwrap();
        socket.connect(self.server).unwrap();
        socket.set_nonblocking(true).unwrap();
        let now = self.now();
        self.link.send(now, Channel(0), payload).unwrap();
        self.exchange(&socket);
        let value = meanwhile();
        self.exchange(&socket);
        value
    }

    fn now(&self) -> ackline::Instant {
        ackline::Instant::from_micros(1_000_000 + self.started.elapsed().as_micros() as u64)
    }
}
