//! The test vectors of `docs/vectors/`, which were computed by an encoder written from `docs/protocol.md` alone: every one is
//! parsed to the same meaning, encoded to the same bytes, or refused.

use ackline::congestion::NewReno;
use ackline::framing::{Deframer, FrameCheck, encode};
use ackline::sequence::{Range, Sequence};
use ackline::storage::Inline;
use ackline::wire::{Ack, Frame, Frames, Hello, LinkId, Long, Message, Params, Reader, Short, Writer};
use ackline::{Channel, Config, Instant, Link};

/// Room for every vector.
const ROOM: usize = 2048;

macro_rules! vectors {
    ($name:literal) => {
        lines(include_str!(concat!("../docs/vectors/", $name)))
    };
}

/// The vectors in a file: each line's words.
fn lines(file: &str) -> impl Iterator<Item = Vec<&str>> {
    file.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).map(|l| l.split(' ').collect())
}

fn bytes(hex: &str) -> Vec<u8> {
    if hex == "-" {
        return Vec::new();
    }
    let digits: Vec<_> = hex.chars().map(|c| c.to_digit(16).expect("hexadecimal") as u8).collect();
    digits.chunks(2).map(|d| d[0] << 4 | d[1]).collect()
}

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() { "-".into() } else { bytes.iter().map(|b| format!("{b:02x}")).collect() }
}

fn number(word: &str) -> u32 {
    word.parse().expect("decimal number")
}

fn long_number(word: &str) -> u64 {
    u64::from_str_radix(word, 16).expect("hexadecimal number")
}

fn ranges_text(ranges: impl Iterator<Item = Range>) -> String {
    let all: Vec<_> = ranges.map(|r| format!("{}..{}", r.first.0, r.last.0)).collect();
    all.join(",")
}

fn message_text(m: &Message<'_>) -> String {
    let head = match (m.number, m.fragment) {
        (None, None) if m.is_in_series => format!("series {}", m.channel),
        (None, None) => format!("next {}", m.channel),
        (None, Some((_, total))) => format!("series {} begins {total}", m.channel),
        (Some((n, len)), None) => format!("message {} {n}/{len}", m.channel),
        (Some((n, len)), Some((offset, total))) => {
            format!("fragment {} {n}/{len} {offset} {total}", m.channel)
        }
    };
    let flag = if m.redelivered { " redelivered" } else { "" };
    format!("{head}{flag} {}", hex(m.payload))
}

fn frame_text(frame: &Frame<'_>) -> String {
    match *frame {
        Frame::Ping => "ping".into(),
        Frame::Credit { bytes } => format!("credit {bytes}"),
        Frame::AckRate { packets, delay } => format!("ack_rate {packets} {delay}"),
        Frame::Floor { number: (n, len) } => format!("floor {n}/{len}"),
        Frame::Close { code } => format!("close {code}"),
        Frame::Settled { channel, number: (n, len), more } => {
            let more = ranges_text(more.ranges(Sequence(n)));
            format!("settled {channel} {n}/{len} {more}").trim_end().into()
        }
        Frame::Skip { channel, number: (n, len), count } => format!("skip {channel} {n}/{len} {count}"),
        Frame::Message(ref m) => message_text(m),
    }
}

fn frames_text(frames: &[u8]) -> Option<String> {
    let all: Result<Vec<_>, _> = Frames::new(frames).map(|f| f.map(|f| frame_text(&f))).collect();
    let all = all.ok()?;
    Some(if all.is_empty() { "-".into() } else { all.join("; ") })
}

/// Encodes what `frames` parses to.
fn write_frames(frames: &[u8], w: &mut Writer<'_>) {
    let end = w.len() + frames.len();
    let parsed: Vec<_> = Frames::new(frames).map(|f| f.expect("well-formed")).collect();
    let mut last_message = None;
    let mut series = None;
    for frame in &parsed {
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
                assert!(w.skip(channel, Sequence(n), len, count))
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
        // A message that could be the end of the packet must be it, or padding follows.
        Some((at, length)) if w.len() >= end => w.finish_message(at, length),
        _ => w.pad_to(end),
    }
}

fn ack_text(ack: Option<Ack<'_>>) -> String {
    ack.map_or("-".into(), |a| {
        let (low, len) = a.largest;
        format!("{low}/{len}@{}:{}", a.delay, ranges_text(a.ranges(Sequence(low))))
    })
}

/// Writes the fields of `ack` and returns the low five bits of the first byte.
fn write_ack(ack: &Ack<'_>, w: &mut Writer<'_>) -> u8 {
    let mut ranges: Vec<_> = ack.ranges(Sequence(ack.largest.0)).collect();
    ranges.reverse();
    Ack::encode(&ranges, ack.largest.1, ack.delay, w).expect("room")
}

