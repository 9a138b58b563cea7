//! ackline on desktops and servers: messages that arrive, over links that lose, repeat, reorder and damage.
//!
//! ```
//! use ackline_std::{Channel, Config, Endpoint};
//! use std::time::Duration;
//!
//! let server = Endpoint::bind("127.0.0.1:0", &Config::udp())?;
//! let client = ackline_std::connect(server.local_addr(), &Config::udp())?;
//! client.send(Channel(0), b"hello")?;
//!
//! let connection = server.accept()?;
//! assert_eq!(connection.recv()?.payload, b"hello");
//!
//! // "Settled" means that the peer's application took it, not that some buffer did.
//! assert_eq!(client.drain(Duration::from_secs(5)).settled, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`Endpoint`]: a UDP socket with one or many connections, for threads; [`connect`] for a single one.
//! - [`stream`]: the same over serial ports and other byte streams.
//! - `tokio` (feature of the same name): the same words for tasks.
//! - [`Connection`]: sending, receiving, settling, outcomes.
//! - [`impair`] and [`proxy`]: bad links, made on purpose, for tests and demonstrations.
//!
//! The protocol, its promise and its limits are documented with the core, [`ackline`].
#![forbid(unsafe_code)]

mod boundary;
mod burst;
mod carrier;
mod clock;
mod connection;
mod error;
pub mod impair;
mod message;
mod peer;
pub mod proxy;
pub mod stream;
#[cfg(feature = "tokio")]
pub mod tokio;
mod udp;
mod wait;

pub use ackline::Stats;
pub use ackline::config::{Channel, ChannelConfig, Mode, Settle};
pub use ackline::event::{CloseReason, Delivery, DeliveryId, Event, FailReason, MessageId};
pub use ackline::{Config, UnknownDelivery};
pub use connection::{Connection, Events};
pub use error::{ConnectError, RecvError, SendError};
pub use message::{Message, Messages, Outcomes, Received, Typed};
pub use udp::{Endpoint, connect, interface_datagram_max};
