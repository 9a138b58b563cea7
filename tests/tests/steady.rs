//! A steady flow on a lossy path: 200 bytes every 10 ms, 20 ms one way. Copies ride in the packets that are sent anyway, and
//! every second packet is acknowledged.

use ackline::Mode;
use ackline_tests::endpoint::{MILLISECOND, Micros, SECOND};
use ackline_tests::net::{Loss, PathConfig};
use ackline_tests::scenario::{kept, pair, percentile, udp};
use ackline_tests::world::Traffic;

const COUNT: u32 = 8_000;
const LEN: usize = 200;

struct Figures {
    latencies: Vec<Micros>,
    /// Packets a message, of the sender and of the receiver.
    packets: [f64; 2],
    /// Payload of all bytes on the wire, both directions.
    efficiency: f64,
}

fn run(seed: u64, loss: Loss, repetition: bool) -> Figures {
    let mut config = udp(&[Mode::Unordered]);
    config.repetition = repetition;
    let path = PathConfig {
        rate: 20_000_000,
        delay: 20 * MILLISECOND,
        queue: 128 << 10,
        loss,
        ..PathConfig::default()
    };
    let mut world = pair(seed, &config, &path);
    world.offer(Traffic::new(0, 0, COUNT, LEN, 10 * MILLISECOND));
    kept(world.converge_within(200 * SECOND));
    // The established link, after the first loss was seen.
    let latencies = world.latencies(|r| r.offered_at > 5 * SECOND);
    let stats = [world.path_stats(0), world.path_stats(1)];
    let bytes: u64 = stats.iter().map(|s| s.wire_bytes).sum();
    let figures = Figures {
        latencies,
        packets: stats.map(|s| s.packets as f64 / f64::from(COUNT)),
        efficiency: f64::from(COUNT) * LEN as f64 / bytes as f64,
    };
    println!(
        "{loss:?}, repetition {repetition}: p99 {} p99.9 {} µs, {:?} packets a message, efficiency {:.3}",
        percentile(&figures.latencies, 990),
        percentile(&figures.latencies, 999),
        figures.packets,
        figures.efficiency
    );
    figures
}

#[test]
fn copies_cost_no_packets_and_acknowledgements_come_every_second_packet() {
    let f = run(1, Loss::Independent(0.01), true);
    assert!(f.packets[0] <= 1.03, "{} packets a message", f.packets[0]);
    assert!(f.packets[1] <= 0.55, "{} packets back a message", f.packets[1]);
    assert!(f.efficiency >= 0.42, "efficiency {}", f.efficiency);
    assert!(percentile(&f.latencies, 999) <= 32 * MILLISECOND);
}

#[test]
fn without_repetition_a_quarter_of_the_wire_is_overhead() {
    let f = run(2, Loss::Independent(0.01), false);
    assert!(f.efficiency >= 0.74, "efficiency {}", f.efficiency);
}

#[test]
fn a_fifth_lost_still_leaves_two_fifths_of_the_wire() {
    let f = run(3, Loss::Independent(0.2), true);
    assert!(f.efficiency >= 0.38, "efficiency {}", f.efficiency);
}

#[test]
fn overdue_messages_do_not_wait_for_an_acknowledgement_when_a_fade_ends() {
    // 5 % of the time, up to 80 ms; what is sent first in a fade of 80 ms, and repeated only when an acknowledgement shows that
    // it is lost, takes 80 + 3 · 20 + 10 ms.
    let fades = Loss::BurstsInTime { good_mean: 760 * MILLISECOND, bad_mean: 40 * MILLISECOND, bad: 1.0 };
    let f = run(4, fades, true);
    assert!(percentile(&f.latencies, 990) <= 110 * MILLISECOND, "p99 {}", percentile(&f.latencies, 990));
    assert!(f.efficiency >= 0.38, "efficiency {}", f.efficiency);
}
