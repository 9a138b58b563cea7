//! What damage costs: never a wrong datagram, and never more than the damaged frame and one neighbour.

use super::std::{vec, vec::Vec};
use super::{LEN_MAX, any_bytes, any_check, config, deframe, deframer, frame_of};
use crate::framing::{DELIMITER, FrameCheck, FrameEncoder};
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

const CHECK: FrameCheck = FrameCheck::Crc32;

#[derive(Clone, Copy, Debug)]
enum Edit {
    Flip { at: usize, bits: u8 },
    Insert { at: usize, byte: u8 },
    Delete { at: usize },
}

impl Edit {
    /// Positions wrap around, so that any number is one.
    fn apply(self, line: &mut Vec<u8>) {
        match self {
            Edit::Flip { at, bits } => {
                let at = at % line.len();
                line[at] ^= bits;
            }
            Edit::Insert { at, byte } => line.insert(at % (line.len() + 1), byte),
            Edit::Delete { at } => {
                line.remove(at % line.len());
            }
        }
    }
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let byte = || prop_oneof![Just(0), Just(1), Just(0xff), any::<u8>()];
    prop_oneof![
        (any::<usize>(), 1..=u8::MAX).prop_map(|(at, bits)| Edit::Flip { at, bits }),
        (any::<usize>(), byte()).prop_map(|(at, byte)| Edit::Insert { at, byte }),
        any::<usize>().prop_map(|at| Edit::Delete { at }),
    ]
}

/// Different datagrams, recognisable by their first byte, and their frames on a line.
fn numbered(tails: &[Vec<u8>]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let datagrams: Vec<Vec<u8>> =
        tails.iter().enumerate().map(|(i, tail)| [&[i as u8][..], tail].concat()).collect();
    let line = datagrams.iter().flat_map(|datagram| frame_of(CHECK, datagram)).collect();
    (datagrams, line)
}

/// The indices of `sent` that are not in `received`. Panics if `received` is not `sent` with some left out.
fn lost(sent: &[Vec<u8>], received: &[Vec<u8>]) -> Vec<usize> {
    let mut arriving = received.iter().peekable();
    let lost = (0..sent.len()).filter(|i| arriving.next_if_eq(&&sent[*i]).is_none()).collect();
    assert_eq!(arriving.next(), None, "received something that was not sent, or out of order");
    lost
}

fn assert_edit_costs_at_most_two_neighbours(sent: &[Vec<u8>], line: &[u8], edit: Edit) {
    let mut damaged = line.to_vec();
    edit.apply(&mut damaged);
    damaged.push(DELIMITER); // the last frame's own may be what was damaged
    let received = deframe(&mut deframer(CHECK), &damaged);
    let lost = lost(sent, &received);
    let neighbours = lost.len() < 2 || (lost.len() == 2 && lost[1] == lost[0] + 1);
    assert!(neighbours, "{edit:?} cost {lost:?}");
}

#[test]
fn every_single_edit_costs_at_most_two_neighbours() {
    let tails = [
        vec![],
        vec![0; 6],
        vec![0xff; 9],
        vec![1, 0, 1, 0, 2],
        vec![5; 248],
        vec![5; 249],
        vec![5; 250],
        (0..=255).collect(),
        vec![1],
    ];
    let (sent, line) = numbered(&tails);
    for at in 0..line.len() {
        assert_edit_costs_at_most_two_neighbours(&sent, &line, Edit::Delete { at });
        for bit in 0..8 {
            assert_edit_costs_at_most_two_neighbours(&sent, &line, Edit::Flip { at, bits: 1 << bit });
        }
        // A byte that becomes a delimiter splits its frame; a delimiter that becomes anything joins two.
        if line[at] != DELIMITER {
            assert_edit_costs_at_most_two_neighbours(&sent, &line, Edit::Flip { at, bits: line[at] });
        }
        for byte in [DELIMITER, 1, 2, 0x55, 0xff] {
            assert_edit_costs_at_most_two_neighbours(&sent, &line, Edit::Insert { at, byte });
        }
    }
}

#[test]
fn lost_delimiter_costs_both_frames_and_nothing_else() {
    let (sent, mut line) = numbered(&[vec![1, 2], vec![3, 4], vec![5, 6]]);
    let first = line.iter().position(|byte| *byte == DELIMITER).expect("every frame ends");
    line.remove(first);
    let mut deframer = deframer(CHECK);
    assert_eq!(deframe(&mut deframer, &line), sent[2..]);
    assert_eq!((deframer.stats().frames_good, deframer.stats().frames_bad), (1, 1));
}

