//! The node's turn in a loop.

use ackline::congestion::Controller;
use ackline::{Config, Event, Instant, Link, SendError};
use telemetry::MESSAGE_MAX;

use crate::{CHANNEL, INTERVAL, Node, Storage};

/// The board's clock.
pub fn now() -> Instant {
    Instant::from_micros(board::now_micros())
}

/// The node, and when it sends its next reading.
pub struct Application {
    node: Node,
    next_reading: Instant,
}

impl Application {
    /// A node that counts from zero. `seed` differs at every boot.
    pub fn new(seed: u64) -> Self {
        Application { node: Node::new(seed), next_reading: Instant::ZERO }
    }

    /// A link that opens towards the desktop.
    pub fn link<C: Controller>(config: &Config, congestion: C, seed: u64) -> Link<Storage, C> {
        let mut link = Link::new(config, congestion, seed);
        link.connect(now());
        link
    }

    /// Takes what has arrived, and sends what is due.
    pub fn turn<C: Controller>(&mut self, link: &mut Link<Storage, C>) {
        while let Some(delivery) = link.recv(now()) {
            self.node.on_command(delivery.payload);
        }
        while let Some(event) = link.poll_event() {
            // (With tasks, the adapter logs what happens to the link.)
            if !matches!(event, Event::Settled(_) | Event::Writable(_)) {
                defmt::info!("{}", event);
            }
            self.node.on_event(event);
        }
        let mut buffer = [0; MESSAGE_MAX];
        while self.node.is_urgent() || now() >= self.next_reading {
            match link.send(now(), CHANNEL, self.node.reading(link.stats(), &mut buffer)) {
                Ok(_) => self.node.on_sent(),
                Err(SendError::Full) => break,
                Err(error) => defmt::panic!("{}", error),
            }
            self.next_reading = now() + INTERVAL;
        }
    }
}
