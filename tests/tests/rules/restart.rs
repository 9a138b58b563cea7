//! Sections 8.4 to 8.8: restarts, resets, stray packets.

use ackline::wire::{Hello, hello_flags};
use ackline::{Channel, ChannelConfig, Config, Event, FailReason, LinkId, Mode, Receipt};
use ackline_tests::forge::{
    Forger, Greeting, INCARNATION, Said, Subject, acked, at, established, established_with, parameter,
    sealed_long, subject, taken,
};

/// The hello of a new incarnation that has heard the link's bare hello.
fn proven(link: &Subject, said: Said) -> Greeting {
    Greeting {
        incarnation: 99,
        yours: link.incarnation(),
        to: link.local_link_ids()[1].as_bytes().to_vec(),
        ..Greeting::first(said)
    }
}

fn events(link: &mut Subject) -> Vec<Event> {
    std::iter::from_fn(|| link.poll_event()).collect()
}

// R8.14
#[test]
fn framed_medium_believes_a_new_incarnation_at_once() {
    let (mut link, _) = established(Config::serial(0));
    let hello = Greeting { incarnation: 99, ..Greeting::first(Said::new().whole(0, 0, b"new")) };
    assert_eq!(link.handle_datagram(at(3), &hello.body()), Receipt::Accepted);
    assert_eq!(link.peer_incarnation(), 99);
    assert_eq!(events(&mut link), [Event::PeerRestarted]);
    assert_eq!(taken(&mut link, at(3)), [b"new"]);
}

// R8.15 R8.16 R8.17
#[test]
fn datagram_medium_believes_a_new_incarnation_that_repeats_the_next_link_id() {
    let (mut link, forger) = established(Config::udp());
    let [present, next] = link.local_link_ids();
    let unproven = Greeting { incarnation: 99, ..Greeting::first(Said::new().ping()) };
    let to_present =
        Greeting { to: present.as_bytes().to_vec(), yours: link.incarnation(), ..unproven.clone() };
    for hello in [unproven, to_present] {
        assert_eq!(link.handle_datagram(at(3), &hello.datagram()), Receipt::Answered);
        assert_eq!(link.peer_incarnation(), INCARNATION);
        forger.listen(&mut link, at(3));
    }
    let hello = proven(&link, Said::new().ping());
    assert_eq!(link.handle_datagram(at(3), &hello.datagram()), Receipt::Accepted);
    assert_eq!(link.peer_incarnation(), 99);
    assert_eq!(link.local_link_ids()[0], next);
    assert!(link.local_link_ids()[1] != next && link.local_link_ids()[1] != present);
    // Not confirmed: it is answered with a hello.
    assert!(!link.is_validated());
    assert!(forger.listen(&mut link, at(3))[0].hello().is_some_and(|h| h.flags & hello_flags::BARE == 0));
}

// R2.5 R8.18 R8.20 R14.10
#[test]
fn restart_of_the_peer_sends_again_what_has_no_outcome_flagged() {
    let modes = Config::udp().channel(1, ChannelConfig::new(Mode::BestEffort));
    let (mut link, mut forger) = established(modes);
    for i in 0..4u8 {
        link.send(at(3), Channel(0), &[i]).unwrap();
    }
    link.send(at(3), Channel(1), b"best effort").unwrap();
    let number = forger.listen(&mut link, at(3)).last().unwrap().number().unwrap().0;
    // 0 and 2 are settled; a message of the peer waits to be taken.
    forger.say(
        &mut link,
        at(4),
        acked(number, 0),
        Said::new().settled_more(0, 1, &[(0, 0)]).whole(0, 0, b"old"),
    );
    events(&mut link);
    let hello = proven(&link, Said::new().ping());
    link.handle_datagram(at(5), &hello.datagram());
    assert_eq!(
        events(&mut link).iter().map(|e| matches!(e, Event::PeerRestarted)).collect::<Vec<_>>(),
        [true, false]
    );
    assert!(taken(&mut link, at(5)).is_empty(), "what was not taken is forgotten");
    let heard = forger.listen(&mut link, at(5));
    let hello = heard[0].hello().unwrap();
    assert!(hello.number.0 > number, "packet numbers go on");
    assert_eq!(hello.params.bases.iter().map(|(c, n)| (c, n.0)).collect::<Vec<_>>()[0], (0, 1));
    let sent: Vec<_> = heard.iter().flat_map(|h| h.frames()).map(|f| format!("{f:?}")).collect();
    let all = sent.join(" ");
    assert_eq!(all.matches("redelivered: true").count(), 2, "messages 1 and 3: {all}");
    assert!(
        all.contains("Skip { channel: 0, number: (2, 1), count: 1 }"),
        "message 2 is finished above the base: {all}"
    );
    assert!(all.contains("Skip { channel: 1"), "the best-effort message will not come: {all}");
}

