//! The proving ground of ackline: a deterministic simulator in virtual time, and an oracle that holds a protocol to the
//! promise "at least once, to the application, or the sender is told".
//!
//! | module | holds |
//! |---|---|
//! | [`endpoint`] | what the simulator asks of a protocol; implement [`endpoint::Endpoint`] for yours |
//! | [`link`] | ackline under the simulator: the example to copy for your own protocol |
//! | [`gate`] | a link behind a listener that asks for cookies |
//! | [`compact`] | the compact link under the simulator, against the full one and against itself |
//! | [`tailored`] | tailored endpoints with everything on, in the same way |
//! | [`net`] | links that lose, repeat, reorder, delay, damage, cut, and go down |
//! | [`world`] | nodes, clocks, reboots, applications, and the event loop |
//! | [`oracle`] | the rules of the promise, checked at every step |
//! | [`scenario`] | worlds that scenario tests start from |
//! | [`schedule`] | random schedules of faults, generated from a seed and shrunk when they fail |
//! | [`explore`] | every interleaving of small configurations, without omission |
//! | [`forge`] | a peer made by hand, for tests of single rules |
//! | [`random`] | the one seeded random sequence |
//!
//! Everything follows from one 64-bit seed: no clock is read, nothing sleeps, and a violation prints the command that
//! replays it.
#![warn(missing_docs)]

pub mod compact;
pub mod endpoint;
pub mod explore;
pub mod forge;
pub mod gate;
pub mod link;
pub mod net;
pub mod oracle;
pub mod random;
pub mod scenario;
pub mod schedule;
pub mod tailored;
pub mod world;
