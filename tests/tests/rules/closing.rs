//! Section 15: the end of a link.

use ackline::wire::{Frame, hello_flags};
use ackline::{Channel, CloseReason, Config, Event, FailReason, SendError};
use ackline_tests::forge::{Forger, Greeting, Said, Subject, acked, at, established, sealed_long, subject};

fn closes(forger: &Forger, link: &mut Subject, ms: u64) -> Vec<(u8, bool)> {
    let heard = forger.listen(link, at(ms));
    let of = |h: &ackline_tests::forge::Heard| {
        h.frames().iter().find_map(|f| if let Frame::Close { code } = f { Some(*code) } else { None })
    };
    heard.iter().filter_map(|h| of(h).map(|code| (code, h.acked().is_some()))).collect()
}

fn ending(link: &mut Subject) -> Option<CloseReason> {
    let events = std::iter::from_fn(|| link.poll_event());
    events.filter_map(|e| if let Event::Closed(reason) = e { Some(reason) } else { None }).last()
}

// R15.1
#[test]
fn closing_waits_for_every_outcome_then_says_so_with_what_is_settled() {
    let (mut link, mut forger) = established(Config::udp());
    forger.say(&mut link, at(3), None, Said::new().whole(0, 0, b"x"));
    link.send(at(3), Channel(0), b"a").unwrap();
    let number = forger.listen(&mut link, at(3))[0].number().unwrap().0;
    link.close(at(4));
    assert_eq!(link.send(at(4), Channel(0), b"b"), Err(SendError::Closed));
    assert!(closes(&forger, &mut link, 4).is_empty());
    while link.recv(at(4)).is_some() {}
    forger.listen(&mut link, at(4));
    forger.say(&mut link, at(5), acked(number, 0), Said::new().settled(0, 1));
    let heard = forger.listen(&mut link, at(5));
    let last = heard.last().unwrap();
    assert!(last.frames().contains(&Frame::Close { code: 0 }), "{heard:?}");
    assert_eq!(last.settled(), [(0, 1)]);
    assert_eq!(ending(&mut link), None);
    forger.say(&mut link, at(6), acked(last.number().unwrap().0, 0), Said::new());
    assert_eq!(ending(&mut link), Some(CloseReason::Drained));
}

// R15.1
#[test]
fn close_that_crosses_ours_drains_both() {
    let (mut link, mut forger) = established(Config::udp());
    link.close(at(3));
    assert_eq!(closes(&forger, &mut link, 3), [(0, false)]);
    forger.say(&mut link, at(4), None, Said::new().close(0));
    assert_eq!(ending(&mut link), Some(CloseReason::Drained));
}

// R15.2 R15.6
#[test]
fn received_close_ends_the_link_and_is_answered_unless_it_is_an_answer() {
    for (code, answer) in [(0, vec![(2, true)]), (1, vec![(2, true)]), (77, vec![(2, true)]), (2, vec![])] {
        let (mut link, mut forger) = established(Config::udp());
        let id = link.send(at(3), Channel(0), b"a").unwrap();
        forger.listen(&mut link, at(3));
        forger.say(&mut link, at(4), None, Said::new().close(code));
        let events: Vec<Event> = std::iter::from_fn(|| link.poll_event()).collect();
        assert_eq!(
            events,
            [Event::Failed(id, FailReason::PeerClosed), Event::Closed(CloseReason::Peer)],
            "code {code}"
        );
        assert_eq!(closes(&forger, &mut link, 4), answer, "code {code}");
    }
}

// R15.3
#[test]
fn link_that_is_over_answers_whoever_talks_on_and_is_silent_otherwise() {
    let (mut link, mut forger) = established(Config::udp());
    forger.say(&mut link, at(3), None, Said::new().close(0));
    assert_eq!(closes(&forger, &mut link, 3).len(), 1);
    assert_eq!(link.poll_timeout(), None);
    for ms in [10, 20, 5_000] {
        forger.say(&mut link, at(ms), None, Said::new().whole(0, 0, b"late"));
        assert_eq!(closes(&forger, &mut link, ms), [(2, true)]);
    }
    forger.say(&mut link, at(6_000), None, Said::new().close(2));
    assert!(forger.listen(&mut link, at(6_000)).is_empty());
    assert!(link.recv(at(6_000)).is_none());
}

