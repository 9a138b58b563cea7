use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use ackline::Config;
use ackline::Instant;

use super::hub::lock;
use super::lead::{Driver, Waiter};
use crate::burst::{self, Leave};
use crate::carrier::{BlockingCarrier, Carrier, Handle};
use crate::clock::Clock;
use crate::connection::Connection;
use crate::peer::{Peer, State};

/// Socket buffers asked for, in bytes; the system may give less. Chosen: a few windows of a fast local path.
const SOCKET_BUFFER_LEN: usize = 4 << 20;
/// How long links may take to close after the last handle is gone.
const LINGER: Duration = Duration::from_secs(1);

/// A UDP socket that carries connections, both those it opens and those it accepts.
///
/// ```
/// use ackline_std::{Channel, Config, Endpoint};
///
/// let server = Endpoint::bind("127.0.0.1:0", &Config::udp())?;
/// let client = ackline_std::connect(server.local_addr(), &Config::udp())?;
/// client.send(Channel(0), b"hello")?;
/// let connection = server.accept()?;
/// assert_eq!(connection.recv()?.payload, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Endpoint(Arc<UdpCarrier>);

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("local_addr", &self.local_addr()).finish_non_exhaustive()
    }
}

/// Opens a connection with the peer at `remote` from a socket of its own. Returns at once: messages may be sent
/// before the peer has answered.
///
/// # Errors
///
/// `remote` is no address, or the system has no socket to give.
pub fn connect(remote: impl ToSocketAddrs, config: &Config) -> io::Result<Connection> {
    let remote = resolve(remote)?;
    Endpoint::start(any_towards(remote), config, false)?.connect(remote)
}

impl Endpoint {
    /// Binds `local` and accepts connections there. Port 0 lets the system choose one.
    ///
    /// # Errors
    ///
    /// `local` is taken, or not an address of this machine.
    pub fn bind(local: impl ToSocketAddrs, config: &Config) -> io::Result<Self> {
        Endpoint::start(local, config, true)
    }

    fn start(local: impl ToSocketAddrs, config: &Config, accepts: bool) -> io::Result<Self> {
        let socket = bind_socket(resolve(local)?)?;
        let local = socket.local_addr()?;
        let (driver, thread) = Driver::start(socket, config.clone(), accepts)?;
        Ok(Endpoint(Arc::new(UdpCarrier { driver, local, thread: Mutex::new(Some(thread)) })))
    }

    /// Opens a connection with the peer at `remote`. Returns at once: messages may be sent before the peer has answered.
    ///
    /// # Errors
    ///
    /// `remote` is no address, or of another family (IPv4, IPv6) than the socket.
    pub fn connect(&self, remote: impl ToSocketAddrs) -> io::Result<Connection> {
        let remote = resolve(remote)?;
        check_family(self.local_addr(), remote)?;
        let hub = &self.0.driver.hub;
        let peer = hub.open_peer(remote)?;
        Ok(self.connection(peer))
    }

    /// The next peer that opened a connection. Blocks until there is one.
    ///
    /// # Errors
    ///
    /// None at present; the type leaves room for sockets that can fail.
    pub fn accept(&self) -> io::Result<Connection> {
        self.accept_until(Instant::MAX).ok_or_else(|| io::ErrorKind::TimedOut.into())
    }

    /// The next peer that opened a connection, if there is one within `timeout`.
    pub fn accept_timeout(&self, timeout: Duration) -> Option<Connection> {
        self.accept_until(self.0.clock().now() + timeout)
    }

    fn accept_until(&self, limit: Instant) -> Option<Connection> {
        let hub = &self.0.driver.hub;
        let peer = self.0.driver.wait_for(&Waiter::Arrival, limit, || hub.take_arrival())?;
        Some(self.connection(peer))
    }

