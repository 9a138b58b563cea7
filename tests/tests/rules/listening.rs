//! Section 9: listeners.

use ackline::congestion::FixedWindow;
use ackline::listener::{Incoming, Listener};
use ackline::wire::Frame;
use ackline::{Channel, CloseReason, Config, Event, LinkId, Receipt};
use ackline_tests::forge::{
    Forger, Greeting, Heard, INCARNATION, Said, Subject, acked, at, established, sealed_long, subject, taken,
};

fn listener() -> Listener {
    Listener::new(3, [1, 2])
}

fn hello() -> Greeting {
    Greeting::first(Said::new().ping().raw(&[0; 64]))
}

fn with_cookie(cookie: &[u8]) -> Vec<u8> {
    let params = [&[9, cookie.len() as u8][..], cookie].concat();
    Greeting { params, ..hello() }.datagram()
}

// R9.1 R8.22
#[test]
fn short_packet_belongs_to_the_link_whose_id_it_carries_or_is_answered_with_a_reset() {
    let (_, forger) = established(Config::udp());
    let packet = forger.packet(Some(3), None, &Said::new().whole(0, 0, b"somebody's message"));
    let mut reply = [0; 64];
    let mut listener = listener();
    assert_eq!(listener.incoming(at(0), b"a", &packet, &mut reply), Incoming::Link(forger.to));
    let len = listener.reset(at(0), &packet, &mut reply).unwrap();
    assert!(len < packet.len());
    assert_eq!((reply[0], &reply[1..9]), (0x82, &packet[..8]));
    // At most 256 at once, and one more each millisecond.
    let more = (0..1_000).filter(|_| listener.reset(at(0), &packet, &mut reply).is_some()).count();
    assert_eq!(more, 255);
    let later = (0..1_000).filter(|_| listener.reset(at(10), &packet, &mut reply).is_some()).count();
    assert_eq!(later, 10);
}

// R9.2
#[test]
fn hello_names_the_link_it_is_for_by_id_and_by_incarnation() {
    let to = vec![1, 2, 3];
    let datagram = Greeting { to: to.clone(), ..hello() }.datagram();
    let expected =
        Incoming::Hello { to: LinkId::new(&to).unwrap(), incarnation: INCARNATION, is_validated: false };
    assert_eq!(listener().incoming(at(0), b"a", &datagram, &mut [0; 64]), expected);
}

// R9.3 R9.4 R9.6
#[test]
fn retry_keeps_nothing_and_its_cookie_holds_for_one_address_incarnation_and_time() {
    let listener = listener();
    let mut reply = [0; 64];
    let first = hello().datagram();
    let len = listener.retry(at(0), b"address", &first, &mut reply).unwrap();
    assert!(len <= first.len());
    assert_eq!((reply[0], &reply[1..9]), (0x81, &INCARNATION.to_le_bytes()[..]));
    let cookie = reply[9..len - 4].to_vec();
    assert!((1..=16).contains(&cookie.len()));
    let is_good = |millis, source: &[u8], datagram: &[u8]| {
        matches!(
            listener.incoming(at(millis), source, datagram, &mut [0; 64]),
            Incoming::Hello { is_validated: true, .. }
        )
    };
    assert!(is_good(1_000, b"address", &with_cookie(&cookie)));
    assert!(is_good(16_000, b"address", &with_cookie(&cookie)));
    assert!(!is_good(60_000, b"address", &with_cookie(&cookie)));
    assert!(!is_good(1_000, b"another", &with_cookie(&cookie)));
    let mut wrong = cookie.clone();
    wrong[0] ^= 1;
    assert!(!is_good(1_000, b"address", &with_cookie(&wrong)));
    let params = [&[9, cookie.len() as u8][..], &cookie].concat();
    let other = Greeting { params, incarnation: 5, ..hello() }.datagram();
    assert!(!is_good(1_000, b"address", &other));
}

// R9.5
#[test]
fn hello_is_said_again_with_the_cookie_and_the_messages() {
    let mut link = subject(Config::udp());
    link.send(at(0), Channel(0), b"early").unwrap();
    link.connect(at(0));
    let ear =
        Forger { incarnation: INCARNATION, link: 0, to: link.local_link_id(), has_check: true, next: 0 };
    assert_eq!(ear.listen(&mut link, at(0))[0].messages().len(), 1);
    let retry = |incarnation: u64, cookie: &[u8]| {
        sealed_long([&[0x81][..], &incarnation.to_le_bytes(), cookie].concat())
    };
    assert_eq!(link.handle_datagram(at(1), &retry(5, b"cookie")), Receipt::Dropped, "another incarnation");
    let own = link.incarnation();
    assert_eq!(link.handle_datagram(at(1), &retry(own, &[7; 17])), Receipt::Dropped, "too long");
    assert_eq!(link.handle_datagram(at(1), &retry(own, b"cookie")), Receipt::Accepted);
    let heard = ear.listen(&mut link, at(1));
    assert_eq!(heard[0].hello().unwrap().params.cookie, b"cookie");
    assert_eq!(heard[0].messages().len(), 1);
    // Not once the peer is confirmed.
    let (mut link, _) = established(Config::udp());
    let late = retry(link.incarnation(), b"cookie");
    assert_eq!(link.handle_datagram(at(3), &late), Receipt::Dropped);
}

