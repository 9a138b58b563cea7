//! Section 6.4: who learns that a message was acknowledged learns what was settled.

use ackline::{Channel, ChannelConfig, Config, DeliveryId, Event, FailReason, Mode, Receipt};
use ackline_tests::forge::{Forger, Said, Subject, acked, at, established, taken};

fn settled(link: &mut Subject) -> Vec<u32> {
    let mut all = Vec::new();
    while let Some(event) = link.poll_event() {
        if let Event::Settled(id) = event {
            all.push(id.sequence);
        }
    }
    all
}

fn send(link: &mut Subject, forger: &Forger, count: usize) -> u32 {
    for i in 0..count {
        link.send(at(3), Channel(0), &[i as u8]).unwrap();
    }
    forger.listen(link, at(3)).last().unwrap().number().unwrap().0
}

// R2.2
#[test]
fn acknowledgement_alone_settles_nothing() {
    let (mut link, mut forger) = established(Config::udp());
    let number = send(&mut link, &forger, 3);
    forger.say(&mut link, at(4), acked(number, 0), Said::new().ping());
    assert!(settled(&mut link).is_empty());
    forger.say(&mut link, at(4), None, Said::new().settled(0, 3));
    assert_eq!(settled(&mut link), [0, 1, 2]);
}

// R6.12
#[test]
fn settled_and_more_names_ranges_above_the_first_that_is_not() {
    let (mut link, mut forger) = established(Config::udp());
    let number = send(&mut link, &forger, 8);
    // 0 settled; not 1 and 2; 3 and 4 settled; not 5; 6 settled.
    let said = Said::new().settled_more(0, 1, &[(1, 1), (0, 0)]);
    forger.say(&mut link, at(4), acked(number, 0), said);
    assert_eq!(settled(&mut link), [0, 3, 4, 6]);
}

// R6.13 R14.6
#[test]
fn settled_on_a_latest_channel_settles_the_newest_and_supersedes_the_rest() {
    let config = Config::udp().channel(0, ChannelConfig::new(Mode::Latest));
    let (mut link, mut forger) = established(config);
    for value in [b"a", b"b", b"c"] {
        link.send(at(3), Channel(0), value).unwrap();
        let number = forger.listen(&mut link, at(3)).last().unwrap().number().unwrap().0;
        forger.say(&mut link, at(3), acked(number, 0), Said::new().ping());
    }
    forger.say(&mut link, at(4), None, Said::new().settled(0, 3));
    let outcomes: Vec<Event> = std::iter::from_fn(|| link.poll_event()).collect();
    let superseded = |e: &&Event| matches!(e, Event::Failed(_, FailReason::Superseded));
    assert_eq!(outcomes.iter().filter(superseded).count(), 2);
    assert!(matches!(outcomes[2], Event::Settled(id) if id.sequence == 2), "{outcomes:?}");
}

// R6.14 R6.15
#[test]
fn settlement_rides_with_every_acknowledgement_until_a_numbered_packet_with_it_arrived() {
    let (mut link, mut forger) = established(Config::udp());
    forger.say(&mut link, at(3), None, Said::new().whole(0, 0, b"a"));
    assert_eq!(taken(&mut link, at(3)).len(), 1);
    for ms in [10, 20, 30] {
        let heard = forger.listen(&mut link, at(ms));
        assert_eq!(heard.len(), 1);
        assert_eq!((heard[0].number(), heard[0].settled()), (None, vec![(0, 1)]));
        forger.say(&mut link, at(ms), None, Said::new().ping());
    }
    link.send(at(40), Channel(0), b"b").unwrap();
    let heard = forger.listen(&mut link, at(40));
    assert_eq!(heard[0].settled(), [(0, 1)]);
    let number = heard[0].number().unwrap().0;
    forger.say(&mut link, at(41), acked(number, 0), Said::new().settled(0, 1).ping());
    let heard = forger.listen(&mut link, at(50));
    assert_eq!((heard.len(), heard[0].settled()), (1, vec![]));
}

// R6.14
#[test]
fn settlement_that_changed_after_a_packet_told_it_is_not_confirmed_by_that_packet() {
    let (mut link, mut forger) = established(Config::udp());
    forger.say(&mut link, at(3), None, Said::new().whole(0, 0, b"a"));
    taken(&mut link, at(3));
    link.send(at(4), Channel(0), b"b").unwrap();
    let heard = forger.listen(&mut link, at(4));
    assert_eq!(heard[0].settled(), [(0, 1)]);
    let number = heard[0].number().unwrap().0;
    forger.say(&mut link, at(5), None, Said::new().whole(0, 1, b"c"));
    taken(&mut link, at(5));
    forger.say(&mut link, at(6), acked(number, 0), Said::new().settled(0, 1).ping());
    let heard = forger.listen(&mut link, at(20));
    assert_eq!(heard.last().unwrap().settled(), [(0, 2)]);
}

