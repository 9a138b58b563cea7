//! Section 14: modes and deadlines.

use ackline::wire::Frame;
use ackline::{Channel, ChannelConfig, Config, Event, FailReason, Mode};
use ackline_tests::forge::{Forger, Said, Subject, acked, at, established, established_with, taken};

fn events(link: &mut Subject) -> Vec<Event> {
    std::iter::from_fn(|| link.poll_event()).collect()
}

fn skips(forger: &Forger, link: &mut Subject, ms: u64) -> usize {
    let heard = forger.listen(link, at(ms));
    heard.iter().flat_map(|h| h.frames()).filter(|f| matches!(f, Frame::Skip { .. })).count()
}

// R14.1 R14.3
#[test]
fn ordered_messages_come_in_order_and_once() {
    let (mut link, mut forger) = established(Config::udp());
    for n in [2, 0, 0, 1, 2, 1] {
        forger.say(&mut link, at(3), None, Said::new().whole(0, n, &[n as u8]));
    }
    assert_eq!(taken(&mut link, at(3)), [[0], [1], [2]]);
    for n in 0..3 {
        forger.say(&mut link, at(3), None, Said::new().whole(0, n, &[n as u8]));
        assert!(taken(&mut link, at(3)).is_empty());
    }
    let heard = forger.listen(&mut link, at(9));
    assert_eq!(heard.last().unwrap().acked().unwrap(), [(0, 10)], "duplicates are acknowledged");
}

// R14.2
#[test]
fn unordered_messages_come_when_they_are_complete() {
    let (mut link, mut forger) = established_with(Config::udp(), &[7, 1, 1]);
    forger.say(&mut link, at(3), None, Said::new().fragment(0, 0, 0, 32, &[0; 16]));
    for n in [3, 1] {
        forger.say(&mut link, at(3), None, Said::new().whole(0, n, &[n as u8]));
    }
    assert_eq!(taken(&mut link, at(3)), [[3], [1]]);
    forger.say(&mut link, at(3), None, Said::new().whole(0, 3, &[3]));
    assert!(taken(&mut link, at(3)).is_empty(), "settled above what is missing, and known");
    forger.say(&mut link, at(3), None, Said::new().fragment(0, 0, 16, 32, &[0; 16]));
    assert_eq!(taken(&mut link, at(3)), [[0; 32]]);
}

// R14.4
#[test]
fn newer_value_supersedes_what_is_not_acknowledged_and_that_is_not_sent_again() {
    let config = Config::udp().channel(0, ChannelConfig::new(Mode::Latest));
    let (mut link, forger) = established(config);
    let old = link.send(at(3), Channel(0), b"old").unwrap();
    forger.listen(&mut link, at(3));
    link.send(at(4), Channel(0), b"new").unwrap();
    assert_eq!(events(&mut link), [Event::Failed(old, FailReason::Superseded)]);
    for ms in 4..2_000 {
        for heard in forger.listen(&mut link, at(ms)) {
            assert!(heard.messages().iter().all(|m| m.1 == Some(1)), "{heard:?}");
        }
    }
}

// R14.5
#[test]
fn receiver_keeps_the_newest_value_and_takes_older_ones_for_duplicates() {
    let (mut link, mut forger) = established_with(Config::udp(), &[7, 1, 2]);
    for n in [1, 3, 2] {
        forger.say(&mut link, at(3), None, Said::new().whole(0, n, &[n as u8]));
    }
    assert_eq!(taken(&mut link, at(3)), [[3]]);
    // An older one that is complete goes when a newer one begins to arrive.
    forger.say(&mut link, at(4), None, Said::new().whole(0, 4, &[4]));
    forger.say(&mut link, at(4), None, Said::new().fragment(0, 5, 0, 32, &[5; 16]));
    assert!(taken(&mut link, at(4)).is_empty());
    forger.say(&mut link, at(4), None, Said::new().fragment(0, 5, 16, 32, &[5; 16]));
    assert_eq!(taken(&mut link, at(4)), [[5; 32]]);
}

// R14.5
#[test]
fn value_older_than_one_that_waits_is_a_duplicate_while_one_before_is_not_settled() {
    let config = Config::udp().channel(0, ChannelConfig::default().settle_explicitly());
    let (mut link, mut forger) = established_with(config, &[7, 1, 2]);
    forger.say(&mut link, at(3), None, Said::new().whole(0, 1, &[1]));
    assert_eq!(taken(&mut link, at(3)), [[1]]);
    for n in [3, 2] {
        forger.say(&mut link, at(3), None, Said::new().whole(0, n, &[n as u8]));
    }
    assert_eq!(taken(&mut link, at(3)), [[3]]);
}

