//! Sections 11 and 13: what is acknowledged when, and what finds room.

use ackline::wire::Frame;
use ackline::{Channel, ChannelConfig, Config, Mode};
use ackline_tests::forge::{Said, acked, at, established, established_with, parameter, taken};

/// Room for little: a window of 4 messages.
fn narrow() -> Config {
    let mut config = Config::udp();
    config.receive_window = 4;
    config
}

// R11.1 R13.4
#[test]
fn packet_of_which_anything_found_no_room_is_not_acknowledged_and_the_rest_is_kept() {
    let (mut link, mut forger) = established(narrow());
    // Message 0 fits, message 9 is beyond the window.
    forger.say(&mut link, at(3), None, Said::new().whole_with_length(0, 0, b"a").whole(0, 9, b"z"));
    forger.say(&mut link, at(3), None, Said::new().ping());
    let heard = forger.listen(&mut link, at(10));
    assert_eq!(heard.last().unwrap().acked().unwrap(), [(3, 3), (0, 1)]);
    assert_eq!(taken(&mut link, at(10)), [b"a"]);
    assert_eq!(link.stats().dropped_no_room, 1);
    // What is known already counts as stored.
    forger.say(&mut link, at(11), None, Said::new().whole(0, 0, b"a"));
    assert_eq!(forger.listen(&mut link, at(11)).last().unwrap().acked().unwrap()[0], (3, 4));
}

// R11.2
#[test]
fn eliciting_packet_is_acknowledged_within_the_delay() {
    let (mut link, mut forger) = established(Config::udp());
    forger.say(&mut link, at(3), None, Said::new().ping());
    assert_eq!(link.poll_timeout(), Some(at(4)), "ack_delay is 1 ms");
    assert!(forger.listen(&mut link, ackline::Instant::from_micros(3_900)).is_empty());
    assert_eq!(forger.listen(&mut link, at(4))[0].acked().unwrap(), [(0, 2)]);
}

// R11.3
#[test]
fn gap_or_second_packet_is_acknowledged_at_once() {
    for (case, numbers) in [("a gap", &[3u32][..]), ("a late one", &[3, 2]), ("the second", &[2, 3])] {
        let (mut link, mut forger) = established(Config::udp());
        let mut last = Vec::new();
        for n in numbers {
            forger.next = *n;
            forger.say(&mut link, at(3), None, Said::new().ping());
            last = forger.listen(&mut link, at(3));
        }
        assert_eq!(last.len(), 1, "{case}");
    }
    // A duplicate is no reason.
    let (mut link, mut forger) = established(Config::udp());
    forger.say(&mut link, at(3), None, Said::new().whole(0, 0, b"a"));
    forger.listen(&mut link, at(10));
    forger.say(&mut link, at(11), None, Said::new().whole(0, 0, b"a"));
    assert!(forger.listen(&mut link, at(11)).is_empty());
}

// R11.3
#[test]
fn acknowledgement_waits_a_moment_for_the_application() {
    let later = ackline::Instant::from_micros(3_100);
    for takes in [true, false] {
        let (mut link, mut forger) = established(Config::udp());
        for n in 0..2 {
            forger.say(&mut link, at(3), None, Said::new().whole(0, n, b"a"));
        }
        assert!(forger.listen(&mut link, at(3)).is_empty());
        assert_eq!(link.poll_timeout(), Some(later));
        if takes {
            assert_eq!(taken(&mut link, at(3)).len(), 2);
            assert_eq!(link.poll_timeout(), Some(at(3)));
        }
        let heard = forger.listen(&mut link, if takes { at(3) } else { later });
        assert_eq!((heard.len(), heard[0].acked().unwrap()), (1, vec![(0, 3)]));
        assert_eq!(heard[0].settled(), if takes { vec![(0, 2)] } else { vec![] });
    }
}

// R11.4
#[test]
fn acknowledgement_rides_on_every_packet_and_goes_alone_without_a_number() {
    let (mut link, mut forger) = established(Config::udp());
    forger.say(&mut link, at(3), None, Said::new().ping());
    link.send(at(3), Channel(0), b"a").unwrap();
    let heard = forger.listen(&mut link, at(3));
    assert_eq!((heard.len(), heard[0].acked().unwrap()), (1, vec![(0, 2)]));
    link.send(at(3), Channel(0), b"b").unwrap();
    assert_eq!(forger.listen(&mut link, at(3))[0].acked(), None, "nothing new to acknowledge");
    forger.say(&mut link, at(4), None, Said::new().ping());
    let alone = forger.listen(&mut link, at(6));
    assert_eq!(alone[0].body[0] & 0xe0, 0x60);
}

