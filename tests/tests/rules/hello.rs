//! Section 7 and 8.1 to 8.3: the hello and the handshake.

use ackline::congestion::FixedWindow;
use ackline::wire::{Frame, hello_flags};
use ackline::{Channel, ChannelConfig, CloseReason, Config, Event, Mode, Receipt};
use ackline_tests::forge::{
    Forger, Greeting, Heard, INCARNATION, OWN_ID, Said, Subject, acked, at, established, parameter,
    sealed_long, subject, taken,
};

fn emit(link: &mut Subject, ms: u64) -> Vec<Heard> {
    let mut buffer = [0; 2_000];
    link.handle_timeout(at(ms));
    let mut heard = Vec::new();
    while let Some(len) = link.poll_transmit(at(ms), &mut buffer) {
        heard.push(Heard { body: buffer[..len - 4].to_vec(), len });
    }
    heard
}

/// A greeting that is for this life of `link`.
fn mine(link: &Subject, number: u32, said: &[u8]) -> Greeting {
    Greeting {
        yours: link.incarnation(),
        to: link.local_link_id().as_bytes().to_vec(),
        flags: hello_flags::KNOWS,
        number,
        frames: said.to_vec(),
        ..Greeting::first(Said::new())
    }
}

const PING: [u8; 1] = [1];

// R7.2 R8.9
#[test]
fn hello_is_a_numbered_packet_and_its_messages_are_delivered() {
    let mut link = subject(Config::udp());
    let hello = Greeting { number: 5, ..Greeting::first(Said::new().whole(0, 0, b"first flight")) };
    assert_eq!(link.handle_datagram(at(0), &hello.datagram()), Receipt::Accepted);
    assert_eq!(link.poll_event(), Some(Event::Connected));
    assert_eq!(taken(&mut link, at(0)), [b"first flight"]);
    let answer = &emit(&mut link, 0)[0];
    assert_eq!(answer.acked().unwrap(), [(5, 5)]);
    assert_eq!(answer.settled(), [(0, 1)]);
    let said = answer.hello().unwrap();
    assert_eq!((said.your_incarnation, said.to.as_bytes()), (INCARNATION, &OWN_ID[..]));
}

// R7.3
#[test]
fn hello_that_does_not_name_us_speaks_of_nothing_of_ours() {
    let mut link = subject(Config::udp());
    link.connect(at(0));
    let id = link.send(at(0), Channel(0), b"a").unwrap();
    emit(&mut link, 0);
    // Names nobody: its acknowledgement, settlement and credit are ignored, its message is not.
    let frames = [&[0x02, 0, 0x40, 0x81, 0x80, 0x80, 0][..], &[0x80, 0x80, 0x80, 0x80, 0, b'm']].concat();
    let hello = Greeting { acked: acked(0, 0), frames, ..Greeting::first(Said::new()) };
    assert_eq!(link.handle_datagram(at(1), &hello.datagram()), Receipt::Accepted);
    assert!(!link.is_acknowledged(id));
    assert_eq!(taken(&mut link, at(1)), [b"m"]);
    assert_eq!(std::iter::from_fn(|| link.poll_event()).collect::<Vec<_>>(), [Event::Connected]);

    // Names another incarnation of ours: it is adopted, but nothing in it is looked at, and it is not acknowledged.
    let mut link = subject(Config::udp());
    let hello = Greeting { yours: 77, ..Greeting::first(Said::new().whole(0, 0, b"not for us")) };
    assert_eq!(link.handle_datagram(at(0), &hello.datagram()), Receipt::Accepted);
    assert!(taken(&mut link, at(0)).is_empty());
    assert_eq!(emit(&mut link, 0)[0].acked(), None);
}

