//! One link over a byte stream, between whoever reads and whoever writes: knows nothing about them, threads or tasks.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use ackline::framing::{DeframerIn, FrameEncoder, encoded_len_max};
use ackline::{Config, Instant};

use super::CHECK;
use crate::boundary::new_link;
use crate::carrier::Carrier;
use crate::clock::Clock;
use crate::peer::{Peer, State};

/// Bytes read at once.
pub(crate) const READ_LEN: usize = 4096;
/// How long the link may take to close after the last handle is gone.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// The link and its clock.
pub(crate) struct Line {
    pub(crate) peer: Arc<Peer>,
    pub(crate) clock: Clock,
    datagram_max: usize,
}

/// Finds the datagrams in what was read.
pub(crate) struct Incoming(DeframerIn<Vec<u8>>);

/// Takes the link's datagrams out, as frames.
pub(crate) struct Outgoing {
    datagram: Vec<u8>,
    frame: Vec<u8>,
    was_silent: bool,
}

/// What the writer has to do.
pub(crate) enum Next<'a> {
    /// To write this.
    Frame(&'a [u8]),
    /// To sleep until there is work, or until then.
    Sleep(Option<Instant>),
    /// The link is closed.
    End,
}

impl Line {
    /// `is_active`: opens the connection from this side.
    pub(crate) fn new(config: &Config, is_active: bool) -> io::Result<Self> {
        let clock = Clock::new();
        let mut link = new_link(config)?;
        if is_active {
            link.connect(clock.now());
        }
        let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let datagram_max = usize::from(config.datagram_max);
        Ok(Line { peer: Arc::new(Peer::new(link, nowhere)), clock, datagram_max })
    }

    /// The stream is gone, and the connection with it.
    pub(crate) fn end(&self) {
        let mut state = self.peer.lock();
        state.link.abort(self.clock.now());
        state.drain_events();
        drop(state);
        self.peer.notify();
    }
}

impl Incoming {
    pub(crate) fn new(line: &Line) -> Self {
        Incoming(DeframerIn::over(vec![0; line.datagram_max], CHECK))
    }

    /// Takes in what was read. Returns whether a datagram was complete: then the writer may have work.
    pub(crate) fn take_in(&mut self, line: &Line, mut bytes: &[u8]) -> bool {
        let now = line.clock.now();
        let mut any = false;
        let mut state = line.peer.lock();
        while !bytes.is_empty() {
            let (consumed, datagram) = self.0.push(bytes);
            bytes = &bytes[consumed..];
            if let Some(datagram) = datagram {
                state.link.handle_datagram(now, datagram);
                any = true;
            }
        }
        if any {
            state.drain_events();
            drop(state);
            line.peer.notify();
        }
        any
    }
}

impl Outgoing {
    pub(crate) fn new(line: &Line) -> Self {
        Outgoing {
            datagram: vec![0; line.datagram_max],
            frame: vec![0; encoded_len_max(line.datagram_max) + 1],
            was_silent: true,
        }
    }

    pub(crate) fn next(&mut self, line: &Line) -> Next<'_> {
        let now = line.clock.now();
        let mut state = line.peer.lock();
        if state.link.poll_timeout().is_some_and(|deadline| deadline <= now) {
            state.link.handle_timeout(now);
        }
        let len = state.link.poll_transmit(now, &mut self.datagram);
        let has_events = state.drain_events();
        let (deadline, is_closed) = (state.link.poll_timeout(), state.link.is_closed());
        drop(state);
        if has_events || is_closed {
            line.peer.notify();
        }
        let was_silent = std::mem::replace(&mut self.was_silent, len.is_none());
        let Some(len) = len else {
            return if is_closed { Next::End } else { Next::Sleep(deadline) };
        };
        let datagram = &self.datagram[..len];
        let mut encoder = if was_silent {
            FrameEncoder::after_silence(CHECK, datagram)
        } else {
            FrameEncoder::new(CHECK, datagram)
        };
        let frame_len = encoder.fill(datagram, &mut self.frame);
        Next::Frame(&self.frame[..frame_len])
    }
}

/// Who serves a line.
pub(crate) trait Service: Send + Sync {
    fn line(&self) -> &Line;
    /// The link may have something to emit, or another deadline.
    fn announce_work(&self);
    /// Every handle is gone.
    fn on_dropped(&self);
}

/// The users' side. Dropped with the last handle.
pub(crate) struct LineCarrier<S: Service>(pub(crate) Arc<S>);

impl<S: Service> Drop for LineCarrier<S> {
    fn drop(&mut self) {
        self.0.on_dropped();
    }
}

impl<S: Service> Carrier for LineCarrier<S> {
    fn clock(&self) -> Clock {
        self.0.line().clock
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
