//! Frames: what a packet carries (protocol.md, section 6).
//!
//! ```text
//! 0x00  padding        rest of the packet, all zero
//! 0x01  ping
//! 0x02  credit         bytes (varint)
//! 0x03  ack rate       packets (varint), delay in µs (varint)
//! 0x04  floor          number (truncated)
//! 0x05  close          code (byte)
//! 0x06  next           payload to the end of the packet      follows the end of a message: same channel and flags,
//! 0x07  next, length   length (varint), payload              number one higher
//! 0x08  series         payloads to the end of the packet     the same for many messages, each as long as the one before;
//! 0x09  series, length length (varint), payloads             the last may be cut
//! 0x4c  settled        channel c; number (truncated)
//! 0x5c  settled, more  channel c; number (truncated), count (byte), count times: gap, run (varints, both one less)
//! 0x6c  skip           channel c; number (truncated), count - 1 (varint)
//! 1LFRcccc  message    channel c; number (truncated); with F: offset (varint, in granules), total (varint);
//!                      with L: length (varint); payload
//! ```

use super::codec::varint_len;
use super::{Malformed, Reader, Writer};
use crate::sequence::{Range, Sequence};

/// Messages from this length on have long granules.
const LONG_FROM: u32 = 4096;

/// A message of `total` bytes is cut at multiples of two to the power of this. Chosen: 4 bytes waste 1 % of a 127-byte datagram and
/// cost a bitmap of 3 % of the message; 16 bytes, for long messages, cost less than 1 %.
pub const fn granule_bits(total: u32) -> u32 {
    if total < LONG_FROM { 2 } else { 4 }
}

/// Granules that begin before byte `at` of a message of `total` bytes.
pub const fn granules_to(at: u32, total: u32) -> u32 {
    let bits = granule_bits(total);
    (at >> bits) + (at & ((1 << bits) - 1) != 0) as u32
}

const PADDING: u8 = 0x00;
const PING: u8 = 0x01;
const CREDIT: u8 = 0x02;
const ACK_RATE: u8 = 0x03;
const FLOOR: u8 = 0x04;
const CLOSE: u8 = 0x05;
const NEXT: u8 = 0x06;
const NEXT_LENGTH: u8 = 0x07;
const SERIES: u8 = 0x08;
const SERIES_LENGTH: u8 = 0x09;
const SETTLED: u8 = 0x40;
const SETTLED_MORE: u8 = 0x50;
const SKIP: u8 = 0x60;
const MESSAGE: u8 = 0x80;
const LENGTH: u8 = 0x40;
const FRAGMENT: u8 = 0x20;
const REDELIVERED: u8 = 0x10;

/// A number as it stands in a frame: low bits, length in bytes.
pub type Truncated = (u32, u8);

/// Where a frame was written: the position of its kind, and position and length of its length field.
pub type Placed = (usize, (usize, usize));

/// A message or a fragment of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Message<'a> {
    /// Its channel.
    pub channel: u8,
    /// Its number; `None`: one more than the message before in this packet.
    pub number: Option<Truncated>,
    /// It is one of a series: of the same length as the message before, and without a head of its own.
    pub is_in_series: bool,
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
    /// Channel and flags of the message that ended with the frame before, and its length.
    previous: Option<(u8, u32)>,
    /// What is left of a series.
    series: &'a [u8],
}

