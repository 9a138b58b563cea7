//! What a driver asks of a link.

use ackline::congestion::Controller;
use ackline::storage::Storage;
use ackline::{Instant, Link, Receipt, compact};

/// A link as its transport sees it: the full [`Link`], or the [compact one](compact::Link), by the methods of the same names.
pub trait Drive {
    /// Takes in a datagram.
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Receipt;
    /// Does what time demands.
    fn handle_timeout(&mut self, now: Instant);
    /// Writes the next datagram to emit into `buffer`, and returns its length in bytes.
    fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize>;
    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    fn poll_timeout(&self) -> Option<Instant>;
}

impl<S: Storage, C: Controller> Drive for Link<S, C> {
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Receipt {
        Link::handle_datagram(self, now, datagram)
    }
    fn handle_timeout(&mut self, now: Instant) {
        Link::handle_timeout(self, now);
    }
    fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
        Link::poll_transmit(self, now, buffer)
    }
    fn poll_timeout(&self) -> Option<Instant> {
        Link::poll_timeout(self)
    }
}

impl<const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize, const CHECKED: bool> Drive
    for compact::Link<MESSAGES, BYTES, DATAGRAM, CHECKED>
{
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Receipt {
        compact::Link::handle_datagram(self, now, datagram)
    }
    fn handle_timeout(&mut self, now: Instant) {
        compact::Link::handle_timeout(self, now);
    }
    fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
        compact::Link::poll_transmit(self, now, buffer)
    }
    fn poll_timeout(&self) -> Option<Instant> {
        compact::Link::poll_timeout(self)
    }
}
