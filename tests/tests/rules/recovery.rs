//! Section 12 and 16: round trips, loss, probes, silence.

use std::time::Duration;

use ackline::wire::Frame;
use ackline::{Channel, CloseReason, Config, Event, Instant, Receipt};
use ackline_tests::forge::{
    Acked, Said, Subject, acked, at, established, established_with, parameter, sealed_long, subject,
};

fn us(micros: u64) -> Instant {
    Instant::from_micros(micros)
}

// R12.1 R12.2
#[test]
fn round_trip_is_sampled_from_the_newly_acknowledged_largest_and_the_delay_is_subtracted() {
    let (mut link, mut forger) = established(Config::udp());
    link.send(us(10_000), Channel(0), b"a").unwrap();
    let first = forger.listen(&mut link, us(10_000))[0].number().unwrap().0;
    // The hello was the sample before: it took no time, so the first exchange here is the first that counts.
    forger.say(&mut link, us(18_000), acked(first, 0), Said::new());
    let srtt = link.stats().srtt_micros;
    assert!(srtt >= 1_000, "8 ms are a sample: {srtt}");
    // The same number again is no sample.
    forger.say(&mut link, us(900_000), acked(first, 0), Said::new());
    assert_eq!(link.stats().srtt_micros, srtt);
    // A delay of 1 ms (125 units) is taken off, one of an hour counts as ack_delay and 1 ms only.
    let after = |delay| {
        let (mut link, mut forger) = established_with(Config::udp(), &parameter(5, 4_000));
        for i in 0..40 {
            let t = 100_000 * (i + 1);
            link.send(us(t), Channel(0), b"a").unwrap();
            let number = forger.listen(&mut link, us(t)).last().unwrap().number().unwrap().0;
            // The first one sets the minimum, below which no delay is believed.
            let rtt = if i == 0 { 5_000 } else { 20_000 };
            forger.say(
                &mut link,
                us(t + rtt),
                Some(Acked { largest: number, first: 0, delay }),
                Said::new().settled(0, i as u32 + 1),
            );
            while link.poll_event().is_some() {}
        }
        link.stats().srtt_micros
    };
    let (plain, short, endless) = (after(0), after(125), after(1 << 20));
    assert!((19_000..=20_100).contains(&plain), "{plain}");
    assert!((18_000..=19_200).contains(&short), "{short}");
    assert!((14_000..=15_300).contains(&endless), "20 ms less 4 ms and 1 ms: {endless}");
}

// R12.3
#[test]
fn packet_is_lost_when_any_later_one_arrived_where_much_is_lost() {
    let (mut link, mut forger) = established(Config::udp());
    let mut settled = 0;
    let mut lost = Vec::new();
    // Of every four packets the first is lost, which takes three later ones to tell, until that is known to be usual.
    for round in 0..20u64 {
        let now = at(10 + 100 * round);
        let mut last = 0;
        for i in 0..4u8 {
            link.send(now, Channel(0), &[i]).unwrap();
            last = forger.listen(&mut link, now)[0].number().unwrap().0;
        }
        let before = link.stats().packets_lost;
        forger.say(&mut link, now, acked(last - 2, 0), Said::new());
        lost.push(link.stats().packets_lost - before);
        forger.say(&mut link, now, acked(last, 2), Said::new());
        let again = forger.listen(&mut link, now).last().unwrap().number().unwrap().0;
        settled += 4;
        forger.say(&mut link, now, acked(again, 3), Said::new().settled(0, settled));
    }
    assert_eq!((lost[0], lost[7], lost[19]), (0, 0, 1), "{lost:?}");
}

