//! Section 6, but for settlements.

use std::time::Duration;

use ackline::wire::Frame;
use ackline::{Channel, ChannelConfig, Config, Mode, Receipt};
use ackline_tests::forge::{Said, acked, at, established, established_with, parameter, taken};

// R6.1 R6.2 R6.4 R6.5 R6.6 R6.24
#[test]
fn malformed_frame_makes_the_whole_packet_malformed() {
    let cases: &[(&str, Said)] = &[
        ("an unknown kind", Said::new().raw(&[0x0a])),
        ("another unknown kind", Said::new().raw(&[0x30, 1])),
        ("padding that is not zero", Said::new().raw(&[0, 0, 1])),
        ("a length up to the end", Said::new().whole_with_length(0, 1, b"abc")),
        ("next after nothing", Said::new().next(0, b"abc")),
        ("next after a ping", Said::new().ping().next(0, b"abc")),
        ("an empty fragment", Said::new().fragment(0, 1, 0, 40, b"")),
        ("a fragment that is the whole message", Said::new().fragment(0, 1, 0, 16, &[1; 16])),
        ("a fragment beyond the end", Said::new().fragment(0, 1, 32, 40, &[1; 16])),
        ("a fragment of 15 bytes that does not end it", Said::new().fragment(0, 1, 0, 40, &[1; 15])),
        ("a series after nothing", Said::new().series(&[0], b"abc")),
        ("a series of nothing", Said::new().whole_with_length(0, 1, b"abc").series(&[], b"")),
        ("a series after an empty message", Said::new().whole_with_length(0, 1, b"").series(&[2], b"abc")),
        (
            "a series cut within a granule",
            Said::new().whole_with_length(0, 1, b"abc").series(&[2, 3], b"abcde"),
        ),
        (
            "a series after a series",
            Said::new().whole_with_length(0, 1, b"a").raw(&[9, 1, b'b']).bind(2).series(&[3], b"c"),
        ),
        (
            "next after a series",
            Said::new().whole_with_length(0, 1, b"a").raw(&[9, 1, b'b']).bind(2).next(3, b"c"),
        ),
        ("an explicit next length up to the end", Said::new().raw(&[0x07, 3, 1, 2, 3])),
    ];
    for (what, bad) in cases {
        let (mut link, mut forger) = established(Config::udp());
        // A good message before the bad frame has no effect either.
        let both = bad.clone().prefixed(Said::new().whole_with_length(0, 0, b"good").ping());
        assert_eq!(forger.say(&mut link, at(3), None, both), Receipt::Dropped, "{what}");
        assert!(taken(&mut link, at(3)).is_empty(), "{what}");
        assert_eq!(link.stats().dropped_malformed, 1, "{what}");
    }
}

// R6.2
#[test]
fn padding_ends_the_frames() {
    let (mut link, mut forger) = established(Config::udp());
    let said = Said::new().whole_with_length(0, 0, b"a").raw(&[0; 20]);
    assert_eq!(forger.say(&mut link, at(3), None, said), Receipt::Accepted);
    assert_eq!(taken(&mut link, at(3)), [b"a"]);
}

// R6.3 R11.5
#[test]
fn packet_without_number_is_not_acknowledged_whatever_it_holds() {
    let (mut link, mut forger) = established(Config::udp());
    link.send(at(3), Channel(0), b"a").unwrap();
    forger.listen(&mut link, at(3));
    let datagram = forger.packet(None, acked(1, 0), &Said::new().settled(0, 1));
    assert_eq!(link.handle_datagram(at(3), &datagram), Receipt::Accepted);
    // Numbered, but with nothing that asks for an answer.
    forger.say(&mut link, at(3), None, Said::new().raw(&[0]));
    assert_eq!(link.poll_timeout(), None);
    assert!(forger.listen(&mut link, at(500)).is_empty());
}

// R6.5
#[test]
fn sender_uses_next_wherever_it_applies_and_receiver_counts_on() {
    let (mut link, mut forger) = established(Config::udp());
    for payload in [b"a", b"b", b"c"] {
        link.send(at(3), Channel(0), payload).unwrap();
    }
    link.send(at(3), Channel(1), b"d").unwrap();
    let heard = forger.listen(&mut link, at(3));
    assert_eq!(heard[0].messages(), [(1, Some(0), 1), (0, Some(0), 1), (0, None, 1), (0, None, 1)]);
    let said = Said::new().whole_with_length(2, 0, b"x").raw(&[0x07, 1, b'y']).bind(1).next(2, b"z");
    forger.say(&mut link, at(4), None, said);
    assert_eq!(taken(&mut link, at(4)), [b"x", b"y", b"z"]);
}

