//! UDP: one socket that carries one or many connections.
//!
//! ```text
//!   Connection -> Peer (link, waiters) -> Hub (socket, table, timers) -> Batch -> one system call
//!   Hub::receive -> table -> Peer -> link -> Connection::recv
//! ```
//!
//! Whoever sends makes the system call, and whoever waits reads the socket ([`lead`]); a thread in the background stands
//! in while nobody waits.

mod batch;
mod endpoint;
pub(crate) mod hub;
mod interface;
pub(crate) mod lead;
mod spin;
mod table;
mod timers;

pub use endpoint::{Endpoint, connect};
#[cfg(feature = "tokio")]
pub(crate) use endpoint::{any_towards, bind_socket, check_family, resolve};
pub use interface::interface_datagram_max;
