//! What a side knows of its peer and owes to strangers: the state of the handshake (protocol.md, sections 7 and 8).

use crate::config::{CHANNELS_MAX, Mode};
use crate::listener::ECHO_MAX;
use crate::sequence::Sequence;
use crate::wire::{LinkId, Params, mode_from};

/// The longest acknowledgement delay that is believed, in microseconds (protocol.md, 10).
pub(super) const ACK_DELAY_MAX: u32 = 1_000_000;

/// The longest cookie that is kept and sent back.
pub(super) const COOKIE_MAX: usize = 16;

/// What a hello may leave to later ones, in the order in which it is told: the modes, and the base of each channel.
pub(super) const STEPS: u8 = 1 + CHANNELS_MAX as u8;

/// A cookie to be sent with the next hello.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Cookie {
    pub(super) bytes: [u8; COOKIE_MAX],
    pub(super) len: u8,
}

impl Cookie {
    pub(super) const EMPTY: Cookie = Cookie { bytes: [0; COOKIE_MAX], len: 0 };

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len as usize).unwrap_or(&[])
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// What is known about the peer.
#[derive(Clone, Debug, Hash)]
pub(super) struct Peer {
    /// 0: nothing was heard.
    pub(super) incarnation: u64,
    pub(super) id: LinkId,
    /// It has shown that it knows this association.
    pub(super) is_confirmed: bool,
    /// It took us for an earlier life of ours when it was adopted, and has not named us since.
    pub(super) is_stranger: bool,
    /// A reset said that it may have restarted.
    pub(super) is_suspect: bool,
    pub(super) no_check: bool,
    /// It has told all its parameters: we have had a hello of it that was not bare nor for an earlier life of ours, and of
    /// which no more comes.
    pub(super) has_params: bool,
    /// Of the steps of what it has to hear: those that it has heard, and those that it will have heard when it acknowledges
    /// a packet from this one on.
    pub(super) told: u8,
    pub(super) telling: u8,
    pub(super) telling_since: Sequence,
    /// It can put fragments together.
    pub(super) fragments: bool,
    /// The number of the packet whose credit or ack rate holds.
    pub(super) control_number: Sequence,
    /// The number of the hello that was taken last.
    pub(super) hello_number: Sequence,
    pub(super) datagram_max: u32,
    pub(super) window: u32,
    pub(super) buffer: u32,
    pub(super) message_max: u32,
    pub(super) ack_delay: u32,
    pub(super) channels: u8,
    /// Two bits for each channel.
    pub(super) modes: u32,
    /// What the checks of packets in either direction start from.
    pub(super) key_in: u32,
    pub(super) key_out: u32,
}

impl Peer {
    pub(super) const BLANK: Self = Peer {
        incarnation: 0,
        id: LinkId::EMPTY,
        is_confirmed: false,
        is_stranger: false,
        is_suspect: false,
        no_check: false,
        has_params: false,
        told: 0,
        telling: 0,
        telling_since: Sequence(0),
        fragments: false,
        control_number: Sequence(0),
        hello_number: Sequence(0),
        datagram_max: 0,
        window: 0,
        buffer: 0,
        message_max: 0,
        ack_delay: 0,
        channels: 0,
        modes: 0,
        key_in: 0,
        key_out: 0,
    };

    /// Nobody yet: what may be sent in a first hello is bounded by what every peer can take.
    pub(super) fn start(&mut self, datagram_max: u32) {
        let d = Params::default();
        self.datagram_max = datagram_max;
        self.window = d.window;
        self.buffer = d.buffer;
        self.message_max = u32::MAX;
        self.ack_delay = d.ack_delay;
        self.channels = CHANNELS_MAX as u8;
        self.tell_again(Sequence(0));
    }

    /// Packets from number `since` on tell everything anew.
    pub(super) fn tell_again(&mut self, since: Sequence) {
        self.told = 0;
        self.telling = STEPS;
        self.telling_since = since;
    }

    pub(super) fn mode(&self, c: usize) -> Mode {
        mode_from((self.modes >> ((2 * c as u32) & 31)) as u8)
    }

    pub(super) fn has_channel(&self, c: usize) -> bool {
        c < self.channels as usize
    }
}

/// An answer to somebody who is not the peer (yet). Nothing is remembered of it.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum Reply {
    /// Nobody is to be answered.
    None,
    /// A hello without a body, with these flags.
    Hello { incarnation: u64, id: LinkId, flags: u8 },
    /// A reset that repeats these bytes.
    Reset { echo: [u8; ECHO_MAX], len: u8 },
}

/// Two bits for each channel, as parameter 7 has them.
pub(super) fn modes_of(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).rev().fold(0, |all, &byte| all << 8 | byte as u32)
}

/// The start of the check of packets from incarnation `from` to `to`: a packet of another association fails.
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
pub(crate) fn association_key(from: u64, to: u64) -> u32 {
    let mixed =
        from.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ to.rotate_left(32).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    (mixed ^ mixed >> 32) as u32
}
