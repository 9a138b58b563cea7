//! The simulated link: [`Path`] carries datagrams one way, with every fault that a path can have, from one seed.
//!
//! A path is made of a transmit queue (drop-tail), a serialiser (rate), and a wire (delay, jitter, loss, duplication,
//! reordering, damage, truncation, outages). It is told of a datagram when an endpoint emits it and answers at once with
//! what will arrive when, so that no state of the wire has to be kept.
//!
//! A path can also be a serial line ([`Serial`]): then a datagram becomes a frame on a byte stream, and bytes are flipped,
//! inserted and deleted; the receiving end decodes what is left.

mod loss;
mod path;
mod serial;

pub use loss::Loss;
pub use path::{Arrival, Path, PathConfig, PathStats};
pub use serial::{Framing, Serial};