// R8.18 R14.7
#[test]
fn best_effort_messages_that_were_sent_fail_as_lost_when_the_peer_restarts() {
    let (mut link, forger) = established(Config::udp().channel(1, ChannelConfig::new(Mode::BestEffort)));
    let id = link.send(at(3), Channel(1), b"once").unwrap();
    forger.listen(&mut link, at(3));
    let hello = proven(&link, Said::new().ping());
    link.handle_datagram(at(4), &hello.datagram());
    assert!(events(&mut link).contains(&Event::Failed(id, FailReason::Lost)));
}

// R8.19
#[test]
fn delivery_of_an_earlier_association_settles_nothing() {
    let config = Config::udp().channel(0, ChannelConfig::default().settle_explicitly());
    let (mut link, mut forger) = established(config);
    forger.say(&mut link, at(3), None, Said::new().whole(0, 0, b"old"));
    let old = link.recv(at(3)).unwrap().id;
    let hello = proven(&link, Said::new().whole(0, 0, b"new"));
    link.handle_datagram(at(4), &hello.datagram());
    let new = link.recv(at(4)).unwrap().id;
    assert!(link.settle(at(4), old).is_err());
    assert!(link.settle(at(4), new).is_ok());
}

// R8.29
#[test]
fn successor_is_confirmed_by_a_hello_only_when_it_has_heard_us_since() {
    for config in [Config::udp(), Config::serial(0)] {
        let (mut link, forger) = established(config);
        // Answered with a hello, whose number it returns.
        let say = |link: &mut Subject, ms, hello: &Greeting| {
            let datagram = if forger.has_check { hello.datagram() } else { hello.body() };
            assert_eq!(link.handle_datagram(at(ms), &datagram), Receipt::Accepted);
            let mut buffer = [0; 1200];
            let len = link.poll_transmit(at(ms), &mut buffer)?;
            Hello::parse(&buffer[..len]).ok().map(|h| h.number.0)
        };
        let adopted = Greeting { flags: hello_flags::KNOWS, ..proven(&link, Said::new().ping()) };
        let first = say(&mut link, 3, &adopted).expect("answered");
        // It may know our parameters, and it may acknowledge, from a hello of long ago.
        let next = Greeting { to: link.local_link_id().as_bytes().to_vec(), ..adopted };
        for (number, heard) in [(1, None), (2, acked(first - 1, 0))] {
            let hello = Greeting { number, acked: heard, ..next.clone() };
            assert!(say(&mut link, 4, &hello).is_some(), "answered");
            assert!(!link.is_validated());
        }
        say(&mut link, 5, &Greeting { number: 3, acked: acked(first, 0), ..next.clone() });
        assert!(link.is_validated());
    }
}

// R8.29 R8.8
#[test]
fn successor_is_confirmed_by_a_short_packet() {
    let (mut link, mut forger) = established(Config::udp());
    let adopted = proven(&link, Said::new().ping());
    assert_eq!(link.handle_datagram(at(3), &adopted.datagram()), Receipt::Accepted);
    forger.listen(&mut link, at(3));
    assert!(!link.is_validated());
    (forger.incarnation, forger.to, forger.next) = (99, link.local_link_id(), 1);
    forger.say(&mut link, at(4), None, Said::new().ping());
    assert!(link.is_validated());
}

// R8.30
#[test]
fn peer_that_took_us_for_an_earlier_life_connects_when_it_has_heard_us() {
    let stranger = Greeting { yours: 77, ..Greeting::first(Said::new().whole(0, 0, b"to another")) };
    let adopt = || {
        let mut link = subject(Config::udp());
        assert_eq!(link.handle_datagram(at(0), &stranger.datagram()), Receipt::Accepted);
        assert!(events(&mut link).is_empty() && !link.is_connected());
        let mut buffer = [0; 1200];
        while link.poll_transmit(at(0), &mut buffer).is_some() {}
        link
    };
    // It was dead: who replaces it is the first that the application hears of.
    let mut link = adopt();
    let hello = proven(&link, Said::new().ping());
    link.handle_datagram(at(1), &hello.datagram());
    assert_eq!((link.peer_incarnation(), events(&mut link)), (99, vec![Event::Connected]));
    // It lives.
    let mut link = adopt();
    let hello = Greeting { yours: link.incarnation(), number: 1, ..stranger.clone() };
    link.handle_datagram(at(1), &hello.datagram());
    assert_eq!(events(&mut link), [Event::Connected]);
    let mut link = adopt();
    let mut forger = Forger {
        incarnation: INCARNATION,
        link: link.incarnation(),
        to: link.local_link_id(),
        has_check: true,
        next: 1,
    };
    forger.say(&mut link, at(1), None, Said::new().ping());
    assert_eq!(events(&mut link), [Event::Connected]);
    // A first hello was for whoever is here, and its messages are delivered.
    let mut link = subject(Config::udp());
    link.handle_datagram(at(0), &Greeting::first(Said::new().whole(0, 0, b"x")).datagram());
    assert_eq!((events(&mut link), taken(&mut link, at(0))), (vec![Event::Connected], vec![b"x".to_vec()]));
    let hello = proven(&link, Said::new().ping());
    link.handle_datagram(at(1), &hello.datagram());
    assert_eq!(events(&mut link), [Event::PeerRestarted]);
}

