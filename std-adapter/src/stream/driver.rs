use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ackline::Config;
use ackline::Instant;
use ackline::framing::{DeframerIn, FrameEncoder, encoded_len_max};

use super::{ByteStream, CHECK, is_temporary};
use crate::boundary::new_link;
use crate::carrier::{BlockingCarrier, Carrier, Handle};
use crate::clock::Clock;
use crate::connection::Connection;
use crate::peer::{Peer, State};

/// Bytes read at once.
const READ_LEN: usize = 4096;
/// How long the link may take to close after the last handle is gone.
const LINGER: Duration = Duration::from_secs(1);

/// Opens a connection over `stream`. Returns at once: messages may be sent before the peer has answered.
///
/// Two threads serve it, one reading, one writing. They end when the last handle of the connection is dropped, the
/// reading one as soon as its read returns.
///
/// # Errors
///
/// The system refuses a thread.
pub fn connect(stream: ByteStream, config: &Config) -> io::Result<Connection> {
    start(stream, config, true)
}

/// The same, leaving it to the peer to open the connection: nothing is written before something was read.
///
/// # Errors
///
/// The system refuses a thread.
pub fn accept(stream: ByteStream, config: &Config) -> io::Result<Connection> {
    start(stream, config, false)
}

fn start(stream: ByteStream, config: &Config, active: bool) -> io::Result<Connection> {
    let clock = Clock::new();
    let mut link = new_link(config)?;
    if active {
        link.connect(clock.now());
    }
    let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    let line = Arc::new(Line {
        peer: Arc::new(Peer::new(link, nowhere)),
        clock,
        desk: Mutex::new(Desk { has_work: true, stop_at: None, has_ended: false }),
        work: Condvar::new(),
        shutdown: stream.shutdown,
    });
    let datagram_max = usize::from(config.datagram_max);
    let (reading, writing) = (line.clone(), line.clone());
    let (reader, writer) = (stream.reader, stream.writer);
    std::thread::Builder::new()
        .name("ackline-read".into())
        .spawn(move || reading.read(reader, datagram_max))?;
    std::thread::Builder::new()
        .name("ackline-write".into())
        .spawn(move || writing.write(writer, datagram_max))?;
    let peer = line.peer.clone();
    Ok(Connection::new(Handle { peer, carrier: Arc::new(LineCarrier(line)) }))
}

/// The stream, for its two threads and its users.
struct Line {
    peer: Arc<Peer>,
    clock: Clock,
    desk: Mutex<Desk>,
    /// Tells the writing thread that the desk has changed.
    work: Condvar,
    shutdown: Option<Box<dyn Fn() + Send + Sync>>,
}

/// What lies before the writing thread.
struct Desk {
    /// The link may have something to emit, or another deadline.
    has_work: bool,
    /// Every handle is gone: until when the link may take to close.
    stop_at: Option<Instant>,
    /// The stream, or the connection, has ended.
    has_ended: bool,
}

impl Line {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce_work(&self) {
        let mut desk = self.desk();
        if !desk.has_work {
            desk.has_work = true;
            self.work.notify_one();
        }
    }

    fn read(&self, mut reader: Box<dyn Read + Send>, datagram_max: usize) {
        let mut deframer = DeframerIn::over(vec![0; datagram_max], CHECK);
        let mut bytes = vec![0; READ_LEN];
        while !self.desk().has_ended {
            match reader.read(&mut bytes) {
                Ok(0) => break,
                Ok(len) => self.take_in(&mut deframer, &bytes[..len]),
                Err(e) if is_temporary(&e) => {}
                Err(_) => break,
            }
        }
        self.end();
    }

    fn take_in(&self, deframer: &mut DeframerIn<Vec<u8>>, mut bytes: &[u8]) {
        let now = self.clock.now();
        let mut any = false;
        let mut state = self.peer.lock();
        while !bytes.is_empty() {
            let (consumed, datagram) = deframer.push(bytes);
            bytes = &bytes[consumed..];
            if let Some(datagram) = datagram {
                state.link.handle_datagram(now, datagram);
                any = true;
            }
        }
        if any {
            state.drain_events();
            drop(state);
            self.announce_work();
            self.peer.notify();
        }
    }

