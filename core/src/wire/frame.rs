//! Frames: what a packet carries (protocol.md, section 6).
//!
//! ```text
//! 0x00  padding        rest of the packet, all zero
//! 0x01  ping
//! 0x02  credit         bytes (varint)
//! 0x03  ack rate       packets (varint), delay in µs (varint)
//! 0x04  floor          number (truncated)
//! 0x05  close          code (byte)
//! 0x06  next           payload to the end of the packet      follows a whole message: same channel and flags,
//! 0x07  next, length   length (varint), payload              number one higher
//! 0x4c  settled        channel c; number (truncated)
//! 0x5c  settled, more  channel c; number (truncated), count (byte), count times: gap, run (varints, both one less)
//! 0x6c  skip           channel c; number (truncated), count - 1 (varint)
//! 1LFRcccc  message    channel c; number (truncated); with F: offset (varint, units of 16 bytes), total (varint);
//!                      with L: length (varint); payload
//! ```

use super::codec::varint_len;
use super::{Malformed, Reader, Writer};
use crate::sequence::{Range, Sequence};

/// Fragments begin at multiples of this many bytes. Chosen: fine enough for 48-byte frames, while the bitmap of received
/// granules stays below 1 % of the message.
pub const GRANULE: u32 = 16;

const PADDING: u8 = 0x00;
const PING: u8 = 0x01;
const CREDIT: u8 = 0x02;
const ACK_RATE: u8 = 0x03;
const FLOOR: u8 = 0x04;
const CLOSE: u8 = 0x05;
const NEXT: u8 = 0x06;
const NEXT_LENGTH: u8 = 0x07;
const SETTLED: u8 = 0x40;
const SETTLED_MORE: u8 = 0x50;
const SKIP: u8 = 0x60;
const MESSAGE: u8 = 0x80;
const LENGTH: u8 = 0x40;
const FRAGMENT: u8 = 0x20;
const REDELIVERED: u8 = 0x10;

/// A number as it stands in a frame: low bits, length in bytes.
pub type Truncated = (u32, u8);

/// A message or a fragment of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Message<'a> {
    /// Its channel.
    pub channel: u8,
    /// Its number; `None`: one more than the message before in this packet.
    pub number: Option<Truncated>,
    /// The sender had sent it to an earlier incarnation of the receiver.
    pub redelivered: bool,
    /// For a fragment: where it begins in bytes, and the length of the whole message.
    pub fragment: Option<(u32, u32)>,
    /// The payload of the message or fragment.
    pub payload: &'a [u8],
}

/// What is settled above the first unsettled message: gap and run lengths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Settled<'a>(&'a [u8]);

impl Settled<'_> {
    /// The settled ranges above `base`, lowest first, not counting `base` itself.
    pub fn ranges(&self, base: Sequence) -> impl Iterator<Item = Range> {
        let mut r = Reader::new(self.0);
        let mut at = base;
        core::iter::from_fn(move || {
            let gap = r.varint().ok()?;
            let run = r.varint().ok()?;
            let first = at.plus(gap.wrapping_add(1));
            let last = first.plus(run);
            at = last.plus(1);
            Some(Range { first, last })
        })
    }
}

/// One frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Frame<'a> {
    /// Nothing; elicits an acknowledgement.
    Ping,
    /// The sender of this frame can hold `bytes` unsettled payload bytes.
    Credit {
        /// The new limit.
        bytes: u32,
    },
    /// Please acknowledge every `packets`-th packet, or after `delay` microseconds.
    AckRate {
        /// Packets before an acknowledgement.
        packets: u32,
        /// Longest delay in microseconds.
        delay: u32,
    },
    /// Packets before `number` need no acknowledgement any more.
    Floor {
        /// The oldest number of interest.
        number: Truncated,
    },
    /// The sender of this frame has ended the link.
    Close {
        /// 0 drained, 1 aborted.
        code: u8,
    },
    /// All messages of `channel` before `number` are settled, and those in `more`.
    Settled {
        /// The channel.
        channel: u8,
        /// The first message that is not settled.
        number: Truncated,
        /// Settled ones after it.
        more: Settled<'a>,
    },
    /// `count` messages of `channel` from `number` on will not come (again).
    Skip {
        /// The channel.
        channel: u8,
        /// The first of them.
        number: Truncated,
        /// How many.
        count: u32,
    },
    /// A message.
    Message(Message<'a>),
}

impl Frame<'_> {
    /// Whether the frame asks for an acknowledgement (in a numbered packet).
    pub const fn is_eliciting(&self) -> bool {
        !matches!(self, Frame::Floor { .. })
    }
}

