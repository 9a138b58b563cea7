//! Frames there and back, at their limits, and damaged. Seeds are fixed: running a failed test again replays it.

extern crate std;

mod damage;
mod limits;
mod round_trip;

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof};
use proptest::test_runner::RngSeed;
use std::vec::Vec;

use super::{Deframer, DeframerIn, FrameCheck, encode, encoded_len_max};

/// The longest datagram that the tests' deframers take: three COBS blocks.
const LEN_MAX: usize = 600;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0xac41),
        ..Default::default()
    }
}

fn any_check() -> impl Strategy<Value = FrameCheck> {
    prop_oneof![Just(FrameCheck::Crc32), Just(FrameCheck::Crc16)]
}

/// Bytes with more zeros, ones and 0xFF than chance would give: COBS treats these apart.
fn any_bytes(len_max: usize) -> impl Strategy<Value = Vec<u8>> {
    let dense =
        proptest::collection::vec(prop_oneof![Just(0), Just(1), Just(0xff), any::<u8>()], 0..=len_max);
    let without_zero = proptest::collection::vec(1..=u8::MAX, 0..=len_max);
    prop_oneof![dense, without_zero]
}

fn any_datagrams() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(prop_oneof![any_bytes(12), any_bytes(LEN_MAX)], 1..6)
}

fn frame_of(check: FrameCheck, datagram: &[u8]) -> Vec<u8> {
    let mut frame = std::vec![0xaa; encoded_len_max(datagram.len())];
    let frame_len = encode(check, datagram, &mut frame).expect("encoded_len_max is enough");
    frame.truncate(frame_len);
    frame
}

/// All datagrams that `received` completes.
fn deframe<B: AsRef<[u8]> + AsMut<[u8]>>(deframer: &mut DeframerIn<B>, mut received: &[u8]) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    while !received.is_empty() {
        let (consumed, datagram) = deframer.push(received);
        assert!(consumed > 0 && (datagram.is_some() || consumed == received.len()));
        datagrams.extend(datagram.map(Vec::from));
        received = &received[consumed..];
    }
    datagrams
}

fn deframer(check: FrameCheck) -> Deframer<LEN_MAX> {
    Deframer::new(check)
}