// R1.1 R3.1 R3.2 R3.3 R3.4 R3.5
#[test]
fn integers_of_section_3() {
    for v in vectors!("integers.txt") {
        let mut buffer = [0; 8];
        let mut w = Writer::new(&mut buffer);
        match v[0] {
            "varint" => {
                let (value, b) = (number(v[1]), bytes(v[2]));
                assert_eq!(Reader::new(&b).varint(), Ok(value), "{v:?}");
                assert!(w.varint(value));
                assert_eq!(w.written(), &b, "{v:?}");
            }
            "truncated" => {
                let (low, len, b) = (number(v[1]), number(v[2]) as u8, bytes(v[3]));
                assert_eq!(Reader::new(&b).truncated(), Ok((low, len)), "{v:?}");
                // What is above the low bits does not matter.
                let above = if len < 4 { 1 << (7 * len) } else { 1 << 31 };
                assert!(w.truncated(low | above, len));
                assert_eq!(w.written(), &b, "{v:?}");
            }
            kind => {
                let (low, len, from) = (number(v[1]), number(v[2]) as u8, Sequence(number(v[3])));
                let restored = match kind {
                    "nearest" => Sequence::expand(low, len, from),
                    "before" => Sequence::expand_before(low, len, from),
                    _ => panic!("unknown vector {v:?}"),
                };
                assert_eq!(restored, Sequence(number(v[4])), "{v:?}");
            }
        }
    }
}

// R5.1
#[test]
fn acknowledgement_fields_of_section_5() {
    for v in vectors!("acks.txt") {
        let (bits, b) = (bytes(v[1])[0], bytes(v[2]));
        let mut r = Reader::new(&b);
        let ack = Ack::parse(bits, &mut r).unwrap_or_else(|_| panic!("{v:?}"));
        assert!(r.is_empty());
        let largest = Sequence(number(v[3]));
        assert_eq!(ack.largest.1, number(v[4]) as u8);
        assert_eq!(Sequence::expand_before(ack.largest.0, ack.largest.1, largest), largest);
        assert_eq!(ack.delay, number(v[5]));
        assert_eq!(ranges_text(ack.ranges(largest)), v[6]);
        let mut ranges: Vec<_> = ack.ranges(largest).collect();
        ranges.reverse();
        let mut buffer = [0; ROOM];
        let mut w = Writer::new(&mut buffer);
        assert_eq!(Ack::encode(&ranges, ack.largest.1, ack.delay, &mut w), Some(bits));
        assert_eq!(w.written(), &b, "{v:?}");
    }
}

#[test]
fn frames_of_section_6() {
    for v in vectors!("frames.txt") {
        let b = bytes(v[1]);
        assert_eq!(frames_text(&b).as_deref(), Some(v[2..].join(" ").as_str()), "{}", v[1]);
        let mut buffer = [0; ROOM];
        let mut w = Writer::new(&mut buffer);
        write_frames(&b, &mut w);
        assert_eq!(hex(w.written()), v[1]);
    }
}

fn short_packet(v: &[&str], w: &mut Writer<'_>) {
    let (id_len, b) = (number(v[1]) as usize, bytes(v[2]));
    let short = Short::parse(b[0], &mut Reader::new(&b[1 + id_len..])).unwrap_or_else(|_| panic!("{v:?}"));
    let numbered = short.number.map_or("-".into(), |(n, len)| format!("{n}/{len}"));
    assert_eq!(numbered, v[3]);
    assert_eq!(ack_text(short.ack), v[4]);
    assert_eq!(frames_text(short.frames).as_deref(), Some(v[5..].join(" ").as_str()));
    assert!(w.u8(0) && w.bytes(&b[1..1 + id_len]));
    if let Some((n, len)) = short.number {
        assert!(w.truncated(n, len));
    }
    let kind = match (short.number, short.ack) {
        (Some(_), None) => 0x00,
        (Some(_), Some(_)) => 0x20,
        _ => 0x60,
    };
    let bits = short.ack.map_or(0, |a| write_ack(&a, w));
    w.written()[0] = kind | bits;
    write_frames(short.frames, w);
    assert_eq!(w.written(), &b);
}

fn params_text(p: &Params<'_>) -> String {
    let bases: Vec<_> = p.bases.iter().map(|(c, n)| format!("{c}:{}", n.0)).collect();
    let bases = if bases.is_empty() { "-".into() } else { bases.join("+") };
    format!(
        "datagram_max={},window={},buffer={},message_max={},ack_delay={},channels={},modes={},bases={bases},cookie={},fragments={}",
        p.datagram_max,
        p.window,
        p.buffer,
        p.message_max,
        p.ack_delay,
        p.channels,
        hex(p.modes),
        hex(p.cookie),
        p.fragments,
    )
}

