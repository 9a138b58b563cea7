//! Sections 3 to 5: numbers, packets, checks, acknowledgement fields.

use ackline::{Channel, Config, Medium, Receipt};
use ackline_tests::forge::{
    Greeting, Said, acked, at, established, established_with, parameter, sealed_long, subject, taken,
};

// R3.6
#[test]
fn numbers_are_restored_from_the_state_before_the_packet() {
    // Message 10, then message 73 in one byte. From the state before (nothing received) 73 is restored as -55; from the state
    // after the first frame it would be 73. The check tells which was meant.
    let packet = |meant: u32| {
        let (mut link, mut forger) = established(Config::udp());
        let mut said = Said::new().whole_with_length(0, 10, b"ten");
        said = said.raw(&[0x80, 73, b'x']).bind(meant);
        forger.say(&mut link, at(3), None, said)
    };
    assert_eq!(packet(73), Receipt::Dropped);
    assert_eq!(packet(73u32.wrapping_sub(128)), Receipt::Accepted);
}

// R3.7
#[test]
fn numbers_grow_longer_as_more_is_unacknowledged() {
    let (mut link, forger) = established(Config::udp());
    let mut lens = Vec::new();
    for i in 0..5_000u32 {
        link.send(at(3), Channel(0), &i.to_le_bytes()).unwrap();
        lens.extend(forger.listen(&mut link, at(3)).iter().filter_map(|h| h.number()).map(|n| n.1));
    }
    // One packet a message until the window of the peer (64) is full.
    assert!(lens.len() >= 64 && lens.is_sorted() && lens[63] == 2, "{lens:?}");
}

// R3.8
#[test]
fn without_a_check_numbers_take_at_least_three_bytes() {
    let mut config = Config::udp();
    config.medium = Medium::Datagram { check: false };
    let mut link = subject(config);
    let hello = Greeting { flags: 0x04, ..Greeting::first(Said::new().ping()) }.datagram();
    link.handle_datagram(at(0), &hello);
    let mut forger = forger_of(&link);
    forger.has_check = false;
    forger.listen(&mut link, at(0));
    assert_eq!(forger.say(&mut link, at(0), acked(0, 0), Said::new().ping()), Receipt::Accepted);
    link.send(at(1), Channel(0), b"x").unwrap();
    let heard = forger.listen(&mut link, at(1));
    assert!(heard[0].number().unwrap().1 >= 3, "{heard:?}");
    // First byte, link id, number, acknowledgement (4 and 1 bytes), kind and number of the message.
    assert_eq!(heard[0].messages(), [(0, Some(0), 1)]);
    assert!(heard[0].body.len() >= 1 + 2 + 3 + 4 + 1 + 3);
}

fn forger_of(link: &ackline_tests::forge::Subject) -> ackline_tests::forge::Forger {
    ackline_tests::forge::Forger {
        incarnation: ackline_tests::forge::INCARNATION,
        link: link.incarnation(),
        to: link.local_link_id(),
        has_check: true,
        next: 1,
    }
}

// R4.1
#[test]
fn packet_number_is_used_once_whatever_is_sent_again() {
    let (mut link, forger) = established(Config::udp());
    let mut numbers = Vec::new();
    for ms in 3..60_000 {
        if ms < 20 {
            link.send(at(ms), Channel(0), b"never acknowledged").unwrap();
        }
        numbers.extend(forger.listen(&mut link, at(ms)).iter().filter_map(|h| h.number()).map(|n| n.0));
    }
    assert!(numbers.len() > 20, "no probes among {numbers:?}: {:?}", link.stats());
    assert!(numbers.windows(2).all(|w| w[1] == w[0] + 1), "{numbers:?}");
}

// R4.2
#[test]
fn packet_to_another_link_id_is_dropped() {
    let (mut link, mut forger) = established(Config::udp());
    let mut other = forger.clone();
    other.to = ackline::LinkId::new(&[1, 2, 3]).unwrap();
    assert_eq!(other.say(&mut link, at(3), None, Said::new().whole(0, 0, b"a")), Receipt::Dropped);
    assert!(taken(&mut link, at(3)).is_empty());
    assert_eq!(forger.say(&mut link, at(3), None, Said::new().whole(0, 0, b"a")), Receipt::Accepted);
    assert_eq!(taken(&mut link, at(3)), [b"a"]);
}

