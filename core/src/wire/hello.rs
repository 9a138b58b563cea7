//! The hello: opens an association, tells identities and limits (protocol.md, section 7).
//!
//! ```text
//! 0x80 version
//! length, link id of the receiver      empty if not known
//! length, link id of the sender        what the receiver is to put on its packets
//! incarnation of the sender   8 bytes
//! incarnation of the receiver 8 bytes  zero if not known
//! flags                       1 byte
//! packet number               4 bytes
//! length (varint), parameters          each: id, length (varints), value
//! with the ACK flag: 1 byte of ack bits, acknowledgement fields
//! frames
//! check                       4 bytes  not on framed media
//! ```

use super::{Ack, LinkId, Malformed, Reader, Writer};
use crate::config::Mode;
use crate::sequence::Sequence;

/// The protocol version of this crate.
pub const VERSION: u8 = 1;

/// Shorter than this no hello can be, without its check.
pub const HELLO_LEN_MIN: usize = 27;

/// Bits of the flags byte.
pub mod hello_flags {
    /// The sender has not given up its earlier association: repeat the hello with the sender's incarnation in it.
    pub const CONFIRM: u8 = 0x01;
    /// Acknowledgement fields follow the parameters.
    pub const ACK: u8 = 0x02;
    /// The sender wants packets without check.
    pub const NO_CHECK: u8 = 0x04;
    /// The hello has no body, and its number is not used up: the next packet has it, too.
    pub const BARE: u8 = 0x08;
    /// The sender has received a hello of the receiver's incarnation that is neither bare nor one of which more comes, so
    /// it knows all parameters.
    pub const KNOWS: u8 = 0x10;
    /// Modes and bases are not complete: later hellos tell the rest.
    pub const MORE: u8 = 0x20;
    /// All flags that have a meaning in this version.
    pub const ALL: u8 = CONFIRM | ACK | NO_CHECK | BARE | KNOWS | MORE;
}

/// What one side can take, and how it numbers: parameters with their defaults.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Params<'a> {
    /// 1: largest datagram that can be received, in bytes.
    pub datagram_max: u32,
    /// 2: messages that may be unsettled on one channel.
    pub window: u32,
    /// 3: payload bytes that may be unsettled.
    pub buffer: u32,
    /// 4: the longest message.
    pub message_max: u32,
    /// 5: longest acknowledgement delay in microseconds.
    pub ack_delay: u32,
    /// 6: number of channels that can be received.
    pub channels: u32,
    /// 7: the mode of each channel that the sender uses, two bits each from the lowest on; channels beyond are ordered.
    pub modes: &'a [u8],
    /// 8: pairs of channel and first number that can still come; others begin at 0.
    pub bases: Pairs<'a>,
    /// 9: what a retry asked to send back.
    pub cookie: &'a [u8],
    /// 10: 0 if fragments cannot be put together.
    pub fragments: u32,
}

impl Default for Params<'_> {
    fn default() -> Self {
        Params {
            datagram_max: 1200,
            window: 64,
            buffer: 65_536,
            message_max: 65_536,
            ack_delay: 1000,
            channels: 16,
            modes: &[],
            bases: Pairs(&[]),
            cookie: &[],
            fragments: 1,
        }
    }
}

/// One parameter as it stands on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Param<'a> {
    /// A single number.
    Number(u32),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// Pairs of channel and number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Pairs<'a>(pub &'a [u8]);

impl Pairs<'_> {
    fn is_whole(&self) -> bool {
        let mut r = Reader::new(self.0);
        while !r.is_empty() {
            if r.u8().is_err() || r.varint().is_err() {
                return false;
            }
        }
        true
    }

    /// The pairs. A value that ends in the middle of one ends before it.
    pub fn iter(&self) -> impl Iterator<Item = (u8, Sequence)> {
        let mut r = Reader::new(self.0);
        core::iter::from_fn(move || Some((r.u8().ok()?, Sequence(r.varint().ok()?))))
    }
}

/// A hello, its check already cut off.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Hello<'a> {
    /// The receiver's link id, as far as the sender knows it.
    pub to: LinkId,
    /// The sender's link id.
    pub from: LinkId,
    /// The sender's incarnation.
    pub incarnation: u64,
    /// The receiver's incarnation, 0 if the sender does not know it.
    pub your_incarnation: u64,
    /// See [`hello_flags`].
    pub flags: u8,
    /// The packet number, not truncated.
    pub number: Sequence,
    /// Identities and limits.
    pub params: Params<'a>,
    /// Acknowledgement fields.
    pub ack: Option<Ack<'a>>,
    /// The frames, not yet looked at.
    pub frames: &'a [u8],
}

impl<'a> Hello<'a> {
    /// The version and incarnation of a hello of any version: these stand at the same place in all.
    pub fn peek(datagram: &'a [u8]) -> Result<(u8, u64), Malformed> {
        let mut r = Reader::new(datagram);
        r.u8()?;
        let version = r.u8()?;
        for _ in 0..2 {
            let n = r.u8()?;
            r.bytes(n as usize)?;
        }
        Ok((version, r.u64()?))
    }