// R11.7 R6.22
#[test]
fn sender_that_hears_of_numbers_long_past_sends_a_floor() {
    let (mut link, mut forger) = established(Config::udp());
    let mut floors = Vec::new();
    for i in 0..200 {
        link.send(at(10 * i), Channel(0), b"x").unwrap();
        let heard = forger.listen(&mut link, at(10 * i));
        floors.extend(heard.iter().flat_map(|h| h.frames()).filter_map(|f| match f {
            Frame::Floor { number } => Some(number.0),
            _ => None,
        }));
        let number = heard.last().unwrap().number().unwrap().0;
        // All numbers from the first on, again and again.
        forger.say(&mut link, at(10 * i), acked(number, number), Said::new().settled(0, i as u32 + 1));
    }
    // Seven bits of them are on the wire.
    assert!(floors.len() >= 2 && floors[0] > 64, "{floors:?}");
}

// R13.1
#[test]
fn window_counts_from_the_first_message_that_is_not_settled() {
    let (mut link, mut forger) = established_with(Config::udp(), &parameter(2, 4));
    for i in 0..10u8 {
        link.send(at(3), Channel(0), &[i]).unwrap();
    }
    let count =
        |heard: Vec<ackline_tests::forge::Heard>| heard.iter().map(|h| h.messages().len()).sum::<usize>();
    let heard = forger.listen(&mut link, at(3));
    let number = heard.last().unwrap().number().unwrap().0;
    assert_eq!(count(heard), 4);
    // 1, 2 and 3 are settled, 0 is not: nothing more may go.
    forger.say(&mut link, at(4), acked(number, 0), Said::new().settled_more(0, 0, &[(0, 2)]));
    assert_eq!(count(forger.listen(&mut link, at(4))), 0);
    forger.say(&mut link, at(4), None, Said::new().settled(0, 4));
    assert_eq!(count(forger.listen(&mut link, at(4))), 4);
}

// R13.1
#[test]
fn latest_channels_are_not_limited_by_the_window() {
    let config = Config::udp().channel(0, ChannelConfig::new(Mode::Latest));
    let (mut link, forger) = established_with(config, &parameter(2, 2));
    for i in 0..10u8 {
        link.send(at(3), Channel(0), &[i]).unwrap();
        assert_eq!(forger.listen(&mut link, at(3)).len(), 1, "value {i}");
    }
}

// R13.2
#[test]
fn message_longer_than_the_credit_goes_if_nothing_else_is_outstanding() {
    let (mut link, mut forger) = established_with(Config::udp(), &parameter(3, 10));
    for len in [5, 50] {
        link.send(at(3), Channel(0), &vec![1; len]).unwrap();
    }
    let heard = forger.listen(&mut link, at(3));
    assert_eq!(heard.iter().map(|h| h.messages().len()).sum::<usize>(), 1, "the long one waits");
    let number = heard.last().unwrap().number().unwrap().0;
    forger.say(&mut link, at(4), acked(number, 0), Said::new().settled(0, 1));
    assert_eq!(forger.listen(&mut link, at(4))[0].messages(), [(0, Some(1), 50)]);
}

// R13.3 R12.4
#[test]
fn what_is_sent_again_takes_no_new_credit() {
    let (mut link, mut forger) = established_with(Config::udp(), &parameter(3, 20));
    for _ in 0..2 {
        link.send(at(3), Channel(0), &[1; 10]).unwrap();
        forger.listen(&mut link, at(3));
    }
    // Nothing comes back but word that there is no credit any more.
    forger.say(&mut link, at(4), None, Said::new().credit(0));
    let heard: Vec<_> = (4..5_000).flat_map(|ms| forger.listen(&mut link, at(ms))).collect();
    let again: usize = heard.iter().map(|h| h.messages().len()).sum();
    assert!(again >= 2, "without any credit left, {again} messages were repeated: {heard:?}");
}

// R13.4
#[test]
fn message_that_an_ordered_channel_waits_for_always_finds_room() {
    let mut config = Config::udp();
    config.message_max = 1_000;
    config.receive_buffer = 4_000;
    let (mut link, mut forger) = established(config);
    for n in 1..40 {
        forger.say(&mut link, at(3), None, Said::new().whole(0, n, &[n as u8; 1_000]));
    }
    assert!(link.stats().dropped_no_room > 0, "the peer has sent more than it may");
    forger.say(&mut link, at(4), None, Said::new().whole(0, 0, &[0; 1_000]));
    assert!(!taken(&mut link, at(4)).is_empty());
}

// R13.5
#[test]
fn lowered_buffer_takes_what_was_sent_before_and_is_told() {
    let (mut link, mut forger) = established(Config::udp());
    link.set_receive_buffer(100);
    let heard = forger.listen(&mut link, at(3));
    assert_eq!(heard[0].frames(), [Frame::Credit { bytes: 100 }]);
    forger.say(&mut link, at(3), None, Said::new().whole(0, 0, &[5; 1_000]));
    assert_eq!(taken(&mut link, at(3)), [[5; 1_000]]);
    assert_eq!(link.stats().dropped_no_room, 0);
}