// R7.1 R7.4 R7.6 R7.9
#[test]
fn malformed_hello_is_dropped() {
    let good = Greeting::first(Said::new().ping());
    let with = |params: Vec<u8>| Greeting { params, ..good.clone() }.datagram();
    let cases = [
        ("an unknown flag", Greeting { flags: 0x40, ..good.clone() }.datagram()),
        ("no incarnation", Greeting { incarnation: 0, ..good.clone() }.datagram()),
        ("another version", {
            let mut body = good.body();
            body[1] = 2;
            sealed_long(body)
        }),
        ("ids that fall", with([parameter(3, 5), parameter(2, 5)].concat())),
        ("an id twice", with([parameter(3, 5), parameter(3, 5)].concat())),
        ("bytes left over", with(vec![3, 2, 5, 0])),
        ("a window of 0", with(parameter(2, 0))),
        ("no channels", with(parameter(6, 0))),
        ("a datagram_max of 95", with(parameter(1, 95))),
        ("half a pair", with(vec![8, 1, 0])),
    ];
    for (what, datagram) in cases {
        let mut link = subject(Config::udp());
        assert_eq!(link.handle_datagram(at(0), &datagram), Receipt::Dropped, "{what}");
        assert_eq!((link.peer_incarnation(), link.poll_timeout()), (0, None), "{what}");
    }
    let limits = [parameter(1, 96), parameter(2, 1), parameter(6, 1), vec![7, 1, 3]].concat();
    assert_eq!(subject(Config::udp()).handle_datagram(at(0), &with(limits)), Receipt::Accepted);
}

// R7.7 R7.8
#[test]
fn unknown_parameters_are_ignored_and_defaults_are_taken_though_nobody_sends_them() {
    let mut link = subject(Config::udp());
    let params = [parameter(2, 64), parameter(3, 65_536), parameter(99, 1)].concat();
    let hello = Greeting { params, ..Greeting::first(Said::new().ping()) };
    assert_eq!(link.handle_datagram(at(0), &hello.datagram()), Receipt::Accepted);
    // 1 datagram_max 1200, 5 ack_delay 1000 and 10 fragments 1 are the defaults, and those of Config::udp.
    let body = &emit(&mut link, 0)[0].body;
    let start = body.len() - emit_tail(body);
    let ids: Vec<u8> = parameter_ids(&body[start..]);
    assert!(!ids.contains(&1) && !ids.contains(&5) && !ids.contains(&10), "{ids:?}");
    assert!(ids.contains(&2) && ids.contains(&3), "{ids:?}");
}

/// Bytes from the length of the parameters on.
fn emit_tail(body: &[u8]) -> usize {
    let to = usize::from(body[2]);
    let from = usize::from(body[3 + to]);
    body.len() - (4 + to + from + 8 + 8 + 1 + 4)
}

fn parameter_ids(from_length: &[u8]) -> Vec<u8> {
    let len = usize::from(from_length[0]);
    let (mut rest, mut ids) = (&from_length[1..1 + len], Vec::new());
    while let [id, n, tail @ ..] = rest {
        ids.push(*id);
        rest = &tail[usize::from(*n)..];
    }
    ids
}

// R7.5 R8.15 R8.17
#[test]
fn bare_hello_has_no_body_and_does_not_use_up_its_number() {
    let (mut link, mut forger) = established(Config::udp());
    let stranger =
        Greeting { incarnation: 99, from: vec![9], ..Greeting::first(Said::new().whole(0, 0, b"x")) };
    assert_eq!(link.handle_datagram(at(3), &stranger.datagram()), Receipt::Answered);
    let heard = emit(&mut link, 3);
    assert_eq!(heard.len(), 1);
    let bare = heard[0].hello().unwrap();
    assert_eq!(bare.flags & (hello_flags::BARE | hello_flags::CONFIRM | hello_flags::ACK), 0x09);
    assert_eq!((bare.your_incarnation, bare.to.as_bytes()), (99, &[9][..]));
    assert_eq!(bare.from, link.local_link_ids()[1], "the next link id");
    assert!(bare.frames.is_empty());
    // Nothing was received or remembered, and the next packet has the same number.
    assert!(taken(&mut link, at(3)).is_empty());
    assert_eq!(link.peer_incarnation(), INCARNATION);
    link.send(at(4), Channel(0), b"y").unwrap();
    assert_eq!(forger.listen(&mut link, at(4))[0].number().unwrap().0, bare.number.0 & 0x3fff);
    // To one that has CONFIRM itself, the answer has not.
    let asking =
        Greeting { flags: hello_flags::BARE | hello_flags::CONFIRM, yours: link.incarnation(), ..stranger };
    assert_eq!(
        link.handle_datagram(at(5), &Greeting { frames: vec![], ..asking }.datagram()),
        Receipt::Answered
    );
    assert_eq!(emit(&mut link, 5)[0].hello().unwrap().flags & hello_flags::CONFIRM, 0);
    forger.say(&mut link, at(6), None, Said::new().ping());
}

