//! The two threads that serve a stream.

use std::io::{self, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use ackline::{Config, Instant};

use super::line::{Incoming, LINGER, Line, LineCarrier, Next, Outgoing, READ_LEN, Service};
use super::{ByteStream, is_temporary};
use crate::carrier::{BlockingCarrier, Handle};
use crate::connection::Connection;
use crate::peer::Peer;

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
    let threads = Arc::new(Threads {
        line: Line::new(config, active)?,
        desk: Mutex::new(Desk { has_work: true, stop_at: None, has_ended: false }),
        work: Condvar::new(),
        shutdown: stream.shutdown,
    });
    let (reading, writing) = (threads.clone(), threads.clone());
    let (reader, writer) = (stream.reader, stream.writer);
    std::thread::Builder::new().name("ackline-read".into()).spawn(move || reading.read(reader))?;
    std::thread::Builder::new().name("ackline-write".into()).spawn(move || writing.write(writer))?;
    let peer = threads.line.peer.clone();
    Ok(Connection::new(Handle { peer, carrier: Arc::new(LineCarrier(threads)) }))
}

/// The stream, for its two threads and its users.
struct Threads {
    line: Line,
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

impl Threads {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, mut reader: Box<dyn Read + Send>) {
        let mut incoming = Incoming::new(&self.line);
        let mut bytes = vec![0; READ_LEN];
        while !self.desk().has_ended {
            match reader.read(&mut bytes) {
                Ok(0) => break,
                Ok(len) => {
                    if incoming.take_in(&self.line, &bytes[..len]) {
                        self.announce_work();
                    }
                }
                Err(e) if is_temporary(&e) => {}
                Err(_) => break,
            }
        }
        self.end();
    }

    fn write(&self, mut writer: Box<dyn Write + Send>) {
        let mut outgoing = Outgoing::new(&self.line);
        loop {
            match outgoing.next(&self.line) {
                Next::Frame(frame) => {
                    if write_all(&mut writer, frame).is_err() {
                        break;
                    }
                }
                Next::Sleep(deadline) => {
                    if !self.wait_for_work(deadline) {
                        break;
                    }
                }
                Next::End => break,
            }
        }
        self.end();
        if let Some(shutdown) = &self.shutdown {
            shutdown();
        }
    }

    fn end(&self) {
        self.line.end();
        self.desk().has_ended = true;
        self.work.notify_one();
    }

    /// Sleeps until there is work or `deadline`. Answers `false` when it is time to stop.
    fn wait_for_work(&self, deadline: Option<Instant>) -> bool {
        let mut desk = self.desk();
        loop {
            let now = self.line.clock.now();
            if desk.has_ended || desk.stop_at.is_some_and(|at| at <= now) {
                return false;
            }
            if std::mem::take(&mut desk.has_work) || deadline.is_some_and(|at| at <= now) {
                return true;
            }
            let until = [deadline, desk.stop_at].into_iter().flatten().min();
            desk = match until {
                Some(until) => {
                    let wait = self.work.wait_timeout(desk, self.line.clock.until(until));
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

impl Service for Threads {
    fn line(&self) -> &Line {
        &self.line
    }

    fn announce_work(&self) {
        let mut desk = self.desk();
        if !desk.has_work {
            desk.has_work = true;
            self.work.notify_one();
        }
    }

    fn on_dropped(&self) {
        self.desk().stop_at = Some(self.line.clock.now() + LINGER);
        self.work.notify_one();
    }
}

impl BlockingCarrier for LineCarrier<Threads> {
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
            } else if self.0.line.clock.now() >= limit {
                return false;
            } else {
                let _ = event_listener::Listener::wait_timeout(listener, self.0.line.clock.until(limit));
            }
        }
    }
}