/// Walks the frames of a packet. Ends after the first malformed one.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    r: Reader<'a>,
    /// Channel and flags of the message before, for `next`.
    previous: Option<u8>,
}

impl<'a> Frames<'a> {
    /// The frames in `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Frames { r: Reader::new(bytes), previous: None }
    }

    fn parse(&mut self) -> Result<Option<Frame<'a>>, Malformed> {
        let Ok(kind) = self.r.u8() else { return Ok(None) };
        let previous = self.previous.take();
        let r = &mut self.r;
        Ok(Some(match kind {
            PADDING => {
                let rest = r.bytes(r.rest().len())?;
                return if rest.iter().all(|&b| b == 0) { Ok(None) } else { Err(Malformed) };
            }
            PING => Frame::Ping,
            CREDIT => Frame::Credit { bytes: r.varint()? },
            ACK_RATE => Frame::AckRate { packets: r.varint()?, delay: r.varint()? },
            FLOOR => Frame::Floor { number: r.truncated()? },
            CLOSE => Frame::Close { code: r.u8()? },
            NEXT | NEXT_LENGTH => {
                let flags = previous.ok_or(Malformed)?;
                let len = Self::length(kind == NEXT_LENGTH, r)?;
                self.previous = previous;
                Frame::Message(Message {
                    channel: flags & 15,
                    number: None,
                    redelivered: flags & REDELIVERED != 0,
                    fragment: None,
                    payload: r.bytes(len)?,
                })
            }
            0x40..=0x4f => Frame::Settled { channel: kind & 15, number: r.truncated()?, more: Settled(&[]) },
            0x50..=0x5f => Self::settled_more(kind & 15, r)?,
            0x60..=0x6f => {
                let number = r.truncated()?;
                let count = r.varint()?;
                if count >= i32::MAX as u32 {
                    return Err(Malformed);
                }
                Frame::Skip { channel: kind & 15, number, count: count + 1 }
            }
            MESSAGE.. => {
                let number = Some(r.truncated()?);
                let fragment = if kind & FRAGMENT != 0 { Some(Self::fragment(r)?) } else { None };
                let len = Self::length(kind & LENGTH != 0, r)?;
                let payload = r.bytes(len)?;
                match fragment {
                    Some((offset, total)) => Self::check_fragment(offset, total, len)?,
                    None => self.previous = Some(kind),
                }
                let redelivered = kind & REDELIVERED != 0;
                Frame::Message(Message { channel: kind & 15, number, redelivered, fragment, payload })
            }
            _ => return Err(Malformed),
        }))
    }

    /// The payload's length. To be left out exactly when the payload ends the packet, so an explicit length never
    /// reaches the end.
    fn length(explicit: bool, r: &mut Reader<'a>) -> Result<usize, Malformed> {
        if !explicit {
            return Ok(r.rest().len());
        }
        let len = r.varint()? as usize;
        if len >= r.rest().len() { Err(Malformed) } else { Ok(len) }
    }

    fn fragment(r: &mut Reader<'a>) -> Result<(u32, u32), Malformed> {
        let offset = r.varint()?;
        Ok((offset.checked_mul(GRANULE).ok_or(Malformed)?, r.varint()?))
    }

    fn check_fragment(offset: u32, total: u32, len: usize) -> Result<(), Malformed> {
        let end = offset.checked_add(len as u32).ok_or(Malformed)?;
        let whole = end == total || (len as u32).is_multiple_of(GRANULE);
        if len == 0 || end > total || !whole || (len as u32) == total { Err(Malformed) } else { Ok(()) }
    }

    fn settled_more(channel: u8, r: &mut Reader<'a>) -> Result<Frame<'a>, Malformed> {
        let number = r.truncated()?;
        let count = r.u8()?;
        let start = r.rest();
        let mut span = 0u32;
        for _ in 0..count {
            let gap = r.varint()?;
            let run = r.varint()?;
            span = span.checked_add(gap).and_then(|s| s.checked_add(run)?.checked_add(2)).ok_or(Malformed)?;
        }
        if count == 0 || span > i32::MAX as u32 {
            return Err(Malformed);
        }
        Ok(Frame::Settled { channel, number, more: Settled(r.since(start)) })
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, Malformed>;
    fn next(&mut self) -> Option<Self::Item> {
        let item = self.parse();
        if item.is_err() {
            self.r = Reader::new(&[]);
        }
        item.transpose()
    }
}

/// Writing frames. Each returns `false`, and writes nothing, if the frame does not fit.
impl Writer<'_> {
    /// Runs `f`; takes back what it wrote if it returns `false`.
    fn whole(&mut self, f: impl FnOnce(&mut Self) -> bool) -> bool {
        let start = self.len();
        let ok = f(self);
        if !ok {
            self.truncate(start);
        }
        ok
    }

    /// A ping.
    pub fn ping(&mut self) -> bool {
        self.u8(PING)
    }

    /// A credit frame.
    pub fn credit(&mut self, bytes: u32) -> bool {
        self.whole(|w| w.u8(CREDIT) && w.varint(bytes))
    }

    /// An ack-rate frame.
    pub fn ack_rate(&mut self, packets: u32, delay: u32) -> bool {
        self.whole(|w| w.u8(ACK_RATE) && w.varint(packets) && w.varint(delay))
    }

    /// A floor frame.
    pub fn floor(&mut self, number: Sequence, len: u8) -> bool {
        self.whole(|w| w.u8(FLOOR) && w.truncated(number.0, len))
    }

    /// A close frame.
    pub fn close(&mut self, code: u8) -> bool {
        self.whole(|w| w.u8(CLOSE) && w.u8(code))
    }

    /// A skip frame.
    pub fn skip(&mut self, channel: u8, number: Sequence, len: u8, count: u32) -> bool {
        self.whole(|w| w.u8(SKIP | channel) && w.truncated(number.0, len) && w.varint(count.wrapping_sub(1)))
    }

    /// A settled frame: everything before `base`, and `more` (sorted, above `base`, neither adjacent to it nor to each
    /// other); as many of them as fit, at most 255.
    pub fn settled(&mut self, channel: u8, base: Sequence, len: u8, more: &[Range]) -> bool {
        let start = self.len();
        let kind = if more.is_empty() { SETTLED } else { SETTLED_MORE };
        if !(self.u8(kind | channel) && self.truncated(base.0, len)) {
            self.truncate(start);
            return false;
        }
        if more.is_empty() {
            return true;
        }
        let count_at = self.len();
        let mut at = base;
        let mut count = 0u8;
        if self.u8(0) {
            for r in more.iter().take(255) {
                let gap = r.first.since(at).wrapping_sub(1);
                if !self.whole(|w| w.varint(gap) && w.varint(r.count() - 1)) {
                    break;
                }
                at = r.last.plus(1);
                count += 1;
            }
        }
        if count == 0 {
            self.truncate(start);
            return false;
        }
        self.set(count_at, count);
        true
    }

    /// A message or fragment with explicit length; `Some(position, length)` of the length field, for
    /// [`Writer::finish_message`]. `None` if it does not fit.
    pub fn message(&mut self, m: &Message<'_>, number: Sequence) -> Option<(usize, usize)> {
        let start = self.len();
        let flags = m.channel | if m.redelivered { REDELIVERED } else { 0 };
        let head = match (m.number, m.fragment) {
            (None, _) => self.u8(NEXT_LENGTH),
            (Some((_, n)), None) => self.u8(MESSAGE | LENGTH | flags) && self.truncated(number.0, n),
            (Some((_, n)), Some((offset, total))) => {
                self.u8(MESSAGE | LENGTH | FRAGMENT | flags)
                    && self.truncated(number.0, n)
                    && self.varint(offset / GRANULE)
                    && self.varint(total)
            }
        };
        let at = self.len();
        if head && self.varint(m.payload.len() as u32) {
            let len = self.len() - at;
            if self.bytes(m.payload) {
                return Some((at, len));
            }
            // The last message of a packet has no length field: it may just fit without.
            self.truncate(at);
            if self.bytes(m.payload) {
                return Some((at, 0));
            }
        }
        self.truncate(start);
        None
    }

    /// Makes the message written last, whose kind stands at `kind_at` and length field at `length`, the end of the
    /// packet: the length field goes.
    pub fn finish_message(&mut self, kind_at: usize, length: (usize, usize)) {
        self.remove(length.0, length.1);
        let kind = self.written().get(kind_at).copied().unwrap_or(NEXT_LENGTH);
        self.set(kind_at, if kind == NEXT_LENGTH { NEXT } else { kind & !LENGTH });
    }

    /// Fills up to `len` bytes with padding.
    pub fn pad_to(&mut self, len: usize) {
        if let Some(n) = len.checked_sub(self.len())
            && let Some(s) = self.reserve(n)
        {
            s.fill(PADDING);
        }
    }
}

/// Bytes in front of the payload of a message: kind, number of `number_len` bytes, length.
pub(crate) const fn message_overhead(number_len: u8, len: u32) -> usize {
    1 + number_len as usize + varint_len(len)
}

/// Bytes in front of a fragment's payload.
pub(crate) const fn fragment_overhead(number_len: u8, offset: u32, total: u32, len: u32) -> usize {
    message_overhead(number_len, len) + varint_len(offset / GRANULE) + varint_len(total)
}
