//! Urgent messages beside bulk.

use ackline::congestion::{Controller, FixedRate, PathModel};
use ackline::storage::Heap;
use ackline::{ChannelConfig, Config, Mode};
use ackline_tests::endpoint::{MILLISECOND, Micros, SECOND};
use ackline_tests::link::LinkFactory;
use ackline_tests::net::PathConfig;
use ackline_tests::scenario::{kept, node, pair, percentile};
use ackline_tests::world::{Drive, Traffic, World};

/// Bits per second.
const RATE: u64 = 2_000_000;
const DELAY: Micros = 10 * MILLISECOND;

/// The latencies of a 32-byte message every 100 ms, ascending; beside 1 MB of bulk (4.2 s of the path's time), or alone.
fn urgent_latencies<C: Controller + 'static>(controller: fn() -> C, has_bulk: bool) -> Vec<Micros> {
    let config = Config::udp()
        .channel(0, ChannelConfig::new(Mode::Ordered).priority(3))
        .channel(1, ChannelConfig::new(Mode::Ordered).priority(0));
    let path = PathConfig { rate: RATE, delay: DELAY, queue: 64 << 10, ..PathConfig::default() };
    let factory = LinkFactory::<Heap, C>::new(config.clone(), controller);
    let mut world = World::new(1, Drive::Deadlines, factory);
    world.add_pair(node(&config, &path), node(&config, &path).listening());
    if has_bulk {
        world.offer(Traffic::new(0, 0, 100, 10_000, 0).starting(500 * MILLISECOND));
    }
    world.offer(Traffic::new(0, 1, 45, 32, 100 * MILLISECOND).starting(530 * MILLISECOND));
    kept(world.converge_within(30 * SECOND));
    world.latencies(|r| r.key.channel == 1)
}

/// 97 % of the path's rate, in bytes of datagrams of 1,200 bytes that become 1,228 on the path.
fn known_rate() -> FixedRate {
    FixedRate::new((RATE / 8 * 1_200 / 1_228 * 97 / 100) as u32)
}

#[test]
fn urgent_messages_pass_bulk_at_the_price_of_two_packets() {
    let p99 = |has_bulk| percentile(&urgent_latencies(known_rate, has_bulk), 990);
    let (alone, beside) = (p99(false), p99(true));
    let serialisation = (1_200 + 28) * 8 * SECOND / RATE;
    // The packet that is on the way, and the one that it shares with bulk: packets are filled.
    let limit = alone + 2 * serialisation;
    println!("urgent p99: alone {alone} µs, beside bulk {beside} µs, limit {limit} µs");
    assert!(beside <= limit, "urgent p99 {beside} µs beside bulk, {alone} µs alone, limit {limit} µs");
}

#[test]
fn urgent_messages_wait_no_longer_than_what_the_internet_controller_keeps_queued() {
    let latencies = urgent_latencies(PathModel::new, true);
    let median = percentile(&latencies, 500);
    println!("urgent beside bulk: median {median} µs, all {latencies:?}");
    // The controller keeps about a round trip of queue on an otherwise empty path.
    assert!(median <= DELAY + 2 * DELAY + 10 * MILLISECOND, "median {median} µs");
}

#[test]
fn channels_of_one_class_share_fairly() {
    let config = Config::udp();
    let path = PathConfig { rate: RATE, queue: 64 << 10, ..PathConfig::default() };
    let mut world = pair(2, &config, &path);
    for channel in 0..3 {
        world.offer(Traffic::new(0, channel, 2_000, 500, 0));
    }
    kept(world.run_until(3 * SECOND));
    let taken = |c: u8| world.records().iter().filter(|r| r.key.channel == c && !r.taken.is_empty()).count();
    let counts = [taken(0), taken(1), taken(2)];
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(*least > 100 && most - least <= most / 10, "{counts:?} messages in 3 s");
}
