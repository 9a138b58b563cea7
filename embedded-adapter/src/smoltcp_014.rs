//! UDP over smoltcp 0.14, without an executor.

use ackline::{Instant, Receipt};
use smoltcp::socket::udp;
use smoltcp::wire::IpEndpoint;

use crate::Drive;

/// A link over one UDP socket. `N` is the length of its buffer: that of the link's longest datagram or more.
///
/// The peer's address is the one that the last accepted datagram came from, so the link survives a peer that
/// moves. Spoofed datagrams are not accepted and change nothing.
pub struct Driver<L: Drive, const N: usize> {
    link: L,
    peer: Option<IpEndpoint>,
    transmit: [u8; N],
}

impl<L: Drive, const N: usize> Driver<L, N> {
    /// `link` to `peer`. Without one, it answers the first that opens a link.
    pub const fn new(link: L, peer: Option<IpEndpoint>) -> Self {
        Driver { link, peer, transmit: [0; N] }
    }

    /// Sends to `peer` from now on, until an accepted datagram comes from elsewhere.
    pub fn set_peer(&mut self, peer: IpEndpoint) {
        self.peer = Some(peer);
    }

    /// The link, to send, receive, and poll events. Call [`step`](Self::step) afterwards.
    pub fn link(&mut self) -> &mut L {
        &mut self.link
    }

    /// Takes what `socket` has received, and queues on it what is due. Returns when to call again at the latest; `None` if
    /// only a datagram or the program's own calls can give it work.
    ///
    /// Call it after `Interface::poll`, and that once more after it: neither sends anything by itself.
    pub fn step(&mut self, now: Instant, socket: &mut udp::Socket<'_>) -> Option<Instant> {
        // At most what the socket's buffer holds: nothing arrives meanwhile.
        while let Ok((datagram, from)) = socket.recv() {
            if matches!(self.link.handle_datagram(now, datagram), Receipt::Accepted) {
                self.peer = Some(from.endpoint);
            }
        }
        if self.link.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.link.handle_timeout(now);
        }
        while socket.can_send() {
            let Some(len) = self.link.poll_transmit(now, &mut self.transmit) else {
                return self.link.poll_timeout();
            };
            if let Some(peer) = self.peer {
                // Should the socket's buffer be too short for this one, it is lost like any other datagram.
                let _ = socket.send_slice(&self.transmit[..len], peer);
            }
        }
        // The socket is full: it has room again after the next `Interface::poll`.
        Some(now)
    }
}
