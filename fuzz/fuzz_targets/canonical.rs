//! One value, one encoding. What is well-formed is written back to the same bytes; what is written reads back to the same
//! value.
#![no_main]

use ackline::wire::{Ack, Frame, Hello, Reader, Writer};
use ackline_fuzz::wire::{
    Part, ROOM, meaning_of_ack, parse_frames, parse_short, write_ack, write_frames, write_hello, write_parts,
    write_short,
};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Input {
    Frames(Vec<u8>),
    Ack { bits: u8, bytes: Vec<u8> },
    Short { id_len: u8, bytes: Vec<u8> },
    Hello(Vec<u8>),
    Parts { parts: Vec<Part>, padding: u8 },
}

/// Whether `frame` is what `part` says.
fn is_same(part: &Part, frame: &Frame<'_>) -> bool {
    match (part, frame) {
        (Part::Ping, Frame::Ping) => true,
        (Part::Credit(a), Frame::Credit { bytes }) => a == bytes,
        (Part::AckRate { packets, delay }, Frame::AckRate { packets: p, delay: d }) => {
            (packets, delay) == (p, d)
        }
        (Part::Floor(n), Frame::Floor { number }) => (n.0, n.1) == *number,
        (Part::Close(a), Frame::Close { code }) => a == code,
        (Part::Settled { channel, number, more }, Frame::Settled { channel: c, number: n, more: m }) => {
            let count = m.ranges(ackline::sequence::Sequence(n.0)).count();
            channel & 15 == *c && (number.0, number.1) == *n && count == more.len().min(255)
        }
        (Part::Skip { channel, number, count }, Frame::Skip { channel: c, number: n, count: k }) => {
            let count = (count % i32::MAX as u32).max(1);
            (channel & 15, (number.0, number.1), count) == (*c, *n, *k)
        }
        (Part::Next(payload), Frame::Message(m)) => m.number.is_none() && m.payload == payload,
        (Part::Series(payload), Frame::Message(m)) => m.is_in_series && payload.starts_with(m.payload),
        (Part::Message { channel, number, redelivered, payload }, Frame::Message(m)) => {
            (channel & 15, Some((number.0, number.1)), *redelivered, &payload[..])
                == (m.channel, m.number, m.redelivered, m.payload)
        }
        (Part::Fragment { channel, number, granule, .. }, Frame::Message(m)) => {
            channel & 15 == m.channel
                && m.number == Some((number.0, number.1))
                && m.fragment.is_some_and(|(offset, _)| offset == u32::from(*granule) * 16)
        }
        _ => false,
    }
}

fuzz_target!(|input: Input| match input {
    Input::Frames(bytes) if bytes.len() <= ROOM => {
        let Some(frames) = parse_frames(&bytes) else { return };
        let mut buffer = [0; ROOM];
        let mut w = Writer::new(&mut buffer);
        write_frames(&frames, bytes.len(), &mut w);
        assert_eq!(w.written(), bytes);
    }
    Input::Ack { bits, bytes } => {
        let mut r = Reader::new(&bytes);
        let Ok(ack) = Ack::parse(bits & 31, &mut r) else { return };
        let read = bytes.len() - r.rest().len();
        let mut buffer = [0; ROOM];
        let mut w = Writer::new(&mut buffer);
        assert_eq!(write_ack(&ack, &mut w), bits & 31);
        assert_eq!(w.written(), &bytes[..read]);
    }
    Input::Short { id_len, bytes } if bytes.len() <= ROOM => {
        let id_len = usize::from(id_len % 9);
        let Some((short, frames)) = parse_short(&bytes, id_len) else { return };
        assert_eq!(write_short(&short, &frames, &bytes[1..1 + id_len]), bytes);
    }
    Input::Hello(bytes) if bytes.len() <= ROOM => {
        let Ok(hello) = Hello::parse(&bytes) else { return };
        let Some(frames) = parse_frames(hello.frames) else { return };
        let Some(again) = write_hello(&hello, &frames) else { return };
        let read = Hello::parse(&again).expect("what was written is well-formed");
        assert_eq!((read.to, read.from), (hello.to, hello.from));
        assert_eq!(
            (read.incarnation, read.your_incarnation, read.flags, read.number),
            (hello.incarnation, hello.your_incarnation, hello.flags, hello.number)
        );
        assert_eq!(read.params, hello.params);
        assert_eq!(read.ack.as_ref().map(meaning_of_ack), hello.ack.as_ref().map(meaning_of_ack));
        assert_eq!(read.frames, hello.frames);
        assert_eq!(write_hello(&read, &frames), Some(again));
    }
    Input::Parts { parts, padding } => {
        let mut buffer = [0; ROOM];
        let mut w = Writer::new(&mut buffer);
        let written = write_parts(&parts, padding, &mut w);
        let bytes = w.written().to_vec();
        let frames = parse_frames(&bytes).expect("what was written is well-formed");
        assert_eq!(written.len(), frames.len(), "{written:?} {frames:?}");
        for (part, frame) in written.iter().zip(&frames) {
            assert!(is_same(part, frame), "{part:?} {frame:?}");
        }
        let mut buffer = [0; ROOM];
        let mut w = Writer::new(&mut buffer);
        write_frames(&frames, bytes.len(), &mut w);
        assert_eq!(w.written(), bytes);
    }
    _ => {}
});