// R8.1 R8.2 R8.3
#[test]
fn first_hello_is_long_names_nobody_and_is_repeated_without_messages() {
    let mut link = subject(Config::udp());
    link.connect(at(0));
    let first = &emit(&mut link, 0)[0];
    assert_eq!(first.len, 96);
    let hello = first.hello().unwrap();
    assert_eq!((hello.your_incarnation, hello.to.as_bytes().len()), (0, 0));

    let mut link = subject(Config::udp());
    link.send(at(0), Channel(0), &[1; 5_000]).unwrap();
    link.send(at(0), Channel(0), b"b").unwrap();
    link.connect(at(0));
    let mut heard = Vec::new();
    (0..3_000).for_each(|ms| heard.extend(emit(&mut link, ms)));
    assert!(heard.len() >= 4, "the probe timer repeats it");
    assert!(heard.iter().all(|h| h.hello().is_some()), "one at a time, and nothing else");
    assert!(heard[1..].iter().all(|h| h.messages().is_empty()), "repetitions carry no messages");

    let mut link = subject(Config::udp());
    for payload in [b"a", b"b"] {
        link.send(at(0), Channel(0), payload).unwrap();
    }
    link.connect(at(0));
    assert_eq!(emit(&mut link, 0)[0].messages().len(), 2);
}

// R8.4
#[test]
fn side_that_waits_sends_nothing() {
    let mut link = subject(Config::udp());
    link.send(at(0), Channel(0), b"a").unwrap();
    assert!((0..5_000).all(|ms| emit(&mut link, ms).is_empty()));
    assert_eq!(link.poll_timeout(), None);
}

// R8.6 R9.10
#[test]
fn unproven_peer_gets_no_more_bytes_than_it_sent() {
    let mut link = subject(Config::udp());
    link.set_unvalidated();
    for _ in 0..20 {
        link.send(at(0), Channel(0), &[1; 1_000]).unwrap();
    }
    let hello = Greeting::first(Said::new().ping().raw(&[0; 60])).datagram();
    link.handle_datagram(at(0), &hello);
    let mut sent = 0;
    for ms in 0..5_000 {
        // A damaged copy adds nothing.
        link.handle_datagram(at(ms), &hello[1..]);
        sent += emit(&mut link, ms).iter().map(|h| h.len).sum::<usize>();
    }
    assert!(sent > 0 && sent <= hello.len(), "{sent} bytes for {}", hello.len());
}

// R8.7 R8.8
#[test]
fn unconfirmed_peer_gets_hellos_only_and_a_short_packet_confirms_it() {
    let mut link = subject(Config::udp());
    link.handle_datagram(at(0), &Greeting::first(Said::new().ping()).datagram());
    link.send(at(0), Channel(0), b"a").unwrap();
    let heard: Vec<_> = (0..1_000).flat_map(|ms| emit(&mut link, ms)).collect();
    assert!(heard.len() >= 2 && heard.iter().all(|h| h.hello().is_some()));
    assert!(!link.is_validated());
    let mut forger = Forger {
        incarnation: INCARNATION,
        link: link.incarnation(),
        to: link.local_link_id(),
        has_check: true,
        next: 1,
    };
    forger.say(&mut link, at(1_000), None, Said::new().ping());
    assert!(link.is_validated());
    link.send(at(1_001), Channel(0), b"b").unwrap();
    assert!(emit(&mut link, 1_001).iter().all(|h| h.hello().is_none()));
}

// R8.10
#[test]
fn hellos_that_cross_need_no_tie_break() {
    let mut link = subject(Config::udp());
    link.connect(at(0));
    emit(&mut link, 0);
    assert_eq!(
        link.handle_datagram(at(1), &Greeting::first(Said::new().ping()).datagram()),
        Receipt::Accepted
    );
    assert!(!link.is_validated(), "it has not heard us yet");
    assert_eq!(emit(&mut link, 1)[0].hello().unwrap().your_incarnation, INCARNATION);
    assert_eq!(link.handle_datagram(at(2), &mine(&link, 1, &PING).datagram()), Receipt::Accepted);
    assert!(link.is_validated());
}

