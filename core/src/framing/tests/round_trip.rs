//! What goes in comes out, in whatever pieces it travels, and looks on the wire as it must.

use super::std::vec::Vec;
use super::{LEN_MAX, any_bytes, any_check, any_datagrams, config, deframe, deframer, frame_of};
use crate::framing::{DELIMITER, FrameCheck, FrameEncoder, encoded_len_max};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

/// The same frame by crate `cobs` and by the definition of the check.
fn reference_frame(check: FrameCheck, datagram: &[u8]) -> Vec<u8> {
    let mut checked = datagram.to_vec();
    match check {
        FrameCheck::Crc32 => {
            checked.extend(crc::Crc::<u32>::new(&crc::CRC_32_ISCSI).checksum(datagram).to_le_bytes());
        }
        FrameCheck::Crc16 => {
            checked.extend(crc::Crc::<u16>::new(&crc::CRC_16_IBM_SDLC).checksum(datagram).to_le_bytes());
        }
    }
    let mut frame = super::std::vec![0; cobs::max_encoding_length(checked.len()) + 1];
    let frame_len = cobs::encode(&checked, &mut frame);
    frame.truncate(frame_len);
    frame.push(DELIMITER);
    frame
}

// R17.1
#[test]
fn vectors_of_the_protocol_are_met() {
    let full_block = [&[0xff][..], &[0x55; 250], &[0xd4, 0xdb, 0x43, 0x51, 0]].concat();
    let full_block_and_one = [&[0xff][..], &[0x55; 251], &[0xf1, 0xa8, 0xb1, 2, 0x22, 0]].concat();
    let vectors: [(FrameCheck, &[u8], &[u8]); 8] = [
        (FrameCheck::Crc32, &[], &[1, 1, 1, 1, 1, 0]),
        (FrameCheck::Crc16, &[], &[1, 1, 1, 0]),
        (FrameCheck::Crc32, b"123456789", b"\x0e123456789\x83\x92\x06\xe3\0"),
        (FrameCheck::Crc16, b"123456789", b"\x0c123456789\x6e\x90\0"),
        (FrameCheck::Crc32, &[0x11, 0, 0x22], &[2, 0x11, 6, 0x22, 0xa7, 0xb2, 1, 0x74, 0]),
        (FrameCheck::Crc16, &[0x11, 0, 0x22], &[2, 0x11, 4, 0x22, 0x95, 0x1b, 0]),
        // A last block that is full has no empty block after it; with one byte more it has.
        (FrameCheck::Crc32, &[0x55; 250], &full_block),
        (FrameCheck::Crc32, &[0x55; 251], &full_block_and_one),
    ];
    for (check, datagram, frame) in vectors {
        assert_eq!(frame_of(check, datagram), frame);
        assert_eq!(deframe(&mut deframer(check), frame), [datagram]);
    }
}

// R17.2
#[test]
fn empty_block_behind_a_full_one_is_accepted() {
    let datagram = [0x55; 250];
    let mut frame = frame_of(FrameCheck::Crc32, &datagram);
    assert_eq!((frame[0], frame.len()), (0xff, 256));
    frame.insert(255, 1);
    assert_eq!(deframe(&mut deframer(FrameCheck::Crc32), &frame), [datagram]);
}

#[test]
fn every_length_of_every_pattern_round_trips() {
    let patterns: [fn(usize) -> u8; 5] =
        [|_| 0, |_| 0xff, |_| 1, |i| i as u8, |i| if i % 255 == 254 { 0 } else { 0x55 }];
    for check in [FrameCheck::Crc32, FrameCheck::Crc16] {
        let mut deframer = deframer(check);
        for pattern in patterns {
            for len in 0..=LEN_MAX {
                let datagram: Vec<u8> = (0..len).map(pattern).collect();
                let frame = frame_of(check, &datagram);
                assert_eq!(frame, reference_frame(check, &datagram), "{check:?}, {len} bytes");
                assert!(frame.len() <= encoded_len_max(len));
                assert_eq!(deframe(&mut deframer, &frame), [&datagram[..]], "{check:?}, {len} bytes");
            }
        }
        assert_eq!(deframer.stats().frames_good as usize, patterns.len() * (LEN_MAX + 1));
        assert_eq!(deframer.stats().bytes_skipped, 0);
    }
}

