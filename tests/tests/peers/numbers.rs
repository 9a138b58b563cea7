//! Numbers that wrap, and numbers that lie.

use ackline::congestion::FixedWindow;
use ackline::storage::Inline;
use ackline::{Channel, Config, Link, Receipt};
use ackline_tests::forge::{Acked, Said, acked, at, established, taken};
use ackline_tests::random::Random;

type Node = Link<Inline<1, 8, 1024, 16>, FixedWindow>;

/// 3,000 messages on a path that loses a fifth, from these first numbers of messages and packets on.
fn exchange(message: u32, packet: u32) {
    let config = Config::udp();
    let new = |seed| {
        let mut link = Node::new(&config, FixedWindow::new(1 << 20), seed);
        link.start_numbers_at(message, packet);
        link
    };
    let (mut a, mut b) = (new(1), new(2));
    a.connect(at(0));
    let mut random = Random::new(u64::from(message) ^ u64::from(packet));
    let (mut sent, mut received, mut settled, mut buffer) = (0u32, 0u32, 0u32, [0; 1_500]);
    for ms in 0..120_000 {
        let now = at(ms);
        while sent < 3_000 && a.send(now, Channel(0), &sent.to_le_bytes()).is_ok() {
            sent += 1;
        }
        for turn in 0..2 {
            let (from, to) = if turn == 0 { (&mut a, &mut b) } else { (&mut b, &mut a) };
            from.handle_timeout(now);
            while let Some(len) = from.poll_transmit(now, &mut buffer) {
                if !random.chance(0.2) {
                    to.handle_datagram(now, &buffer[..len]);
                }
            }
        }
        while let Some(delivery) = b.recv(now) {
            assert_eq!(delivery.payload, received.to_le_bytes());
            received += 1;
        }
        while let Some(event) = a.poll_event() {
            settled += u32::from(matches!(event, ackline::Event::Settled(_)));
        }
        if settled == 3_000 {
            return;
        }
    }
    panic!("from {message:#x} and {packet:#x}: {sent} sent, {received} received, {settled} settled");
}

/// Sequence numbers that stop, or deliver garbage, where they wrap.
/// <https://github.com/kinnay/NintendoClients/pull/14>, <https://github.com/yamcs/yamcs/pull/599>
/// rs-matter compares numbers by subtraction as signed ones, which overflows near 2^31; secure-serial adds to a u16.
#[test]
fn numbers_wrap_at_all_ends_of_their_range() {
    for near in [0u32, 1 << 7, 1 << 14, 1 << 21, 1 << 28, 1 << 31] {
        exchange(near.wrapping_sub(500), near.wrapping_sub(200));
    }
}

/// SRT: one forged acknowledgement of number -1 kills a session. <https://github.com/Haivision/srt/issues/1662>
/// XRCE-DDS moves its window to whatever an acknowledgement says, and drops what was not sent.
#[test]
fn acknowledgement_of_any_number_that_was_not_sent_changes_nothing() {
    for wild in [u32::MAX, 1 << 31, 0x7fff_ffff, 1_000_000, 1_000] {
        let (mut link, mut forger) = established(Config::udp());
        let id = link.send(at(3), Channel(0), b"a").unwrap();
        let number = forger.listen(&mut link, at(3))[0].number().unwrap().0;
        for first in [0, 1, wild >> 4] {
            // As it is written, and as it would be restored.
            for bound in [wild, wild.wrapping_sub(1 << 28), (wild & 0x0fff_ffff).wrapping_sub(1 << 28)] {
                forger.say(
                    &mut link,
                    at(4),
                    Some(Acked { largest: bound, first, delay: 0 }),
                    Said::new().ping(),
                );
            }
        }
        assert!(!link.is_acknowledged(id) && !link.is_closed(), "{wild:#x}");
        assert!(
            (4..2_000).any(|ms| forger.listen(&mut link, at(ms)).iter().any(|h| !h.messages().is_empty()))
        );
        assert_eq!(
            forger.say(&mut link, at(2_000), acked(number, 0), Said::new().settled(0, 1)),
            Receipt::Accepted
        );
        assert!(matches!(link.poll_event(), Some(ackline::Event::Settled(_))));
    }
}

/// T-MIN reads as many negative acknowledgements as a frame says; XRCE-DDS shifts by an unbounded count.
#[test]
fn counts_in_a_packet_are_held_against_what_the_packet_holds() {
    let (mut link, mut forger) = established(Config::udp());
    for said in [
        Said::new().settled_more(0, 0, &[(u32::MAX, u32::MAX)]),
        Said::new().settled_more(0, 0, &[(0, 1 << 30), (0, 1 << 30)]),
        Said::new().raw(&[0x50, 0, 255, 0, 0]),
        Said::new().raw(&[0x60, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        Said::new().raw(&[0x07, 0xff, 0x7f, 1]),
    ] {
        assert_eq!(forger.say(&mut link, at(3), None, said.clone()), Receipt::Dropped, "{said:?}");
    }
    // A skip of as much as there can be takes no time and no room.
    forger.say(&mut link, at(3), None, Said::new().skip(0, 0, 1 << 30));
    assert!(taken(&mut link, at(3)).is_empty());
}

/// MIN: two ports share one ring of payloads, and spoil each other's.
/// <https://github.com/min-protocol/min/issues/46>, <https://github.com/min-protocol/min/issues/48>
#[test]
fn two_links_share_nothing() {
    let config = Config::serial(0);
    let mut links: Vec<Node> =
        (1..5).map(|seed| Node::new(&config, FixedWindow::new(1 << 20), seed)).collect();
    let mut buffer = [0; 256];
    links[0].connect(at(0));
    links[2].connect(at(0));
    for round in 0..50u64 {
        for (i, fill) in [(0, 0x11u8), (2, 0x22)] {
            let _ = links[i].send(at(round), Channel(0), &[fill; 60]);
        }
        for (from, to) in [(0, 1), (2, 3), (1, 0), (3, 2)] {
            links[from].handle_timeout(at(round));
            while let Some(len) = links[from].poll_transmit(at(round), &mut buffer) {
                links[to].handle_datagram(at(round), &buffer[..len]);
            }
        }
        for (i, fill) in [(1, 0x11u8), (3, 0x22)] {
            while let Some(delivery) = links[i].recv(at(round)) {
                assert_eq!(delivery.payload, [fill; 60]);
            }
        }
        links.iter_mut().for_each(|l| while l.poll_event().is_some() {});
    }
    assert!(links[1].stats().messages_received > 40 && links[3].stats().messages_received > 40);
}