// R12.3
#[test]
fn packet_is_lost_when_three_later_ones_arrived_or_when_it_is_overdue() {
    let (mut link, mut forger) = established(Config::udp());
    let mut numbers = Vec::new();
    for i in 0..4u8 {
        link.send(at(10), Channel(0), &[i]).unwrap();
        numbers.push(forger.listen(&mut link, at(10))[0].number().unwrap().0);
    }
    forger.say(&mut link, at(10), acked(numbers[2], 1), Said::new());
    assert_eq!(link.stats().packets_lost, 0, "two later ones");
    forger.say(&mut link, at(10), acked(numbers[3], 2), Said::new());
    assert_eq!(link.stats().packets_lost, 1);
    assert_eq!(forger.listen(&mut link, at(10))[0].messages(), [(0, Some(0), 1)]);

    // One later one, and 9/8 of a round trip.
    let (mut link, mut forger) = established(Config::udp());
    for i in 0..2u8 {
        link.send(at(10), Channel(0), &[i]).unwrap();
        numbers[usize::from(i)] = forger.listen(&mut link, at(10))[0].number().unwrap().0;
    }
    forger.say(&mut link, at(18), acked(numbers[1], 0), Said::new());
    assert_eq!(link.stats().packets_lost, 0);
    let due = link.poll_timeout().unwrap();
    assert!(due > at(18) && due <= us(19_200), "{due:?}");
    link.handle_timeout(due);
    assert_eq!((link.stats().packets_lost, link.stats().probes), (1, 0));
    // It arrives after all: from now on the count of later packets says nothing.
    forger.say(&mut link, due, acked(numbers[0], 0), Said::new());
    assert_eq!(link.stats().packets_spurious, 1);
}

// R12.4 R12.5
#[test]
fn lost_packet_is_repeated_in_content_and_not_in_acknowledgements() {
    let (mut link, mut forger) = established(Config::udp());
    forger.say(&mut link, at(9), None, Said::new().ping());
    let mut numbers = Vec::new();
    for i in 0..4u8 {
        link.send(at(10), Channel(0), &[i]).unwrap();
        let heard = forger.listen(&mut link, at(10));
        if i > 0 {
            assert_eq!(heard[0].acked(), None);
        }
        numbers.push(heard[0].number().unwrap().0);
    }
    link.set_receive_buffer(5_000);
    let credit = forger.listen(&mut link, at(10))[0].number().unwrap().0;
    link.set_receive_buffer(7_000);
    forger.listen(&mut link, at(10));
    // The first is lost, and so is the old credit.
    forger.say(&mut link, at(11), acked(numbers[3], 2), Said::new());
    let again = forger.listen(&mut link, at(11));
    assert_eq!(again[0].messages(), [(0, Some(0), 1)]);
    // What the first packet had acknowledged is said again because of what has arrived since, not because it was lost.
    assert_eq!(again[0].acked(), Some(vec![(0, 3)]));
    assert!(credit > numbers[3]);
    let probed: Vec<_> = (12..400).flat_map(|ms| forger.listen(&mut link, at(ms))).collect();
    let credits: Vec<_> =
        probed.iter().flat_map(|h| h.frames()).filter(|f| matches!(f, Frame::Credit { .. })).collect();
    assert!(
        !credits.is_empty() && credits.iter().all(|c| *c == Frame::Credit { bytes: 7_000 }),
        "{credits:?}"
    );
}

fn probe_times(link: &mut Subject, forger: &ackline_tests::forge::Forger, until: Instant) -> Vec<u64> {
    let mut times = Vec::new();
    while let Some(due) = link.poll_timeout().filter(|t| *t <= until) {
        if !forger.listen(link, due).is_empty() {
            times.push(due.as_micros());
        }
    }
    times
}

// R12.6 R12.8
#[test]
fn probes_double_up_to_five_seconds_and_never_end() {
    let (mut link, forger) = established(Config::udp());
    link.send(at(100), Channel(0), b"a").unwrap();
    forger.listen(&mut link, at(100));
    let times = probe_times(&mut link, &forger, at(3_600_000));
    let gaps: Vec<u64> = times.windows(2).map(|w| w[1] - w[0]).collect();
    assert!(gaps.iter().all(|g| *g <= 5_001_000), "{gaps:?}");
    assert!(gaps.len() > 700, "an hour has 720 times 5 s: {}", gaps.len());
    assert!(gaps.windows(2).all(|w| w[1] + 200 >= w[0]), "backoff never shrinks: {gaps:?}");
    assert_eq!(link.stats().packets_lost, 0, "probes declare nothing lost");
}