// R8.11
#[test]
fn bare_hello_from_somebody_who_keeps_another_peer_is_asked_to_confirm() {
    let mut link = subject(Config::udp());
    link.connect(at(0));
    link.send(at(0), Channel(0), b"early").unwrap();
    assert_eq!(emit(&mut link, 0)[0].messages().len(), 1);
    let bare = Greeting {
        yours: link.incarnation(),
        flags: hello_flags::BARE | hello_flags::CONFIRM,
        frames: Vec::new(),
        from: vec![0x77, 0x78],
        ..Greeting::first(Said::new())
    };
    assert_eq!(link.handle_datagram(at(1), &bare.datagram()), Receipt::Accepted);
    let heard = emit(&mut link, 1);
    let asked = heard[0].hello().unwrap();
    assert_eq!((asked.to.as_bytes(), asked.your_incarnation), (&[0x77, 0x78][..], INCARNATION));
    // Eliciting, and what was sent before goes again: it was not looked at.
    assert!(link.poll_timeout().is_some());
    assert_eq!(heard.iter().map(|h| h.messages().len()).sum::<usize>(), 1);
}

// R8.12
#[test]
fn later_hello_moves_bases_on() {
    let (mut link, forger) = established(Config::udp());
    let hello = Greeting { params: vec![8, 3, 0, 0x90, 0x4e], ..mine(&link, 1_000, &PING) };
    assert_eq!(link.handle_datagram(at(3), &hello.datagram()), Receipt::Accepted);
    // 10,000 messages count as skipped, however far that is.
    let mut later = Forger { next: 1_001, ..forger };
    later.say(&mut link, at(4), None, Said::new().whole(0, 9_999, b"before"));
    later.say(&mut link, at(4), None, Said::new().whole(0, 10_000, b"at the base"));
    assert_eq!(taken(&mut link, at(4)), [b"at the base"]);
}

// R8.12
#[test]
fn channels_of_a_peer_known_from_a_bare_hello_begin_where_its_first_whole_one_says() {
    let mut link = subject(Config::udp());
    link.connect(at(0));
    emit(&mut link, 0);
    let flags = hello_flags::BARE | hello_flags::CONFIRM;
    let bare = Greeting { frames: Vec::new(), flags, number: 1, ..mine(&link, 1, &[]) };
    assert_eq!(link.handle_datagram(at(1), &bare.datagram()), Receipt::Accepted);
    emit(&mut link, 1);
    // So far on that it would precede the 0 that others begin with: 4,000,000,000.
    let params = vec![8, 6, 0, 0x80, 0xd0, 0xac, 0xf3, 0x0e];
    let whole = Greeting { params, flags: hello_flags::KNOWS, ..mine(&link, 2, &PING) };
    assert_eq!(link.handle_datagram(at(2), &whole.datagram()), Receipt::Accepted);
    assert!(link.is_validated());
    let mut forger = Forger {
        incarnation: INCARNATION,
        link: link.incarnation(),
        to: link.local_link_id(),
        has_check: true,
        next: 3,
    };
    forger.say(&mut link, at(3), None, Said::new().whole(0, 4_000_000_000, b"the first"));
    assert_eq!(taken(&mut link, at(3)), [b"the first"]);
    // From then on, bases only go up.
    let back = Greeting { params: vec![8, 6, 0, 0x98, 0xc8, 0xac, 0xf3, 0x0e], ..mine(&link, 4, &PING) };
    link.handle_datagram(at(4), &back.datagram());
    forger.next = 5;
    forger.say(&mut link, at(5), None, Said::new().whole(0, 4_000_000_001, b"the second"));
    assert_eq!(taken(&mut link, at(5)), [b"the second"]);
}

