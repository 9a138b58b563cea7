//! Connections over byte streams that tasks read and write: TCP and Unix sockets, serial ports, pipes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use ackline::framing::{DeframerIn, FrameEncoder, encoded_len_max};
use ackline::{Config, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

use super::Connection;
use crate::boundary::new_link;
use crate::carrier::{Carrier, Handle};
use crate::clock::Clock;
use crate::peer::{Peer, State};
use crate::stream::CHECK;

/// Bytes read at once.
const READ_LEN: usize = 4096;
/// How long the link may take to close after the last handle is gone.
const LINGER: Duration = Duration::from_secs(1);

/// Opens a connection over the two halves of a stream. Must be called within a runtime; returns at once: messages may
/// be sent before the peer has answered. Both ends may do this, in any order.
///
/// # Errors
///
/// The system has no entropy.
pub fn connect(
    reader: impl AsyncRead + Send + Unpin + 'static,
    writer: impl AsyncWrite + Send + Unpin + 'static,
    config: &Config,
) -> io::Result<Connection> {
    let clock = Clock::new();
    let mut link = new_link(config)?;
    link.connect(clock.now());
    let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    let line = Arc::new(Line {
        peer: Arc::new(Peer::new(link, nowhere)),
        clock,
        work: Notify::new(),
        dropped: Notify::new(),
    });
    let datagram_max = usize::from(config.datagram_max);
    tokio::spawn(run(line.clone(), reader, writer, datagram_max));
    let peer = line.peer.clone();
    Ok(Connection::new(Handle { peer, carrier: Arc::new(LineCarrier(line)) }))
}

/// Opens the serial port `path` at `baud` bit/s, 8N1, and a connection over it.
///
/// # Errors
///
/// There is no such port, it is in use, or it does not do that rate.
#[cfg(feature = "tokio-serial")]
pub fn open_port(path: &str, baud: u32) -> io::Result<Connection> {
    let port = tokio_serial::SerialStream::open(&tokio_serial::new(path, baud))?;
    let (reader, writer) = tokio::io::split(port);
    connect(reader, writer, &Config::serial(baud))
}

struct Line {
    peer: Arc<Peer>,
    clock: Clock,
    /// The link may have something to emit, or another deadline.
    work: Notify,
    /// Every handle is gone.
    dropped: Notify,
}

async fn run(
    line: Arc<Line>,
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin,
    datagram_max: usize,
) {
    let linger = async {
        line.dropped.notified().await;
        tokio::time::sleep(LINGER).await;
    };
    tokio::select! {
        () = read(&line, reader, datagram_max) => {}
        () = write(&line, writer, datagram_max) => {}
        () = linger => {}
    }
    let mut state = line.peer.lock();
    state.link.abort(line.clock.now());
    state.drain_events();
    drop(state);
    line.peer.notify();
}

/// Takes in what arrives until the stream ends.
async fn read(line: &Line, mut reader: impl AsyncRead + Unpin, datagram_max: usize) {
    let mut deframer = DeframerIn::over(vec![0; datagram_max], CHECK);
    let mut buffer = vec![0; READ_LEN];
    while let Ok(len @ 1..) = reader.read(&mut buffer).await {
        let mut bytes = &buffer[..len];
        let now = line.clock.now();
        let mut state = line.peer.lock();
        while !bytes.is_empty() {
            let (consumed, datagram) = deframer.push(bytes);
            bytes = &bytes[consumed..];
            if let Some(datagram) = datagram {
                state.link.handle_datagram(now, datagram);
            }
        }
        state.drain_events();
        drop(state);
        line.work.notify_one();
        line.peer.notify();
    }
}

/// Writes what the link emits until it is closed or the stream ends.
async fn write(line: &Line, mut writer: impl AsyncWrite + Unpin, datagram_max: usize) {
    let mut datagram = vec![0; datagram_max];
    let mut frame = vec![0; encoded_len_max(datagram_max) + 1];
    let mut was_silent = true;
    loop {
        let (len, deadline, is_closed) = next_datagram(line, &mut datagram);
        let Some(len) = len else {
            if is_closed {
                return;
            }
            was_silent = true;
            let nap = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep(line.clock.until(deadline)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = line.work.notified() => {}
                () = nap => {}
            }
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
        let written = writer.write_all(&frame[..frame_len]).await;
        if written.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
}

fn next_datagram(line: &Line, datagram: &mut [u8]) -> (Option<usize>, Option<Instant>, bool) {
    let now = line.clock.now();
    let mut state = line.peer.lock();
    if state.link.poll_timeout().is_some_and(|deadline| deadline <= now) {
        state.link.handle_timeout(now);
    }
    let len = state.link.poll_transmit(now, datagram);
    let has_events = state.drain_events();
    let answer = (len, state.link.poll_timeout(), state.link.is_closed());
    drop(state);
    if has_events || answer.2 {
        line.peer.notify();
    }
    answer
}

/// The users' side. Dropped with the last handle.
struct LineCarrier(Arc<Line>);

impl Drop for LineCarrier {
    fn drop(&mut self) {
        self.0.dropped.notify_one();
    }
}

impl Carrier for LineCarrier {
    fn clock(&self) -> Clock {
        self.0.clock
    }

    fn emit<'a>(&self, _: &'a Arc<Peer>, state: MutexGuard<'a, State>, _: Instant) {
        drop(state);
        self.0.work.notify_one();
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
