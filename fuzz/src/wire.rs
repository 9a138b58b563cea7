//! Packets by hand: what the core reads is written again, and packets that no honest side sends get the right check.

use ackline::sequence::{Range, Sequence};
use ackline::wire::{Ack, Frame, Frames, Hello, Message, Reader, Short, Writer, granule_bits};
use arbitrary::{Arbitrary, Unstructured};
use crc::{CRC_16_IBM_SDLC, CRC_32_ISCSI, Crc};

const CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
const CRC16: Crc<u16> = Crc::<u16>::new(&CRC_16_IBM_SDLC);

/// The longest packet that is made or read here.
pub const ROOM: usize = 4096;

/// Section 4.3.
pub fn crc32c(bytes: &[u8]) -> u32 {
    CRC32C.checksum(bytes)
}

/// Section 17.
pub fn crc16(bytes: &[u8]) -> u16 {
    CRC16.checksum(bytes)
}

/// The check of a long packet.
pub fn seal_long(mut body: Vec<u8>) -> Vec<u8> {
    let sum = crc32c(&body);
    body.extend_from_slice(&sum.to_le_bytes());
    body
}

/// What the check of short packets of one direction starts from (R4.7).
pub fn key(from: u64, to: u64) -> u32 {
    let m = from.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ to.rotate_left(32).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    (m ^ (m >> 32)) as u32
}

/// The numbers that the check of a short packet covers, restored (R4.8).
#[derive(Clone, Default, Debug)]
pub struct Bound {
    /// The packet's own.
    pub packet: Option<u32>,
    /// Largest acknowledged.
    pub acked: Option<u32>,
    /// Of messages, fragments, skips, settled frames and floors.
    pub others: Vec<u32>,
}

impl Bound {
    /// Adds the check.
    pub fn seal(&self, key: u32, mut body: Vec<u8>) -> Vec<u8> {
        let times = |n: u32, factor: u32| n.wrapping_mul(factor);
        let mut sum = times(self.packet.unwrap_or(0), 0x9e37_79b1);
        sum = sum.wrapping_add(times(self.acked.unwrap_or(0), 0x85eb_ca77));
        for &n in &self.others {
            sum = sum.wrapping_add(times(n, 0xc2b2_ae3d));
        }
        let check = crc32c(&body) ^ key ^ sum;
        body.extend_from_slice(&check.to_le_bytes());
        body
    }
}

/// Writes what `frames` was parsed from, and fills up to `len` bytes of frames with padding.
///
/// # Panics
///
/// If they do not fit: a writer that cannot write what a reader read.
pub fn write_frames(frames: &[Frame<'_>], len: usize, w: &mut Writer<'_>) {
    let end = w.len() + len;
    let mut last_message = None;
    let mut series = None;
    for frame in frames {
        last_message = None;
        let open = series.take();
        match *frame {
            Frame::Ping => assert!(w.ping()),
            Frame::Credit { bytes } => assert!(w.credit(bytes)),
            Frame::AckRate { packets, delay } => assert!(w.ack_rate(packets, delay)),
            Frame::Floor { number: (n, len) } => assert!(w.floor(Sequence(n), len)),
            Frame::Close { code } => assert!(w.close(code)),
            Frame::Settled { channel, number: (n, len), more } => {
                let more: Vec<_> = more.ranges(Sequence(n)).collect();
                assert!(w.settled(channel, Sequence(n), len, &more));
            }
            Frame::Skip { channel, number: (n, len), count } => {
                assert!(w.skip(channel, Sequence(n), len, count));
            }
            Frame::Message(ref m) if m.is_in_series => {
                series = Some(w.series(open, m.payload).expect("room"));
                last_message = series;
            }
            Frame::Message(ref m) => {
                let at = w.len();
                let length = w.message(m, Sequence(m.number.unwrap_or_default().0)).expect("room");
                last_message = Some((at, length));
            }
        }
    }
    match last_message {
        Some((at, length)) if w.len() >= end => w.finish_message(at, length),
        _ => w.pad_to(end),
    }
}

/// The frames in `bytes`, if all are well-formed.
pub fn parse_frames(bytes: &[u8]) -> Option<Vec<Frame<'_>>> {
    Frames::new(bytes).collect::<Result<_, _>>().ok()
}

