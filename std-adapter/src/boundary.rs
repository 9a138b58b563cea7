//! Where this crate meets the core: which link it drives, and how datagrams find it. Everything here is a name or one
//! call deep.

use std::net::{IpAddr, SocketAddr};

use ackline::Instant;
use ackline::congestion::NewReno;
use ackline::listener::{Incoming, Listener};
use ackline::storage::Heap;
use ackline::{Config, LinkId};

/// The link of one peer on this kind of machine.
pub(crate) type Link = ackline::Link<Heap, NewReno>;

/// A link for `config`.
pub(crate) fn new_link(config: &Config, seed: u64) -> Link {
    Link::new(config, NewReno::new(), seed)
}

/// Whom a datagram is for.
pub(crate) enum Addressee {
    /// The link that chose this id.
    Link(LinkId),
    /// The link of the address it comes from, to be made if there is none.
    Opening,
    /// Nobody: send back this many bytes of the reply buffer.
    Reply(usize),
    /// Nobody.
    None,
}

/// Sorts incoming datagrams.
pub(crate) struct Sorter(Listener);

impl Sorter {
    pub(crate) fn new(config: &Config, seed: u64) -> Self {
        Sorter(Listener::new(config, seed))
    }

    pub(crate) fn sort(
        &mut self,
        now: Instant,
        source: SocketAddr,
        datagram: &[u8],
        reply: &mut [u8],
    ) -> Addressee {
        let (bytes, len) = address_bytes(source);
        match self.0.incoming(now, &bytes[..len], datagram, reply) {
            Incoming::Link(id) => Addressee::Link(id),
            Incoming::Accept { .. } => Addressee::Opening,
            Incoming::Reply(len) => Addressee::Reply(len),
            _ => Addressee::None,
        }
    }
}

/// Address and port as bytes: what a cookie is bound to.
fn address_bytes(address: SocketAddr) -> ([u8; 18], usize) {
    let mut bytes = [0; 18];
    bytes[..2].copy_from_slice(&address.port().to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => {
            bytes[2..6].copy_from_slice(&ip.octets());
            (bytes, 6)
        }
        IpAddr::V6(ip) => {
            bytes[2..].copy_from_slice(&ip.octets());
            (bytes, 18)
        }
    }
}
