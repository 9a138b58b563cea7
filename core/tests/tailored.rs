//! Tailored endpoints: what each feature does, and the test vectors of `docs/vectors/`.

use core::time::Duration;

use ackline::tailored::{Endpoint, Media, Profile};
use ackline::wire::Hello;
use ackline::{
    Channel, ChannelConfig, CloseReason, DeliveryId, Event, FailReason, Instant, Mode, Receipt, SendError,
    Stats, UnknownDelivery,
};

enum Everything {}

impl Profile for Everything {
    const MEDIA: Media = Media::Both;
    const CHANNELS: &'static [ChannelConfig] = &[
        ChannelConfig::new(Mode::Ordered).priority(1).settle_explicitly(),
        ChannelConfig::new(Mode::Unordered),
        ChannelConfig::new(Mode::Latest).priority(2),
        ChannelConfig::new(Mode::BestEffort).priority(3),
    ];
    const FRAGMENTS: bool = true;
    const SERVES: bool = true;
    const KEEP_ALIVE: Option<Duration> = Some(Duration::from_secs(1));
    const GIVE_UP: Option<Duration> = Some(Duration::from_secs(30));
    type Deadline = Instant;
    type Counters = Stats;
}

type Node = Endpoint<Everything, 4, 4, 512, 256>;

const ORDERED: Channel = Channel(0);
const UNORDERED: Channel = Channel(1);
const LATEST: Channel = Channel(2);
const BEST_EFFORT: Channel = Channel(3);

const RTT: u32 = 50_000;
/// Of a peer that a link was told of before it gets to see frames; it sends with the modes of [`Everything`].
const PEER_HELLO: &str = "80010000221111111111111100000000000000000005000000030701e4";

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn node(seed: u64, is_framed: bool) -> Node {
    let mut node = Node::new();
    node.set_framed(is_framed);
    node.start(seed, RTT);
    node
}

fn lines(file: &str) -> impl Iterator<Item = Vec<&str>> {
    file.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).map(|l| l.split(' ').collect())
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|d| d[0] << 4 | d[1]).collect()
}

/// What a link emits now, one datagram each.
fn emitted(node: &mut Node, now: Instant) -> Vec<Vec<u8>> {
    let mut buffer = [0; 256];
    let mut datagrams = Vec::new();
    while let Some(len) = node.poll_transmit(now, &mut buffer) {
        datagrams.push(buffer[..len].to_vec());
        assert!(datagrams.len() < 100, "it emits without end");
    }
    datagrams
}

/// Carries everything between two links until both are silent.
fn exchange(a: &mut Node, b: &mut Node, now: Instant) {
    for _ in 0..20 {
        let there = emitted(a, now);
        for datagram in &there {
            b.handle_datagram(now, datagram);
        }
        let back = emitted(b, now);
        for datagram in &back {
            a.handle_datagram(now, datagram);
        }
        if there.is_empty() && back.is_empty() {
            return;
        }
    }
    panic!("they do not come to rest");
}

fn connected(is_framed: bool) -> (Node, Node) {
    let (mut a, mut b) = (node(1, is_framed), node(2, is_framed));
    a.connect(at(1));
    exchange(&mut a, &mut b, at(1));
    assert_eq!((a.poll_event(), b.poll_event()), (Some(Event::Connected), Some(Event::Connected)));
    (a, b)
}

fn events(node: &mut Node) -> Vec<Event> {
    std::iter::from_fn(|| node.poll_event()).collect()
}

fn taken(node: &mut Node, now: Instant) -> Vec<(DeliveryId, Vec<u8>)> {
    std::iter::from_fn(|| node.recv(now).map(|d| (d.id, d.payload.to_vec()))).collect()
}

/// A link on a framed medium that knows the peer of [`PEER_HELLO`], which knows it.
fn with_forged_peer() -> Node {
    let mut node = node(3, true);
    assert_eq!(node.handle_datagram(at(1), &bytes(PEER_HELLO)), Receipt::Accepted);
    emitted(&mut node, at(1));
    node
}

