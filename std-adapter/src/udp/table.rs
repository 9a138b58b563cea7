//! Which peer a datagram belongs to.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use ackline::LinkId;

use crate::boundary::Link;
use crate::peer::Peer;

/// The links of one socket, by the ids that their peers put on packets, and by address for what carries no id.
///
/// **Invariant.** Every link in it is found by both its ids and by its address, and no two share one of these.
#[derive(Default)]
pub(super) struct Table {
    by_id: HashMap<LinkId, Arc<Peer>>,
    by_address: HashMap<SocketAddr, Arc<Peer>>,
}

/// Ids drawn again until they are free, at most. With the default of 3 bytes and 10,000 links, one is taken with a
/// chance of 1 in 800.
const DRAWS_MAX: usize = 64;

impl Table {
    /// Whether the ids of `link` are free.
    pub(super) fn has_room_for(&self, link: &Link) -> bool {
        let ids = link.local_link_ids();
        ids[0] != ids[1] && ids.iter().all(|id| !self.by_id.contains_key(id))
    }

    pub(super) fn insert(&mut self, ids: [LinkId; 2], address: SocketAddr, peer: &Arc<Peer>) {
        for id in ids {
            self.by_id.insert(id, peer.clone());
        }
        self.by_address.insert(address, peer.clone());
    }

    pub(super) fn by_id(&self, id: LinkId) -> Option<&Arc<Peer>> {
        self.by_id.get(&id)
    }

    pub(super) fn by_address(&self, address: SocketAddr) -> Option<&Arc<Peer>> {
        self.by_address.get(&address)
    }

    /// The link has replaced its ids `old`. Draws the newest again while another link has it.
    pub(super) fn replace_ids(&mut self, old: [LinkId; 2], link: &mut Link, peer: &Arc<Peer>) {
        for id in old {
            self.by_id.remove(&id);
        }
        for _ in 0..DRAWS_MAX {
            if self.has_room_for(link) {
                break;
            }
            link.redraw_next_link_id();
        }
        for id in link.local_link_ids() {
            self.by_id.insert(id, peer.clone());
        }
    }

    /// The peer's datagrams come from another address now. A link that was there before is not found by it any more.
    pub(super) fn move_to(&mut self, from: SocketAddr, to: SocketAddr, peer: &Arc<Peer>) {
        self.remove_address(from, peer);
        self.by_address.insert(to, peer.clone());
    }

    pub(super) fn remove(&mut self, ids: [LinkId; 2], address: SocketAddr, peer: &Arc<Peer>) {
        for id in ids {
            self.by_id.remove(&id);
        }
        self.remove_address(address, peer);
    }

    fn remove_address(&mut self, address: SocketAddr, peer: &Arc<Peer>) {
        if self.by_address.get(&address).is_some_and(|found| Arc::ptr_eq(found, peer)) {
            self.by_address.remove(&address);
        }
    }

    pub(super) fn peers(&self) -> Vec<Arc<Peer>> {
        let mut peers: Vec<_> = self.by_id.values().cloned().collect();
        peers.sort_by_key(Arc::as_ptr);
        peers.dedup_by(|a, b| Arc::ptr_eq(a, b));
        peers
    }
}
