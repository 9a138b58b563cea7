//! UDP over embassy-net 0.9.

use core::future::poll_fn;
use core::task::{Context, Poll};

use ackline::Receipt;
use embassy_net::IpEndpoint;
use embassy_net::udp::{SendError, UdpSocket};
use embassy_sync::blocking_mutex::raw::{NoopRawMutex, RawMutex};

use crate::{Drive, Port};

/// Datagrams taken from the socket, and sent, before other tasks get their turn. Chosen: a socket buffer rarely holds more.
const BURST_MAX: usize = 16;

/// Carries one link over one UDP socket.
///
/// The peer's address is the one that the last accepted datagram came from, so the link survives a peer that
/// moves. Spoofed datagrams are not accepted and change nothing.
pub struct Runner<'a, L, M = NoopRawMutex> {
    port: Port<'a, L, M>,
    socket: UdpSocket<'a>,
    peer: Option<IpEndpoint>,
    received: &'a mut [u8],
    transmit: &'a mut [u8],
    /// Length of the datagram in `transmit` that the socket has not taken yet.
    waiting: Option<usize>,
}

impl<'a, L: Drive, M: RawMutex> Runner<'a, L, M> {
    /// Over `socket`, which is bound. Without a `peer`, it answers the first one that opens a link.
    pub fn new(mut port: Port<'a, L, M>, socket: UdpSocket<'a>, peer: Option<IpEndpoint>) -> Self {
        let (received, transmit) = port.take_buffers();
        Runner { port, socket, peer, received, transmit, waiting: None }
    }

    /// Carries datagrams until the link is closed. May be dropped and called again.
    ///
    /// # Errors
    ///
    /// [`SendError::SocketNotBound`]: bind the socket first. [`SendError::PacketTooLarge`]: give it a transmit buffer of
    /// the longest datagram's length or more. A missing route is a lost datagram, not an error.
    pub async fn run(&mut self) -> Result<(), SendError> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let is_quiet = (0..BURST_MAX).any(|_| self.poll_receive(cx).is_pending());
        for _ in 0..BURST_MAX {
            match self.poll_send(cx) {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if is_quiet => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // What does not fit is longer than the peer was told that we accept: not ours.
        if let Ok((len, from)) = core::task::ready!(self.socket.poll_recv_from(self.received, cx))
            && matches!(self.port.handle_datagram(&self.received[..len]), Receipt::Accepted)
        {
            self.peer = Some(from.endpoint);
        }
        Poll::Ready(())
    }

    /// Sends one datagram: `true`, or `false` when the link is closed.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, SendError>> {
        let len = match self.waiting {
            Some(len) => len,
            None => match core::task::ready!(self.port.poll_transmit(cx, self.transmit)) {
                Some(len) => len,
                None => return Poll::Ready(Ok(false)),
            },
        };
        let Some(peer) = self.peer else {
            // The application opened a link without an address; it goes nowhere.
            self.waiting = None;
            return Poll::Ready(Ok(true));
        };
        self.waiting = Some(len);
        let result = core::task::ready!(self.socket.poll_send_to(&self.transmit[..len], peer, cx));
        self.waiting = None;
        match result {
            Ok(()) | Err(SendError::NoRoute) => Poll::Ready(Ok(true)),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}
