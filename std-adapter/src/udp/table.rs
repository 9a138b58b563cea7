//! Which peer a datagram belongs to.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use ackline::LinkId;

use crate::peer::Peer;

/// The links of one socket, by the id their peers address them with, and by address for those that have not learnt it.
#[derive(Default)]
pub(super) struct Table {
    by_id: HashMap<LinkId, Arc<Peer>>,
    by_address: HashMap<SocketAddr, LinkId>,
}

impl Table {
    pub(super) fn contains(&self, id: LinkId) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(super) fn insert(&mut self, id: LinkId, address: SocketAddr, peer: Arc<Peer>) {
        self.by_id.insert(id, peer);
        self.by_address.insert(address, id);
    }

    pub(super) fn by_id(&self, id: LinkId) -> Option<&Arc<Peer>> {
        self.by_id.get(&id)
    }

    pub(super) fn by_address(&self, address: SocketAddr) -> Option<&Arc<Peer>> {
        self.by_id.get(self.by_address.get(&address)?)
    }

    /// The peer's datagrams come from another address now.
    pub(super) fn move_to(&mut self, id: LinkId, from: SocketAddr, to: SocketAddr) {
        if self.by_address.get(&from) == Some(&id) {
            self.by_address.remove(&from);
        }
        self.by_address.insert(to, id);
    }

    pub(super) fn remove(&mut self, id: LinkId, address: SocketAddr) {
        self.by_id.remove(&id);
        if self.by_address.get(&address) == Some(&id) {
            self.by_address.remove(&address);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn peers(&self) -> Vec<Arc<Peer>> {
        self.by_id.values().cloned().collect()
    }
}