fn hello_packet(v: &[&str], w: &mut Writer<'_>) {
    let b = bytes(v[1]);
    let h = Hello::parse(&b).unwrap_or_else(|_| panic!("{v:?}"));
    assert_eq!(Hello::peek(&b), Ok((1, h.incarnation)));
    let head = [hex(h.to.as_bytes()), hex(h.from.as_bytes())];
    assert_eq!(head, v[2..4]);
    assert_eq!((h.incarnation, h.your_incarnation), (long_number(v[4]), long_number(v[5])));
    assert_eq!((u64::from(h.flags), h.number.0), (long_number(v[6]), number(v[7])));
    assert_eq!(params_text(&h.params), v[8]);
    assert_eq!(ack_text(h.ack), v[9]);
    assert_eq!(frames_text(h.frames).as_deref(), Some(v[10..].join(" ").as_str()));
    assert!(h.encode_head(w) && h.params.encode(h.params.bases.iter(), w));
    if let Some(ack) = &h.ack {
        let at = w.len();
        assert!(w.u8(0));
        w.written()[at] = write_ack(ack, w);
    }
    write_frames(h.frames, w);
    assert_eq!(hex(w.written()), v[1]);
}

#[test]
fn packets_of_sections_4_and_7() {
    for v in vectors!("packets.txt") {
        let mut buffer = [0; ROOM];
        let mut w = Writer::new(&mut buffer);
        let long = |b: &[u8]| match Long::parse(b[0], &mut Reader::new(&b[1..])).expect("well-formed") {
            Long::Retry { incarnation, cookie } => format!("retry {incarnation:016x} {}", hex(cookie)),
            Long::Reset { echo } => format!("reset {}", hex(echo)),
            Long::Version { incarnation, supported } => {
                format!("version {incarnation:016x} {}", hex(supported))
            }
        };
        match v[0] {
            "short" => short_packet(&v, &mut w),
            "hello" => hello_packet(&v, &mut w),
            kind => assert_eq!(long(&bytes(v[1])), format!("{kind} {}", v[2..].join(" "))),
        }
    }
}

/// Bit by bit, so that the vectors are not checked against the table that produced the packets.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |sum, &b| {
        (0..8).fold(sum ^ u32::from(b), |s, _| (s >> 1) ^ if s & 1 == 1 { 0x82f6_3b78 } else { 0 })
    })
}

/// Section 4.3.
fn key(from: u64, to: u64) -> u32 {
    let m = from.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ to.rotate_left(32).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    (m ^ (m >> 32)) as u32
}

/// Section 4.3.
fn check(body: &[u8], key: u32, packet: Option<u32>, acked: Option<u32>, others: &[u32]) -> [u8; 4] {
    let times = |n: Option<u32>, factor: u32| n.unwrap_or(0).wrapping_mul(factor);
    let binding = times(packet, 0x9e37_79b1).wrapping_add(times(acked, 0x85eb_ca77));
    let binding = others.iter().fold(binding, |sum, &n| sum.wrapping_add(times(Some(n), 0xc2b2_ae3d)));
    (crc32c(body) ^ key ^ binding).to_le_bytes()
}

// R4.6 R4.7 R4.8
#[test]
fn checks_of_section_4_3() {
    let optional = |w: &str| if w == "-" { None } else { Some(number(w)) };
    for v in vectors!("checks.txt") {
        match v[0] {
            "crc32c" => assert_eq!(u64::from(crc32c(&bytes(v[1]))), long_number(v[2])),
            "key" => assert_eq!(u64::from(key(long_number(v[1]), long_number(v[2]))), long_number(v[3])),
            "check" => {
                let others: Vec<_> = if v[6] == "-" { vec![] } else { v[6].split(',').map(number).collect() };
                let key = key(long_number(v[2]), long_number(v[3]));
                let sum = check(&bytes(v[1]), key, optional(v[4]), optional(v[5]), &others);
                assert_eq!(hex(&sum), v[7], "{v:?}");
            }
            "long" => assert_eq!(hex(&crc32c(&bytes(v[1])).to_le_bytes()), v[2]),
            _ => panic!("unknown vector {v:?}"),
        }
    }
}

type Node = Link<Inline<2, 8, 1024, 16>, NewReno>;