    /// The address of the socket.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.local
    }

    /// Connections that have not ended, opened and accepted.
    pub fn connection_count(&self) -> usize {
        self.0.driver.hub.open_count()
    }

    /// Closes every connection, waits at most `timeout` until they are closed, ends those that are not, and frees the
    /// address. Returns whether all closed by themselves.
    pub fn shutdown(self, timeout: Duration) -> bool {
        let driver = &self.0.driver;
        let now = driver.hub.clock.now();
        for peer in driver.hub.peers() {
            let mut state = peer.lock();
            state.close(now);
            driver.hub.emit(&peer, state, now);
        }
        let clean =
            driver.wait_for(&Waiter::Arrival, now + timeout, || (driver.hub.open_count() == 0).then_some(()));
        self.0.driver.stop(driver.hub.clock.now());
        if let Some(thread) = lock(&self.0.thread).take() {
            let _ = thread.join();
        }
        clean.is_some()
    }

    fn connection(&self, peer: Arc<Peer>) -> Connection {
        Connection::new(Handle { peer, carrier: self.0.clone() })
    }
}

/// What every handle of one socket shares. The socket stops when the last is gone.
struct UdpCarrier {
    driver: Arc<Driver>,
    local: SocketAddr,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for UdpCarrier {
    fn drop(&mut self) {
        self.driver.stop(self.driver.hub.clock.now() + LINGER);
    }
}

impl Carrier for UdpCarrier {
    fn clock(&self) -> Clock {
        self.driver.hub.clock
    }

    fn emit<'a>(&self, peer: &'a Arc<Peer>, state: MutexGuard<'a, State>, now: Instant) {
        self.driver.hub.emit(peer, state, now);
    }

    fn abandon(&self, peer: &Arc<Peer>, now: Instant) {
        self.driver.hub.abandon(peer, now);
    }

    fn after_send<'a>(&self, peer: &'a Arc<Peer>, mut state: MutexGuard<'a, State>, now: Instant) {
        let hub = &self.driver.hub;
        let leave = state.burst.after_send(now);
        if leave == Leave::Later {
            if hub.leave_by(peer, state, now + burst::TIME) {
                self.driver.rouse();
            }
            return;
        }
        hub.emit(peer, state, now);
        if leave != Leave::Now {
            // Nobody else reads the socket while this thread sends without pause: acknowledgements open the window.
            self.driver.drive_once();
        }
    }

    fn after_take<'a>(&self, peer: &'a Arc<Peer>, state: MutexGuard<'a, State>, now: Instant) {
        let hub = &self.driver.hub;
        if state.burst.after_take() == Leave::Full {
            hub.emit(peer, state, now);
            // Whoever takes without pause reads the socket as well: what it takes next is then in its processor's cache, and
            // the stand-in does not take a processor of its own.
            self.driver.drive_once();
        } else {
            // Who takes one of many comes back for the next, and what is left over leaves before it waits.
            hub.leave_by(peer, state, now + burst::SETTLE_TIME);
        }
    }
}

impl BlockingCarrier for UdpCarrier {
    fn wait(&self, peer: &Arc<Peer>, limit: Instant, ready: &mut dyn FnMut() -> bool) -> bool {
        let waiter = Waiter::Peer(peer.clone());
        self.driver.wait_for(&waiter, limit, || ready().then_some(())).is_some()
    }
}

pub(crate) fn resolve(address: impl ToSocketAddrs) -> io::Result<SocketAddr> {
    address
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the name has no address"))
}

/// What to bind for talking to `remote` from whichever address the system takes.
pub(crate) fn any_towards(remote: SocketAddr) -> SocketAddr {
    match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// Binds a socket with large buffers.
pub(crate) fn bind_socket(local: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(local)?;
    let options = socket2::SockRef::from(&socket);
    // The system's limit may be lower, which costs speed only.
    let _ = options.set_recv_buffer_size(SOCKET_BUFFER_LEN);
    let _ = options.set_send_buffer_size(SOCKET_BUFFER_LEN);
    Ok(socket)
}

pub(crate) fn check_family(local: SocketAddr, remote: SocketAddr) -> io::Result<()> {
    if local.is_ipv4() == remote.is_ipv4() {
        return Ok(());
    }
    let text =
        format!("{remote} cannot be reached from a socket bound to {local}: bind the other IP version");
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}
