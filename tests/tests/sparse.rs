//! Sparse telemetry on a lossy path: a 32-byte message every 20 ms, 5 ms one way. Peers, for comparison: KCP turbo 36 and 86 ms
//! at the 99th and 99.9th percentile, 86 bytes a message.

use ackline::Config;
use ackline_tests::endpoint::{MILLISECOND, Micros, SECOND};
use ackline_tests::net::{Loss, PathConfig};
use ackline_tests::scenario::{kept, pair, percentile};
use ackline_tests::world::Traffic;

const COUNT: u32 = 50_000;
const CHECK_LEN: u64 = 4;

struct Figures {
    p50: Micros,
    p99: Micros,
    p999: Micros,
    max: Micros,
    bytes: f64,
}

fn run(seed: u64, loss: f64, repetition: bool) -> Figures {
    let mut config = Config::udp();
    config.repetition = repetition;
    let path = PathConfig { loss: Loss::Independent(loss), ..PathConfig::default() };
    let mut world = pair(seed, &config, &path);
    world.offer(Traffic::new(0, 0, COUNT, 32, 20 * MILLISECOND));
    kept(world.converge_within(1_100 * SECOND));
    // The established link: what the loss of a hello costs before the first round-trip sample is another question.
    let latencies = world.latencies(|r| r.offered_at > 2 * SECOND);
    let bytes: u64 = (0..2).map(|n| world.path_stats(n)).map(|s| s.bytes - CHECK_LEN * s.packets).sum();
    let figures = Figures {
        p50: percentile(&latencies, 500),
        p99: percentile(&latencies, 990),
        p999: percentile(&latencies, 999),
        max: percentile(&latencies, 1_000),
        bytes: bytes as f64 / f64::from(COUNT),
    };
    println!(
        "loss {loss}, repetition {repetition}: p50 {} p99 {} p99.9 {} max {} µs, {:.1} bytes a message",
        figures.p50, figures.p99, figures.p999, figures.max, figures.bytes
    );
    figures
}

#[test]
fn five_percent_loss_without_repetition_stays_within_20_and_45_ms_and_60_bytes() {
    let figures = run(1, 0.05, false);
    assert!(figures.p50 <= 5 * MILLISECOND, "p50 {} µs", figures.p50);
    assert!(figures.p99 <= 20 * MILLISECOND, "p99 {} µs", figures.p99);
    assert!(figures.p999 <= 45 * MILLISECOND, "p99.9 {} µs", figures.p999);
    assert!(figures.bytes <= 60.0, "{} bytes a message", figures.bytes);
}

#[test]
fn repetition_does_not_make_the_tail_longer() {
    let (with, without) = (run(2, 0.05, true), run(2, 0.05, false));
    assert!(with.p999 <= without.p999 + MILLISECOND, "p99.9 {} and {} µs", with.p999, without.p999);
}

#[test]
fn clean_path_delivers_at_once() {
    let figures = run(3, 0.0, true);
    assert_eq!((figures.p50, figures.max), (5 * MILLISECOND, 5 * MILLISECOND));
    assert!(figures.bytes <= 60.0, "{} bytes a message", figures.bytes);
}