// R8.13
#[test]
fn hello_whose_number_is_not_new_has_no_effect() {
    let (mut link, mut forger) = established(Config::udp());
    forger.next = 50;
    forger.say(&mut link, at(3), None, Said::new().ping());
    let id = link.send(at(3), Channel(0), b"a").unwrap();
    let number = forger.listen(&mut link, at(3)).last().unwrap().number().unwrap().0;
    let late = Greeting { acked: acked(number, 0), ..mine(&link, 49, &[0x80, 0x80, 0x80, 0x80, 0, b'x']) };
    assert_eq!(link.handle_datagram(at(4), &late.datagram()), Receipt::Dropped);
    assert!(taken(&mut link, at(4)).is_empty() && !link.is_acknowledged(id));
    let new = Greeting { number: 51, ..late };
    assert_eq!(link.handle_datagram(at(4), &new.datagram()), Receipt::Accepted);
    assert_eq!(taken(&mut link, at(4)), [b"x"]);
    assert!(link.is_acknowledged(id));
}

// R7.10 R7.11
#[test]
fn parameters_are_taken_once_and_bases_name_what_has_no_outcome() {
    let (mut link, mut forger) = established(Config::udp());
    let smaller = Greeting { params: parameter(1, 96), ..mine(&link, 2, &PING) };
    link.handle_datagram(at(3), &smaller.datagram());
    forger.next = 3;
    for _ in 0..2 {
        link.send(at(4), Channel(0), &[1; 500]).unwrap();
    }
    let heard = forger.listen(&mut link, at(4));
    assert!(heard.iter().any(|h| h.len > 500), "datagram_max did not change");
    let number = heard.last().unwrap().number().unwrap().0;
    forger.say(&mut link, at(5), acked(number, 0), Said::new().settled(0, 1));
    // A new incarnation, proven: its answer carries the base of channel 0, which is 1.
    let proven = Greeting {
        incarnation: 99,
        yours: link.incarnation(),
        to: link.local_link_ids()[1].as_bytes().to_vec(),
        ..Greeting::first(Said::new().ping())
    };
    assert_eq!(link.handle_datagram(at(6), &proven.datagram()), Receipt::Accepted);
    let heard = emit(&mut link, 6);
    let bases: Vec<_> = heard[0].hello().unwrap().params.bases.iter().map(|(c, n)| (c, n.0)).collect();
    assert_eq!(bases, [(0, 1)]);
}

// R8.27 R8.28
#[test]
fn version_answer_is_believed_before_a_peer_is_known_and_not_after() {
    let answer = |link: &Subject, versions: &[u8]| {
        sealed_long([&[0x83][..], &link.incarnation().to_le_bytes(), versions].concat())
    };
    let mut link = subject(Config::udp());
    link.connect(at(0));
    emit(&mut link, 0);
    let ours = answer(&link, &[3, 1]);
    assert_eq!(link.handle_datagram(at(1), &ours), Receipt::Dropped, "our version is in it");
    let foreign = sealed_long([&[0x83][..], &5u64.to_le_bytes(), &[3]].concat());
    assert_eq!(link.handle_datagram(at(1), &foreign), Receipt::Dropped, "not our incarnation");
    let other = answer(&link, &[3, 2]);
    assert_eq!(link.handle_datagram(at(1), &other), Receipt::Accepted);
    assert_eq!(link.poll_event(), Some(Event::Closed(CloseReason::Version { peer: 3 })));

    let (mut link, _) = established(Config::udp());
    let late = answer(&link, &[3, 2]);
    assert_eq!(link.handle_datagram(at(3), &late), Receipt::Dropped);
    assert!(!link.is_closed());
}

// R14.2
#[test]
fn modes_of_the_hello_are_those_of_its_channels() {
    let mut link = subject(Config::udp().channel(1, ChannelConfig::new(Mode::Latest)));
    let hello = Greeting { params: vec![7, 1, 4], ..Greeting::first(Said::new().ping()) };
    link.handle_datagram(at(0), &hello.datagram());
    let mut forger = Forger {
        incarnation: INCARNATION,
        link: link.incarnation(),
        to: link.local_link_id(),
        has_check: true,
        next: 1,
    };
    // Channel 1 of this peer is unordered, whatever ours is; channel 0 and all beyond are ordered.
    let said = Said::new()
        .whole_with_length(0, 1, b"waits")
        .whole_with_length(5, 1, b"waits")
        .whole(1, 7, b"at once");
    forger.say(&mut link, at(1), None, said);
    assert_eq!(taken(&mut link, at(1)), [b"at once"]);
}

