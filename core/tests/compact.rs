//! The compact link and the test vectors of `docs/vectors/`: it takes the hellos that are well-formed, and nothing that is not.

use ackline::compact::{Datagrams, Serial};
use ackline::framing::{FrameCheck, encode};
use ackline::wire::Hello;
use ackline::{Instant, Receipt};

const NOW: Instant = Instant::from_millis(1);
const SEED: u64 = 0x0123_4567_89ab_cdef;
/// Of a peer that a link was told of before it gets to see frames.
const PEER_HELLO: &str = "80010000221111111111111100000000000000000005000000000101";

fn lines(file: &str) -> impl Iterator<Item = Vec<&str>> {
    file.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).map(|l| l.split(' ').collect())
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|d| d[0] << 4 | d[1]).collect()
}

/// With the check of a long packet, which is that of a frame.
fn checked(mut datagram: Vec<u8>) -> Vec<u8> {
    let mut frame = vec![0; 2 * datagram.len() + 16];
    let len = encode(FrameCheck::Crc32, &datagram, &mut frame).expect("room");
    let mut decoded = vec![0; len];
    let len = cobs::decode(&frame[..len - 1], &mut decoded).expect("a frame").frame_size();
    datagram.extend_from_slice(&decoded[len - 4..len]);
    datagram
}

fn serial(seed: u64) -> Serial<4, 64, 192> {
    let mut link = Serial::new();
    link.start(seed, 50_000);
    link
}

fn datagrams(seed: u64) -> Datagrams<4, 64, 192> {
    let mut link = Datagrams::new();
    link.start(seed, 50_000);
    link
}

#[test]
fn hellos_of_the_vectors_are_taken_and_answered() {
    let mut count = 0;
    for line in lines(include_str!("../docs/vectors/packets.txt")).filter(|l| l[0] == "hello") {
        let datagram = bytes(line[1]);
        let incarnation = u64::from_str_radix(line[4], 16).expect("hexadecimal");
        let named = u64::from_str_radix(line[5], 16).expect("hexadecimal");
        let flags = u8::from_str_radix(line[6], 16).expect("hexadecimal");
        let seed = if named == 0 { SEED } else { named };
        let mut link = datagrams(seed);
        assert_eq!(link.handle_datagram(NOW, &checked(datagram.clone())), Receipt::Accepted, "{line:?}");
        assert!(link.is_connected());
        let mut buffer = [0; 192];
        // One that shows that its sender has adopted us needs no answer.
        if flags & 0x30 != 0x10 || named == 0 {
            let len = link.poll_transmit(NOW, &mut buffer).expect("an answer");
            let hello = Hello::parse(&buffer[..len - 4]).expect("a hello");
            assert_eq!((hello.incarnation, hello.your_incarnation), (seed, incarnation));
            assert_eq!(hello.params.channels, 1);
            assert_eq!((hello.params.window, hello.params.buffer, hello.params.message_max), (4, 256, 64));
            assert_eq!((hello.params.datagram_max, hello.params.fragments), (192, 0));
        }
        // Bare hellos are for media that copy and delay.
        let expected = if flags & 0x08 == 0 { Receipt::Accepted } else { Receipt::Dropped };
        assert_eq!(serial(seed).handle_datagram(NOW, &datagram), expected, "{line:?}");
        count += 1;
    }
    assert_eq!(count, 7);
}

#[test]
fn a_retry_is_answered_with_its_cookie() {
    let mut buffer = [0; 192];
    let line = lines(include_str!("../docs/vectors/packets.txt")).find(|l| l[0] == "retry").expect("a retry");
    let mut link = datagrams(u64::from_str_radix(line[2], 16).expect("hexadecimal"));
    link.connect(NOW);
    let len = link.poll_transmit(NOW, &mut buffer).expect("a hello");
    assert!(len >= 96);
    assert_eq!(link.handle_datagram(NOW, &checked(bytes(line[1]))), Receipt::Accepted);
    let len = link.poll_transmit(NOW, &mut buffer).expect("the hello again");
    let hello = Hello::parse(&buffer[..len - 4]).expect("a hello");
    assert_eq!(hello.params.cookie, bytes(line[3]));
}

