//! Packets: the first byte, link ids, and the packets of a running association (protocol.md, section 4).

use super::{Ack, Malformed, Reader};

/// The longest link id in bytes.
pub const LINK_ID_LEN_MAX: usize = 8;

/// The length in bytes of a packet's check.
pub const CHECK_LEN: usize = 4;

/// First bytes.
pub mod first_byte {
    /// Numbered, without acknowledgement fields. All other bits zero.
    pub const NUMBERED: u8 = 0x00;
    /// Numbered, acknowledgement fields after the number; low five bits describe them.
    pub const NUMBERED_ACK: u8 = 0x20;
    /// Reserved for sealed packets.
    pub const SEALED: u8 = 0x40;
    /// No number, acknowledgement fields directly after the link id; low five bits describe them.
    pub const ACK_ONLY: u8 = 0x60;
    /// Opens an association, or answers that.
    pub const HELLO: u8 = 0x80;
    /// Asks for the same hello again with a cookie.
    pub const RETRY: u8 = 0x81;
    /// Says that a packet's association is not known.
    pub const RESET: u8 = 0x82;
    /// Says that a hello's version is not known.
    pub const VERSION: u8 = 0x83;
    /// Set in long packets.
    pub const LONG: u8 = 0x80;
}

/// The id by which one side recognises packets that are meant for one of its links: 0 to 8 bytes of its own choice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LinkId {
    len: u8,
    bytes: [u8; LINK_ID_LEN_MAX],
}

impl LinkId {
    /// The id of no bytes.
    pub const EMPTY: LinkId = LinkId { len: 0, bytes: [0; LINK_ID_LEN_MAX] };

    /// The id with these bytes. `None` if there are more than [`LINK_ID_LEN_MAX`].
    pub fn new(id: &[u8]) -> Option<Self> {
        let mut bytes = [0; LINK_ID_LEN_MAX];
        super::copy(bytes.get_mut(..id.len())?, id);
        Some(LinkId { len: id.len() as u8, bytes })
    }

    /// The id of `len` bytes (limited to [`LINK_ID_LEN_MAX`]) with the low bytes of `value`.
    pub fn from_value(value: u64, len: u8) -> Self {
        let len = len.min(LINK_ID_LEN_MAX as u8);
        let mut bytes = value.to_le_bytes();
        bytes.iter_mut().skip(len as usize).for_each(|b| *b = 0);
        LinkId { len, bytes }
    }

    /// The bytes as a little-endian number.
    pub const fn value(&self) -> u64 {
        u64::from_le_bytes(self.bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len as usize).unwrap_or(&[])
    }
}

/// A packet of a running association, its check (if any) already cut off.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Short<'a> {
    /// The low bits of the packet number and their length in bytes; `None` for one that only acknowledges.
    pub number: Option<(u32, u8)>,
    /// Acknowledgement fields.
    pub ack: Option<Ack<'a>>,
    /// The frames, not yet looked at.
    pub frames: &'a [u8],
}

impl<'a> Short<'a> {
    /// Reads what follows the link id in a packet that begins with `first`.
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub fn parse(first: u8, r: &mut Reader<'a>) -> Result<Self, Malformed> {
        let (numbered, acks) = match first & 0xe0 {
            first_byte::NUMBERED if first == first_byte::NUMBERED => (true, false),
            first_byte::NUMBERED_ACK => (true, true),
            first_byte::ACK_ONLY => (false, true),
            _ => return Err(Malformed),
        };
        let number = if numbered { Some(r.truncated()?) } else { None };
        let ack = if acks { Some(Ack::parse(first & 0x1f, r)?) } else { None };
        Ok(Short { number, ack, frames: r.rest() })
    }
}

/// A long packet other than a hello, its check already cut off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Long<'a> {
    /// `cookie` is to be sent with the hello again; `incarnation` is the one that the hello named.
    Retry {
        /// The incarnation of the hello that is answered.
        incarnation: u64,
        /// To be sent back unchanged.
        cookie: &'a [u8],
    },
    /// The association of the packet that began with `echo` is not known.
    Reset {
        /// The first bytes of that packet.
        echo: &'a [u8],
    },
    /// The hello of `incarnation` asked for a version that is not known here; `supported` are.
    Version {
        /// The incarnation of the hello that is answered.
        incarnation: u64,
        /// The versions known.
        supported: &'a [u8],
    },
}

impl<'a> Long<'a> {
    /// Reads what follows `first`.
    pub fn parse(first: u8, r: &mut Reader<'a>) -> Result<Self, Malformed> {
        match first {
            first_byte::RETRY => Ok(Long::Retry { incarnation: r.u64()?, cookie: r.rest() }),
            first_byte::RESET => Ok(Long::Reset { echo: r.rest() }),
            first_byte::VERSION => Ok(Long::Version { incarnation: r.u64()?, supported: r.rest() }),
            _ => Err(Malformed),
        }
    }
}