// R6.16 R12.4
#[test]
fn settlement_after_its_acknowledgement_left_is_sent_until_it_is_acknowledged() {
    let (mut link, mut forger) = established(Config::udp());
    forger.say(&mut link, at(3), None, Said::new().whole(0, 0, b"a"));
    assert_eq!(forger.listen(&mut link, at(10))[0].settled(), []);
    taken(&mut link, at(11));
    let mut heard = Vec::new();
    for ms in 11..3_000 {
        heard.extend(forger.listen(&mut link, at(ms)));
    }
    assert!(heard.len() >= 4, "it was not repeated: {heard:?}");
    assert!(heard.iter().all(|h| h.number().is_some() && h.settled() == [(0, 1)]));
    let last = heard.last().unwrap().number().unwrap().0;
    forger.say(&mut link, at(3_000), acked(last, 0), Said::new());
    assert!((3_000..20_000).all(|ms| forger.listen(&mut link, at(ms)).is_empty()));
}

// R6.17
#[test]
fn ranges_that_found_no_room_are_told_when_the_first_number_passes_them() {
    let config = Config::udp().channel(0, ChannelConfig::default().settle_explicitly());
    let (mut link, mut forger) = established(config);
    for n in 0..50 {
        forger.say(&mut link, at(3), None, Said::new().whole(0, n, b"x"));
    }
    let mut open = Vec::new();
    while let Some(delivery) = link.recv(at(3)) {
        open.push(delivery.id);
    }
    let (odd, even): (Vec<DeliveryId>, Vec<DeliveryId>) = open.iter().partition(|id| id.sequence % 2 == 1);
    for id in odd {
        link.settle(at(4), id).unwrap();
    }
    let some = forger.listen(&mut link, at(4));
    assert!(some.last().unwrap().body.len() < 60, "25 ranges were told");
    for id in even {
        link.settle(at(5), id).unwrap();
    }
    let all: Vec<_> = forger.listen(&mut link, at(5)).iter().flat_map(|h| h.settled()).collect();
    assert_eq!(all.last(), Some(&(0, 50)));
}

// R6.18
#[test]
fn settlement_of_what_was_not_sent_is_ignored_and_an_old_one_has_no_effect() {
    let (mut link, mut forger) = established(Config::udp());
    let number = send(&mut link, &forger, 2);
    assert_eq!(forger.say(&mut link, at(4), None, Said::new().settled(0, 40)), Receipt::Accepted);
    assert_eq!(
        forger.say(&mut link, at(4), None, Said::new().settled_more(0, 0, &[(4, 2)])),
        Receipt::Accepted
    );
    assert!(settled(&mut link).is_empty());
    forger.say(&mut link, at(4), acked(number, 0), Said::new().settled(0, 2));
    assert_eq!(settled(&mut link), [0, 1]);
    assert_eq!(forger.say(&mut link, at(4), None, Said::new().settled(0, 1)), Receipt::Accepted);
    assert!(settled(&mut link).is_empty());
}

// R6.19
#[test]
fn settlements_of_a_packet_count_before_its_acknowledgement() {
    let config = Config::udp().channel(0, ChannelConfig::new(Mode::Latest));
    let (mut link, mut forger) = established(config);
    link.send(at(3), Channel(0), b"old").unwrap();
    let first = forger.listen(&mut link, at(3))[0].number().unwrap().0;
    forger.say(&mut link, at(3), acked(first, 0), Said::new().ping());
    link.send(at(4), Channel(0), b"new").unwrap();
    let second = forger.listen(&mut link, at(4)).last().unwrap().number().unwrap().0;
    // The peer's application took the old one; the acknowledgement of the new one alone would supersede it.
    forger.say(&mut link, at(5), acked(second, 1), Said::new().settled(0, 1));
    assert_eq!(settled(&mut link), [0]);
}

// R14.8
#[test]
fn message_settles_when_it_is_taken_or_when_the_application_says_so() {
    let config = Config::udp().channel(1, ChannelConfig::default().settle_explicitly());
    let (mut link, mut forger) = established(config);
    forger.say(&mut link, at(3), None, Said::new().whole_with_length(0, 0, b"a").whole(1, 0, b"b"));
    let ids: Vec<_> = std::iter::from_fn(|| link.recv(at(3)).map(|d| d.id)).collect();
    let heard = forger.listen(&mut link, at(10));
    assert_eq!(heard[0].settled(), [(0, 1)]);
    let explicit = ids.iter().find(|id| id.channel.0 == 1).unwrap();
    link.settle(at(11), *explicit).unwrap();
    assert!(link.settle(at(11), *explicit).is_err(), "once");
    assert!(forger.listen(&mut link, at(11)).iter().any(|h| h.settled().contains(&(1, 1))));
}