// R6.24
#[test]
fn series_counts_on_and_its_last_message_may_be_cut() {
    let (mut link, mut forger) = established(Config::udp());
    let [a, b, c] = [[1; 8], [2; 8], [3; 8]];
    let cut = [&a[..], &b[..], &c[..4]].concat();
    let said = Said::new().whole_with_length(0, 0, &a).series(&[1, 2, 3], &cut);
    forger.say(&mut link, at(3), None, said);
    assert_eq!(taken(&mut link, at(3)), [a, a, b]);
    // A fragment that ends its message may be followed, too.
    let said = Said::new().raw(&[0xe0, 3, 1, 8, 4]).bind(3).raw(&c[4..]).series(&[4], &b);
    forger.say(&mut link, at(4), None, said);
    assert_eq!(taken(&mut link, at(4)), [c, b]);
}

// R6.24
#[test]
fn messages_of_one_length_share_a_head_and_fill_the_datagram() {
    let mut config = Config::udp();
    config.datagram_max = 127;
    let (mut link, forger) = established_with(config, &[]);
    let messages: Vec<Vec<u8>> = (0..3).map(|i| vec![i; 64]).collect();
    for payload in &messages {
        link.send(at(3), Channel(0), payload).unwrap();
    }
    let heard = forger.listen(&mut link, at(3));
    let lens: Vec<_> = heard[0].messages().iter().map(|&(_, number, len)| (number, len)).collect();
    assert_eq!((lens.len(), lens[0], lens[1].0), (2, (Some(0), 64), None));
    assert!(heard[0].len > 127 - 4, "{} bytes", heard[0].len);
    assert_eq!(heard[1].messages()[0].2 + lens[1].1, 64);
}

// R6.25
#[test]
fn side_that_takes_whole_messages_only_is_sent_no_series() {
    let (mut link, forger) = established_with(Config::udp(), &parameter(10, 0));
    for payload in [b"a", b"b"] {
        link.send(at(3), Channel(0), payload).unwrap();
    }
    let heard = forger.listen(&mut link, at(3));
    assert_eq!(heard[0].messages().len(), 2);
    let is_series = |f: &Frame<'_>| matches!(f, Frame::Message(m) if m.is_in_series);
    assert!(!heard[0].frames().iter().any(is_series));
}

// R6.7
#[test]
fn fragments_overlap_repeat_and_come_in_any_order() {
    let message: Vec<u8> = (0..72).collect();
    let pieces = [(3, 72), (1, 64), (0, 16), (2, 48), (3, 64), (0, 48), (4, 72)];
    for start in 0..pieces.len() {
        let (mut link, mut forger) = established(Config::udp());
        for i in 0..pieces.len() {
            let (granule, end) = pieces[(start + i) % pieces.len()];
            let piece = &message[granule * 16..end];
            let said = Said::new().fragment(0, 0, granule as u32 * 16, 72, piece);
            assert_eq!(forger.say(&mut link, at(3), None, said), Receipt::Accepted);
        }
        assert_eq!(
            taken(&mut link, at(3)),
            std::slice::from_ref(&message),
            "starting with {:?}",
            pieces[start]
        );
    }
}

// R6.8 R11.1
#[test]
fn fragment_of_another_total_is_neither_stored_nor_acknowledged() {
    let (mut link, mut forger) = established(Config::udp());
    forger.say(&mut link, at(3), None, Said::new().fragment(0, 0, 0, 48, &[1; 16]));
    forger.say(&mut link, at(3), None, Said::new().fragment(0, 0, 16, 64, &[2; 48]));
    forger.say(&mut link, at(3), None, Said::new().fragment(0, 0, 16, 48, &[3; 32]));
    let heard = forger.listen(&mut link, at(10));
    assert_eq!(heard.last().unwrap().acked().unwrap(), [(4, 4), (0, 2)]);
    assert_eq!(taken(&mut link, at(10)), [[vec![1; 16], vec![3; 32]].concat()]);
}

// R6.9
#[test]
fn message_comes_whole_after_fragments_and_in_fragments_after_it_came_whole() {
    let (mut link, mut forger) = established(Config::udp());
    let message = [9; 64];
    forger.say(&mut link, at(3), None, Said::new().fragment(0, 0, 16, 64, &message[..16]));
    forger.say(&mut link, at(3), None, Said::new().whole(0, 0, &message));
    assert_eq!(taken(&mut link, at(3)), [message]);
    assert_eq!(
        forger.say(&mut link, at(3), None, Said::new().fragment(0, 0, 0, 64, &message[..16])),
        Receipt::Accepted
    );
    assert!(taken(&mut link, at(3)).is_empty());
}

// R6.10 R14.1
#[test]
fn skipped_messages_are_passed_over_and_complete_ones_delivered() {
    let (mut link, mut forger) = established(Config::udp());
    forger.say(&mut link, at(3), None, Said::new().whole(0, 1, b"one"));
    forger.say(&mut link, at(3), None, Said::new().whole(0, 4, b"four"));
    assert!(taken(&mut link, at(3)).is_empty());
    forger.say(&mut link, at(3), None, Said::new().skip(0, 0, 4));
    assert_eq!(taken(&mut link, at(3)), [&b"one"[..], b"four"]);
    // What was skipped and comes after all is a duplicate.
    forger.say(&mut link, at(3), None, Said::new().whole(0, 2, b"two"));
    assert!(taken(&mut link, at(3)).is_empty());
}