    /// Reads a hello of this version, from its first byte on.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(datagram);
        r.u8()?;
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let to = link_id(&mut r)?;
        let from = link_id(&mut r)?;
        let incarnation = r.u64()?;
        let your_incarnation = r.u64()?;
        let flags = r.u8()?;
        let number = Sequence(r.u32()?);
        if incarnation == 0 || flags & !hello_flags::ALL != 0 {
            return Err(Malformed);
        }
        let len = r.varint()? as usize;
        let params = Params::parse(r.bytes(len)?)?;
        let ack = if flags & hello_flags::ACK != 0 {
            let bits = r.u8()?;
            if bits > 0x1f {
                return Err(Malformed);
            }
            Some(Ack::parse(bits, &mut r)?)
        } else {
            None
        };
        Ok(Hello { to, from, incarnation, your_incarnation, flags, number, params, ack, frames: r.rest() })
    }

    /// Writes everything up to the parameters. `false` if it does not fit.
    pub fn encode_head(&self, w: &mut Writer<'_>) -> bool {
        w.u8(super::first_byte::HELLO)
            && w.u8(VERSION)
            && w.u8(self.to.as_bytes().len() as u8)
            && w.bytes(self.to.as_bytes())
            && w.u8(self.from.as_bytes().len() as u8)
            && w.bytes(self.from.as_bytes())
            && w.bytes(&self.incarnation.to_le_bytes())
            && w.bytes(&self.your_incarnation.to_le_bytes())
            && w.u8(self.flags)
            && w.bytes(&self.number.0.to_le_bytes())
    }
}

fn link_id(r: &mut Reader<'_>) -> Result<LinkId, Malformed> {
    let n = r.u8()? as usize;
    LinkId::new(r.bytes(n)?).ok_or(Malformed)
}

impl<'a> Params<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut p = Params::default();
        let mut r = Reader::new(bytes);
        let mut last = 0;
        while !r.is_empty() {
            let id = r.varint()?;
            let len = r.varint()? as usize;
            let value = r.bytes(len)?;
            // In rising order, each at most once: one set of parameters, one encoding.
            if id <= last {
                return Err(Malformed);
            }
            last = id;
            let mut v = Reader::new(value);
            match id {
                1 => p.datagram_max = v.varint()?,
                2 => p.window = v.varint()?,
                3 => p.buffer = v.varint()?,
                4 => p.message_max = v.varint()?,
                5 => p.ack_delay = v.varint()?,
                6 => p.channels = v.varint()?,
                7 => p.modes = value,
                8 => p.bases = Pairs(value),
                9 => p.cookie = value,
                10 => p.fragments = v.varint()?,
                _ => {}
            }
            if (id <= 6 || id == 10) && !v.is_empty() || id == 8 && !p.bases.is_whole() {
                return Err(Malformed);
            }
        }
        Ok(p)
    }

    /// Writes the parameters with their length in front. `false` if they do not fit.
    /// `bases` are written from `base_pairs`.
    pub fn encode(&self, base_pairs: impl Iterator<Item = (u8, Sequence)>, w: &mut Writer<'_>) -> bool {
        let start = w.len();
        if w.reserve(2).is_none() {
            return false;
        }
        let d = Params::default();
        let number = |w: &mut Writer<'_>, id: u8, v: u32, default: u32| {
            v == default || w.u8(id) && w.u8(super::codec::varint_len(v) as u8) && w.varint(v)
        };
        let mut ok = number(w, 1, self.datagram_max, d.datagram_max)
            && number(w, 2, self.window, d.window)
            && number(w, 3, self.buffer, d.buffer)
            && number(w, 4, self.message_max, d.message_max)
            && number(w, 5, self.ack_delay, d.ack_delay)
            && number(w, 6, self.channels, d.channels);
        if ok && !self.modes.is_empty() {
            ok = w.u8(7) && w.u8(self.modes.len() as u8) && w.bytes(self.modes);
        }
        let bases_at = w.len();
        ok = ok && w.u8(8) && w.u8(0);
        for (c, s) in base_pairs {
            ok = ok && w.u8(c) && w.varint(s.0);
        }
        if ok {
            let n = w.len() - bases_at - 2;
            if n == 0 {
                w.truncate(bases_at);
            } else {
                w.set(bases_at + 1, n as u8);
            }
        }
        if ok && !self.cookie.is_empty() {
            ok = w.u8(9) && w.u8(self.cookie.len() as u8) && w.bytes(self.cookie);
        }
        ok = ok && number(w, 10, self.fragments, d.fragments);
        let n = w.len() - start - 2;
        if !ok || n >= 1 << 14 {
            w.truncate(start);
            return false;
        }
        if n < 128 {
            w.set(start, n as u8);
            w.remove(start + 1, 1);
        } else {
            w.set(start, n as u8 | 128);
            w.set(start + 1, (n >> 7) as u8);
        }
        true
    }
}

/// The mode that two bits of parameter 7 stand for; others are not looked at.
pub const fn mode_from(bits: u8) -> Mode {
    match bits & 3 {
        0 => Mode::Ordered,
        1 => Mode::Unordered,
        2 => Mode::Latest,
        _ => Mode::BestEffort,
    }
}