// R8.21
#[test]
fn what_the_new_peer_cannot_take_fails() {
    let (mut link, forger) = established(Config::udp());
    let ids = [(0, 100), (0, 5_000), (3, 10)]
        .map(|(channel, len)| link.send(at(3), Channel(channel), &vec![1; len]).unwrap());
    forger.listen(&mut link, at(3));
    // Messages of at most 4,000 bytes, and two channels.
    let params = [parameter(4, 4_000), parameter(6, 2)].concat();
    let hello = Greeting { params, ..proven(&link, Said::new().ping()) };
    link.handle_datagram(at(4), &hello.datagram());
    let failed: Vec<_> = events(&mut link)
        .into_iter()
        .filter_map(|e| if let Event::Failed(id, reason) = e { Some((id, reason)) } else { None })
        .collect();
    assert_eq!(failed, [(ids[1], FailReason::TooLarge), (ids[2], FailReason::NoSuchChannel)]);

    // No fragments: what needs them fails, too.
    let (mut link, _) = established(Config::udp());
    link.send(at(3), Channel(0), &[1; 5_000]).unwrap();
    let hello = Greeting { params: parameter(10, 0), ..proven(&link, Said::new().ping()) };
    link.handle_datagram(at(4), &hello.datagram());
    assert!(events(&mut link).iter().any(|e| matches!(e, Event::Failed(_, FailReason::TooLarge))));
}

fn reset(echo: &[u8]) -> Vec<u8> {
    sealed_long([&[0x82], echo].concat())
}

// R8.23 R8.24 R15.5
#[test]
fn reset_is_believed_if_it_repeats_a_packet_that_is_remembered() {
    let (mut link, forger) = established(Config::udp());
    link.send(at(3), Channel(0), b"a").unwrap();
    let heard = forger.listen(&mut link, at(3));
    let begin = &heard[0].body[..1 + 2 + 2];
    let mut other_id = begin.to_vec();
    other_id[1] ^= 1;
    let mut other_number = begin.to_vec();
    other_number[3] ^= 0x40;
    let acknowledgement = [&[0x60][..], &begin[1..]].concat();
    for forged in [&other_id[..], &other_number, &acknowledgement, b""] {
        assert_eq!(link.handle_datagram(at(4), &reset(forged)), Receipt::Dropped, "{forged:?}");
        assert!(link.is_validated());
    }
    assert_eq!(link.handle_datagram(at(4), &reset(begin)), Receipt::Accepted);
    assert!(!link.is_validated());
    let hello = forger.listen(&mut link, at(4));
    assert_eq!(hello[0].hello().unwrap().from, link.local_link_ids()[1], "the next link id");
    assert_eq!(link.poll_event(), None, "nothing else follows from it");
    // A second one: the peer is not confirmed.
    assert_eq!(link.handle_datagram(at(5), &reset(begin)), Receipt::Dropped);
}

// R8.25
#[test]
fn after_a_reset_a_packet_to_the_next_id_shows_that_the_peer_lives_and_one_to_the_present_does_not() {
    let (mut link, mut forger) = established(Config::udp());
    link.send(at(3), Channel(0), b"a").unwrap();
    let begin = forger.listen(&mut link, at(3))[0].body[..1 + 2 + 2].to_vec();
    link.handle_datagram(at(4), &reset(&begin));
    let [present, next] = link.local_link_ids();
    forger.say(&mut link, at(5), None, Said::new().ping());
    assert!(!link.is_validated(), "it may have been sent before the restart");
    forger.to = next;
    assert_eq!(forger.say(&mut link, at(6), None, Said::new().ping()), Receipt::Accepted);
    assert!(link.is_validated());
    assert_eq!(link.local_link_ids()[0], next);
    assert!(![present, next].contains(&link.local_link_ids()[1]), "another next one was drawn");
}