/// What is malformed changes nothing and is not acknowledged.
#[test]
fn rejected_vectors_are_dropped() {
    let mut count = 0;
    for line in lines(include_str!("../docs/vectors/rejected.txt")) {
        let mut link = serial(SEED);
        let mut buffer = [0; 192];
        let datagram = match line[0] {
            "hello" => bytes(line[1]),
            "frames" | "packet" => {
                assert_eq!(link.handle_datagram(NOW, &bytes(PEER_HELLO)), Receipt::Accepted);
                while link.poll_transmit(NOW, &mut buffer).is_some() {}
                match line[0] {
                    "frames" => [&[0x00, 0x06], &bytes(line[1])[..]].concat(),
                    _ => bytes(line[2]),
                }
            }
            _ => continue,
        };
        assert_eq!(link.handle_datagram(NOW, &datagram), Receipt::Dropped, "{line:?}");
        assert_eq!(link.poll_transmit(NOW, &mut buffer), None, "{line:?}");
        count += 1;
    }
    assert!(count > 50, "{count}");
}

/// The numbers of acknowledgement fields, in packets of a peer that acknowledges more than was sent.
#[test]
fn acknowledgement_fields_of_the_vectors_are_read() {
    for line in lines(include_str!("../docs/vectors/acks.txt")).filter(|l| l[0] == "ack") {
        let mut link = serial(SEED);
        assert_eq!(link.handle_datagram(NOW, &bytes(PEER_HELLO)), Receipt::Accepted);
        let bits = u8::from_str_radix(line[1], 16).expect("hexadecimal");
        let datagram = [&[0x60 | bits], &bytes(line[2])[..]].concat();
        assert_eq!(link.handle_datagram(NOW, &datagram), Receipt::Accepted, "{line:?}");
    }
    for line in lines(include_str!("../docs/vectors/rejected.txt")).filter(|l| l[0] == "ack") {
        let mut link = serial(SEED);
        assert_eq!(link.handle_datagram(NOW, &bytes(PEER_HELLO)), Receipt::Accepted);
        let bits = u8::from_str_radix(line[1], 16).expect("hexadecimal");
        let datagram = [&[0x60 | bits], &bytes(line[2])[..]].concat();
        assert_eq!(link.handle_datagram(NOW, &datagram), Receipt::Dropped, "{line:?}");
    }
}

/// No bytes make it fail, whatever they claim.
#[test]
fn noise_is_survived() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    };
    let hello = bytes(PEER_HELLO);
    let mut buffer = [0; 192];
    for _ in 0..20_000 {
        let mut link = serial(SEED);
        link.handle_datagram(NOW, &hello);
        for _ in 0..4 {
            let mut datagram: Vec<u8> = (0..next() % 40).map(|_| next() as u8).collect();
            if next() % 2 == 0 && datagram.len() > 2 {
                // So that more than the first byte is looked at.
                datagram[0] = [0x00, 0x20, 0x60][next() as usize % 3];
                datagram[1] = 6;
            }
            link.handle_datagram(NOW, &datagram);
            while link.recv(NOW).is_some() {}
            while link.poll_event().is_some() {}
            while link.poll_transmit(NOW, &mut buffer).is_some() {}
            link.handle_timeout(NOW);
        }
        let mut mutated = hello.clone();
        let at = next() as usize % mutated.len();
        mutated[at] = next() as u8;
        serial(SEED).handle_datagram(NOW, &mutated);
    }
}

// R8.8
#[test]
fn packet_for_an_earlier_life_on_a_line_confirms_nobody() {
    let mut link = serial(5);
    let mut hello = vec![0x80, 1, 0, 0];
    hello.extend(9u64.to_le_bytes());
    hello.extend(77u64.to_le_bytes()); // an earlier life
    hello.extend([0; 6]); // no flags, packet 0, no parameters
    let mut buffer = [0; 192];
    let mut emit = |link: &mut Serial<4, 64, 192>, ms: u64| {
        let now = Instant::from_micros(ms * 1000);
        link.handle_timeout(now);
        link.poll_transmit(now, &mut buffer).map(|len| buffer[..len].to_vec())
    };
    assert_eq!(link.handle_datagram(Instant::ZERO, &hello), Receipt::Accepted);
    assert_eq!(emit(&mut link, 0).unwrap()[0], 0x80);
    // Packet 1, a ping: sent before the peer had heard of the restart.
    let ping = [0x00, 0x81, 0x00, 0x01];
    assert_eq!(link.handle_datagram(Instant::ZERO, &ping), Receipt::Dropped);
    // It goes on saying hello, until it is named.
    assert_eq!(emit(&mut link, 1_000).unwrap()[0], 0x80);
}