// R4.3
#[test]
fn packet_without_number_holds_settlements_only() {
    let (mut link, forger) = established(Config::udp());
    link.send(at(3), Channel(0), b"a").unwrap();
    forger.listen(&mut link, at(3));
    for said in
        [Said::new().ping(), Said::new().whole(0, 0, b"a"), Said::new().credit(5), Said::new().close(1)]
    {
        let datagram = forger.packet(None, acked(1, 0), &said);
        assert_eq!(link.handle_datagram(at(3), &datagram), Receipt::Dropped, "{said:?}");
    }
    let good = forger.packet(None, acked(1, 0), &Said::new().settled(0, 1).raw(&[0, 0]));
    assert_eq!(link.handle_datagram(at(3), &good), Receipt::Accepted);
    assert!(link.poll_event().is_some());
}

// R4.4 R8.5
#[test]
fn no_packet_is_longer_than_either_side_takes() {
    let (mut link, forger) = established_with(Config::udp(), &parameter(1, 150));
    link.send(at(3), Channel(0), &[7; 2_000]).unwrap();
    let heard = forger.listen(&mut link, at(3));
    assert!(heard.len() >= 14 && heard.iter().all(|h| h.len <= 150), "{heard:?}");

    let mut config = Config::udp();
    config.datagram_max = 200;
    let mut alone = subject(config);
    for _ in 0..100 {
        alone.send(at(0), Channel(0), b"ab").unwrap();
    }
    alone.connect(at(0));
    let mut buffer = [0; 2_000];
    let len = alone.poll_transmit(at(0), &mut buffer).unwrap();
    assert!(len <= 200, "{len}");
}

// R1.2 R4.5
#[test]
fn packet_with_one_wrong_bit_has_no_effect() {
    let (mut link, forger) = established(Config::udp());
    let good = forger.packet(Some(2), None, &Said::new().whole(0, 0, b"payload"));
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(link.handle_datagram(at(3), &bad), Receipt::Accepted, "bit {bit}");
    }
    assert!(taken(&mut link, at(3)).is_empty());
    assert_eq!(link.handle_datagram(at(3), &good), Receipt::Accepted);
    assert_eq!(taken(&mut link, at(3)), [b"payload"]);
}

// R4.6
#[test]
fn long_packets_have_a_plain_check() {
    let mut link = subject(Config::udp());
    let body = Greeting::first(Said::new().ping()).body();
    let mut keyed = sealed_long(body.clone());
    *keyed.last_mut().unwrap() ^= 0x55;
    assert_eq!(link.handle_datagram(at(0), &keyed), Receipt::Dropped);
    assert_eq!(link.handle_datagram(at(0), &sealed_long(body)), Receipt::Accepted);
}

// R4.7
#[test]
fn check_of_a_short_packet_names_both_incarnations() {
    for change in 0..3 {
        let (mut link, forger) = established(Config::udp());
        let mut other = forger.clone();
        match change {
            0 => other.incarnation ^= 1,
            1 => other.link ^= 1 << 63,
            _ => std::mem::swap(&mut other.incarnation, &mut other.link),
        }
        assert_eq!(other.say(&mut link, at(3), None, Said::new().ping()), Receipt::Dropped);
    }
}

// R4.8
#[test]
fn check_binds_the_whole_numbers_of_which_only_a_part_is_sent() {
    let wrong = 1 << 28;
    for kind in 0..6 {
        let (mut link, forger) = established(Config::udp());
        link.send(at(3), Channel(0), b"a").unwrap();
        forger.listen(&mut link, at(3));
        // Each says a number whose low 28 bits are right.
        let (number, largest, said) = match kind {
            0 => (2 + wrong, acked(1, 0), Said::new().ping()),
            1 => (2, acked(1 + wrong, 0), Said::new().ping()),
            2 => (2, None, Said::new().whole(0, wrong, b"a")),
            3 => (2, None, Said::new().skip(0, wrong, 1)),
            4 => (2, None, Said::new().settled(0, 1 + wrong)),
            _ => (2, None, Said::new().floor(1 + wrong)),
        };
        let datagram = forger.packet(Some(number), largest, &said);
        assert_eq!(link.handle_datagram(at(3), &datagram), Receipt::Dropped, "kind {kind}");
        assert_eq!(link.stats().dropped_check, 1, "kind {kind}");
    }
}

// R4.9
#[test]
fn check_is_left_out_only_if_both_ask_for_it() {
    for (ours, theirs) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut config = Config::udp();
        config.medium = Medium::Datagram { check: !ours };
        let mut link = subject(config);
        let flags = if theirs { 0x04 } else { 0 };
        link.handle_datagram(at(0), &Greeting { flags, ..Greeting::first(Said::new().ping()) }.datagram());
        let mut forger = forger_of(&link);
        forger.listen(&mut link, at(0));
        forger.has_check = !(ours && theirs);
        assert_eq!(forger.say(&mut link, at(0), None, Said::new().ping()), Receipt::Accepted);
        forger.has_check = !forger.has_check;
        assert_eq!(forger.say(&mut link, at(0), None, Said::new().ping()), Receipt::Dropped);
    }
}

