//! Blocking on sockets: wait until one is ready, a time is reached, or a [`Waker`] is used.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::AsFd;

/// Ends a wait from another thread: a UDP socket connected to itself, which every system can poll beside other sockets.
#[derive(Debug)]
pub(crate) struct Waker(UdpSocket);

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(socket.local_addr()?)?;
        socket.set_nonblocking(true)?;
        Ok(Waker(socket))
    }

    /// Ends the current wait, or the next one.
    pub(crate) fn wake(&self) {
        // A full buffer means that many wake-ups are already waiting.
        let _ = self.0.send(&[1]);
    }

    /// Takes the wake-ups that have arrived. At most this many wait: the buffer of the socket is larger than needed,
    /// and what is left only makes the next wait shorter.
    pub(crate) fn clear(&self) {
        let mut byte = [0];
        for _ in 0..64 {
            if self.0.recv(&mut byte).is_err() {
                break;
            }
        }
    }
}

impl Waker {
    /// The socket, for polling.
    pub(crate) fn socket(&self) -> &UdpSocket {
        &self.0
    }
}

/// What to wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Interest {
    Readable,
    Writable,
}

/// Waits until `socket` is ready or `waker` was used, at most for `timeout`. Returns whether each is so. An interrupted
/// wait counts as one in which nothing happened.
pub(crate) fn wait(
    socket: &impl AsFd,
    interest: Interest,
    waker: Option<&Waker>,
    timeout: Option<Duration>,
) -> io::Result<(bool, bool)> {
    let flags = match interest {
        Interest::Readable => PollFlags::IN,
        Interest::Writable => PollFlags::OUT,
    };
    let main = PollFd::new(socket, flags);
    let ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
    match waker {
        Some(waker) => {
            let mut fds = [main, PollFd::new(&waker.0, PollFlags::IN)];
            poll(&mut fds, timeout)?;
            Ok((ready(&fds[0]), ready(&fds[1])))
        }
        None => {
            let mut fds = [main];
            poll(&mut fds, timeout)?;
            Ok((ready(&fds[0]), false))
        }
    }
}

/// Waits for any of `fds`, at most for `timeout`.
pub(crate) fn poll(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<usize> {
    let timeout =
        timeout.map(|d| Timespec { tv_sec: d.as_secs().min(3600) as _, tv_nsec: d.subsec_nanos() as _ });
    match rustix::event::poll(fds, timeout.as_ref()) {
        Ok(n) => Ok(n),
        Err(e) if e == rustix::io::Errno::INTR => Ok(0),
        Err(e) => Err(e.into()),
    }
}
