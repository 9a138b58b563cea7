//! Packets in flight and what they carry.

use crate::sequence::Sequence;
use crate::storage::{Item, Storage};
use crate::time::Instant;
use crate::wire::{granule_bits, granules_to};

/// What a frame in a packet carries, as far as its sender must know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub(super) enum FrameKind {
    /// `extent` whole messages from `sequence` on.
    Messages,
    /// A fragment of `sequence`; `extent` packs offset and length in granules.
    Fragment,
    /// `extent` withdrawn messages from `sequence` on.
    Skip,
}

/// A message frame, a run of them, or a fragment, in a packet in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentFrame {
    pub(super) sequence: Sequence,
    pub(super) extent: u32,
    pub(super) channel: u8,
    pub(super) kind: FrameKind,
}

impl Item for SentFrame {
    const BLANK: Self = SentFrame { sequence: Sequence(0), extent: 0, channel: 0, kind: FrameKind::Messages };
}

/// Bits for the length of a fragment in granules: up to 65,520 bytes, more than a datagram.
const LEN_BITS: u32 = 12;

/// The longest message that can be fragmented: offsets have 20 bits of granules.
pub(super) const FRAGMENTED_MAX: u32 = 1 << (granule_bits(u32::MAX) + 32 - LEN_BITS);

impl SentFrame {
    pub(super) fn of_fragment(channel: u8, sequence: Sequence, offset: u32, len: u32, total: u32) -> Self {
        let extent = ((offset >> granule_bits(total)) << LEN_BITS) | granules_to(len, total);
        SentFrame { sequence, extent, channel, kind: FrameKind::Fragment }
    }

    /// Whether it is a fragment. Where the storage has none, the compiler knows.
    pub(super) fn is_fragment<S: Storage>(&self) -> bool {
        S::FRAGMENTATION && self.kind == FrameKind::Fragment
    }

    /// Offset and length in bytes in a message of `total`; the length is rounded up to a granule.
    pub(super) fn fragment(&self, total: u32) -> (u32, u32) {
        let bits = granule_bits(total);
        ((self.extent >> LEN_BITS) << bits, (self.extent & ((1 << LEN_BITS) - 1)) << bits)
    }
}

/// Control information that a packet carries. It is not kept: when the packet is lost, what holds then is sent.
pub(super) mod control {
    pub(in crate::link) const SETTLED: u8 = 1;
    pub(in crate::link) const CREDIT: u8 = 2;
    pub(in crate::link) const CLOSE: u8 = 4;
    pub(in crate::link) const PING: u8 = 8;
    pub(in crate::link) const HELLO: u8 = 16;
    pub(in crate::link) const ACK_RATE: u8 = 32;
}

/// What is known about a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub(super) enum Fate {
    /// In flight.
    Open,
    /// Declared lost; it may still turn out to have arrived.
    Lost,
    /// Arrived, or asked for no acknowledgement.
    Gone,
}

/// A packet that was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentPacket<T> {
    pub(super) sent_at: Instant,
    /// Open: bytes. Otherwise: how many packets from this one on are known not to be open.
    pub(super) extent: u32,
    /// The number of its first frame, counted over all packets.
    pub(super) first_frame: u32,
    pub(super) frame_count: u16,
    pub(super) control: u8,
    pub(super) fate: Fate,
    pub(super) stamp: T,
}

impl<T: Item> Item for SentPacket<T> {
    const BLANK: Self = SentPacket {
        sent_at: Instant::ZERO,
        extent: 0,
        first_frame: 0,
        frame_count: 0,
        control: 0,
        fate: Fate::Open,
        stamp: T::BLANK,
    };
}
