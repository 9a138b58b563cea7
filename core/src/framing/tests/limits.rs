//! One below, at, and one above what a buffer holds; calls that make no sense.

use super::std::{string::ToString, vec, vec::Vec};
use super::{LEN_MAX, deframe, deframer, frame_of};
use crate::framing::{
    Deframer, DeframerIn, FrameCheck, FrameEncoder, FrameError, FrameStats, encode, encoded_len_max,
};

// R17.4
#[test]
fn datagram_longer_than_the_buffer_is_counted_and_the_next_one_arrives() {
    for check in [FrameCheck::Crc32, FrameCheck::Crc16] {
        for surplus in [1, 2, 3, 4, 5, 300, 5000] {
            let mut deframer = deframer(check);
            let too_long = frame_of(check, &vec![0x77; LEN_MAX + surplus]);
            let fits = vec![0x77; LEN_MAX];
            let line =
                [&too_long[..], &frame_of(check, &fits), &too_long, &frame_of(check, b"next")].concat();
            assert_eq!(
                deframe(&mut deframer, &line),
                [&fits[..], b"next"],
                "{check:?}, {surplus} bytes more"
            );
            let skipped = 2 * (too_long.len() as u32 - 1);
            let stats =
                FrameStats { frames_good: 2, frames_bad: 0, frames_too_long: 2, bytes_skipped: skipped };
            assert_eq!(deframer.stats(), stats);
        }
    }
}

// R17.4
#[test]
fn frame_shorter_than_its_check_is_bad() {
    for check in [FrameCheck::Crc32, FrameCheck::Crc16] {
        let mut deframer = deframer(check);
        for decoded_len in 0..check.len() {
            // One block that decodes to `decoded_len` zeros, which is a true beginning of the check of nothing.
            assert_eq!(deframe(&mut deframer, &[1, 1, 1, 1][..=decoded_len]), [] as [Vec<u8>; 0]);
            assert_eq!(deframe(&mut deframer, &[0]), [] as [Vec<u8>; 0]);
            assert_eq!(deframer.stats().frames_bad as usize, decoded_len + 1);
        }
    }
}

#[test]
fn deframer_without_room_takes_empty_datagrams_only() {
    let mut deframer = Deframer::<0>::new(FrameCheck::Crc32);
    let line = [frame_of(FrameCheck::Crc32, &[]), frame_of(FrameCheck::Crc32, &[1])].concat();
    assert_eq!(deframe(&mut deframer, &line), [b""]);
    assert_eq!((deframer.stats().frames_good, deframer.stats().frames_too_long), (1, 1));
}

#[test]
fn borrowed_and_heap_buffers_work_as_the_array_does() {
    let check = FrameCheck::Crc32;
    let line = [frame_of(check, &[9; 16]), frame_of(check, &[9; 17]), frame_of(check, b"end")].concat();
    let expected = [&[9; 16][..], b"end"];
    let mut room = [0; 16];
    assert_eq!(deframe(&mut Deframer::<16>::new(check), &line), expected);
    assert_eq!(deframe(&mut DeframerIn::over(&mut room[..], check), &line), expected);
    assert_eq!(deframe(&mut DeframerIn::over(vec![0; 16], check), &line), expected);
    assert_eq!(deframe(&mut DeframerIn::over(vec![0; 16].into_boxed_slice(), check), &line), expected);
}

#[test]
fn buffer_too_small_is_refused_at_every_length_below() {
    for datagram in [&[][..], &[1], &[0], &[0; 5], &[5; 249], &[5; 250], &[5; 251], &[5; 600]] {
        let frame = frame_of(FrameCheck::Crc32, datagram);
        for len in 0..frame.len() {
            let error = encode(FrameCheck::Crc32, datagram, &mut vec![0; len]);
            let enough_len = encoded_len_max(datagram.len());
            assert_eq!(error, Err(FrameError::BufferTooSmall { enough_len }), "{len} of {}", frame.len());
        }
        let mut exact = vec![0; frame.len()];
        assert_eq!(encode(FrameCheck::Crc32, datagram, &mut exact), Ok(frame.len()));
        assert_eq!(exact, frame);
    }
    let text = FrameError::BufferTooSmall { enough_len: 258 }.to_string();
    assert_eq!(text, "the buffer cannot hold the frame: 258 bytes are enough");
}

#[test]
fn encoder_given_another_datagram_still_ends() {
    let long = [3; 300];
    for (at_first, later) in [(&long[..], &[][..]), (&long[..], &[0; 7]), (&[], &long), (&[0; 40], &long)] {
        for check in [FrameCheck::Crc32, FrameCheck::Crc16] {
            let mut encoder = FrameEncoder::new(check, at_first);
            let mut line = vec![0; encoded_len_max(at_first.len())];
            encoder.fill(later, &mut line);
            assert!(encoder.is_done());
        }
    }
}

#[test]
fn encoder_whose_datagram_changes_at_every_call_still_ends() {
    let (blank, solid) = ([0; 300], [9; 300]);
    let mut encoder = FrameEncoder::new(FrameCheck::Crc32, &solid);
    let mut byte_count = 0;
    for datagram in [&solid[..], &blank, &[]].into_iter().cycle() {
        if encoder.next_byte(datagram).is_none() {
            break;
        }
        byte_count += 1;
        assert!(byte_count <= 2 * (300 + 4) + 1, "at worst every byte has a code byte of its own");
    }
    assert!(encoder.is_done());
}

#[test]
fn reset_forgets_the_frame_that_began() {
    let check = FrameCheck::Crc32;
    let mut deframer = deframer(check);
    let frame = frame_of(check, b"datagram");
    for cut in 0..frame.len() - 1 {
        assert_eq!(deframe(&mut deframer, &frame[..cut]), [] as [Vec<u8>; 0]);
        deframer.reset();
        assert_eq!(deframe(&mut deframer, &frame), [b"datagram"]);
    }
    let good = frame.len() as u32 - 1;
    assert_eq!(deframer.stats(), FrameStats { frames_good: good, ..FrameStats::default() });
}

#[test]
fn the_other_check_is_not_accepted() {
    let line = frame_of(FrameCheck::Crc16, b"datagram");
    let mut deframer = deframer(FrameCheck::Crc32);
    assert_eq!(deframe(&mut deframer, &line), [] as [Vec<u8>; 0]);
    assert_eq!(deframer.stats().frames_bad, 1);
}