// R15.3 R8.7
#[test]
fn link_that_is_over_answers_hellos_of_its_peer_and_no_others() {
    // The first hello of a peer that has nothing to say: it opens and closes.
    let mut link = subject(Config::udp());
    let hello = |number, yours, said: Said| Greeting { number, yours, ..Greeting::first(said) };
    let hear = |link: &mut Subject, ms, greeting: &Greeting| {
        link.handle_datagram(at(ms), &greeting.datagram());
        let mut buffer = [0; 1200];
        let mut heard = Vec::new();
        while let Some(len) = link.poll_transmit(at(ms), &mut buffer) {
            let said = ackline::wire::Hello::parse(&buffer[..len - 4]).expect("not confirmed: in a hello");
            assert!(said.ack.is_some_and(|a| a.largest.0 == greeting.number));
            heard.extend(ackline::wire::Frames::new(said.frames).flatten().filter_map(|f| match f {
                Frame::Close { code } => Some(code),
                _ => None,
            }));
        }
        heard
    };
    assert_eq!(hear(&mut link, 0, &hello(0, 0, Said::new().close(0))), [2]);
    assert_eq!(ending(&mut link), Some(CloseReason::Peer));
    // The answer was lost: it says so again, before it has heard of us and after.
    let us = link.incarnation();
    for (number, yours) in [(1, 0), (2, us)] {
        assert_eq!(hear(&mut link, 10, &hello(number, yours, Said::new().close(0))), [2]);
    }
    let bare = Greeting { flags: hello_flags::BARE, ..hello(4, us, Said::new()) };
    let stranger = Greeting { incarnation: 99, ..hello(4, 0, Said::new().close(0)) };
    let copy = hello(2, us, Said::new().close(0));
    let for_an_earlier_life = hello(4, us ^ 1, Said::new().close(0));
    let answer = hello(3, us, Said::new().close(2));
    for greeting in [bare, stranger, copy, for_an_earlier_life, answer] {
        assert!(hear(&mut link, 20, &greeting).is_empty(), "{greeting:?}");
    }
    assert_eq!(link.poll_timeout(), None);
    assert!(link.recv(at(20)).is_none());
}

// R15.4
#[test]
fn abort_fails_everything_and_says_so_once() {
    let (mut link, forger) = established(Config::udp());
    let id = link.send(at(3), Channel(0), b"a").unwrap();
    forger.listen(&mut link, at(3));
    link.abort(at(4));
    let events: Vec<Event> = std::iter::from_fn(|| link.poll_event()).collect();
    assert_eq!(events, [Event::Failed(id, FailReason::Closed), Event::Closed(CloseReason::Aborted)]);
    let codes: Vec<u8> = (4..10_000).flat_map(|ms| closes(&forger, &mut link, ms)).map(|c| c.0).collect();
    assert_eq!(codes, [1]);
}

// R15.5
#[test]
fn peer_that_has_forgotten_everything_ends_a_link_that_had_closed() {
    let closed = || {
        let (mut link, forger) = established(Config::udp());
        link.close(at(3));
        let heard = forger.listen(&mut link, at(3));
        (link, heard)
    };
    let (mut link, heard) = closed();
    link.handle_datagram(at(4), &sealed_long([&[0x82][..], &heard[0].body[..1 + 2 + 2]].concat()));
    assert_eq!(ending(&mut link), Some(CloseReason::Drained), "a reset");
    let (mut link, _) = closed();
    let hello = Greeting {
        incarnation: 99,
        yours: link.incarnation(),
        to: link.local_link_ids()[1].as_bytes().to_vec(),
        ..Greeting::first(Said::new().ping())
    };
    link.handle_datagram(at(4), &hello.datagram());
    assert_eq!(ending(&mut link), Some(CloseReason::Drained), "a hello of another incarnation");
}