#[test]
fn well_formed_frames_of_the_vectors_are_accepted_and_malformed_ones_dropped() {
    let mut count = 0;
    for line in lines(include_str!("../docs/vectors/frames.txt")).filter(|l| l[0] == "frames") {
        let mut node = with_forged_peer();
        let datagram = [&[0x00, 0x06], &bytes(line[1])[..]].concat();
        assert_eq!(node.handle_datagram(at(1), &datagram), Receipt::Accepted, "{line:?}");
        count += 1;
    }
    assert!(count > 20, "{count}");
    for line in lines(include_str!("../docs/vectors/rejected.txt")) {
        let mut node = with_forged_peer();
        let datagram = match line[0] {
            "hello" => bytes(line[1]),
            "frames" => [&[0x00, 0x06], &bytes(line[1])[..]].concat(),
            "packet" => bytes(line[2]),
            _ => continue,
        };
        if line[line.len() - 1] == "version" {
            // R8.27.
            assert_eq!(node.handle_datagram(at(1), &datagram), Receipt::Answered);
            continue;
        }
        assert_eq!(node.handle_datagram(at(1), &datagram), Receipt::Dropped, "{line:?}");
        assert_eq!(emitted(&mut node, at(1)), Vec::<Vec<u8>>::new(), "{line:?}");
    }
}

#[test]
fn the_hello_says_what_is_offered() {
    let mut a = node(1, false);
    a.connect(at(1));
    let datagram = emitted(&mut a, at(1)).remove(0);
    assert_eq!(datagram.len(), 96);
    let hello = Hello::parse(&datagram[..datagram.len() - 4]).expect("a hello");
    assert_eq!((hello.params.window, hello.params.channels, hello.params.fragments), (4, 4, 1));
    // R6.6: of 512 bytes, 16 are for the bitmap of granules.
    assert_eq!(hello.params.message_max as usize, Node::MESSAGE_MAX);
    assert_eq!(hello.params.buffer as usize, 16 * Node::MESSAGE_MAX);
    assert_eq!(hello.params.modes, [0xe4]);
}

#[test]
fn the_longest_message_crosses_in_fragments_and_a_longer_one_is_refused() {
    let (mut a, mut b) = connected(false);
    let long: Vec<u8> = (0..Node::MESSAGE_MAX).map(|i| i as u8).collect();
    let refused = a.send(at(2), UNORDERED, &[0; 512]);
    assert_eq!(refused, Err(SendError::TooLarge { max: Node::MESSAGE_MAX as u32 }));
    let id = a.send(at(2), UNORDERED, &long).expect("room");
    exchange(&mut a, &mut b, at(2));
    assert_eq!(taken(&mut b, at(2)).remove(0).1, long);
    exchange(&mut b, &mut a, at(2));
    assert_eq!(events(&mut a), [Event::Settled(id)]);
}

/// R6.7: in any order, any number of times.
#[test]
fn fragments_out_of_order_make_a_message() {
    let mut node = with_forged_peer();
    let message: Vec<u8> = (0..40).collect();
    let fragment = |number: u8, granules: u8, payload: &[u8]| {
        [&[0x00, number, 0xa1, 0x00, granules, 40][..], payload].concat()
    };
    for (number, granules, from, to) in [(6, 8, 32, 40), (7, 0, 0, 16), (8, 0, 0, 16), (9, 4, 16, 32)] {
        assert_eq!(taken(&mut node, at(1)), []);
        let datagram = fragment(number, granules, &message[from..to]);
        assert_eq!(node.handle_datagram(at(1), &datagram), Receipt::Accepted);
    }
    assert_eq!(taken(&mut node, at(1)).remove(0).1, message);
    // A late copy is a duplicate.
    node.handle_datagram(at(1), &fragment(10, 4, &message[16..32]));
    assert_eq!(taken(&mut node, at(1)), []);
    // R6.8: with another total it is not stored, and not acknowledged.
    let first = [0x00, 11, 0xa1, 0x01, 0, 40].iter().copied().chain(0..16).collect::<Vec<_>>();
    node.handle_datagram(at(1), &first);
    let other = [0x00, 12, 0xa1, 0x01, 4, 48].iter().copied().chain(0..16).collect::<Vec<_>>();
    node.handle_datagram(at(1), &other);
    assert_eq!(node.stats().dropped_no_room, 1);
}

