//! A peer that stands still for a while, as a microcontroller does that erases a flash page (85 ms on an nRF52832), or
//! with its interrupts masked: it costs at most one probe, and nothing is taken for lost.

use ackline::congestion::FixedWindow;
use ackline::storage::Heap;
use ackline::{Channel, Config, Instant, Link, Stats};
use ackline_tests::endpoint::{MILLISECOND, Micros, SECOND};
use ackline_tests::net::PathConfig;
use ackline_tests::scenario::{HeapWorld, kept, pair};
use ackline_tests::world::{Action, Traffic};

const STALL: Micros = 85 * MILLISECOND;
const STALLS: u32 = 20;

/// What stalls of node 1 cost each node: probes, packets lost, duplicates.
fn cost(config: &Config, path: &PathConfig, period: Micros, len_max: usize) -> [(u32, u32, u32); 2] {
    let mut world = pair(7, config, path);
    let count = (24 * SECOND / period) as u32;
    for node in 0..2 {
        world.offer(Traffic::new(node, 0, count, 32, period).up_to(len_max));
    }
    for i in 0..Micros::from(STALLS) {
        // At all phases of the traffic.
        world.at(SECOND + i * (SECOND + 317), Action::Stall { node: 1, lasting: STALL });
    }
    kept(world.converge_within(60 * SECOND));
    [0, 1].map(|node| {
        let Stats { probes, packets_lost, duplicates, .. } = stats(&world, node);
        (probes, packets_lost, duplicates)
    })
}

fn stats(world: &HeapWorld, node: usize) -> Stats {
    world.endpoint(node).expect("never switched off").stats()
}

fn costs_at_most_a_probe_a_stall(config: &Config, path: &PathConfig, period: Micros, len_max: usize) {
    let [(probes, lost, _), (stalled_probes, stalled_lost, duplicates)] = cost(config, path, period, len_max);
    assert!(probes <= STALLS, "{probes} probes towards a peer that stalled {STALLS} times");
    assert!(duplicates <= STALLS, "{duplicates} duplicates at the peer that stalled");
    assert_eq!((lost, stalled_lost), (0, 0), "packets taken for lost");
    assert_eq!(stalled_probes, 0, "probes of the peer that stalled");
}

#[test]
fn stalled_peer_on_a_short_path_costs_at_most_one_probe() {
    for delay in [50, 500, 5 * MILLISECOND] {
        for period in [3 * MILLISECOND, 20 * MILLISECOND, 400 * MILLISECOND] {
            let path = PathConfig { delay, ..PathConfig::default() };
            costs_at_most_a_probe_a_stall(&Config::udp(), &path, period, 200);
        }
    }
}

#[test]
fn stalled_peer_on_a_serial_line_costs_at_most_one_probe() {
    for baud in [115_200, 921_600] {
        for period in [25 * MILLISECOND, 400 * MILLISECOND] {
            // (A message for which the line needs longer than for those before may cost a probe by itself.)
            let config = Config::serial(baud as u32);
            costs_at_most_a_probe_a_stall(&config, &PathConfig::serial(baud), period, 64);
        }
    }
}

type Fixed = Link<Heap, FixedWindow>;

fn carry(from: &mut Fixed, to: &mut Fixed, now: Instant) {
    let mut buffer = [0; 1200];
    while let Some(len) = from.poll_transmit(now, &mut buffer) {
        to.handle_datagram(now, &buffer[..len]);
    }
}

/// Two links that know each other, and each other's round trip of 1 ms.
fn established() -> (Fixed, Fixed, Instant) {
    let config = Config::udp();
    let [mut a, mut b] = [1, 2].map(|seed| Fixed::new(&config, FixedWindow::new(1 << 16), seed));
    let mut now = Instant::from_millis(1000);
    a.connect(now);
    for round in 0..400 {
        if round % 20 == 0 && round < 380 {
            a.send(now, Channel(0), b"reading").unwrap();
        }
        carry(&mut a, &mut b, now);
        while b.recv(now).is_some() {}
        now = now + std::time::Duration::from_micros(500);
        carry(&mut b, &mut a, now);
        for link in [&mut a, &mut b] {
            if link.poll_timeout().is_some_and(|at| at <= now) {
                link.handle_timeout(now);
            }
        }
        now = now + std::time::Duration::from_micros(500);
    }
    assert_eq!((a.stats().messages_settled, a.stats().probes, a.poll_timeout()), (19, 0, None));
    (a, b, now)
}

fn millis(n: u64) -> std::time::Duration {
    std::time::Duration::from_millis(n)
}

#[test]
fn late_timer_waits_for_what_arrived_meanwhile() {
    let (mut a, mut b, start) = established();
    a.send(start, Channel(0), b"reading").unwrap();
    carry(&mut a, &mut b, start);
    b.recv(start).expect("a reading");
    // The answer comes while this side stands still. When it goes on, its timer is looked at first.
    let mut answer = [0; 1200];
    let len = b.poll_transmit(start + millis(1), &mut answer).expect("an answer");
    let now = start + millis(85);
    assert!(a.poll_timeout().is_some_and(|at| at < start + millis(20)));
    a.handle_timeout(now);
    assert_eq!((a.poll_transmit(now, &mut [0; 1200]), a.stats().probes), (None, 0));
    a.handle_datagram(now, &answer[..len]);
    assert_eq!((a.stats().messages_settled, a.poll_timeout()), (20, None));
}

#[test]
fn late_timer_probes_a_millisecond_later_if_nothing_had_arrived() {
    let (mut a, _, start) = established();
    a.send(start, Channel(0), b"reading").unwrap();
    assert!(a.poll_transmit(start, &mut [0; 1200]).is_some());
    let mut now = start + millis(85);
    a.handle_timeout(now);
    assert_eq!(a.stats().probes, 0);
    now = a.poll_timeout().expect("the excuse ends");
    assert_eq!(now, start + millis(86));
    // Late again: there is one excuse only.
    a.handle_timeout(now + millis(10));
    assert_eq!(a.stats().probes, 1);
    assert!(a.poll_transmit(now + millis(10), &mut [0; 1200]).is_some());
}