// R9.7
#[test]
fn late_copy_of_the_hello_of_a_link_that_ended_opens_no_new_one() {
    let mut listener = listener();
    listener.on_ended(INCARNATION);
    let mut reply = [0; 64];
    assert_eq!(listener.incoming(at(0), b"a", &hello().datagram(), &mut reply), Incoming::Drop);
    // One that names an incarnation of the receiver is for a living link.
    let named = Greeting { yours: 4, ..hello() }.datagram();
    assert!(matches!(listener.incoming(at(0), b"a", &named, &mut reply), Incoming::Hello { .. }));
    (0..64).for_each(|i| listener.on_ended(1_000 + i));
    assert!(matches!(
        listener.incoming(at(0), b"a", &hello().datagram(), &mut reply),
        Incoming::Hello { .. }
    ));
}

// R9.8
#[test]
fn listener_can_keep_the_ids_of_its_links_apart() {
    let mut link = subject(Config::udp());
    let ids = [[1, 1, 1], [2, 2, 2]].map(|id| LinkId::new(&id).unwrap());
    link.set_local_link_ids(ids[0], ids[1]);
    assert_eq!(link.local_link_ids(), ids);
    link.redraw_next_link_id();
    assert_eq!(link.local_link_id(), ids[0]);
    assert!(!ids.contains(&link.local_link_ids()[1]) && link.local_link_ids()[1].as_bytes().len() == 3);
}

// R9.9
#[test]
fn only_a_packet_that_passed_all_checks_says_where_the_peer_is() {
    let (mut link, mut forger) = established(Config::udp());
    // The receipt tells a listener whether the source of a datagram becomes the peer's address.
    let stranger = Greeting { incarnation: 99, ..hello() }.datagram();
    assert_eq!(link.handle_datagram(at(3), &stranger), Receipt::Answered);
    forger.listen(&mut link, at(3));
    let mut damaged = forger.packet(Some(9), None, &Said::new().ping());
    damaged[5] ^= 1;
    assert_eq!(link.handle_datagram(at(3), &damaged), Receipt::Dropped);
    assert_eq!(forger.say(&mut link, at(3), acked(0, 0), Said::new().ping()), Receipt::Accepted);
}

/// A link that a listener has made for a hello from an address that proved nothing, and the bytes that it may send.
fn unproven(config: Config) -> (Subject, usize) {
    let mut link = subject(config);
    link.set_unvalidated();
    let first = Greeting::first(Said::new().whole_with_length(0, 0, b"x").raw(&[0; 64])).datagram();
    assert_eq!(link.handle_datagram(at(0), &first), Receipt::Accepted);
    (link, first.len())
}

// R9.11 R9.12 R8.6
#[test]
fn peer_that_never_shows_that_it_receives_is_given_up_after_a_minute_and_a_byte_for_each_of_its_own() {
    let (mut link, budget) = unproven(Config::udp());
    let mut buffer = [0; 1200];
    let (mut sent, mut now) = (0, at(0));
    link.send(now, Channel(0), b"for somebody who is not there").unwrap();
    while !link.is_closed() {
        while let Some(len) = link.poll_transmit(now, &mut buffer) {
            let heard = Heard { body: buffer[..len - 4].to_vec(), len };
            assert!(heard.frames().contains(&Frame::Ping), "{heard:?}");
            sent += len;
        }
        now = link.poll_timeout().expect("it ends some day");
        link.handle_timeout(now);
    }
    assert!(sent > 0 && sent <= budget, "{sent} bytes for {budget}");
    assert_eq!(now, at(60_000));
    let last = std::iter::from_fn(|| link.poll_event()).last();
    assert_eq!(last, Some(Event::Closed(CloseReason::Unreachable)));
}

// R9.11
#[test]
fn peer_that_has_nothing_more_to_say_can_be_answered_later() {
    let exchange = |client: &mut Subject, server: &mut Subject, ms| {
        let mut buffer = [0; 1200];
        for _ in 0..8 {
            client.handle_timeout(at(ms));
            while let Some(len) = client.poll_transmit(at(ms), &mut buffer) {
                server.handle_datagram(at(ms), &buffer[..len]);
            }
            server.handle_timeout(at(ms));
            while let Some(len) = server.poll_transmit(at(ms), &mut buffer) {
                client.handle_datagram(at(ms), &buffer[..len]);
            }
        }
    };
    for request in [None, Some(b"request")] {
        let (mut client, now) = (subject(Config::udp()), at(0));
        let mut server = Subject::new(&Config::udp(), FixedWindow::new(1 << 24), 8);
        server.set_unvalidated();
        if let Some(request) = request {
            client.send(now, Channel(0), request).unwrap();
        }
        client.connect(now);
        exchange(&mut client, &mut server, 0);
        assert_eq!(taken(&mut server, at(0)).len(), usize::from(request.is_some()));
        (1..50).for_each(|ms| exchange(&mut client, &mut server, ms));
        let answer = b"of somebody who has thought for a while";
        server.send(at(50), Channel(0), answer).unwrap();
        exchange(&mut client, &mut server, 50);
        assert_eq!(taken(&mut client, at(50)), [answer]);
        // Who has shown that it receives may be silent for as long as it likes.
        (51..60).for_each(|ms| exchange(&mut client, &mut server, ms));
        assert_eq!(server.poll_timeout(), None);
    }
}

// R8.27
#[test]
fn hello_of_another_version_is_answered_with_the_versions_spoken() {
    let mut body = hello().body();
    body[1] = 9;
    let datagram = sealed_long(body);
    let mut reply = [0; 64];
    let Incoming::Reply(len) = listener().incoming(at(0), b"a", &datagram, &mut reply) else {
        panic!("no answer")
    };
    assert!(len <= datagram.len());
    assert_eq!(reply[..len], sealed_long([&[0x83][..], &INCARNATION.to_le_bytes(), &[1]].concat()));
}