/// R6.24: messages of one length, of the last one the beginning only.
#[test]
fn a_series_is_taken_apart() {
    let mut node = with_forged_peer();
    let payloads: Vec<u8> = (0..20).collect();
    let datagram = [&[0x00, 6, 0xc1, 0x00, 8], &payloads[..8], &[0x08], &payloads[8..20]].concat();
    assert_eq!(node.handle_datagram(at(1), &datagram), Receipt::Accepted);
    let whole: Vec<_> = taken(&mut node, at(1)).into_iter().map(|(_, payload)| payload).collect();
    assert_eq!(whole, [&payloads[..8], &payloads[8..16]]);
    let rest = [0x00, 7, 0xa1, 0x02, 1, 8, 1, 2, 3, 4];
    assert_eq!(node.handle_datagram(at(1), &rest), Receipt::Accepted);
    assert_eq!(taken(&mut node, at(1)).remove(0).1, [16, 17, 18, 19, 1, 2, 3, 4]);
}

#[test]
fn a_message_is_settled_when_the_application_says_so_and_once() {
    let (mut a, mut b) = connected(true);
    let id = a.send(at(2), ORDERED, b"work").expect("room");
    exchange(&mut a, &mut b, at(2));
    let delivery = taken(&mut b, at(2)).remove(0).0;
    exchange(&mut a, &mut b, at(2));
    assert_eq!(events(&mut a), []);
    assert_eq!(b.settle(at(3), delivery), Ok(()));
    assert_eq!(b.settle(at(3), delivery), Err(UnknownDelivery));
    exchange(&mut b, &mut a, at(3));
    assert_eq!(events(&mut a), [Event::Settled(id)]);
}

/// R8.19.
#[test]
fn a_delivery_from_before_a_restart_of_its_sender_is_unknown() {
    let (mut a, mut b) = connected(true);
    a.send(at(2), ORDERED, b"old").expect("room");
    exchange(&mut a, &mut b, at(2));
    let old = taken(&mut b, at(2)).remove(0).0;
    let mut a = node(77, true);
    a.connect(at(3));
    a.send(at(3), ORDERED, b"new").expect("room");
    exchange(&mut a, &mut b, at(3));
    assert_eq!(events(&mut b), [Event::PeerRestarted]);
    let new = taken(&mut b, at(3)).remove(0).0;
    assert_eq!(b.settle(at(3), old), Err(UnknownDelivery));
    assert_eq!(b.settle(at(3), new), Ok(()));
}

#[test]
fn an_ordered_channel_goes_on_without_what_expired() {
    let (mut a, mut b) = connected(true);
    let late = a.send_before(at(2), ORDERED, b"late", at(5)).expect("room");
    a.send(at(2), ORDERED, b"next").expect("room");
    // The packet is lost.
    assert_eq!(emitted(&mut a, at(2)).len(), 1);
    assert_eq!(a.poll_timeout(), Some(at(5)));
    a.handle_timeout(at(5));
    assert_eq!(events(&mut a), [Event::Expired(late)]);
    let probe = a.poll_timeout().expect("a probe");
    a.handle_timeout(probe);
    exchange(&mut a, &mut b, probe);
    assert_eq!(taken(&mut b, probe).remove(0).1, b"next");
}

