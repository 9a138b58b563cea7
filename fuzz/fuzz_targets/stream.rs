//! A byte stream with frames, damage and noise in it, taken apart by the core and once more by the specification: the same
//! datagrams, whatever the pieces in which the bytes come. And what was not damaged must be among them.
#![no_main]

use ackline::framing::{Deframer, FrameCheck, FrameEncoder, encode, encoded_len_max};
use ackline_fuzz::stream::{Check, datagrams};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

const LEN_MAX: usize = 300;

#[derive(Arbitrary, Debug)]
enum Step {
    Frame(Vec<u8>),
    /// A datagram of one byte repeated: runs of 254 are where COBS is interesting.
    Long {
        byte: u8,
        len: u16,
    },
    Noise(Vec<u8>),
    Delimiter,
    Flip {
        back: u8,
        mask: u8,
    },
    Remove {
        back: u8,
    },
    Insert {
        back: u8,
        byte: u8,
    },
}

#[derive(Arbitrary, Debug)]
struct Input {
    check: Check,
    steps: Vec<Step>,
    pieces: Vec<u8>,
}

fn frame_check(check: Check) -> FrameCheck {
    match check {
        Check::Crc32 => FrameCheck::Crc32,
        Check::Crc16 => FrameCheck::Crc16,
    }
}

fn framed(check: Check, datagram: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; encoded_len_max(datagram.len())];
    let len = encode(frame_check(check), datagram, &mut buffer).expect("room");
    buffer.truncate(len);
    assert!(buffer[..len - 1].iter().all(|&b| b != 0) && buffer[len - 1] == 0);
    assert_eq!(datagrams(check, &buffer, usize::MAX), [datagram], "the frame is not that of its datagram");
    buffer
}

/// The stream, and the datagrams whose frames nobody touched.
fn line(input: &Input) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut line = Vec::new();
    let mut untouched: Vec<(usize, Vec<u8>)> = Vec::new();
    for step in &input.steps {
        let mut touch = |line: &mut Vec<u8>, back: u8| {
            let at = line.len().checked_sub(1 + usize::from(back))?;
            // The frame that was hit, and the next one if the delimiter between them was.
            untouched.retain(|(start, d)| {
                let end = start + framed(input.check, d).len();
                end <= at || *start > at + 1
            });
            untouched.iter_mut().filter(|(start, _)| *start > at).for_each(|(start, _)| *start = usize::MAX);
            untouched.retain(|(start, _)| *start != usize::MAX);
            Some(at)
        };
        match step {
            Step::Frame(datagram) if datagram.len() <= LEN_MAX => {
                let starts_clean = line.last().is_none_or(|&b| b == 0);
                if starts_clean {
                    untouched.push((line.len(), datagram.clone()));
                }
                line.extend(framed(input.check, datagram));
            }
            Step::Long { byte, len } => {
                let datagram = vec![*byte; usize::from(*len) % (2 * LEN_MAX)];
                if line.last().is_none_or(|&b| b == 0) && datagram.len() <= LEN_MAX {
                    untouched.push((line.len(), datagram.clone()));
                }
                line.extend(framed(input.check, &datagram));
            }
            Step::Frame(_) => {}
            Step::Noise(bytes) => line.extend(bytes),
            Step::Delimiter => line.push(0),
            Step::Flip { back, mask } => {
                if let Some(at) = touch(&mut line, *back) {
                    line[at] ^= mask;
                }
            }
            Step::Remove { back } => {
                if let Some(at) = touch(&mut line, *back) {
                    line.remove(at);
                }
            }
            Step::Insert { back, byte } => {
                if let Some(at) = touch(&mut line, *back) {
                    line.insert(at, *byte);
                }
            }
        }
    }
    (line, untouched.into_iter().map(|(_, d)| d).collect())
}

fn deframed(input: &Input, line: &[u8]) -> Vec<Vec<u8>> {
    let mut deframer = Deframer::<LEN_MAX>::new(frame_check(input.check));
    let mut out = Vec::new();
    let mut rest = line;
    let mut pieces = input.pieces.iter().map(|&p| usize::from(p) + 1);
    while !rest.is_empty() {
        let (mut piece, after) = rest.split_at(pieces.next().unwrap_or(rest.len()).min(rest.len()));
        while !piece.is_empty() {
            let (taken, datagram) = deframer.push(piece);
            assert!((1..=piece.len()).contains(&taken));
            out.extend(datagram.map(<[u8]>::to_vec));
            piece = &piece[taken..];
        }
        rest = after;
    }
    let stats = deframer.stats();
    assert_eq!(stats.frames_good as usize, out.len());
    let stretches = line.split(|&b| b == 0).rev().skip(1).filter(|s| !s.is_empty()).count();
    assert_eq!((stats.frames_good + stats.frames_bad + stats.frames_too_long) as usize, stretches);
    out
}

fuzz_target!(|input: Input| {
    let (line, untouched) = line(&input);
    let found = deframed(&input, &line);
    assert_eq!(found, datagrams(input.check, &line, LEN_MAX));
    let mut at = found.iter();
    for datagram in &untouched {
        assert!(at.any(|d| d == datagram), "an undamaged frame was lost: {datagram:02x?}");
    }
    // Byte by byte, as a UART asks for them, a frame is the same.
    if let Some(Step::Frame(datagram)) = input.steps.first() {
        let mut encoder = FrameEncoder::new(frame_check(input.check), datagram);
        let mut bytes = Vec::new();
        while !encoder.is_done() {
            let mut byte = [0];
            assert_eq!(encoder.fill(datagram, &mut byte), 1);
            bytes.push(byte[0]);
        }
        assert_eq!(bytes, framed(input.check, datagram));
    }
});
