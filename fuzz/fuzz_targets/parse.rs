//! Everything that reads bytes from the wire, fed any bytes: it must answer a value or `Malformed`, and every iterator
//! must end. The first byte chooses the reader; the rest is the input.
#![no_main]

use ackline::sequence::Sequence;
use ackline::wire::{Ack, Frame, Frames, Hello, Long, Reader, Short};
use libfuzzer_sys::fuzz_target;

fn frames(bytes: &[u8]) {
    let mut count = 0;
    for frame in Frames::new(bytes) {
        count += 1;
        match frame {
            Err(_) => break,
            Ok(Frame::Settled { more, number, .. }) => {
                assert!(more.ranges(Sequence(number.0)).count() <= 255);
            }
            Ok(Frame::Message(m)) => {
                assert!(m.channel < 16 && m.payload.len() <= bytes.len());
                if let Some((offset, total)) = m.fragment {
                    assert!(u64::from(offset) + m.payload.len() as u64 <= u64::from(total));
                }
            }
            Ok(_) => {}
        }
    }
    assert!(count <= bytes.len(), "{count} frames in {} bytes", bytes.len());
}

fn ack(ack: &Ack<'_>) {
    let ranges: Vec<_> = ack.ranges(Sequence(ack.largest.0)).collect();
    assert!((1..=16).contains(&ranges.len()));
    let span = ranges[0].last.since(ranges[ranges.len() - 1].first);
    assert!(span <= i32::MAX as u32, "{ranges:?}");
    for pair in ranges.windows(2) {
        assert!(pair[0].first.since(pair[1].last) >= 2, "{ranges:?}");
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&selector, bytes)) = data.split_first() else { return };
    let mut r = Reader::new(bytes);
    match selector % 8 {
        0 => frames(bytes),
        1 => {
            if let Ok(a) = Ack::parse(selector >> 3, &mut r) {
                ack(&a);
            }
        }
        2 => {
            let Some((&first, rest)) = bytes.split_first() else { return };
            if let Ok(short) = Short::parse(first, &mut Reader::new(rest)) {
                assert!(short.number.is_some() || short.ack.is_some());
                short.ack.iter().for_each(ack);
                frames(short.frames);
            }
        }
        3 => {
            let peeked = Hello::peek(bytes);
            if let Ok(hello) = Hello::parse(bytes) {
                assert_eq!(peeked, Ok((1, hello.incarnation)));
                assert!(hello.params.bases.iter().count() <= bytes.len());
                hello.ack.iter().for_each(ack);
                frames(hello.frames);
            }
        }
        4 => {
            let Some((&first, rest)) = bytes.split_first() else { return };
            let _ = Long::parse(first, &mut Reader::new(rest));
        }
        5 => while r.varint().is_ok() {},
        6 => while r.truncated().is_ok() {},
        _ => {
            // Restoring: the number has the low bits, and lies where it has to.
            let (Ok(low), Ok(from)) = (r.u32(), r.u32()) else { return };
            let len = selector / 8 % 4 + 1;
            let bits = 7 * u32::from(len);
            let low = low & ((1u64 << bits) - 1) as u32;
            let near = Sequence::expand(low, len, Sequence(from)).0;
            let distance = i64::from(near.wrapping_sub(from) as i32);
            assert!(near & ((1u64 << bits) - 1) as u32 == low);
            assert!((-(1i64 << (bits - 1))..1i64 << (bits - 1)).contains(&distance));
            let before = Sequence::expand_before(low, len, Sequence(from)).0;
            assert!(before & ((1u64 << bits) - 1) as u32 == low);
            assert!(u64::from(from.wrapping_sub(before)) < 1u64 << bits);
        }
    }
});
