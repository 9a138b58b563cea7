//! A link behind a listener that keeps nothing for whoever has not shown that it receives: protocol.md, section 9.

use std::collections::VecDeque;

use ackline::congestion::Controller;
use ackline::listener::{Incoming, Listener};
use ackline::storage::Storage;
use ackline::{DeliveryId, Instant, Link, MessageId};

use crate::endpoint::{Endpoint, Micros, Notice, Refusal, Taken};

/// Whom the listener takes for the sender of everything: there is one path.
const SOURCE: &[u8] = b"peer";

/// A link that waits, and the listener that decides what reaches it. While there is no peer, every hello is answered with a
/// retry, until it brings the cookie.
pub struct Gate<S: Storage, C: Controller> {
    listener: Listener,
    link: Link<S, C>,
    replies: VecDeque<Vec<u8>>,
}

impl<S: Storage, C: Controller> Gate<S, C> {
    /// `link` behind a listener with a key made of `seed`.
    pub fn new(link: Link<S, C>, seed: u64) -> Self {
        let id_len = link.local_link_id().as_bytes().len() as u8;
        Gate { listener: Listener::new(id_len, [seed, !seed]), link, replies: VecDeque::new() }
    }

    fn reply(&mut self, reply: &[u8], len: Option<usize>) -> bool {
        self.replies.extend(len.map(|len| reply[..len].to_vec()));
        false
    }
}

impl<S: Storage, C: Controller> Endpoint for Gate<S, C> {
    type MessageId = MessageId;
    type DeliveryId = DeliveryId;

    fn handle_datagram(&mut self, now: Micros, datagram: &[u8]) -> bool {
        let at = Instant::from_micros(now);
        let mut reply = [0; 64];
        match self.listener.incoming(at, SOURCE, datagram, &mut reply) {
            Incoming::Hello { is_validated: false, .. } if self.link.peer_incarnation() == 0 => {
                let len = self.listener.retry(at, SOURCE, datagram, &mut reply);
                self.reply(&reply, len)
            }
            Incoming::Link(id) if !self.link.local_link_ids().contains(&id) => {
                let len = self.listener.reset(at, datagram, &mut reply);
                self.reply(&reply, len)
            }
            Incoming::Reply(len) => self.reply(&reply, Some(len)),
            // What is left is the link's, by its id or by the address.
            _ => Endpoint::handle_datagram(&mut self.link, now, datagram),
        }
    }

    fn poll_transmit(&mut self, now: Micros, buffer: &mut [u8]) -> Option<usize> {
        if let Some(reply) = self.replies.pop_front() {
            buffer[..reply.len()].copy_from_slice(&reply);
            return Some(reply.len());
        }
        Endpoint::poll_transmit(&mut self.link, now, buffer)
    }

    fn connect(&mut self, now: Micros) {
        Endpoint::connect(&mut self.link, now);
    }
    fn send(
        &mut self,
        now: Micros,
        channel: u8,
        payload: &[u8],
        deadline: Option<Micros>,
    ) -> Result<MessageId, Refusal> {
        Endpoint::send(&mut self.link, now, channel, payload, deadline)
    }
    fn recv(&mut self, now: Micros, payload: &mut Vec<u8>) -> Option<Taken<DeliveryId>> {
        Endpoint::recv(&mut self.link, now, payload)
    }
    fn settle(&mut self, now: Micros, delivery: DeliveryId) -> bool {
        Endpoint::settle(&mut self.link, now, delivery)
    }
    fn poll_event(&mut self) -> Option<Notice<MessageId>> {
        Endpoint::poll_event(&mut self.link)
    }
    fn close(&mut self, now: Micros) {
        Endpoint::close(&mut self.link, now);
    }
    fn abort(&mut self, now: Micros) {
        Endpoint::abort(&mut self.link, now);
    }
    fn handle_timeout(&mut self, now: Micros) {
        Endpoint::handle_timeout(&mut self.link, now);
    }
    fn poll_timeout(&self) -> Option<Micros> {
        Endpoint::poll_timeout(&self.link)
    }
    fn is_connected(&self) -> bool {
        Endpoint::is_connected(&self.link)
    }
    fn is_closed(&self) -> bool {
        Endpoint::is_closed(&self.link)
    }
}
