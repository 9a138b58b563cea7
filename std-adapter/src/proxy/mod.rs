//! Relays that make a good path bad: [`UdpProxy`] between UDP sockets, [`StreamProxy`] between byte streams. What they do
//! is decided by [`impair`](crate::impair); which datagrams meet which fate is repeatable as far as their times are.

mod stream;
mod udp;

pub use stream::StreamProxy;
pub use udp::UdpProxy;

use crate::impair::ImpairStats;

/// What a proxy has done so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "cli", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ProxyStats {
    /// Towards the upstream address, or from the first stream to the second.
    pub forward: ImpairStats,
    /// The other way.
    pub back: ImpairStats,
    /// Clients seen (1 between streams).
    pub clients: u64,
}
