//! Where this crate meets the core: which link it drives, and how datagrams find it. Everything here is a name or one
//! call deep.

use std::io;
use std::net::{IpAddr, SocketAddr};

use ackline::congestion::PathModel;
use ackline::listener::{Incoming, Listener};
use ackline::storage::Heap;
use ackline::{Config, Instant};

use crate::clock::entropy;

/// The link of one peer on this kind of machine.
pub(crate) type Link = ackline::Link<Heap, PathModel>;

/// A link for `config`.
pub(crate) fn new_link(config: &Config) -> io::Result<Link> {
    Ok(Link::new(config, PathModel::new(), entropy()?))
}

/// Sorts incoming datagrams.
pub(crate) struct Sorter(Listener);

impl Sorter {
    pub(crate) fn new(config: &Config) -> io::Result<Self> {
        Ok(Sorter(Listener::new(config.link_id_len, [entropy()?, entropy()?])))
    }

    /// What `datagram` is.
    pub(crate) fn sort(
        &self,
        now: Instant,
        source: SocketAddr,
        datagram: &[u8],
        reply: &mut [u8],
    ) -> Incoming {
        let (bytes, len) = address_bytes(source);
        self.0.incoming(now, &bytes[..len], datagram, reply)
    }

    /// The answer to a hello for which nothing shall be kept.
    pub(crate) fn retry(
        &self,
        now: Instant,
        source: SocketAddr,
        datagram: &[u8],
        reply: &mut [u8],
    ) -> Option<usize> {
        let (bytes, len) = address_bytes(source);
        self.0.retry(now, &bytes[..len], datagram, reply)
    }

    /// The answer to a packet for a link that does not exist.
    pub(crate) fn reset(&mut self, now: Instant, datagram: &[u8], reply: &mut [u8]) -> Option<usize> {
        self.0.reset(now, datagram, reply)
    }

    /// The link with this peer has ended and is forgotten.
    pub(crate) fn forget(&mut self, peer_incarnation: u64) {
        self.0.on_ended(peer_incarnation);
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