// R6.11
#[test]
fn skip_is_ignored_on_latest_channels_and_not_sent_there() {
    let latest = [7, 1, 2];
    let config = Config::udp().channel(0, ChannelConfig::new(Mode::Latest));
    let (mut link, mut forger) = established_with(config, &latest);
    forger.say(&mut link, at(3), None, Said::new().skip(0, 0, 3));
    forger.say(&mut link, at(3), None, Said::new().whole(0, 0, b"value"));
    assert_eq!(taken(&mut link, at(3)), [b"value"]);
    link.send_before(at(4), Channel(0), b"expires", at(10)).unwrap();
    let heard: Vec<_> = (4..1_000).flat_map(|ms| forger.listen(&mut link, at(ms))).collect();
    assert!(!heard.is_empty());
    let skips = heard.iter().any(|h| h.frames().iter().any(|f| matches!(f, Frame::Skip { .. })));
    assert!(!skips);
}

// R6.20 R7.10 R13.2
#[test]
fn credit_holds_until_a_newer_packet_changes_it() {
    let (mut link, mut forger) = established_with(Config::udp(), &parameter(3, 10));
    for _ in 0..3 {
        link.send(at(3), Channel(0), &[1; 10]).unwrap();
    }
    let count = |link: &mut _, forger: &ackline_tests::forge::Forger, ms| {
        forger.listen(link, at(ms)).iter().map(|h| h.messages().len()).sum::<usize>()
    };
    assert_eq!(count(&mut link, &forger, 3), 1);
    let old = forger.packet(Some(2), None, &Said::new().credit(1_000));
    forger.next = 3;
    forger.say(&mut link, at(3), None, Said::new().credit(20));
    assert_eq!(count(&mut link, &forger, 3), 1, "20 bytes are two messages");
    // The overtaken one says 1,000.
    assert_eq!(link.handle_datagram(at(3), &old), Receipt::Accepted);
    assert_eq!(count(&mut link, &forger, 3), 0);
    forger.say(&mut link, at(3), None, Said::new().credit(30));
    assert_eq!(count(&mut link, &forger, 3), 1);
}

// R6.21
#[test]
fn ack_rate_says_how_many_packets_and_how_long() {
    let (mut link, mut forger) = established(Config::udp());
    forger.say(&mut link, at(3), None, Said::new().ack_rate(5, 50_000));
    for _ in 0..3 {
        forger.say(&mut link, at(3), None, Said::new().ping());
    }
    assert!(forger.listen(&mut link, at(4)).is_empty(), "four of five");
    forger.say(&mut link, at(4), None, Said::new().ping());
    assert_eq!(forger.listen(&mut link, at(4)).len(), 1);
    forger.say(&mut link, at(10), None, Said::new().ping());
    assert!(forger.listen(&mut link, at(59)).is_empty());
    assert_eq!(forger.listen(&mut link, at(60)).len(), 1);
    // More than 100 ms is not believed.
    forger.say(&mut link, at(100), None, Said::new().ack_rate(5, 4_000_000));
    forger.listen(&mut link, at(200));
    forger.say(&mut link, at(300), None, Said::new().ping());
    assert_eq!(forger.listen(&mut link, at(400)).len(), 1);
}

// R6.22
#[test]
fn floor_removes_what_is_before_it_from_the_ranges() {
    let (mut link, mut forger) = established(Config::udp());
    for n in [3, 5, 7] {
        forger.next = n;
        forger.say(&mut link, at(3), None, Said::new().ping());
    }
    assert_eq!(forger.listen(&mut link, at(3)).last().unwrap().acked().unwrap().len(), 4);
    forger.next = 9;
    forger.say(&mut link, at(3), None, Said::new().floor(7).ping());
    assert_eq!(forger.listen(&mut link, at(3)).last().unwrap().acked().unwrap(), [(9, 9), (7, 7)]);
    // All of it: the largest stays.
    forger.say(&mut link, at(4), None, Said::new().floor(10).ping());
    assert_eq!(forger.listen(&mut link, at(6)).last().unwrap().acked().unwrap(), [(10, 10)]);
}

// R6.23 R16.2
#[test]
fn keep_alive_ping_is_padded_so_that_a_reset_can_answer_it() {
    let mut config = Config::udp();
    config.keep_alive = Some(Duration::from_secs(1));
    let (mut link, mut forger) = established(config);
    let heard: Vec<_> = (2..1_100).flat_map(|ms| forger.listen(&mut link, at(ms))).collect();
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].body.len(), 16);
    assert_eq!(heard[0].frames()[0], Frame::Ping);
    // A ping has no effect but to be acknowledged.
    forger.say(&mut link, at(1_100), None, Said::new().ping());
    let answer = forger.listen(&mut link, at(1_102));
    assert!(answer.iter().all(|h| h.number().is_none() && h.frames().is_empty()), "{answer:?}");
}
