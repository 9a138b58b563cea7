//! UDP over smoltcp 0.14, without an executor.

use ackline::{Instant, Receipt};
use smoltcp::socket::udp;
use smoltcp::wire::{IpAddress, IpEndpoint};

use crate::Drive;

/// A link over one UDP socket. `N` is the length of its buffer: that of the link's longest datagram or more. It is all zeros
/// before the link is started, so that as a `static` it takes no flash.
///
/// The peer's address is the one that the last accepted datagram came from, so the link survives a peer that
/// moves. Spoofed datagrams are not accepted and change nothing.
pub struct Driver<L, const N: usize> {
    link: L,
    /// Port 0: nobody yet. (An `Option` would not be all zeros.)
    peer: IpEndpoint,
    transmit: [u8; N],
}

impl<L: Drive, const N: usize> Driver<L, N> {
    /// A driver of a link that is not started. It answers the first that opens a link, unless it is told its [peer](Self::set_peer).
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        let nobody = IpEndpoint::new(IpAddress::v4(0, 0, 0, 0), 0);
        Driver { link: L::UNSTARTED, peer: nobody, transmit: [0; N] }
    }

    /// Sends to `peer` from now on, until an accepted datagram comes from elsewhere.
    pub fn set_peer(&mut self, peer: IpEndpoint) {
        self.peer = peer;
    }

    /// The link, to be started. Afterwards, [`step`](Self::step) lends it to the application.
    pub fn link(&mut self) -> &mut L {
        &mut self.link
    }

    /// Takes what `socket` has received, lets the `application` receive, send, and poll events, and queues on the socket what
    /// is due. Returns when to call again at the latest; `None` if only a datagram or the application can give it work.
    ///
    /// Call it after `Interface::poll`, and that once more after it: neither sends anything by itself.
    pub fn step(
        &mut self,
        now: Instant,
        socket: &mut udp::Socket<'_>,
        application: impl FnOnce(&mut L),
    ) -> Option<Instant> {
        // At most what the socket's buffer holds: nothing arrives meanwhile.
        while let Ok((datagram, from)) = socket.recv() {
            if matches!(self.link.handle_datagram(now, datagram), Receipt::Accepted) {
                self.peer = from.endpoint;
            }
        }
        if self.link.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.link.handle_timeout(now);
        }
        application(&mut self.link);
        while socket.can_send() {
            let Some(len) = self.link.poll_transmit(now, &mut self.transmit) else {
                return self.link.poll_timeout();
            };
            // Without a peer this is refused. Should the socket's buffer be too short for the datagram, it is lost like any other.
            let Ok(room) = socket.send(len, self.peer) else { continue };
            // Not `copy_from_slice`: that can panic, and small programs keep the panic.
            room.iter_mut().zip(&self.transmit).for_each(|(to, from)| *to = *from);
        }
        // The socket is full: it has room again after the next `Interface::poll`.
        Some(now)
    }
}