    /// The stream is gone, and the connection with it.
    fn end(&self) {
        let mut state = self.peer.lock();
        state.link.abort(self.clock.now());
        state.drain_events();
        drop(state);
        self.desk().has_ended = true;
        self.work.notify_one();
        self.peer.notify();
    }

    fn write(&self, mut writer: Box<dyn Write + Send>, datagram_max: usize) {
        let mut datagram = vec![0; datagram_max];
        let mut frame = vec![0; encoded_len_max(datagram_max) + 1];
        let mut was_silent = true;
        loop {
            let now = self.clock.now();
            let mut state = self.peer.lock();
            if state.link.poll_timeout().is_some_and(|deadline| deadline <= now) {
                state.link.handle_timeout(now);
            }
            let len = state.link.poll_transmit(now, &mut datagram);
            let has_events = state.drain_events();
            let deadline = state.link.poll_timeout();
            let is_closed = state.link.is_closed();
            drop(state);
            if has_events || is_closed {
                self.peer.notify();
            }
            let Some(len) = len else {
                if is_closed || !self.wait_for_work(deadline) {
                    break;
                }
                was_silent = true;
                continue;
            };
            let datagram = &datagram[..len];
            let mut encoder = if was_silent {
                FrameEncoder::after_silence(CHECK, datagram)
            } else {
                FrameEncoder::new(CHECK, datagram)
            };
            was_silent = false;
            let frame_len = encoder.fill(datagram, &mut frame);
            if write_all(&mut writer, &frame[..frame_len]).is_err() {
                break;
            }
        }
        self.end();
        if let Some(shutdown) = &self.shutdown {
            shutdown();
        }
    }

    /// Sleeps until there is work or `deadline`. Answers `false` when it is time to stop.
    fn wait_for_work(&self, deadline: Option<Instant>) -> bool {
        let mut desk = self.desk();
        loop {
            let now = self.clock.now();
            if desk.has_ended || desk.stop_at.is_some_and(|at| at <= now) {
                return false;
            }
            if std::mem::take(&mut desk.has_work) || deadline.is_some_and(|at| at <= now) {
                return true;
            }
            let until = [deadline, desk.stop_at].into_iter().flatten().min();
            desk = match until {
                Some(until) => {
                    let wait = self.work.wait_timeout(desk, self.clock.until(until));
                    wait.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.work.wait(desk).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// `Write::write_all` for ports whose writes time out when the line is slow.
fn write_all(writer: &mut dyn Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match writer.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => bytes = &bytes[len..],
            Err(e) if is_temporary(&e) => std::thread::yield_now(),
            Err(e) => return Err(e),
        }
    }
    writer.flush()
}

/// The users' side. Dropped with the last handle.
struct LineCarrier(Arc<Line>);

impl Drop for LineCarrier {
    fn drop(&mut self) {
        self.0.desk().stop_at = Some(self.0.clock.now() + LINGER);
        self.0.work.notify_one();
    }
}

impl Carrier for LineCarrier {
    fn clock(&self) -> Clock {
        self.0.clock
    }

    fn emit<'a>(&self, _: &'a Arc<Peer>, state: MutexGuard<'a, State>, _: Instant) {
        drop(state);
        self.0.announce_work();
    }

    fn abandon(&self, peer: &Arc<Peer>, now: Instant) {
        let mut state = peer.lock();
        state.link.close(now);
        self.emit(peer, state, now);
    }

    fn after_send<'a>(&self, peer: &'a Arc<Peer>, state: MutexGuard<'a, State>, now: Instant) {
        self.emit(peer, state, now);
    }

    fn after_take<'a>(&self, peer: &'a Arc<Peer>, state: MutexGuard<'a, State>, now: Instant) {
        self.emit(peer, state, now);
    }
}

impl BlockingCarrier for LineCarrier {
    fn wait(&self, peer: &Arc<Peer>, limit: Instant, ready: &mut dyn FnMut() -> bool) -> bool {
        loop {
            if ready() {
                return true;
            }
            let listener = peer.changed.listen();
            // What came before the listener was set up is seen here, what comes later is heard.
            if ready() {
                return true;
            }
            if limit == Instant::MAX {
                event_listener::Listener::wait(listener);
            } else if self.0.clock.now() >= limit {
                return false;
            } else {
                let _ = event_listener::Listener::wait_timeout(listener, self.0.clock.until(limit));
            }
        }
    }
}
