//! ackline on desktops and servers.
#![forbid(unsafe_code)]

pub mod clock;
pub mod impair;
pub mod proxy;
mod wait;
