//! One link, and what holds for it whatever its peer does: every accepted message has one outcome at most, every delivery
//! is new, nothing is emitted or asked for without end.

use std::time::Duration;

use ackline::congestion::Controller;
use ackline::storage::Storage;
use ackline::{
    Channel, CloseReason, DeliveryId, Event, Instant, Link, MessageId, Receipt, SendError, UnknownDelivery,
};
use ackline_tests::random::{Map, Set};

/// Datagrams that a link may emit in one instant. The largest window of the controllers is far below.
const BURST_MAX: usize = 20_000;

/// How often a link may ask for the clock again at the time that it was just given.
const SPINS_MAX: u32 = 64;

/// Room for the longest datagram.
const ROOM: usize = 65_536;

/// A link under observation.
pub struct Watch<S: Storage, C: Controller> {
    /// The link. Calls that the rules are about go through the methods of this type.
    pub link: Link<S, C>,
    /// The time.
    pub now: Instant,
    /// What was emitted and not taken yet.
    pub emitted: Vec<Vec<u8>>,
    /// Deliveries that were taken, for settling.
    pub taken: Vec<DeliveryId>,
    outcomes: Map<MessageId, Option<Event>>,
    deliveries: Set<DeliveryId>,
    ended: Option<CloseReason>,
    connected_count: u32,
    bytes_in: usize,
    bytes_out: usize,
    is_limited: bool,
    buffer: Vec<u8>,
}

impl<S: Storage, C: Controller> Watch<S, C> {
    /// Watches `link` from its beginning.
    pub fn new(link: Link<S, C>) -> Self {
        Watch {
            link,
            now: Instant::from_millis(1_000),
            emitted: Vec::new(),
            taken: Vec::new(),
            outcomes: Map::default(),
            deliveries: Set::default(),
            ended: None,
            connected_count: 0,
            bytes_in: 0,
            bytes_out: 0,
            is_limited: false,
            buffer: vec![0; ROOM],
        }
    }

    /// As a listener does with a peer of unknown address: no more may leave than came.
    pub fn limit(&mut self) {
        self.is_limited = self.bytes_in == 0 && self.bytes_out == 0;
        if self.is_limited {
            self.link.set_unvalidated();
        }
    }

    /// What comes next is from somebody who has heard the link: no limit holds any more.
    pub fn unlimit(&mut self) {
        self.is_limited = false;
    }

    /// Sends; an accepted message is owed one outcome.
    pub fn send(
        &mut self,
        channel: u8,
        payload: &[u8],
        within: Option<Duration>,
    ) -> Result<MessageId, SendError> {
        let result = match within {
            None => self.link.send(self.now, Channel(channel), payload),
            Some(within) => self.link.send_before(self.now, Channel(channel), payload, self.now + within),
        };
        if let Ok(id) = result {
            assert!(self.ended.is_none(), "accepted after the end");
            assert_eq!(id.channel, Channel(channel));
            assert_eq!(self.outcomes.insert(id, None), None, "{id:?} was used before");
        }
        result
    }

    /// Takes one message, and shows it to `look`.
    pub fn recv(&mut self, look: impl FnOnce(DeliveryId, &[u8])) -> bool {
        let had = self.link.has_delivery();
        let Some(delivery) = self.link.recv(self.now) else {
            assert!(!had, "has_delivery, but none came");
            return false;
        };
        assert!(had, "a delivery came without has_delivery");
        assert!(self.deliveries.insert(delivery.id), "{:?} was delivered twice", delivery.id);
        self.taken.push(delivery.id);
        look(delivery.id, delivery.payload);
        true
    }

    /// Settles one of the deliveries taken.
    pub fn settle(&mut self, which: usize) -> Result<(), UnknownDelivery> {
        match self.taken.get(which % self.taken.len().max(1)) {
            Some(&id) => self.link.settle(self.now, id),
            None => Ok(()),
        }
    }

