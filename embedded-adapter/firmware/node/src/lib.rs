//! A telemetry node: what it measures and obeys ([`Node`]), how its link is configured, and how it uses that: in tasks of an
//! executor ([`tasks`]), or in one loop ([`polled`]).
#![no_std]
#![forbid(unsafe_code)]

mod configuration;
mod node;
pub mod polled;
pub mod tasks;

pub use configuration::*;
pub use node::Node;
