//! Timers that fit nobody.

use ackline::Config;
use ackline_tests::endpoint::{MILLISECOND, SECOND};
use ackline_tests::net::PathConfig;
use ackline_tests::scenario::{kept, pair};
use ackline_tests::world::{Action, Traffic};

/// smoltcp keeps to a second of RFC 6298, which makes the loss of a last packet cost a thousand round trips.
/// <https://github.com/smoltcp-rs/smoltcp/issues/1190>
#[test]
fn loss_of_a_last_packet_on_a_fast_link_is_mended_within_milliseconds() {
    let path = PathConfig { delay: 50, ..PathConfig::default() };
    let mut config = Config::udp();
    config.repetition = false;
    let mut world = pair(1, &config, &path);
    world.offer(Traffic::new(0, 0, 50, 32, MILLISECOND));
    world.offer(Traffic::new(0, 0, 1, 32, 0).starting(SECOND));
    world.at(SECOND - 1, Action::LoseNth { node: 0, n: 0 });
    kept(world.converge_within(2 * SECOND));
    let latency = world.records().last().unwrap().latency().unwrap();
    assert!(latency < 10 * MILLISECOND, "{latency} µs");
}

/// Matter over Thread: a fixed 200 ms is far too short for a mesh, and its repetitions fill it.
/// <https://github.com/project-chip/rs-matter/pull/226>, <https://github.com/project-chip/connectedhomeip/issues/33047>
#[test]
fn slow_mesh_is_not_flooded_with_repetitions() {
    let path = PathConfig { delay: 700 * MILLISECOND, ..PathConfig::default() };
    let mut world = pair(2, &Config::udp(), &path);
    world.offer(Traffic::new(0, 0, 60, 32, SECOND));
    kept(world.converge_within(80 * SECOND));
    let late: u32 = world.endpoint(0).unwrap().stats().probes;
    assert!(late <= 6, "{late} probes for 60 messages of which none was lost");
}

/// nrf_rpc waits 10 ms for an acknowledgement, and a peer that erases flash stands still for 85 ms.
/// <https://github.com/nrfconnect/sdk-nrf/pull/17503>
#[test]
fn peer_that_stands_still_for_85_ms_costs_few_packets() {
    let mut config = Config::udp();
    config.repetition = false;
    let mut world = pair(3, &config, &PathConfig { delay: MILLISECOND, ..PathConfig::default() });
    world.offer(Traffic::new(0, 0, 1_000, 32, 10 * MILLISECOND));
    for i in 1..10 {
        world.at(i * SECOND, Action::Stall { node: 1, lasting: 85 * MILLISECOND });
    }
    kept(world.converge_within(20 * SECOND));
    let stats = world.endpoint(0).unwrap().stats();
    assert!(stats.probes <= 5 * 9, "{} probes in 9 stalls", stats.probes);
    assert!(stats.retransmitted <= 9 * 10, "{} messages were sent again", stats.retransmitted);
}

/// smoltcp: a time-out that was doubled goes back at once though nothing new was measured.
/// <https://github.com/smoltcp-rs/smoltcp/pull/1023>, <https://github.com/smoltcp-rs/smoltcp/pull/1018>
#[test]
fn silence_is_probed_ever_more_seldom() {
    let mut world = pair(4, &Config::udp(), &PathConfig::default());
    world.offer(Traffic::new(0, 0, 20, 32, 10 * MILLISECOND));
    world.offer(Traffic::new(0, 0, 1, 32, 0).starting(SECOND));
    world.at(SECOND - 1, Action::Outage { node: 0, lasting: 60 * SECOND });
    kept(world.run_until(50 * SECOND));
    let times: Vec<_> =
        world.emissions().iter().filter(|e| e.node == 0 && e.at >= SECOND).map(|e| e.at).collect();
    let gaps: Vec<_> = times.windows(2).map(|w| w[1] - w[0]).collect();
    assert!(gaps.windows(2).all(|w| w[1] + 200 >= w[0]), "{gaps:?}");
    assert!(times.len() < 30, "{} packets in 49 s of silence", times.len());
}

/// KCP has to be called every few milliseconds, whether anything happens or not.
/// <https://github.com/skywind3000/kcp/issues/448>, <https://github.com/skywind3000/kcp/issues/138>
/// It is driven by a clock of its own. <https://github.com/lsalzman/enet/issues/272>
#[test]
fn idle_link_wants_no_clock_and_all_time_is_the_callers() {
    let mut world = pair(5, &Config::udp(), &PathConfig::default());
    world.offer(Traffic::new(0, 0, 10, 32, MILLISECOND));
    kept(world.converge_within(SECOND));
    kept(world.quiet_within(SECOND));
    assert!((0..2).all(|n| world.endpoint(n).unwrap().poll_timeout().is_none()));
}

/// A bulk transfer that fills every queue on its way delays all others. <https://github.com/xtaci/kcp-go/pull/140>,
/// <https://github.com/ValveSoftware/GameNetworkingSockets/issues/108>
#[test]
fn bulk_transfer_leaves_the_queue_of_the_path_short() {
    // 2 Mbit/s, 40 ms of round trip, and room for 4 s of queue.
    let path =
        PathConfig { rate: 2_000_000, delay: 20 * MILLISECOND, queue: 1 << 20, ..PathConfig::default() };
    let mut world = pair(6, &Config::udp(), &path);
    world.offer(Traffic::new(0, 0, 3_000, 1_000, 0));
    world.offer(Traffic::new(0, 1, 100, 20, 100 * MILLISECOND).starting(2 * SECOND));
    kept(world.converge_within(60 * SECOND));
    let mut small = world.latencies(|r| r.key.channel == 1);
    small.sort_unstable();
    let median = small[small.len() / 2];
    assert!(median < 150 * MILLISECOND, "{median} µs behind the bulk");
}