    /// Takes what the link has to tell.
    pub fn events(&mut self) {
        for round in 0.. {
            let had = self.link.has_event();
            let Some(event) = self.link.poll_event() else {
                assert!(!had, "has_event, but none came");
                return;
            };
            assert!(had, "{event:?} without has_event");
            assert!(round <= 2 * self.outcomes.len() + 64, "events without end");
            assert!(self.ended.is_none(), "{event:?} after the end");
            self.on_event(event);
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Settled(id) | Event::Expired(id) | Event::Failed(id, _) => {
                let outcome =
                    self.outcomes.get_mut(&id).unwrap_or_else(|| panic!("{event:?} was never sent"));
                assert_eq!(*outcome, None, "a second outcome: {event:?}");
                *outcome = Some(event);
            }
            Event::Connected => {
                self.connected_count += 1;
                assert_eq!(self.connected_count, 1, "connected twice");
            }
            Event::Closed(reason) => {
                self.ended = Some(reason);
                let open = self.outcomes.iter().find(|(_, outcome)| outcome.is_none());
                assert_eq!(open, None, "ended ({reason:?}) without an outcome");
                assert!(self.link.is_closed());
            }
            _ => {}
        }
    }

    /// Hands over a datagram, and takes what the link says to it.
    pub fn receive(&mut self, datagram: &[u8]) -> Receipt {
        let receipt = self.link.handle_datagram(self.now, datagram);
        if receipt == Receipt::Accepted {
            self.bytes_in += datagram.len();
        } else if receipt == Receipt::Answered {
            // What follows is for where the datagram came from. It is not of the association, nor of its budget.
            if let Some(len) = self.link.poll_transmit(self.now, &mut self.buffer) {
                assert!(len <= 96, "{len} bytes answer {} of a stranger", datagram.len());
                self.emitted.push(self.buffer[..len].to_vec());
            }
        }
        self.transmit();
        receipt
    }

    /// Takes what the link emits now.
    pub fn transmit(&mut self) {
        for count in 0.. {
            let was_validated = self.link.is_validated();
            let Some(len) = self.link.poll_transmit(self.now, &mut self.buffer) else { break };
            assert!(count < BURST_MAX, "{BURST_MAX} datagrams in one instant");
            assert!((1..=65_527).contains(&len));
            self.bytes_out += len;
            if self.is_limited && !was_validated {
                assert!(self.bytes_out <= self.bytes_in, "{} bytes for {}", self.bytes_out, self.bytes_in);
            }
            self.is_limited &= !was_validated;
            self.emitted.push(self.buffer[..len].to_vec());
        }
    }

    /// Lets time pass up to `until`: the link gets the clock when it asks for it.
    pub fn pass(&mut self, until: Instant) {
        let (mut spins, mut count) = (0, 0);
        while let Some(at) = self.link.poll_timeout()
            && at <= until
        {
            spins = if at > self.now { 0 } else { spins + 1 };
            count += 1;
            assert!(spins <= SPINS_MAX, "asks for the clock at {:?} again and again", self.now);
            assert!(count <= 100_000, "asks for the clock without end");
            self.now = self.now.max(at);
            self.link.handle_timeout(self.now);
            self.transmit();
        }
        self.now = self.now.max(until);
        self.link.handle_timeout(self.now);
        self.transmit();
    }

    /// The end: everything has its outcome, and nothing is asked for any more.
    pub fn finish(mut self) {
        self.events();
        self.link.abort(self.now);
        self.transmit();
        self.events();
        assert!(self.ended.is_some(), "no end was reported");
        assert!(self.link.send(self.now, Channel(0), b"late").is_err());
        self.transmit();
        assert_eq!(self.link.poll_timeout(), None, "a closed link asks for the clock");
        assert!(!self.link.has_event());
    }

    /// What became of a message.
    pub fn outcome(&self, id: MessageId) -> Option<Event> {
        self.outcomes.get(&id).copied().flatten()
    }
}