// R12.7
#[test]
fn probe_carries_the_first_message_that_is_missing_or_else_a_ping() {
    let (mut link, mut forger) = established(Config::udp());
    for i in 0..3u8 {
        link.send(at(100), Channel(0), &[i]).unwrap();
        forger.listen(&mut link, at(100));
    }
    let due = link.poll_timeout().unwrap();
    let probe = forger.listen(&mut link, due);
    assert_eq!(probe[0].messages()[0], (0, Some(0), 1), "{probe:?}");
    // With nothing but a settlement out, the probe repeats that; with a ping out, a ping.
    let number = probe[0].number().unwrap().0;
    forger.say(&mut link, due, acked(number, number), Said::new().settled(0, 3));
    let quiet = at(10_000);
    forger.say(&mut link, quiet, None, Said::new().whole(0, 0, b"x"));
    forger.listen(&mut link, at(10_005));
    while link.recv(at(10_006)).is_some() {}
    assert_eq!(forger.listen(&mut link, at(10_006))[0].settled(), [(0, 1)]);
    let due = link.poll_timeout().unwrap();
    assert_eq!(forger.listen(&mut link, due)[0].settled(), [(0, 1)]);
}

// R12.8
#[test]
fn without_room_to_remember_another_packet_the_oldest_counts_as_lost() {
    use ackline::congestion::FixedWindow;
    use ackline::storage::Inline;
    // Four packets in flight at most, and a peer that answers nothing.
    let config = Config::serial(0);
    let mut a = ackline::Link::<Inline<1, 8, 512, 4>, _>::new(&config, FixedWindow::new(1 << 20), 1);
    let mut b = ackline::Link::<Inline<1, 8, 512, 4>, _>::new(&config, FixedWindow::new(1 << 20), 2);
    let mut buffer = [0; 256];
    a.connect(at(0));
    for _ in 0..4 {
        while let Some(len) = a.poll_transmit(at(0), &mut buffer) {
            b.handle_datagram(at(0), &buffer[..len]);
        }
        while let Some(len) = b.poll_transmit(at(0), &mut buffer) {
            a.handle_datagram(at(0), &buffer[..len]);
        }
    }
    let mut sent = Vec::new();
    for i in 0..6 {
        a.send(at(10), Channel(0), &[i]).unwrap();
        while a.poll_transmit(at(10), &mut buffer).is_some() {
            sent.push(10_000);
        }
    }
    assert!(sent.len() <= 4);
    while let Some(due) = a.poll_timeout().filter(|t| *t < at(60_000)) {
        a.handle_timeout(due);
        while a.poll_transmit(due, &mut buffer).is_some() {
            sent.push(due.as_micros());
        }
    }
    assert!(sent.len() > 12, "probing ended: {sent:?}");
    assert!(a.stats().packets_lost > 0);
}

// R12.9
#[test]
fn copies_that_ride_unasked_are_duplicates_to_the_receiver() {
    use ackline::congestion::FixedWindow;
    use ackline::storage::Heap;
    // A sender that repeats, on a path that loses every fifth packet.
    let mut a = ackline::Link::<Heap, _>::new(&Config::udp(), FixedWindow::new(1 << 20), 1);
    let mut b = ackline::Link::<Heap, _>::new(&Config::udp(), FixedWindow::new(1 << 20), 2);
    a.connect(at(0));
    let (mut buffer, mut count, mut received) = ([0; 1_500], 0, 0);
    for ms in 0..4_000 {
        let now = at(ms);
        if ms % 10 == 0 && ms < 3_500 {
            a.send(now, Channel(0), &[7; 20]).unwrap();
        }
        for (from, to, is_lossy) in [(&mut a, &mut b, true)] {
            from.handle_timeout(now);
            while let Some(len) = from.poll_transmit(now, &mut buffer) {
                count += 1;
                if !is_lossy || count % 5 != 0 {
                    to.handle_datagram(now, &buffer[..len]);
                }
            }
        }
        while b.recv(now).is_some() {
            received += 1;
        }
        b.handle_timeout(now);
        while let Some(len) = b.poll_transmit(now, &mut buffer) {
            a.handle_datagram(now, &buffer[..len]);
        }
        while a.poll_event().is_some() {}
    }
    assert_eq!(received, 350);
    assert!(a.stats().repeated > 20 && b.stats().duplicates > 20, "{:?}", a.stats());
}

// R16.1
#[test]
fn link_at_rest_needs_no_timer() {
    let (mut link, mut forger) = established(Config::udp());
    link.send(at(3), Channel(0), b"a").unwrap();
    let number = forger.listen(&mut link, at(3))[0].number().unwrap().0;
    forger.say(&mut link, at(4), acked(number, 0), Said::new().settled(0, 1));
    forger.listen(&mut link, at(6));
    while link.poll_event().is_some() {}
    assert_eq!(link.poll_timeout(), None);
}