#[test]
fn a_newer_value_replaces_one_that_was_not_acknowledged() {
    let (mut a, mut b) = connected(true);
    let old = a.send(at(2), LATEST, b"old").expect("room");
    let new = a.send(at(2), LATEST, b"new").expect("room");
    assert_eq!(events(&mut a), [Event::Failed(old, FailReason::Superseded)]);
    exchange(&mut a, &mut b, at(2));
    assert_eq!(taken(&mut b, at(2)).remove(0).1, b"new");
    exchange(&mut b, &mut a, at(2));
    assert_eq!(events(&mut a), [Event::Settled(new)]);
}

/// A value that has begun to arrive replaces an older one at the receiver; if it expires, the older one must not wait for ever.
#[test]
fn a_value_that_expires_half_sent_takes_the_one_before_with_it() {
    let (mut a, mut b) = connected(true);
    let old = a.send(at(2), LATEST, b"old").expect("room");
    exchange(&mut a, &mut b, at(2));
    let long = a.send_before(at(3), LATEST, &[0; 400], at(9)).expect("room");
    for datagram in emitted(&mut a, at(3)) {
        b.handle_datagram(at(3), &datagram);
    }
    a.handle_timeout(at(9));
    assert_eq!(events(&mut a), [Event::Failed(old, FailReason::Superseded), Event::Expired(long)]);
    assert!(a.is_drained());
}

#[test]
fn a_best_effort_message_is_sent_once() {
    let (mut a, mut b) = connected(true);
    let lost = a.send(at(2), BEST_EFFORT, b"lost").expect("room");
    assert_eq!(emitted(&mut a, at(2)).len(), 1);
    let probe = a.poll_timeout().expect("a probe");
    a.handle_timeout(probe);
    exchange(&mut a, &mut b, probe);
    assert_eq!(events(&mut a), [Event::Failed(lost, FailReason::Lost)]);
    assert_eq!(taken(&mut b, probe), []);
    // The place is passed, so that the next one is known.
    let next = a.send(probe, BEST_EFFORT, b"next").expect("room");
    exchange(&mut a, &mut b, probe);
    assert_eq!(taken(&mut b, probe).remove(0).1, b"next");
    exchange(&mut b, &mut a, probe);
    assert_eq!(events(&mut a), [Event::Settled(next)]);
}

#[test]
fn the_urgent_class_goes_first_and_channels_of_one_class_take_turns() {
    let (mut a, mut b) = connected(true);
    for _ in 0..4 {
        a.send(at(2), ORDERED, &[0; 180]).expect("room");
        a.send(at(2), UNORDERED, &[1; 180]).expect("room");
    }
    let mut order = Vec::new();
    for _ in 0..8 {
        for datagram in emitted(&mut a, at(2)) {
            b.handle_datagram(at(2), &datagram);
        }
        order.extend(taken(&mut b, at(2)).iter().map(|(id, _)| id.channel.0));
        for datagram in emitted(&mut b, at(2)) {
            a.handle_datagram(at(2), &datagram);
        }
    }
    assert_eq!(order[..4], [1; 4]);
}

#[test]
fn an_idle_link_keeps_itself_alive_and_gives_up_when_nothing_answers() {
    let (mut a, mut b) = connected(true);
    let ping_at = a.poll_timeout().expect("a keep-alive");
    assert_eq!(ping_at, at(1001));
    a.handle_timeout(ping_at);
    exchange(&mut a, &mut b, ping_at);
    assert_eq!(a.poll_timeout(), Some(at(2001)));
    // From here on nothing answers.
    let mut closed_at = None;
    for _ in 0..100 {
        let Some(due) = a.poll_timeout() else { break };
        a.handle_timeout(due);
        emitted(&mut a, due);
        if a.is_closed() {
            closed_at = Some(due);
        }
    }
    assert_eq!(closed_at, Some(at(32_001)));
    assert_eq!(events(&mut a), [Event::Closed(CloseReason::Unreachable)]);
}