/// Writes the fields of `ack` and returns the low five bits of the first byte.
///
/// # Panics
///
/// If they do not fit.
pub fn write_ack(ack: &Ack<'_>, w: &mut Writer<'_>) -> u8 {
    let mut ranges: Vec<_> = ack.ranges(Sequence(ack.largest.0)).collect();
    ranges.reverse();
    Ack::encode(&ranges, ack.largest.1, ack.delay, w).expect("room")
}

/// What an [`Ack`] means: a value that can be compared.
pub fn meaning_of_ack(ack: &Ack<'_>) -> ((u32, u8), u32, Vec<Range>) {
    (ack.largest, ack.delay, ack.ranges(Sequence(ack.largest.0)).collect())
}

/// Reads a short packet with a link id of `id_len` bytes and all its frames.
pub fn parse_short(bytes: &[u8], id_len: usize) -> Option<(Short<'_>, Vec<Frame<'_>>)> {
    let rest = bytes.get(1 + id_len..)?;
    let short = Short::parse(*bytes.first()?, &mut Reader::new(rest)).ok()?;
    let frames = parse_frames(short.frames)?;
    Some((short, frames))
}

/// Writes a short packet that was read.
///
/// # Panics
///
/// If it does not fit.
pub fn write_short(short: &Short<'_>, frames: &[Frame<'_>], id: &[u8]) -> Vec<u8> {
    let mut buffer = [0; ROOM];
    let mut w = Writer::new(&mut buffer);
    assert!(w.u8(0) && w.bytes(id));
    if let Some((n, len)) = short.number {
        assert!(w.truncated(n, len));
    }
    let kind = match (short.number, short.ack) {
        (Some(_), None) => 0x00,
        (Some(_), Some(_)) => 0x20,
        _ => 0x60,
    };
    let bits = short.ack.map_or(0, |a| write_ack(&a, &mut w));
    w.written()[0] = kind | bits;
    write_frames(frames, short.frames.len(), &mut w);
    w.written().to_vec()
}

/// Writes a hello that was read. Parameters that this version does not know, or that have their default value, are left
/// out, so the bytes may be others, but not their meaning. `None` if there is no room: parameters may be long.
pub fn write_hello(hello: &Hello<'_>, frames: &[Frame<'_>]) -> Option<Vec<u8>> {
    // The writer is for what a link says of itself: at most 16 modes and bases, which need no longer length.
    let p = &hello.params;
    if p.modes.len().max(p.bases.0.len()).max(p.cookie.len()) > 127 {
        return None;
    }
    let mut buffer = [0; ROOM];
    let mut w = Writer::new(&mut buffer);
    if !(hello.encode_head(&mut w) && hello.params.encode(hello.params.bases.iter(), &mut w)) {
        return None;
    }
    if let Some(ack) = &hello.ack {
        let at = w.len();
        assert!(w.u8(0));
        w.written()[at] = write_ack(ack, &mut w);
    }
    write_frames(frames, hello.frames.len(), &mut w);
    Some(w.written().to_vec())
}

/// A number and the bytes that hold it, `1..=4`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Number(pub u32, pub u8);

impl<'a> Arbitrary<'a> for Number {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let len = u.int_in_range(1..=4u8)?;
        Ok(Number(u.arbitrary::<u32>()? & ((1u64 << (7 * u32::from(len))) - 1) as u32, len))
    }
}

/// A frame that anybody may send.
#[derive(Arbitrary, Clone, Debug)]
#[allow(missing_docs)]
pub enum Part {
    Ping,
    Credit(u32),
    AckRate { packets: u32, delay: u32 },
    Floor(Number),
    Close(u8),
    Settled { channel: u8, number: Number, more: Vec<(u8, u8)> },
    Skip { channel: u8, number: Number, count: u32 },
    Message { channel: u8, number: Number, redelivered: bool, payload: Vec<u8> },
    Next(Vec<u8>),
    /// One message, or the beginning of one, in a series.
    Series(Vec<u8>),
    Fragment { channel: u8, number: Number, redelivered: bool, granule: u16, payload: Vec<u8>, more: u16 },
}

