//! [`ackline`] on microcontrollers, without allocation.
//!
//! # With tasks
//!
//! A [`State`] lives in a `static`, a link in it. [`State::split`] gives that four owners: a [`Port`], which goes into the runner
//! of a transport, and the application's [`Sender`], [`Receiver`] and [`Events`], which may move into other tasks. Any
//! executor will do; time comes from `embassy-time`.
//!
//! | transport | feature | runner |
//! |---|---|---|
//! | UDP on embassy-net | `embassy-net-09` | [`embassy_net_09::Runner`] |
//! | serial line on embedded-io-async | `embedded-io-async-07` | [`serial::Runner`] |
//!
//! # Without an executor
//!
//! A driver in a `static` owns the link; the program calls its `step` in a loop and sleeps as long as it says.
//!
//! | transport | feature | driver |
//! |---|---|---|
//! | UDP on smoltcp | `smoltcp-014` | [`smoltcp_014::Driver`] |
//! | serial line on embedded-io | `embedded-io-07` | [`polled::Driver`] |
//!
//! # Three links
//!
//! All of it carries any link: the full one ([`ackline::Link`]), the [compact one](ackline::compact), which is a sixth of its size,
//! or a [tailored one](ackline::tailored), with the features that its profile asks for.
//!
//! # Cancelling
//!
//! Every future of this crate may be dropped at every await, and the runners' may be made again. A message is taken from
//! its buffer, or put into it, in the poll that completes the future; bytes on their way to a line are remembered in the
//! runner. What a runner cannot cure is a transport whose own futures lose bytes when they are dropped: serial
//! lines need a reader whose `read` takes bytes only when it completes, as buffered UARTs do.
#![cfg_attr(not(test), no_std)]

pub use ackline;

#[cfg(feature = "embassy-sync-08")]
mod clock;
mod drive;
#[cfg(feature = "embassy-sync-08")]
mod events;
#[cfg(feature = "embassy-sync-08")]
mod port;
#[cfg(feature = "embassy-sync-08")]
mod receiver;
#[cfg(feature = "embassy-sync-08")]
mod sender;
#[cfg(feature = "embassy-sync-08")]
mod state;

#[cfg(feature = "embassy-net-09")]
pub mod embassy_net_09;
#[cfg(feature = "embedded-io-07")]
pub mod polled;
#[cfg(feature = "embedded-io-async-07")]
pub mod serial;
#[cfg(feature = "smoltcp-014")]
pub mod smoltcp_014;
#[cfg(feature = "postcard-1")]
pub mod typed;

#[cfg(feature = "embassy-sync-08")]
pub use clock::now;
pub use drive::{Deadlines, Drive, Settles};
#[cfg(feature = "embassy-sync-08")]
pub use events::Events;
#[cfg(feature = "embassy-sync-08")]
pub use port::Port;
#[cfg(feature = "embassy-sync-08")]
pub use receiver::{Received, Receiver, RecvError};
#[cfg(feature = "embassy-sync-08")]
pub use sender::{NotSettled, Sender};
#[cfg(feature = "embassy-sync-08")]
pub use state::{State, WAITERS_MAX};
