//! Section 9: listeners.

use ackline::listener::{Incoming, Listener};
use ackline::{Config, LinkId, Receipt};
use ackline_tests::forge::{
    Forger, Greeting, INCARNATION, Said, acked, at, established, sealed_long, subject,
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
    link.send(at(0), ackline::Channel(0), b"early").unwrap();
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
