use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use ackline::{Config, Instant};
use tokio::net::UdpSocket;
use tokio::sync::Notify;

use super::Connection;
use crate::burst::{self, Leave};
use crate::carrier::{Carrier, Handle};
use crate::clock::Clock;
use crate::peer::{Peer, State};
use crate::udp::hub::{Hub, Receiver, Wake};
use crate::udp::{any_towards, bind_socket, check_family, resolve};

/// How long links may take to close after the last handle is gone.
const LINGER: Duration = Duration::from_secs(1);
/// Receiving system calls in a row before other tasks get their turn.
const TURNS_MAX: usize = 8;

/// A UDP socket that carries connections, for tasks.
#[derive(Clone)]
pub struct Endpoint(Arc<TaskCarrier>);

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("local_addr", &self.local_addr()).finish_non_exhaustive()
    }
}

/// Opens a connection with the peer at `remote` from a socket of its own. Must be called within a runtime. Returns at
/// once: messages may be sent before the peer has answered.
///
/// # Errors
///
/// `remote` is no address, or the system has no socket to give.
pub fn connect(remote: impl ToSocketAddrs, config: &Config) -> io::Result<Connection> {
    let remote = resolve(remote)?;
    Endpoint::start(any_towards(remote), config, false)?.connect(remote)
}

impl Endpoint {
    /// Binds `local` and accepts connections there. Must be called within a runtime, on which a task then drives the
    /// socket. Names are resolved by the system, which may block: pass an address.
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
        let (hub, receiver) = Hub::new(socket, config.clone(), accepts, Wake::Task(Notify::new()))?;
        let hub = Arc::new(hub);
        let readiness = UdpSocket::from_std(hub.socket.try_clone()?)?;
        let stop_at = Arc::new(AtomicU64::new(u64::MAX));
        tokio::spawn(drive(hub.clone(), readiness, receiver, stop_at.clone()));
        Ok(Endpoint(Arc::new(TaskCarrier { hub, local, stop_at })))
    }

    /// Opens a connection with the peer at `remote`. Returns at once: messages may be sent before the peer has answered.
    ///
    /// # Errors
    ///
    /// `remote` is no address, or of another family (IPv4, IPv6) than the socket.
    pub fn connect(&self, remote: impl ToSocketAddrs) -> io::Result<Connection> {
        let remote = resolve(remote)?;
        check_family(self.local_addr(), remote)?;
        let hub = &self.0.hub;
        let peer = hub.open_peer(remote)?;
        Ok(self.connection(peer))
    }

    /// The next peer that opened a connection.
    pub async fn accept(&self) -> Connection {
        let hub = &self.0.hub;
        loop {
            if let Some(peer) = hub.take_arrival() {
                return self.connection(peer);
            }
            let listener = hub.arrivals.listen();
            // What came before the listener was set up is seen here, what comes later is heard.
            if let Some(peer) = hub.take_arrival() {
                return self.connection(peer);
            }
            listener.await;
        }
    }

    /// The address of the socket.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.local
    }

    /// Connections that have not ended, opened and accepted.
    pub fn connection_count(&self) -> usize {
        self.0.hub.open_count()
    }

    fn connection(&self, peer: Arc<Peer>) -> Connection {
        Connection::new(Handle { peer, carrier: self.0.clone() })
    }
}

/// Reads the socket and runs the timers until the last handle is gone and its links are closed.
async fn drive(hub: Arc<Hub>, readiness: UdpSocket, mut receiver: Box<Receiver>, stop_at: Arc<AtomicU64>) {
    let Wake::Task(woken) = &hub.wake else { return };
    loop {
        hub.emit_listed();
        hub.run_timers();
        let limit = Instant::from_micros(stop_at.load(Ordering::Acquire));
        if limit != Instant::MAX && (hub.clock.now() >= limit || hub.open_count() == 0) {
            break;
        }
        let until = hub.sleep_until(limit);
        let nap = async {
            if until == Instant::MAX {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(hub.clock.until(until)).await;
        };
        let readable = tokio::select! {
            _ = readiness.readable() => true,
            () = woken.notified() => false,
            () = nap => false,
        };
        hub.awake();
        if readable {
            for _ in 0..TURNS_MAX {
                let received = readiness.try_io(tokio::io::Interest::READABLE, || {
                    match hub.receive(&mut receiver, None) {
                        0 => Err(io::ErrorKind::WouldBlock.into()),
                        count => Ok(count),
                    }
                });
                if received.is_err() {
                    break;
                }
            }
        }
    }
    hub.abort_all();
}

/// What every handle of one socket shares. The task ends when the last is gone.
struct TaskCarrier {
    hub: Arc<Hub>,
    local: SocketAddr,
    /// In microseconds of the hub's clock; `u64::MAX` while handles exist.
    stop_at: Arc<AtomicU64>,
}

impl Drop for TaskCarrier {
    fn drop(&mut self) {
        let stop_at = self.hub.clock.now() + LINGER;
        self.stop_at.store(stop_at.as_micros(), Ordering::Release);
        self.hub.wake_driver();
    }
}

impl Carrier for TaskCarrier {
    fn clock(&self) -> Clock {
        self.hub.clock
    }

    fn emit<'a>(&self, peer: &'a Arc<Peer>, state: MutexGuard<'a, State>, now: Instant) {
        self.hub.emit(peer, state, now);
    }

    fn before_wait(&self, peer: &Arc<Peer>) {
        self.hub.leave_now(peer);
    }

    fn abandon(&self, peer: &Arc<Peer>, now: Instant) {
        self.hub.abandon(peer, now);
    }

    fn after_send<'a>(&self, peer: &'a Arc<Peer>, mut state: MutexGuard<'a, State>, now: Instant) {
        if state.burst.after_send(now) == Leave::Later {
            let is_listed = state.is_listed;
            self.hub.list(peer, state);
            if !is_listed {
                self.hub.wake_driver();
            }
        } else {
            self.hub.emit(peer, state, now);
        }
    }

    fn after_take<'a>(&self, peer: &'a Arc<Peer>, state: MutexGuard<'a, State>, now: Instant) {
        if state.burst.after_take() == Leave::Full {
            self.hub.emit(peer, state, now);
        } else {
            self.hub.leave_by(peer, state, now + burst::SETTLE_TIME);
        }
    }
}