// R8.22 R8.26
#[test]
fn stray_packet_is_answered_with_a_shorter_reset_or_a_hello() {
    let (_, forger) = established(Config::udp());
    let stray = forger.packet(Some(9), None, &Said::new().whole(0, 0, b"to an earlier life"));
    let listen = |link: &mut Subject| forger.listen(link, at(0));
    let mut waiting = subject(Config::udp());
    assert_eq!(waiting.handle_datagram(at(0), &stray), Receipt::Answered);
    let heard = listen(&mut waiting);
    assert_eq!(heard[0].body[0], 0x82);
    assert_eq!(heard[0].body[1..], stray[..1 + 3 + 4], "first byte, link id, number");
    assert!(heard[0].len < stray.len());
    // Too short to be answered with something shorter, or without a number.
    for (number, acks) in [(Some(9), None), (None, acked(5, 0))] {
        let mut link = subject(Config::udp());
        let short = forger.packet(number, acks, &Said::new());
        link.handle_datagram(at(0), &short);
        let answer = listen(&mut link);
        assert!(answer.iter().all(|h| h.len < short.len()), "{answer:?}");
    }
    let mut opening = subject(Config::udp());
    opening.connect(at(0));
    listen(&mut opening);
    assert_eq!(opening.handle_datagram(at(5), &stray), Receipt::Dropped);
    assert!(forger.listen(&mut opening, at(5)).is_empty(), "at most one each 10 ms");
    opening.handle_datagram(at(10), &stray);
    assert!(forger.listen(&mut opening, at(10))[0].hello().is_some());
    // Its peer is not confirmed, and somebody talks to an id that it did not give.
    let mut adopting = subject(Config::udp());
    adopting.handle_datagram(at(0), &Greeting::first(Said::new().ping()).datagram());
    forger.listen(&mut adopting, at(0));
    let foreign = Forger { to: LinkId::new(&[1, 2, 3]).unwrap(), ..forger };
    let stray = foreign.packet(Some(9), None, &Said::new().whole(0, 0, b"to an earlier life"));
    assert!(foreign.listen(&mut adopting, at(20)).is_empty());
    adopting.handle_datagram(at(20), &stray);
    assert!(foreign.listen(&mut adopting, at(20))[0].hello().is_some());
    let mut framed = subject(Config::serial(0));
    framed.handle_datagram(at(0), &[0x00, 0x05, 0x01]);
    let mut buffer = [0; 300];
    framed.poll_transmit(at(0), &mut buffer).unwrap();
    assert_eq!(buffer[0], 0x80);
}

// R8.8 R8.26
#[test]
fn packets_for_an_earlier_life_do_not_confirm_a_peer_and_are_answered_with_hellos() {
    // On a serial line: the peer's hello was for our predecessor, and so are its packets.
    let mut link = subject(Config::serial(0));
    let hello = Greeting { yours: 77, number: 5, ..Greeting::first(Said::new().ping()) };
    link.handle_datagram(at(0), &hello.body());
    let mut buffer = [0; 300];
    while link.poll_transmit(at(0), &mut buffer).is_some() {}
    let mut forger =
        Forger { incarnation: INCARNATION, link: 77, to: link.local_link_id(), has_check: false, next: 6 };
    assert_eq!(forger.say(&mut link, at(20), None, Said::new().whole(0, 0, b"x")), Receipt::Dropped);
    assert!(taken(&mut link, at(20)).is_empty() && !link.is_validated());
    let len = link.poll_transmit(at(20), &mut buffer).unwrap();
    assert_eq!(ackline::wire::Hello::parse(&buffer[..len]).unwrap().flags & hello_flags::KNOWS, 0);
    let mine = Greeting { yours: link.incarnation(), number: 7, flags: hello_flags::KNOWS, ..hello };
    assert_eq!(link.handle_datagram(at(30), &mine.body()), Receipt::Accepted);
    forger.next = 8;
    assert_eq!(forger.say(&mut link, at(31), None, Said::new().whole(0, 0, b"x")), Receipt::Accepted);
    assert_eq!(taken(&mut link, at(31)), [b"x"]);
}

// R14.11
#[test]
fn flag_of_a_redelivered_message_reaches_the_application() {
    let (mut link, mut forger) = established_with(Config::udp(), &[]);
    forger.say(&mut link, at(3), None, Said::new().redelivered(0, 0, b"again"));
    forger.say(&mut link, at(3), None, Said::new().whole(0, 1, b"new"));
    let flags: Vec<bool> = std::iter::from_fn(|| link.recv(at(3)).map(|d| d.redelivered)).collect();
    assert_eq!(flags, [true, false]);
}
