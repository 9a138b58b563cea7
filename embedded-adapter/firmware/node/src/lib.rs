//! A telemetry node: what it does ([`Node`]), how its link is configured, and the turns that it gets: as tasks of an executor
//! ([`tasks`]), or in one loop ([`polled`]).
#![no_std]
#![forbid(unsafe_code)]

mod configuration;
mod node;
pub mod polled;
pub mod tasks;

pub use configuration::*;
pub use node::Node;
