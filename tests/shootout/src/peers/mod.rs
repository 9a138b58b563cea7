//! The protocols, each behind [`Peer`](crate::peer::Peer), with the settings of somebody who knows them.

pub mod ackline;
pub mod cubic;
pub mod enet;
pub mod kcp;
pub mod null;
pub mod oracle;
mod prefixed;
pub mod quic;
pub mod sctp;
pub mod tcp;
