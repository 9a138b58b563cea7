//! A telemetry node: what it measures and obeys ([`Node`]), how its link is configured, and how it uses that: in tasks of an
//! executor ([`tasks`]), or in one loop ([`polled`]). What a UDP image needs of this board's network stack is in `network`.
#![no_std]
#![forbid(unsafe_code)]

mod configuration;
#[cfg(any(feature = "udp-embassy-net", feature = "udp-smoltcp"))]
pub mod network;
mod node;
pub mod polled;
pub mod tasks;

pub use configuration::*;
pub use node::Node;
