//! Serial lines: damaged frames, and bytes flipped, inserted and deleted. Peer, for comparison: T-MIN, 475 ms at the 99th
//! percentile and 13 % of sends refused with 1 % of frames damaged.

use ackline::Config;
use ackline_tests::endpoint::{MILLISECOND, SECOND};
use ackline_tests::link::stream_framing;
use ackline_tests::net::{Path, PathConfig, Serial};
use ackline_tests::random::Random;
use ackline_tests::scenario::{kept, pair, percentile};
use ackline_tests::world::Traffic;

fn line(serial: Serial) -> PathConfig {
    PathConfig { serial: Some(serial), ..PathConfig::serial(115_200) }
}

#[test]
fn one_percent_of_damaged_frames_costs_20_ms_at_the_99th_percentile() {
    let path = line(Serial { damage_frame: 0.01, ..Serial::default() });
    let mut world = pair(1, &Config::serial(115_200), &path);
    world.offer(Traffic::new(0, 0, 20_000, 32, 20 * MILLISECOND));
    kept(world.converge_within(410 * SECOND));
    kept(world.quiet_within(10 * SECOND));
    let latencies = world.latencies(|_| true);
    assert_eq!(latencies.len(), 20_000);
    let figures = [500, 990, 999, 1_000].map(|p| percentile(&latencies, p));
    println!("115,200 baud, 1 % damaged: p50, p99, p99.9, max: {figures:?} µs");
    assert!(figures[1] <= 20 * MILLISECOND, "{figures:?} µs");
}

#[test]
fn traffic_both_ways_on_a_noisy_line_settles() {
    let serial = Serial { flip: 3e-4, insert: 1e-4, delete: 1e-4, damage_frame: 0.01, noise: 0.02 };
    for (seed, baud) in [(2, 115_200), (3, 9_600), (4, 921_600)] {
        let path = PathConfig { serial: Some(serial), ..PathConfig::serial(baud) };
        let mut world = pair(seed, &Config::serial(baud as u32), &path);
        world.offer(Traffic::new(0, 0, 300, 32, 100 * MILLISECOND));
        world.offer(Traffic::new(1, 0, 300, 32, 100 * MILLISECOND).up_to(60));
        kept(world.converge_within(120 * SECOND));
        kept(world.quiet_within(20 * SECOND));
    }
}

#[test]
fn damage_of_a_byte_stream_costs_at_most_the_damaged_frame_and_one_neighbour() {
    let mut random = Random::new(5);
    let mut hit_count = 0;
    for round in 0..20_000u64 {
        // Three frames, one byte of the stream flipped, inserted or deleted, then a frame that has to arrive.
        let frames: Vec<Vec<u8>> = (0..5u8)
            .map(|i| {
                let len = random.between(1, 300) as usize;
                let mut datagram = random.bytes(len);
                datagram[0] = i;
                datagram
            })
            .collect();
        let (mut encoder, mut decoder) = (stream_framing(), stream_framing());
        let mut stream = Vec::new();
        for frame in &frames {
            encoder.encode(frame, &mut stream);
        }
        let at = random.below(stream.len() as u64) as usize;
        match round % 3 {
            0 => stream[at] ^= 1 << random.below(8),
            1 => stream.insert(at, random.bits() as u8),
            _ => drop(stream.remove(at)),
        }
        let mut arrived = Vec::new();
        decoder.decode(&stream, &mut |datagram| arrived.push(datagram.to_vec()));
        let lost = frames.iter().filter(|f| !arrived.contains(f)).count();
        hit_count += usize::from(lost > 0);
        assert!(lost <= 2, "round {round}: {lost} frames lost to one byte");
        assert!(arrived.iter().all(|f| frames.contains(f)), "round {round}: a frame that was not sent");
    }
    assert!(hit_count > 15_000, "only {hit_count} of 20,000 changes did any harm");
}

#[test]
fn stream_path_of_the_simulator_passes_frames_through_a_clean_line() {
    let mut path = Path::new(PathConfig::serial(115_200), Random::new(1));
    path.set_framing(stream_framing());
    let mut arrivals = Vec::new();
    path.transmit(0, &[1, 0, 2], &mut |a| arrivals.push(a));
    let mut datagrams = Vec::new();
    stream_framing().decode(&arrivals[0].bytes, &mut |d| datagrams.push(d.to_vec()));
    assert_eq!(datagrams, [[1, 0, 2]]);
}

/// Timers start when the last byte has left, and know how long the bytes of the answer take.
#[test]
fn clean_line_of_any_rate_is_never_probed() {
    for baud in [1_200, 9_600, 19_200, 115_200, 921_600] {
        // Half of what the line carries, in frames from short to full.
        let period = 1_000_000 * 10 * 128 * 2 / baud;
        let mut world = pair(baud, &Config::serial(baud as u32), &PathConfig::serial(baud));
        world.offer(Traffic::new(0, 0, 200, 16, period).up_to(230));
        kept(world.converge_within(250 * period + 10 * SECOND));
        for node in 0..2 {
            let stats = world.endpoint(node).expect("never switched off").stats();
            let wasted = (stats.probes, stats.packets_lost, stats.duplicates);
            println!("{baud} bit/s, node {node}: {wasted:?}, {} µs", stats.srtt_micros);
            assert_eq!(wasted, (0, 0, 0), "{baud} bit/s, node {node}: probes, losses, duplicates");
        }
    }
}