/// A link whose hello cannot fit the shortest datagram: sixteen channels whose numbers do not begin at 0, long values, long ids.
fn talkative(seed: u64) -> Subject {
    talkative_with(seed, 96)
}

fn talkative_with(seed: u64, datagram_max: u16) -> Subject {
    let mut config = Config::udp();
    config.datagram_max = datagram_max;
    config.link_id_len = 8;
    config.ack_delay = std::time::Duration::from_secs(1);
    config.repetition = false;
    for c in 0..16 {
        config = config.channel(c, ChannelConfig::new(Mode::Unordered));
    }
    let mut link = Subject::new(&config, FixedWindow::new(1 << 24), seed);
    link.start_numbers_at(u32::MAX - 5, 7);
    link
}

// R7.12 R7.13 R7.16
#[test]
fn hello_that_does_not_fit_is_told_in_parts() {
    let mut link = talkative(7);
    link.send(at(0), Channel(3), b"waits for the last part").unwrap();
    link.connect(at(0));
    let (mut modes, mut bases, mut parts) = (Vec::<u8>::new(), Vec::new(), 0);
    for number in 0..40 {
        let heard = emit(&mut link, u64::from(number));
        let heard = heard.first().expect("a hello");
        assert!(heard.len <= 96, "{heard:?}");
        let said = heard.hello().expect("a hello");
        let told: Vec<_> = said.params.bases.iter().collect();
        let comes_more = said.flags & hello_flags::MORE != 0;
        if comes_more {
            assert!(heard.frames().contains(&Frame::Ping) && heard.messages().is_empty());
        }
        // Every other part is not acknowledged, and told again.
        let is_acknowledged = number % 2 == 1;
        if is_acknowledged {
            modes.extend(said.params.modes);
            bases.extend(told);
            parts += 1;
        }
        let answer = Greeting {
            from: vec![9; 8],
            flags: 0,
            acked: if is_acknowledged { acked(said.number.0, 0) } else { None },
            ..mine(&link, number, &PING)
        };
        if !comes_more && is_acknowledged {
            assert!(!link.is_validated());
            let knows = Greeting { flags: hello_flags::KNOWS, ..answer };
            link.handle_datagram(at(u64::from(number)), &knows.datagram());
            break;
        }
        link.handle_datagram(at(u64::from(number)), &answer.datagram());
    }
    assert!(link.is_validated() && parts > 8, "{parts} parts");
    assert_eq!(modes, [0x55; 4]);
    assert_eq!(bases.iter().map(|(c, _)| *c).collect::<Vec<_>>(), (0..16).collect::<Vec<_>>());
    assert!(bases.iter().all(|(_, n)| n.0 == u32::MAX - 5));
}

// R7.14 R7.15 R8.12
#[test]
fn hello_with_more_to_come_confirms_nobody_and_takes_nothing_back() {
    let mut link = subject(Config::udp());
    let first =
        Greeting { flags: hello_flags::MORE, params: vec![7, 1, 1], ..Greeting::first(Said::new().ping()) };
    link.handle_datagram(at(0), &first.datagram());
    let knows_and_asks = |heard: &[Heard]| {
        let flags = heard[0].hello().expect("a hello").flags;
        (flags & hello_flags::KNOWS != 0, heard[0].frames().contains(&Frame::Ping))
    };
    assert_eq!(knows_and_asks(&emit(&mut link, 0)), (false, true));
    let part = Greeting {
        flags: hello_flags::KNOWS | hello_flags::MORE,
        params: vec![8, 2, 0, 5],
        ..mine(&link, 1, &PING)
    };
    link.handle_datagram(at(1), &part.datagram());
    assert!(!link.is_validated());
    assert_eq!(knows_and_asks(&emit(&mut link, 1)), (false, true));
    let last = Greeting { params: vec![8, 2, 1, 3], ..mine(&link, 2, &PING) };
    link.handle_datagram(at(2), &last.datagram());
    assert!(link.is_validated());
    let mut forger = Forger {
        incarnation: INCARNATION,
        link: link.incarnation(),
        to: link.local_link_id(),
        has_check: true,
        next: 3,
    };
    // Channel 0 is unordered, and begins at 5.
    for n in [4, 6, 5] {
        forger.say(&mut link, at(3), None, Said::new().whole(0, n, &[n as u8]));
    }
    assert_eq!(taken(&mut link, at(3)), [[6], [5]]);
}