impl Part {
    /// The length of the message that it ends, if it does.
    fn ended(&self) -> Option<usize> {
        match self {
            Part::Message { payload, .. } | Part::Next(payload) => Some(payload.len()),
            Part::Fragment { granule, payload, more: 0, .. } => Some(usize::from(*granule) * 16 + payload.len()),
            _ => None,
        }
    }

    /// Writes it behind `before`. False if there is no room, or if a *next* or a series has nothing to follow. Answers where a message
    /// was written, for [`Writer::finish_message`].
    pub fn write(
        &self,
        before: Option<&Part>,
        w: &mut Writer<'_>,
    ) -> Option<Option<(usize, (usize, usize))>> {
        let at = w.len();
        let done = |ok: bool| ok.then_some(None);
        match self {
            Part::Ping => done(w.ping()),
            Part::Credit(bytes) => done(w.credit(*bytes)),
            Part::AckRate { packets, delay } => done(w.ack_rate(*packets, *delay)),
            Part::Floor(n) => done(w.floor(Sequence(n.0), n.1)),
            Part::Close(code) => done(w.close(*code)),
            Part::Settled { channel, number, more } => {
                let mut from = Sequence(number.0);
                let mut ranges = Vec::new();
                for &(gap, run) in more.iter().take(255) {
                    let first = from.plus(u32::from(gap) + 1);
                    let last = first.plus(u32::from(run));
                    ranges.push(Range { first, last });
                    from = last.plus(1);
                }
                done(w.settled(channel & 15, Sequence(number.0), number.1, &ranges))
            }
            Part::Skip { channel, number, count } => {
                let count = (count % i32::MAX as u32).max(1);
                done(w.skip(channel & 15, Sequence(number.0), number.1, count))
            }
            Part::Next(payload) => {
                let follows = before.is_some_and(|part| part.ended().is_some());
                let m = Message {
                    channel: 0,
                    number: None,
                    is_in_series: false,
                    redelivered: false,
                    fragment: None,
                    payload,
                };
                follows.then(|| w.message(&m, Sequence(0)).map(|length| Some((at, length)))).flatten()
            }
            Part::Series(payload) => {
                let total = before.and_then(Part::ended).filter(|&total| total > 0)?;
                let cut = payload.len() & !((1 << granule_bits(total as u32)) - 1);
                let len = if payload.len() < total { cut } else { total };
                if len == 0 { None } else { w.series(None, &payload[..len]).map(Some) }
            }
            Part::Message { channel, number, redelivered, payload } => {
                let m = Message {
                    channel: channel & 15,
                    number: Some((number.0, number.1)),
                    is_in_series: false,
                    redelivered: *redelivered,
                    fragment: None,
                    payload,
                };
                w.message(&m, Sequence(number.0)).map(|length| Some((at, length)))
            }
            Part::Fragment { channel, number, redelivered, granule, payload, more } => {
                let offset = u32::from(*granule) * 16;
                let is_end = *more == 0;
                let len = if is_end { payload.len() } else { payload.len() / 16 * 16 };
                let total = offset + len as u32 + u32::from(*more);
                if len == 0 || total == len as u32 {
                    return None;
                }
                let m = Message {
                    channel: channel & 15,
                    number: Some((number.0, number.1)),
                    is_in_series: false,
                    redelivered: *redelivered,
                    fragment: Some((offset, total)),
                    payload: &payload[..len],
                };
                w.message(&m, Sequence(number.0)).map(|length| Some((at, length)))
            }
        }
    }
}

/// Writes `parts` one after another; those that cannot stand where they are are left out. `padding` bytes of zeros follow.
/// Answers what was written.
pub fn write_parts<'p>(parts: &'p [Part], padding: u8, w: &mut Writer<'_>) -> Vec<&'p Part> {
    let mut written: Vec<&Part> = Vec::new();
    let mut last = None;
    for part in parts {
        // Behind a message whose length did not fit any more there can be nothing.
        if matches!(last, Some((_, (_, 0)))) {
            break;
        }
        if let Some(message) = part.write(written.last().copied(), w) {
            last = message;
            written.push(part);
        }
    }
    match last {
        Some((at, length)) if padding == 0 || length.1 == 0 => w.finish_message(at, length),
        _ => {
            let len = (w.len() + usize::from(padding)).min(w.len() + w.room());
            w.pad_to(len);
        }
    }
    written
}