/// Takes a packet apart as section 4 says and verifies its check; returns what it carries. Numbers are small enough not to
/// need restoring.
fn verified(packet: &[u8], from: u64, to: u64, id_len: usize) -> String {
    let (body, sum) = packet.split_at(packet.len() - 4);
    if packet[0] & 0x80 != 0 {
        assert_eq!(crc32c(body).to_le_bytes(), sum);
        return "hello".into();
    }
    let short = Short::parse(body[0], &mut Reader::new(&body[1 + id_len..])).expect("well-formed");
    let mut others = Vec::new();
    let mut previous = 0;
    for frame in Frames::new(short.frames) {
        match frame.expect("well-formed") {
            Frame::Settled { number, .. } | Frame::Skip { number, .. } | Frame::Floor { number } => {
                others.push(number.0);
            }
            Frame::Message(m) => {
                previous = m.number.map_or(previous + 1, |(n, _)| n);
                others.push(previous);
            }
            _ => {}
        }
    }
    let (packet, acked) = (short.number.map(|n| n.0), short.ack.map(|a| a.largest.0));
    assert_eq!(check(body, key(from, to), packet, acked, &others), sum, "{}", hex(body));
    assert!(packet.is_none_or(|n| n < 64) && others.iter().all(|&n| n < 64));
    let acks = if acked.is_some() { "ack " } else { "" };
    format!("{acks}{}", frames_text(short.frames).unwrap_or_default())
}

#[test]
fn packets_of_a_link_carry_the_check_of_section_4_3() {
    let mut links = [11, 12].map(|seed| Node::new(&Config::udp(), NewReno::new(), seed));
    let incarnations = [links[0].incarnation(), links[1].incarnation()];
    let mut seen = Vec::new();
    links[0].connect(Instant::ZERO);
    for round in 0..12u64 {
        let now = Instant::from_millis(20 * round);
        if round > 2 {
            links[0].send(now, Channel(0), b"one").expect("room");
            links[0].send(now, Channel(0), b"two").expect("room");
            links[1].send(now, Channel(1), b"back").expect("room");
        }
        for side in [0, 1] {
            links[side].handle_timeout(now);
            let mut buffer = [0; 1200];
            while let Some(len) = links[side].poll_transmit(now, &mut buffer) {
                let packet = &buffer[..len];
                seen.push(verified(packet, incarnations[side], incarnations[1 - side], 3));
                links[1 - side].handle_datagram(now, packet);
                while links[1 - side].recv(now).is_some() {}
            }
            while links[side].poll_event().is_some() {}
        }
    }
    for kind in ["hello", "ack settled 0", "message 0", "; next 0", "message 1"] {
        assert!(seen.iter().any(|s| s.contains(kind)), "no {kind} in {seen:#?}");
    }
}

// R17.1 R17.2 R17.3
#[test]
fn streams_of_section_17() {
    for v in vectors!("streams.txt") {
        let frame_check = if v[1] == "crc16" { FrameCheck::Crc16 } else { FrameCheck::Crc32 };
        let (datagram, frame) = (bytes(v[2]), bytes(v[3]));
        let mut buffer = [0; ROOM];
        let len = encode(frame_check, &datagram, &mut buffer).expect("room");
        assert_eq!(hex(&buffer[..len]), v[3]);
        let mut deframer = Deframer::<ROOM>::new(frame_check);
        assert_eq!(deframer.push(&frame), (frame.len(), Some(datagram.as_slice())));
    }
}

// R1.2 R3.2 R3.3 R5.1 R5.2 R6.1 R6.2 R6.4 R6.5 R6.6 R7.4 R7.6
#[test]
fn malformed_ones_are_refused() {
    for v in vectors!("rejected.txt") {
        let with_argument = matches!(v[0], "ack" | "packet");
        let b = bytes(v[if with_argument { 2 } else { 1 }]);
        let mut r = Reader::new(&b);
        let refused = match v[0] {
            "varint" => r.varint().is_err(),
            "truncated" => r.truncated().is_err(),
            "ack" => Ack::parse(bytes(v[1])[0], &mut r).is_err(),
            "frames" => frames_text(&b).is_none(),
            "packet" => Short::parse(b[0], &mut Reader::new(&b[1 + number(v[1]) as usize..])).is_err(),
            "long" => Long::parse(b[0], &mut Reader::new(&b[1..])).is_err(),
            "hello" => Hello::parse(&b).is_err(),
            "stream" => Deframer::<ROOM>::new(FrameCheck::Crc32).push(&b) == (b.len(), None),
            _ => panic!("unknown vector {v:?}"),
        };
        assert!(refused, "accepted: {}", v.join(" "));
    }
    // And a link id is at most eight bytes long.
    assert_eq!(LinkId::new(&[0; 9]), None);
}
