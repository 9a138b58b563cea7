//! The application in a loop.

use ackline::{Event, Instant};
use ackline_embedded::{Drive, typed::encode};
use telemetry::MESSAGE_MAX;

use crate::{CHANNEL, INTERVAL, Node};

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
    /// Its first reading is due at once.
    pub fn new(node: Node) -> Self {
        Application { node, next_reading: Instant::ZERO }
    }

    /// Takes what has arrived, and sends what is due.
    pub fn turn(&mut self, link: &mut impl Drive) {
        while let Some(message) = link.recv(now()) {
            self.node.on_command(message.payload);
        }
        while let Some(event) = link.poll_event() {
            // (With tasks, the adapter logs what happens to the link.)
            if !matches!(event, Event::Settled(_) | Event::Writable(_)) {
                defmt::info!("{}", event);
            }
            self.node.on_event(event);
        }
        let (mut samples, mut buffer) = ([0; _], [0; MESSAGE_MAX]);
        while self.node.is_urgent() || now() >= self.next_reading {
            let reading = self.node.reading(link.stats(), &mut samples);
            let payload = encode(&reading, &mut buffer).expect("the longest reading fits");
            if link.send(now(), CHANNEL, payload).is_err() {
                break; // The outbox is full: next time.
            }
            self.node.on_sent();
            self.next_reading = now() + INTERVAL;
        }
    }
}
