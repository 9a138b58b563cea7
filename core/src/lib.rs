//! Reliable delivery of messages over links that cannot be trusted.
//!
//! *At least once, to the application, or the sender is told.* UDP loses, repeats and reorders; a serial line adds noise;
//! the device at the other end loses power in the middle of a sentence. A [`Link`] numbers, acknowledges, retransmits,
//! removes duplicates and survives restarts of either side, without a clock, a socket, an allocator or a thread of its
//! own: bytes and times go in, bytes, messages and a deadline come out.
//!
//! ```
//! use ackline::{Channel, Config, Event, Instant, Link, congestion::NewReno, storage::Inline};
//!
//! type Node = Link<Inline<1, 8, 1024, 16>, NewReno>;
//! let config = Config::udp();
//! let mut a = Node::new(&config, NewReno::new(), 1); // the number must differ at every boot
//! let mut b = Node::new(&config, NewReno::new(), 2);
//!
//! let now = Instant::ZERO;
//! a.connect(now);
//! let id = a.send(now, Channel(0), b"21.5 C").unwrap();
//!
//! let mut buffer = [0; 1200];
//! while let Some(len) = a.poll_transmit(now, &mut buffer) {
//!     b.handle_datagram(now, &buffer[..len]); // a network would be in between
//! }
//! assert_eq!(b.recv(now).unwrap().payload, b"21.5 C"); // taking it settles it
//! while let Some(len) = b.poll_transmit(now, &mut buffer) {
//!     a.handle_datagram(now, &buffer[..len]);
//! }
//! assert_eq!(a.poll_event(), Some(Event::Connected));
//! assert_eq!(a.poll_event(), Some(Event::Settled(id)));
//! ```
//!
//! # Driving a link
//!
//! After every call that takes `&mut self`: emit what [`Link::poll_transmit`] gives until it gives nothing, take what
//! [`Link::recv`] and [`Link::poll_event`] give, then ask [`Link::poll_timeout`] when to call [`Link::handle_timeout`].
//! Driving a link only then emits the same bytes as driving it all the time.
//!
//! # Where things are
//!
//! The wire format is specified in `docs/protocol.md`, the reasons are in `docs/design.md`. Sockets are in the crate
//! `ackline-std`, microcontroller network stacks and UARTs in `ackline-embedded`.

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
// `clamp` can panic, and small programs keep the panic.
#![allow(clippy::manual_clamp)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod check;
pub mod compact;
pub mod config;
pub mod congestion;
pub mod error;
pub mod event;
pub mod framing;
mod link;
pub mod listener;
mod logging;
mod rtt;
pub mod sequence;
mod stats;
pub mod storage;
pub mod tailored;
mod time;
pub mod wire;

pub use config::{Channel, ChannelConfig, Config, Medium, Mode, Settle};
pub use error::{SendError, UnknownDelivery};
pub use event::{CloseReason, Delivery, DeliveryId, Event, FailReason, MessageId};
pub use link::{Link, Receipt};
pub use rtt::Rtt;
pub use stats::Stats;
pub use time::Instant;
pub use wire::LinkId;