// R7.2 R7.14 R8.12
#[test]
fn hello_for_an_earlier_life_does_not_tell_where_channels_begin() {
    let mut link = subject(Config::udp());
    // The end of what the peer has told our predecessor: that one knew where channel 0 begins.
    let rest = Greeting { yours: 77, params: vec![8, 2, 1, 3], ..mine(&link, 4, &PING) };
    link.handle_datagram(at(0), &rest.datagram());
    assert_eq!(emit(&mut link, 0)[0].hello().expect("a hello").flags & hello_flags::KNOWS, 0);
    let far = [0xfe, 0xff, 0xff, 0xff, 0x0f];
    let params = [&[8, 8, 0][..], &far, &[1, 3]].concat();
    let message = Greeting::first(Said::new().whole(0, u32::MAX - 1, b"the first"));
    let all = Greeting { params, ..mine(&link, 5, &message.frames) };
    link.handle_datagram(at(1), &all.datagram());
    assert_eq!(taken(&mut link, at(1)), [b"the first"]);
}

/// Lets two links talk until both have taken what the other has sent, without the datagram of this number.
fn talk(links: &mut [Subject; 2], lost: Option<usize>) {
    let (mut now, mut count, mut missing) = (at(0), 0, [16; 2]);
    let mut buffer = [0; 1200];
    while missing != [0; 2] || !links.iter().all(Subject::is_drained) {
        let mut is_silent = true;
        for n in 0..2 {
            links[n].handle_timeout(now);
            while let Some(len) = links[n].poll_transmit(now, &mut buffer) {
                assert!(len <= 96);
                is_silent = false;
                count += 1;
                if lost != Some(count) {
                    links[1 - n].handle_datagram(now, &buffer[..len]);
                }
                assert!(count < 2_000, "no end; missing {missing:?}");
            }
            // What is taken is settled, and that may leave at once.
            let count = taken(&mut links[n], now).len();
            is_silent &= count == 0;
            missing[n] -= count;
            while links[n].poll_event().is_some() {}
        }
        if is_silent {
            let next = links.iter().filter_map(Subject::poll_timeout).min();
            assert!(next.is_some_and(|next| next > now), "{next:?} at {now:?}; missing {missing:?}");
            now = next.unwrap();
        }
    }
}

// R7.12 R7.16 R8.29
#[test]
fn links_with_the_shortest_datagrams_and_sixteen_channels_connect_and_survive_a_restart() {
    let send =
        |link: &mut Subject| (0..16).for_each(|c| assert!(link.send(at(0), Channel(c), &[c; 9]).is_ok()));
    for lost in [None].into_iter().chain((1..40).map(Some)) {
        for both in [false, true] {
            let mut links = [talkative(7), talkative(8)];
            links.iter_mut().for_each(send);
            links[0].connect(at(0));
            if both {
                links[1].connect(at(0));
            }
            talk(&mut links, lost);
            // One of them reboots. (Its clock begins anew; that of the other goes on.)
            send(&mut links[0]);
            links[1] = talkative(9);
            send(&mut links[1]);
            links[1].connect(at(0));
            talk(&mut links, lost);
        }
    }
}

// R7.16
#[test]
fn hello_that_tells_a_part_has_room_for_what_it_was_asked_for() {
    for (datagram_max, closes) in (96..140).flat_map(|max| [(max, false), (max, true)]) {
        let (mut link, mut peer) = (talkative_with(7, datagram_max), talkative_with(8, datagram_max));
        peer.connect(at(0));
        let mut buffer = [0; 1200];
        let len = peer.poll_transmit(at(0), &mut buffer).expect("a first hello");
        link.handle_datagram(at(0), &buffer[..len]);
        if closes {
            link.abort(at(0));
        } else {
            link.set_receive_buffer(1 << 20);
        }
        // A hello that had no room for it would be asked for again, without end.
        let said = emit(&mut link, 0);
        let wanted = |f: &Frame<'_>| matches!(f, Frame::Close { .. } | Frame::Credit { .. });
        assert!(said.len() <= 2, "{} hellos in one instant", said.len());
        assert!(said.iter().any(|heard| heard.frames().iter().any(wanted)));
    }
}