#[test]
fn surplus_delimiter_between_frames_costs_nothing() {
    let (sent, line) = numbered(&[vec![1, 2], vec![3, 4]]);
    let mut spaced = vec![DELIMITER; 3];
    for byte in line {
        spaced.push(byte);
        spaced.extend([DELIMITER; 3].iter().filter(|_| byte == DELIMITER));
    }
    let mut deframer = deframer(CHECK);
    assert_eq!(deframe(&mut deframer, &spaced), sent);
    assert_eq!((deframer.stats().frames_bad, deframer.stats().bytes_skipped), (0, 0));
}

// R17.3
#[test]
fn constant_line_yields_nothing_and_the_next_frame_arrives() {
    for byte in 0..=u8::MAX {
        for stuck_len in [1, 5, 254, 255, 256, LEN_MAX, 3 * LEN_MAX] {
            let mut deframer = deframer(CHECK);
            let stuck = vec![byte; stuck_len];
            assert_eq!(deframe(&mut deframer, &stuck), [] as [Vec<u8>; 0], "{byte:#04x} x {stuck_len}");
            let frame = frame_of(CHECK, b"after");
            // Five times 01 is the frame of an empty datagram, so a line stuck there may yield that one first.
            let received = deframe(&mut deframer, &[&[DELIMITER][..], &frame].concat());
            assert_eq!(received.last().map(Vec::as_slice), Some(&b"after"[..]));
            assert_eq!(received.len(), if byte == 1 && stuck_len == 5 { 2 } else { 1 });
            if byte == DELIMITER {
                assert_eq!(deframer.stats().bytes_skipped, 0);
            }
        }
    }
}

proptest! {
    #![proptest_config(config(2048))]

    #[test]
    fn any_single_edit_costs_at_most_two_neighbours(
        tails in proptest::collection::vec(any_bytes(300), 2..6),
        edit in any_edit(),
    ) {
        let (sent, line) = numbered(&tails);
        assert_edit_costs_at_most_two_neighbours(&sent, &line, edit);
    }

    #[test]
    fn any_edits_cost_at_most_two_frames_each(
        tails in proptest::collection::vec(any_bytes(40), 8..16),
        edits in proptest::collection::vec(any_edit(), 1..6),
    ) {
        let (sent, mut line) = numbered(&tails);
        for edit in &edits {
            edit.apply(&mut line);
        }
        line.push(DELIMITER);
        let received = deframe(&mut deframer(CHECK), &line);
        let lost = lost(&sent, &received);
        prop_assert!(lost.len() <= 2 * edits.len(), "{edits:?} cost {lost:?}");
    }

    #[test]
    fn any_noise_before_a_frame_after_silence_costs_nothing(
        noise in any_bytes(2 * LEN_MAX),
        tails in proptest::collection::vec(any_bytes(40), 1..4),
    ) {
        let (sent, _) = numbered(&tails);
        let mut deframer = deframer(CHECK);
        let mut received = Vec::new();
        for datagram in &sent {
            let mut piece = [0; 100];
            let mut encoder = FrameEncoder::after_silence(CHECK, datagram);
            let piece_len = encoder.fill(datagram, &mut piece);
            assert!(encoder.is_done());
            received.extend(deframe(&mut deframer, &noise));
            received.extend(deframe(&mut deframer, &piece[..piece_len]));
        }
        received.retain(|datagram| !datagram.is_empty()); // noise of five times 01 between zeros
        prop_assert_eq!(received, sent);
    }

    #[test]
    fn any_bytes_are_accounted_for(check in any_check(), noise in any_bytes(4 * LEN_MAX)) {
        let mut deframer = deframer(check);
        let line = [&noise[..], &[DELIMITER]].concat();
        let received = deframe(&mut deframer, &line);
        let stats = deframer.stats();
        let good_len: usize = received.iter().map(|datagram| frame_of(check, datagram).len() - 1).sum();
        let delimiter_count = line.iter().filter(|byte| **byte == DELIMITER).count();
        prop_assert_eq!(received.len(), stats.frames_good as usize);
        prop_assert_eq!(stats.bytes_skipped as usize + good_len + delimiter_count, line.len());
        let stretches = line.split(|byte| *byte == DELIMITER).filter(|stretch| !stretch.is_empty()).count();
        prop_assert_eq!((stats.frames_good + stats.frames_bad + stats.frames_too_long) as usize, stretches);
    }
}