// R16.2
#[test]
fn keep_alive_counts_from_the_last_packet_sent() {
    let mut config = Config::udp();
    config.keep_alive = Some(Duration::from_millis(500));
    let (mut link, mut forger) = established(config);
    for ms in [400, 800, 1_200] {
        link.send(at(ms), Channel(0), b"a").unwrap();
        let number = forger.listen(&mut link, at(ms))[0].number().unwrap().0;
        forger.say(&mut link, at(ms), acked(number, 0), Said::new().settled(0, (ms / 400) as u32));
        while link.poll_event().is_some() {}
    }
    forger.listen(&mut link, at(1_201));
    assert_eq!(link.poll_timeout(), Some(at(1_701)), "the acknowledgement was the last");
}

// R16.3
#[test]
fn silence_while_nothing_is_due_is_not_counted_and_silence_after_that_ends_the_link() {
    let mut config = Config::udp();
    config.give_up = Some(Duration::from_secs(2));
    let (mut link, forger) = established(config);
    assert_eq!(link.poll_timeout(), None);
    link.send(at(60_000), Channel(0), b"a").unwrap();
    forger.listen(&mut link, at(60_000));
    probe_times(&mut link, &forger, at(61_999));
    assert!(!link.is_closed());
    link.handle_timeout(at(62_000));
    assert!(link.is_closed());
    let events: Vec<Event> = std::iter::from_fn(|| link.poll_event()).collect();
    assert!(matches!(events[..], [Event::Failed(..), Event::Closed(CloseReason::Unreachable)]), "{events:?}");
}

// R16.3
#[test]
fn silence_ends_with_a_retry_after_which_nothing_is_in_flight() {
    let mut config = Config::udp();
    config.give_up = Some(Duration::from_secs(2));
    let mut link = subject(config);
    let (_, ear) = established(Config::udp());
    link.connect(at(0));
    ear.listen(&mut link, at(0));
    let retry = sealed_long([&[0x81][..], &link.incarnation().to_le_bytes(), b"cookie"].concat());
    assert_eq!(link.handle_datagram(at(1_900), &retry), Receipt::Accepted);
    ear.listen(&mut link, at(1_900));
    ear.listen(&mut link, at(3_899));
    assert!(!link.is_closed());
    link.handle_timeout(at(3_900));
    assert!(link.is_closed());
}

// R16.4
#[test]
fn peer_that_keeps_a_message_unsettled_is_asked_ever_more_seldom_whether_it_lives() {
    let (mut link, mut forger) = established(Config::udp());
    link.send(at(3), Channel(0), b"a").unwrap();
    let number = forger.listen(&mut link, at(3))[0].number().unwrap().0;
    forger.say(&mut link, at(4), acked(number, 0), Said::new());
    let mut times = Vec::new();
    while let Some(due) = link.poll_timeout().filter(|t| *t < at(60_000)) {
        let heard = forger.listen(&mut link, due);
        let pings = heard.iter().filter(|h| h.frames().contains(&Frame::Ping)).count();
        if pings > 0 {
            times.push(due.as_micros() / 1_000);
            let number = heard[0].number().unwrap().0;
            forger.say(&mut link, due, acked(number, 0), Said::new());
        }
    }
    assert!(times.len() >= 10 && times[0] >= 103, "{times:?}");
    let gaps: Vec<u64> = times.windows(2).map(|w| w[1] - w[0]).collect();
    assert!(gaps.windows(2).all(|w| w[1] + 1 >= w[0]) && *gaps.last().unwrap() == 5_000, "{gaps:?}");
    forger.say(&mut link, at(60_000), None, Said::new().settled(0, 1));
    forger.listen(&mut link, at(60_001));
    assert_eq!(link.poll_timeout(), None);
}

// R12.10
#[test]
fn timer_that_comes_late_concludes_nothing_before_another_millisecond() {
    let (mut link, forger) = established(Config::udp());
    link.send(at(100), Channel(0), b"a").unwrap();
    forger.listen(&mut link, at(100));
    let late = link.poll_timeout().unwrap() + Duration::from_millis(50);
    assert!(forger.listen(&mut link, late).is_empty());
    let again = link.poll_timeout().unwrap();
    assert_eq!(again, late + Duration::from_millis(1));
    assert_eq!(forger.listen(&mut link, again).len(), 1);
}
