//! What the fuzz targets share.
//!
//! | module | holds |
//! |---|---|
//! | [`wire`] | packets made and sealed by hand, and values read back to the bytes that they came from |
//! | [`dispenser`] | a worked example: a protocol on ackline with an invariant of its own, and a planted bug |
//! | [`schedule`] | schedules of the simulator, drawn by the engine |
//! | [`seat`] | the configurations that a link can be under |
//! | [`watch`] | a link, and what holds for it whatever its peer does |
//! | [`two_ends`] | two endpoints under such a schedule, with strangers' datagrams in between |
//! | [`stream`] | a byte stream taken apart a second time, from the specification |
#![warn(missing_docs)]

pub mod dispenser;
pub mod schedule;
pub mod seat;
pub mod stream;
pub mod two_ends;
pub mod watch;
pub mod wire;
