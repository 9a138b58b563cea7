//! A bad link, made on purpose: loss, bursts, duplication, reordering, delay, jitter, a rate limit with its queue, and
//! damage, on datagrams ([`DatagramImpairer`]) and on byte streams ([`StreamImpairer`]).
//!
//! The engine reads no clock and owns no socket: it is given the time and the bytes, and answers with bytes and the time
//! at which to ask again. All its decisions come from one seeded generator, so the same seed, the same input and the
//! same times give the same output, byte for byte. [`proxy`](crate::proxy) puts it between real sockets; tests may
//! drive it in virtual time.

mod datagram;
mod delay_line;
mod profile;
mod stream;

pub use datagram::DatagramImpairer;
pub use profile::{Burst, Profile, StreamProfile};
pub use stream::StreamImpairer;

/// What an impairer has done so far. Counts are in datagrams, or in frames where bytes run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "cli", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ImpairStats {
    /// Taken in.
    pub taken: u64,
    /// Given out, repeats included.
    pub given: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Lost because the queue before the rate limit was full.
    pub overflowed: u64,
    /// Given out a second time.
    pub duplicated: u64,
    /// Held back so that later ones overtake.
    pub reordered: u64,
    /// Damaged: flipped bits in datagrams; flipped, inserted or deleted bytes in streams.
    pub damaged: u64,
    /// Bytes taken in.
    pub bytes_taken: u64,
    /// Bytes given out.
    pub bytes_given: u64,
}

impl ImpairStats {
    /// The sums of both.
    pub fn plus(self, other: ImpairStats) -> ImpairStats {
        ImpairStats {
            taken: self.taken + other.taken,
            given: self.given + other.given,
            lost: self.lost + other.lost,
            overflowed: self.overflowed + other.overflowed,
            duplicated: self.duplicated + other.duplicated,
            reordered: self.reordered + other.reordered,
            damaged: self.damaged + other.damaged,
            bytes_taken: self.bytes_taken + other.bytes_taken,
            bytes_given: self.bytes_given + other.bytes_given,
        }
    }
}
