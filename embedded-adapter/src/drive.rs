//! What the adapters ask of a link.

use ackline::congestion::Controller;
use ackline::storage::{Item, Storage};
use ackline::tailored::{Endpoint, Profile};
use ackline::{
    Channel, Delivery, DeliveryId, Event, Instant, Link, MessageId, Receipt, SendError, Stats,
    UnknownDelivery, compact,
};

/// A link: the full [`Link`], the [compact one](compact::Link), or a [tailored one](Endpoint), by the methods of the same names.
/// (A congestion controller of your own has to be an [`Item`], so that a link with it can be made in a `static`.)
pub trait Drive: Sized {
    /// One that is not started: what a `static` begins with. All zeros, so it takes no flash.
    const UNSTARTED: Self;

    /// Opens the association.
    fn connect(&mut self, now: Instant);
    /// Takes a message into the outbox.
    ///
    /// # Errors
    ///
    /// [`SendError`], each with its remedy.
    fn send(&mut self, now: Instant, channel: Channel, payload: &[u8]) -> Result<MessageId, SendError>;
    /// The next received message.
    fn recv(&mut self, now: Instant) -> Option<Delivery<'_>>;
    /// Whether [`recv`](Self::recv) would give something.
    fn has_delivery(&self) -> bool;
    /// What happened, one event at a time.
    fn poll_event(&mut self) -> Option<Event>;
    /// Ends the link when everything is settled.
    fn close(&mut self, now: Instant);
    /// Ends the link at once.
    fn abort(&mut self, now: Instant);
    /// Whether the handshake is complete.
    fn is_connected(&self) -> bool;
    /// Whether the link has ended.
    fn is_closed(&self) -> bool;
    /// The longest message that can arrive, in bytes.
    fn message_max(&self) -> usize;
    /// Counters. A compact link keeps none: all zeros. Of a tailored one, its profile says whether it does.
    fn stats(&self) -> Stats;

    /// Takes in a datagram.
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Receipt;
    /// Does what time demands.
    fn handle_timeout(&mut self, now: Instant);
    /// Writes the next datagram to emit into `buffer`, and returns its length in bytes.
    fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize>;
    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    fn poll_timeout(&self) -> Option<Instant>;
}

/// A link whose messages may expire: the full one, and a tailored one with [deadlines](Profile::Deadline).
pub trait Deadlines: Drive {
    /// Takes a message into the outbox that expires at `deadline` unless it is settled by then.
    ///
    /// # Errors
    ///
    /// As for [`send`](Drive::send).
    fn send_before(
        &mut self,
        now: Instant,
        channel: Channel,
        payload: &[u8],
        deadline: Instant,
    ) -> Result<MessageId, SendError>;
}

/// A link that may have channels which are settled explicitly: the full one, and a tailored one.
pub trait Settles: Drive {
    /// Settles a message that was taken.
    ///
    /// # Errors
    ///
    /// [`UnknownDelivery`] if it was settled before, or its sender has restarted since.
    fn settle(&mut self, now: Instant, id: DeliveryId) -> Result<(), UnknownDelivery>;
}

/// What all links have. In a path, a type's own methods come before those of its traits.
macro_rules! own_methods {
    () => {
        fn connect(&mut self, now: Instant) {
            Self::connect(self, now);
        }
        fn send(&mut self, now: Instant, channel: Channel, payload: &[u8]) -> Result<MessageId, SendError> {
            Self::send(self, now, channel, payload)
        }
        fn recv(&mut self, now: Instant) -> Option<Delivery<'_>> {
            Self::recv(self, now)
        }
        fn has_delivery(&self) -> bool {
            Self::has_delivery(self)
        }
        fn poll_event(&mut self) -> Option<Event> {
            Self::poll_event(self)
        }
        fn close(&mut self, now: Instant) {
            Self::close(self, now);
        }
        fn abort(&mut self, now: Instant) {
            Self::abort(self, now);
        }
        fn is_connected(&self) -> bool {
            Self::is_connected(self)
        }
        fn is_closed(&self) -> bool {
            Self::is_closed(self)
        }
        fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Receipt {
            Self::handle_datagram(self, now, datagram)
        }
        fn handle_timeout(&mut self, now: Instant) {
            Self::handle_timeout(self, now);
        }
        fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
            Self::poll_transmit(self, now, buffer)
        }
        fn poll_timeout(&self) -> Option<Instant> {
            Self::poll_timeout(self)
        }
    };
}

impl<S: Storage, C: Controller + Item> Drive for Link<S, C> {
    const UNSTARTED: Self = Link::unstarted();
    own_methods!();
    fn message_max(&self) -> usize {
        Link::message_max(self) as usize
    }
    fn stats(&self) -> Stats {
        Link::stats(self)
    }
}

impl<const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize, const CHECKED: bool> Drive
    for compact::Link<MESSAGES, BYTES, DATAGRAM, CHECKED>
{
    const UNSTARTED: Self = compact::Link::new();
    own_methods!();
    fn message_max(&self) -> usize {
        BYTES
    }
    fn stats(&self) -> Stats {
        Stats::default()
    }
}

impl<P: Profile, const CHANNELS: usize, const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize>
    Drive for Endpoint<P, CHANNELS, MESSAGES, BYTES, DATAGRAM>
{
    const UNSTARTED: Self = Endpoint::new();
    own_methods!();
    fn message_max(&self) -> usize {
        Self::MESSAGE_MAX
    }
    fn stats(&self) -> Stats {
        Endpoint::stats(self)
    }
}

impl<S: Storage, C: Controller + Item> Deadlines for Link<S, C> {
    fn send_before(
        &mut self,
        now: Instant,
        channel: Channel,
        payload: &[u8],
        deadline: Instant,
    ) -> Result<MessageId, SendError> {
        Link::send_before(self, now, channel, payload, deadline)
    }
}

impl<P, const CHANNELS: usize, const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize> Deadlines
    for Endpoint<P, CHANNELS, MESSAGES, BYTES, DATAGRAM>
where
    P: Profile<Deadline = Instant>,
{
    fn send_before(
        &mut self,
        now: Instant,
        channel: Channel,
        payload: &[u8],
        deadline: Instant,
    ) -> Result<MessageId, SendError> {
        Endpoint::send_before(self, now, channel, payload, deadline)
    }
}

impl<S: Storage, C: Controller + Item> Settles for Link<S, C> {
    fn settle(&mut self, now: Instant, id: DeliveryId) -> Result<(), UnknownDelivery> {
        Link::settle(self, now, id)
    }
}

impl<P: Profile, const CHANNELS: usize, const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize>
    Settles for Endpoint<P, CHANNELS, MESSAGES, BYTES, DATAGRAM>
{
    fn settle(&mut self, now: Instant, id: DeliveryId) -> Result<(), UnknownDelivery> {
        Endpoint::settle(self, now, id)
    }
}