// R5.3 R11.6
#[test]
fn newest_eight_ranges_are_told() {
    let (mut link, mut forger) = established(Config::udp());
    let mut newest = Vec::new();
    for i in 2..=40 {
        forger.next = 2 * i;
        forger.say(&mut link, at(10 * u64::from(i)), None, Said::new().ping());
        newest = forger.listen(&mut link, at(10 * u64::from(i))).last().unwrap().acked().unwrap();
    }
    assert_eq!(newest.len(), 8);
    assert_eq!((newest[0], newest[7]), ((80, 80), (66, 66)));
    // A packet that was forgotten so comes again, and its message is not delivered again.
    forger.next = 81;
    forger.say(&mut link, at(500), None, Said::new().whole(0, 0, b"once"));
    forger.say(&mut link, at(500), None, Said::new().whole(0, 0, b"once"));
    assert_eq!(taken(&mut link, at(500)), [b"once"]);
}

// R5.4
#[test]
fn acknowledgement_of_what_was_not_sent_has_no_effect() {
    let (mut link, mut forger) = established(Config::udp());
    let id = link.send(at(3), Channel(0), b"a").unwrap();
    forger.listen(&mut link, at(3));
    // Restored one-sided, 1,000 is a number from long ago; bound so, the packet is accepted.
    let restored = 1_000u32.wrapping_sub(1 << 28);
    forger.say(&mut link, at(3), acked(restored, 0), Said::new().ping());
    assert!(!link.is_acknowledged(id));
    forger.say(&mut link, at(3), acked(1, 0), Said::new().ping());
    assert!(link.is_acknowledged(id));
}

// R5.1 R11.4
#[test]
fn delay_is_told_in_units_of_8_microseconds_and_left_out_below() {
    let (mut link, mut forger) = established(Config::udp());
    forger.say(&mut link, at(3), None, Said::new().ping());
    link.send(ackline::Instant::from_micros(3_000), Channel(0), b"at once").unwrap();
    let heard = forger.listen(&mut link, at(3));
    assert_eq!(heard[0].body[0], 0x20, "no delay, no further range");
    forger.say(&mut link, at(10), None, Said::new().ping());
    let late = forger.listen(&mut link, ackline::Instant::from_micros(10_900));
    assert!(late.is_empty());
    link.send(ackline::Instant::from_micros(10_900), Channel(0), b"later").unwrap();
    let heard = forger.listen(&mut link, ackline::Instant::from_micros(10_900));
    // First byte, link id, our number, the largest of 2 bytes (ours have 4), then the delay.
    assert_eq!(heard[0].body[0], 0x30);
    let delay_at = 1 + 2 + heard[0].number().unwrap().1 as usize + 2;
    assert_eq!(heard[0].body[delay_at], 900u32.div_euclid(8) as u8);
}

// R5.5
#[test]
fn what_was_acknowledged_once_is_not_sent_again() {
    let (mut link, mut forger) = established(Config::udp());
    link.send(at(3), Channel(0), b"first").unwrap();
    let first = forger.listen(&mut link, at(3))[0].number().unwrap().0;
    forger.say(&mut link, at(3), acked(first, 0), Said::new().ping());
    for i in 0..10 {
        link.send(at(4 + i), Channel(0), b"more").unwrap();
        let number = forger.listen(&mut link, at(4 + i))[0].number().unwrap().0;
        // The ranges do not list the first one any more.
        forger.say(&mut link, at(4 + i), acked(number, 0), Said::new().ping());
    }
    assert_eq!(link.stats().packets_lost + link.stats().retransmitted, 0);
}

// R17.5
#[test]
fn framed_media_carry_no_check_and_an_empty_datagram_is_dropped() {
    let (mut link, mut forger) = established(Config::serial(0));
    assert_eq!(link.handle_datagram(at(3), &[]), Receipt::Dropped);
    assert_eq!(forger.packet(Some(2), None, &Said::new().ping()), [0x00, 0x82, 0x80, 0x80, 0x00, 0x01]);
    assert_eq!(forger.say(&mut link, at(3), None, Said::new().whole(0, 0, b"a")), Receipt::Accepted);
    assert_eq!(taken(&mut link, at(3)), [b"a"]);
    let mut hello = vec![0; 200];
    link.send(at(4), Channel(0), b"b").unwrap();
    let len = link.poll_transmit(at(4), &mut hello).unwrap();
    assert_eq!(hello[len - 1], b'b', "nothing follows the payload");
}