impl<'a> Frames<'a> {
    /// The frames in `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Frames { r: Reader::new(bytes), previous: None, series: &[] }
    }

    fn parse(&mut self) -> Result<Option<Frame<'a>>, Malformed> {
        if !self.series.is_empty() {
            return self.message(SERIES).map(Some);
        }
        let Ok(kind) = self.r.u8() else { return Ok(None) };
        if matches!(kind, NEXT..=SERIES_LENGTH | MESSAGE..) {
            return self.message(kind).map(Some);
        }
        self.previous = None;
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
            _ => return Err(Malformed),
        }))
    }

    /// The next message of a series, unless it is the last one or empty: nothing can be wrong with it.
    #[inline]
    fn next_in_series(&mut self) -> Option<Message<'a>> {
        let (flags, len) = self.previous?;
        let (payload, rest) = self.series.split_at_checked(len as usize)?;
        if payload.is_empty() || rest.is_empty() {
            return None;
        }
        self.series = rest;
        let redelivered = flags & REDELIVERED != 0;
        Some(Message {
            channel: flags & 15,
            number: None,
            is_in_series: true,
            redelivered,
            fragment: None,
            payload,
        })
    }

    /// A message, or the next one of a series. Its `kind` is read.
    fn message(&mut self, kind: u8) -> Result<Frame<'a>, Malformed> {
        let previous = self.previous.take();
        let r = &mut self.r;
        let is_in_series = matches!(kind, SERIES | SERIES_LENGTH);
        let (mut flags, mut number, mut fragment) = (kind, None, None);
        let mut has_length = kind & LENGTH != 0;
        let mut length_before = 0;
        if kind >= MESSAGE {
            number = Some(r.truncated()?);
            if kind & FRAGMENT != 0 {
                fragment = Some(Self::fragment(r)?);
            }
        } else {
            (flags, length_before) = previous.ok_or(Malformed)?;
            has_length = kind & 1 != 0;
        }
        let mut payload = self.series;
        if payload.is_empty() {
            let len = Self::length(has_length, r)?;
            payload = r.bytes(len)?;
        }
        if is_in_series {
            (payload, self.series) = match payload.split_at_checked(length_before as usize) {
                Some((first, rest)) if !first.is_empty() => (first, rest),
                // The last one is cut.
                _ => (payload, &[][..]),
            };
            let is_cut = payload.len() as u32 != length_before || payload.is_empty();
            fragment = is_cut.then_some((0, length_before));
        }
        let len = payload.len() as u32;
        let (offset, total) = fragment.unwrap_or((0, len));
        if fragment.is_some() {
            Self::check_fragment(offset, total, len)?;
        }
        if offset + len == total && (!is_in_series || !self.series.is_empty()) {
            self.previous = Some((flags, total));
        }
        Ok(Frame::Message(Message {
            channel: flags & 15,
            number,
            is_in_series,
            redelivered: flags & REDELIVERED != 0,
            fragment,
            payload,
        }))
    }

    /// The payload's length. To be left out exactly when the payload ends the packet, so an explicit length never
    /// reaches the end.
    #[cfg_attr(target_pointer_width = "64", inline)]
    fn length(explicit: bool, r: &mut Reader<'a>) -> Result<usize, Malformed> {
        if !explicit {
            return Ok(r.rest().len());
        }
        let len = r.varint()? as usize;
        if len >= r.rest().len() { Err(Malformed) } else { Ok(len) }
    }

    fn fragment(r: &mut Reader<'a>) -> Result<(u32, u32), Malformed> {
        let (offset, total) = (r.varint()?, r.varint()?);
        let bits = granule_bits(total);
        if offset > total >> bits { Err(Malformed) } else { Ok((offset << bits, total)) }
    }

    fn check_fragment(offset: u32, total: u32, len: u32) -> Result<(), Malformed> {
        let end = offset.checked_add(len).ok_or(Malformed)?;
        let whole = end == total || len & ((1 << granule_bits(total)) - 1) == 0;
        if len == 0 || end > total || !whole || len == total { Err(Malformed) } else { Ok(()) }
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

    #[cfg_attr(target_pointer_width = "64", inline)]
    fn next(&mut self) -> Option<Self::Item> {
        if cfg!(target_pointer_width = "64") {
            if self.r.is_empty() && self.series.is_empty() {
                return None;
            }
            if let Some(message) = self.next_in_series() {
                return Some(Ok(Frame::Message(message)));
            }
        }
        let item = self.parse();
        if item.is_err() {
            *self = Frames::new(&[]);
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
                    && self.varint(offset >> granule_bits(total))
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
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub fn finish_message(&mut self, kind_at: usize, length: (usize, usize)) {
        self.remove(length.0, length.1);
        let kind = self.written().get(kind_at).copied().unwrap_or(NEXT_LENGTH);
        // The kinds that come with and without length differ in one bit.
        self.set(kind_at, if kind < MESSAGE { kind ^ (NEXT ^ NEXT_LENGTH) } else { kind & !LENGTH });
    }

    /// One more message of a series, or its beginning, in place of [`message`](Self::message). `last`: the series so far, as this
    /// returned it; `None` for the first of one. Returns `None`, and writes nothing, if it does not fit.
    pub fn series(&mut self, last: Option<Placed>, payload: &[u8]) -> Option<Placed> {
        let start = self.len();
        let (kind_at, (at, old_len)) = match last {
            Some(placed) => placed,
            None => {
                self.u8(SERIES_LENGTH);
                (start, (start + 1, 0))
            }
        };
        let len = self.len().checked_sub(at + old_len)? + payload.len();
        let length_len = varint_len(len as u32);
        let more = length_len - old_len;
        if self.room() >= payload.len() + more {
            self.insert(at, more);
            self.bytes(payload);
            self.set_varint(at, len as u32);
            return Some((kind_at, (at, length_len)));
        }
        // At the end of a packet it has no length field: it may just fit without.
        if self.room() + old_len < payload.len() {
            self.truncate(start);
            return None;
        }
        self.remove(at, old_len);
        self.bytes(payload);
        Some((kind_at, (at, 0)))
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

/// Bytes in front of the payload of a fragment that ends a packet: kind, number of `number_len` bytes, offset, total.
pub(crate) const fn fragment_overhead(number_len: u8, offset: u32, total: u32) -> usize {
    1 + number_len as usize + varint_len(offset >> granule_bits(total)) + varint_len(total)
}