#[test]
fn largest_length_is_reached_and_not_exceeded() {
    // Without a zero there is no saving: reached at every length whose check has no zero either.
    let mut reached_count = 0;
    for len in 0..=LEN_MAX {
        let frame_len = frame_of(FrameCheck::Crc32, &super::std::vec![0x55; len]).len();
        assert!(frame_len <= encoded_len_max(len));
        reached_count += usize::from(frame_len == encoded_len_max(len));
    }
    assert!(reached_count > LEN_MAX * 9 / 10, "reached at {reached_count} lengths");
    assert_eq!(encoded_len_max(0), 6);
    assert_eq!(encoded_len_max(250), 256);
    assert_eq!(encoded_len_max(251), 258);
    assert_eq!(encoded_len_max(usize::MAX), usize::MAX);
}

// R17.3
#[test]
fn frame_after_silence_starts_with_a_delimiter() {
    let datagram = [7, 0, 8];
    let mut encoder = FrameEncoder::after_silence(FrameCheck::Crc32, &datagram);
    let mut line = [0xaa; 32];
    let line_len = encoder.fill(&datagram, &mut line);
    assert_eq!(line[0], DELIMITER);
    assert_eq!(line[1..line_len], frame_of(FrameCheck::Crc32, &datagram));
    assert!(encoder.is_done());
    assert_eq!(encoder.next_byte(&datagram), None);
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn any_frame_is_the_reference_and_has_one_zero(check in any_check(), datagram in any_bytes(LEN_MAX)) {
        let frame = frame_of(check, &datagram);
        prop_assert_eq!(&frame, &reference_frame(check, &datagram));
        prop_assert_eq!(frame.iter().position(|byte| *byte == DELIMITER), Some(frame.len() - 1));
        prop_assert!(frame.len() <= encoded_len_max(datagram.len()));
    }

    #[test]
    fn any_pieces_carry_the_same_datagrams(
        check in any_check(),
        datagrams in any_datagrams(),
        cuts in proptest::collection::vec(1_usize..40, 1..40),
        zeros in 0_usize..4,
    ) {
        let mut line = Vec::new();
        for datagram in &datagrams {
            line.extend(frame_of(check, datagram));
            line.resize(line.len() + zeros, DELIMITER);
        }
        let mut deframer = deframer(check);
        let mut received = Vec::new();
        let mut rest = &line[..];
        for cut in cuts.iter().cycle() {
            let (piece, later) = rest.split_at((*cut).min(rest.len()));
            received.extend(deframe(&mut deframer, piece));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(received, datagrams);
        prop_assert_eq!(deframer.stats().bytes_skipped, 0);
    }

    #[test]
    fn any_fifo_size_sends_the_same_frame(
        check in any_check(),
        datagram in any_bytes(LEN_MAX),
        fifo_len in 1_usize..300,
        silent in any::<bool>(),
    ) {
        let (mut encoder, mut expected) = if silent {
            (FrameEncoder::after_silence(check, &datagram), super::std::vec![DELIMITER])
        } else {
            (FrameEncoder::new(check, &datagram), Vec::new())
        };
        expected.extend(frame_of(check, &datagram));
        let mut line = Vec::new();
        let mut fifo = super::std::vec![0; fifo_len];
        while !encoder.is_done() {
            let filled_len = encoder.fill(&datagram, &mut fifo);
            prop_assert!(filled_len == fifo_len || encoder.is_done());
            line.extend_from_slice(&fifo[..filled_len]);
        }
        prop_assert_eq!(line, expected);
    }
}