// R14.6
#[test]
fn acknowledgement_of_a_value_ends_all_older_ones() {
    let config = Config::udp().channel(0, ChannelConfig::new(Mode::Latest));
    let (mut link, mut forger) = established(config);
    let old = link.send(at(3), Channel(0), b"old").unwrap();
    let number = forger.listen(&mut link, at(3))[0].number().unwrap().0;
    forger.say(&mut link, at(3), acked(number, 0), Said::new());
    link.send(at(4), Channel(0), b"new").unwrap();
    assert!(events(&mut link).is_empty(), "the old one has arrived: it may still be settled");
    let number = forger.listen(&mut link, at(4))[0].number().unwrap().0;
    forger.say(&mut link, at(5), acked(number, 0), Said::new());
    assert_eq!(events(&mut link), [Event::Failed(old, FailReason::Superseded)]);
}

// R14.5 R14.9
#[test]
fn value_that_expires_unfinished_ends_the_ones_that_it_displaced() {
    let config = Config::udp().channel(0, ChannelConfig::new(Mode::Latest));
    let (mut link, mut forger) = established(config);
    let old = link.send(at(3), Channel(0), b"old").unwrap();
    let number = forger.listen(&mut link, at(3))[0].number().unwrap().0;
    forger.say(&mut link, at(3), acked(number, 0), Said::new());
    // The first part may have arrived, and the old one be gone for it.
    let begun = link.send_before(at(4), Channel(0), &[2; 3_000], at(10)).unwrap();
    assert!(!forger.listen(&mut link, at(4)).is_empty());
    link.handle_timeout(at(10));
    assert_eq!(events(&mut link), [Event::Failed(old, FailReason::Superseded), Event::Expired(begun)]);
    let taken = link.send(at(11), Channel(0), b"taken").unwrap();
    let number = forger.listen(&mut link, at(11)).last().unwrap().number().unwrap().0;
    forger.say(&mut link, at(11), acked(number, 0), Said::new());
    // Never sent: the peer has the one before, and takes it.
    let unsent = link.send_before(at(12), Channel(0), &[1; 3_000], at(12)).unwrap();
    link.handle_timeout(at(12));
    assert_eq!(events(&mut link), [Event::Expired(unsent)]);
    forger.say(&mut link, at(13), None, Said::new().settled(0, 3));
    assert_eq!(events(&mut link), [Event::Settled(taken)]);
    assert!(link.is_drained());
}

// R14.7 R12.3
#[test]
fn best_effort_message_of_a_lost_packet_fails_and_is_skipped() {
    let config = Config::udp().channel(0, ChannelConfig::new(Mode::BestEffort));
    let (mut link, mut forger) = established(config);
    let mut last = 0;
    let mut ids = Vec::new();
    for i in 0..4u8 {
        ids.push(link.send(at(3), Channel(0), &[i]).unwrap());
        last = forger.listen(&mut link, at(3))[0].number().unwrap().0;
    }
    // Three later ones have arrived.
    forger.say(&mut link, at(4), acked(last, 2), Said::new());
    assert_eq!(events(&mut link), [Event::Failed(ids[0], FailReason::Lost)]);
    assert_eq!(skips(&forger, &mut link, 4), 1);
}

// R14.9
#[test]
fn expired_message_that_may_be_missing_is_skipped_until_that_is_acknowledged() {
    let (mut link, mut forger) = established(Config::udp());
    let id = link.send_before(at(3), Channel(0), b"soon worthless", at(10)).unwrap();
    forger.listen(&mut link, at(3));
    assert_eq!(skips(&forger, &mut link, 9), 0);
    let mut count = skips(&forger, &mut link, 10);
    assert_eq!(events(&mut link), [Event::Expired(id)]);
    let mut last = None;
    for ms in 11..2_000 {
        for heard in forger.listen(&mut link, at(ms)) {
            count += heard.frames().iter().filter(|f| matches!(f, Frame::Skip { .. })).count();
            assert!(heard.messages().is_empty(), "nothing of it is sent any more");
            last = heard.number().or(last);
        }
    }
    assert!(count >= 2, "{count} skips");
    forger.say(&mut link, at(2_000), acked(last.unwrap().0, 0), Said::new());
    assert_eq!((2_000..9_000).map(|ms| skips(&forger, &mut link, ms)).sum::<usize>(), 0);
}

// R2.4 R14.9
#[test]
fn message_that_arrived_and_expires_is_not_skipped() {
    let config = Config::udp();
    let (mut link, mut forger) = established(config);
    let id = link.send_before(at(3), Channel(0), b"a", at(10)).unwrap();
    let number = forger.listen(&mut link, at(3))[0].number().unwrap().0;
    forger.say(&mut link, at(4), acked(number, 0), Said::new());
    assert_eq!((4..3_000).map(|ms| skips(&forger, &mut link, ms)).sum::<usize>(), 0);
    assert_eq!(events(&mut link), [Event::Expired(id)]);
    // The peer's application has it all the same; that it says so later changes no outcome.
    forger.say(&mut link, at(3_000), None, Said::new().settled(0, 1));
    assert!(events(&mut link).is_empty());
    assert!(link.is_drained());
}