#[test]
fn a_side_that_waits_on_datagrams_answers_strays_by_resets_and_finds_its_peer_so() {
    let (mut a, mut b) = connected(false);
    let id = a.send(at(2), UNORDERED, b"kept").expect("room");
    exchange(&mut a, &mut b, at(2));
    let mut b = node(99, false);
    let packets = emitted(&mut a, at(2));
    assert_eq!(packets, Vec::<Vec<u8>>::new());
    let probe = a.poll_timeout().expect("its message is not settled");
    a.handle_timeout(probe);
    for packet in emitted(&mut a, probe) {
        assert_eq!(b.handle_datagram(probe, &packet), Receipt::Answered);
        let reset = emitted(&mut b, probe).remove(0);
        assert!(reset.len() < packet.len());
        assert_eq!((reset[0], a.handle_datagram(probe, &reset)), (0x82, Receipt::Accepted));
    }
    exchange(&mut a, &mut b, probe);
    assert_eq!(events(&mut a), [Event::PeerRestarted]);
    let delivery = b.recv(probe).expect("it is sent again");
    assert!(delivery.redelivered);
    exchange(&mut b, &mut a, probe);
    assert_eq!(events(&mut a), [Event::Settled(id)]);
}

/// R8.6, R9.12.
#[test]
fn to_a_forged_address_no_more_goes_than_came_and_not_for_ever() {
    let (mut a, mut b) = (node(1, false), node(2, false));
    b.set_unvalidated();
    a.connect(at(1));
    let hello = emitted(&mut a, at(1)).remove(0);
    b.handle_datagram(at(1), &hello);
    let mut sent = 0;
    let mut now = at(1);
    for _ in 0..10 {
        sent += emitted(&mut b, now).iter().map(Vec::len).sum::<usize>();
        let Some(due) = b.poll_timeout() else { break };
        now = due;
        b.handle_timeout(now);
    }
    assert!(0 < sent && sent <= hello.len(), "{sent}");
    assert_eq!(now, at(60_001));
    assert_eq!(events(&mut b), [Event::Connected, Event::Closed(CloseReason::Unreachable)]);
}

/// R8.27, R8.28.
#[test]
fn versions_are_answered_and_an_answer_ends_a_link_without_a_peer() {
    let (mut a, mut b) = (node(1, true), node(2, true));
    a.connect(at(1));
    let mut hello = emitted(&mut a, at(1)).remove(0);
    hello[1] = 9;
    assert_eq!(b.handle_datagram(at(1), &hello), Receipt::Answered);
    let mut answer = emitted(&mut b, at(1)).remove(0);
    assert_eq!((answer[0], answer.len(), answer[9]), (0x83, 10, 1));
    assert_eq!(a.handle_datagram(at(1), &answer), Receipt::Dropped, "it speaks version 1");
    answer[9] = 7;
    assert_eq!(a.handle_datagram(at(1), &answer), Receipt::Accepted);
    assert_eq!(events(&mut a), [Event::Closed(CloseReason::Version { peer: 7 })]);
}

/// No bytes make it fail, whatever they claim.
#[test]
fn noise_is_survived() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    };
    for _ in 0..20_000 {
        let mut node = with_forged_peer();
        for number in 6..12 {
            let mut datagram: Vec<u8> = (0..next() % 60).map(|_| next() as u8).collect();
            if datagram.len() > 3 {
                // So that more than the first byte is looked at.
                datagram[0] = [0x00, 0x20, 0x60, datagram[0]][next() as usize % 4];
                datagram[1] = number;
                datagram[2] = [0x80, 0xa0, 0xb0, 0x60][next() as usize % 4] | datagram[2] & 3;
            }
            node.handle_datagram(at(2), &datagram);
            for (id, _) in taken(&mut node, at(2)) {
                let _ = node.settle(at(2), id);
            }
            let _ = node.send_before(at(2), Channel(next() as u8 & 3), &datagram, at(u64::from(next() % 4)));
            node.handle_timeout(at(2));
            events(&mut node);
            emitted(&mut node, at(2));
        }
    }
}
