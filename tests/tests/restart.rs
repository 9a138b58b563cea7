//! Either side, or both, lose their memory at any point of an exchange, and any one packet of the handshake that follows is
//! lost. (T-MIN and KCP deliver nothing of the rest: skywind3000/kcp#439, min#40.)

use std::time::Duration;

use ackline::Config;
use ackline_tests::endpoint::{MILLISECOND, Micros, SECOND};
use ackline_tests::link::heap_links;
use ackline_tests::net::PathConfig;
use ackline_tests::scenario::{HeapWorld, kept, node, pair};
use ackline_tests::world::{Action, Drive, Traffic, World};

const RTT: Micros = 10 * MILLISECOND;
/// Before the first sample: SRTT 20 ms, RTTVAR 10 ms (RFC 9002, 6.2.2), 1 ms of acknowledgement delay: 61 ms.
const INITIAL_RTT: Micros = 20 * MILLISECOND;
const PTO: Micros = INITIAL_RTT + 4 * INITIAL_RTT / 2 + MILLISECOND;
const DOWN: Micros = 5 * MILLISECOND;

fn config() -> Config {
    let mut config = Config::udp();
    config.initial_rtt = Duration::from_micros(INITIAL_RTT);
    config
}

/// 2,000 messages in 2 s, half of them each way. `both_connect`: or node 1 waits for node 0.
fn exchange(seed: u64, both_connect: bool) -> HeapWorld {
    let path = PathConfig { delay: RTT / 2, ..PathConfig::default() };
    let mut world = World::new(seed, Drive::Deadlines, heap_links(config()));
    let (first, second) = (node(&config(), &path), node(&config(), &path));
    world.add_pair(first, if both_connect { second } else { second.listening() });
    world.offer(Traffic::new(0, 0, 1_000, 32, 2 * MILLISECOND));
    world.offer(Traffic::new(1, 0, 1_000, 32, 2 * MILLISECOND).starting(MILLISECOND));
    world
}

/// Reboots `who` at `at`, loses the packet that `lost` names (sender, and how many after the boot), and demands that all
/// settles and that traffic resumes both ways in time.
fn survive(both_connect: bool, who: &[usize], at: Micros, lost: Option<(usize, u64)>) {
    let mut world = exchange(at ^ who.len() as u64, both_connect);
    for node in who {
        world.at(at, Action::Reboot { node: *node, down: DOWN, keeps_memory: false });
    }
    let boot = at + DOWN;
    if let Some((node, n)) = lost {
        // Before the boot of the same instant.
        world.at(boot - 1, Action::LoseNth { node, n });
    }
    let name = format!("both connect: {both_connect}, {who:?} reboot at {at} µs, lost {lost:?}");
    let run = |world: &mut HeapWorld| {
        world.run_until(boot + 1)?;
        world.converge_within(10 * SECOND)?;
        world.quiet_within(SECOND)
    };
    if let Err(violation) = run(&mut world) {
        panic!("{violation}\n{name}");
    }
    for receiver in 0..2 {
        let first = world.records().iter().filter(|r| usize::from(r.key.node) != receiver);
        let resumed = first.flat_map(|r| &r.taken).map(|(_, at)| *at).filter(|t| *t > boot + RTT / 2).min();
        let resumed = resumed.expect("something was taken after the boot") - boot;
        assert!(
            resumed <= 3 * PTO + RTT,
            "n{receiver} took nothing until {resumed} µs after the boot; {name}"
        );
    }
}

/// Moments of an exchange: the handshake, its end, and the middle of the traffic in steps that hit every phase of a round
/// trip.
fn moments() -> impl Iterator<Item = Micros> {
    let early = [1, 3, 5, 6, 8, 10, 11, 15, 20].into_iter().map(|ms| ms * MILLISECOND);
    early.chain((0..14).map(|i| 300 * MILLISECOND + i * 101_700))
}

#[test]
fn reboot_of_the_sender_at_any_moment_is_survived() {
    for both_connect in [false, true] {
        moments().for_each(|at| survive(both_connect, &[0], at, None));
    }
}

#[test]
fn reboot_of_the_listener_at_any_moment_is_survived() {
    for both_connect in [false, true] {
        moments().for_each(|at| survive(both_connect, &[1], at, None));
    }
}

#[test]
fn reboot_of_both_at_any_moment_is_survived() {
    for both_connect in [false, true] {
        moments().for_each(|at| survive(both_connect, &[0, 1], at, None));
    }
}

#[test]
fn loss_of_any_one_packet_after_a_reboot_is_survived() {
    for both_connect in [false, true] {
        for who in [&[0][..], &[1], &[0, 1]] {
            for at in [10 * MILLISECOND, 703 * MILLISECOND, 1_204 * MILLISECOND] {
                for node in 0..2 {
                    for n in 0..6 {
                        survive(both_connect, who, at, Some((node, n)));
                    }
                }
            }
        }
    }
}

#[test]
fn survivor_notices_within_a_round_trip_of_the_first_packet_that_reaches_it() {
    let mut world = exchange(1, false);
    world.at(SECOND, Action::Reboot { node: 1, down: DOWN, keeps_memory: false });
    // The survivor sends every 2 ms; the rebooted answers the first packet that it gets, and that answer arrives half a round
    // trip later. One more, and the survivor knows that it was no forgery.
    kept(world.run_until(SECOND + DOWN + 2 * MILLISECOND + RTT / 2 + RTT));
    assert_eq!(world.oracle().restarts_reported(0), 1);
    kept(world.converge_within(10 * SECOND));
    assert_eq!(world.oracle().restarts_reported(0), 1);
}

#[test]
fn idle_survivor_notices_when_the_rebooted_connects() {
    let mut world = pair(2, &config(), &PathConfig::default());
    world.offer(Traffic::new(0, 0, 10, 32, MILLISECOND));
    kept(world.converge_within(SECOND));
    kept(world.quiet_within(SECOND));
    world.at(5 * SECOND, Action::Reboot { node: 0, down: DOWN, keeps_memory: false });
    kept(world.run_until(5 * SECOND + DOWN + 3 * RTT));
    assert_eq!(world.oracle().restarts_reported(1), 1);
    kept(world.quiet_within(SECOND));
}

#[test]
fn many_reboots_in_a_row_are_survived() {
    let mut world = exchange(3, true);
    for i in 0..40 {
        let node = (i % 3 == 0) as usize;
        world.at(50 * MILLISECOND * (i + 1), Action::Reboot { node, down: DOWN, keeps_memory: false });
    }
    kept(world.run_until(2_100 * MILLISECOND));
    kept(world.converge_within(10 * SECOND));
    kept(world.quiet_within(SECOND));
}

#[test]
fn deliveries_that_were_not_settled_come_again_flagged_after_a_restart_of_their_receiver() {
    let config = config().channel(0, ackline::ChannelConfig::default().settle_explicitly());
    let mut world = pair(4, &config, &PathConfig::default());
    let works = ackline_tests::world::Reader { settle_after: 200 * MILLISECOND, ..Default::default() };
    world.at(0, Action::SetReader { node: 1, reader: works });
    world.offer(Traffic::new(0, 0, 100, 32, 10 * MILLISECOND));
    world.at(600 * MILLISECOND, Action::Reboot { node: 1, down: DOWN, keeps_memory: false });
    kept(world.converge_within(10 * SECOND));
    let twice = world.records().iter().filter(|r| r.taken.len() == 2).count();
    // About 20 were in work at the reboot. The oracle has checked that each was flagged.
    assert!((15..=25).contains(&twice), "{twice} came again");
}

#[test]
fn large_message_cut_by_a_reboot_arrives_whole() {
    for at in (60..400).step_by(20) {
        for who in 0..2 {
            let path = PathConfig { rate: 4_000_000, ..PathConfig::default() };
            let mut world = pair(at, &config(), &path);
            world.offer(Traffic::new(0, 0, 4, 50_000, 0));
            world.at(at * MILLISECOND, Action::Reboot { node: who, down: DOWN, keeps_memory: false });
            kept(world.run_until((at + 6) * MILLISECOND));
            kept(world.converge_within(20 * SECOND));
        }
    }
}

// R8.14 R8.18 R2.5
#[test]
fn restart_on_a_serial_line_without_link_ids_is_survived() {
    let config = Config::serial(115_200);
    for at in [3, 9, 50, 333, 700, 1_002] {
        for who in [&[0][..], &[1], &[0, 1]] {
            let path = PathConfig::serial(115_200);
            let mut world = World::new(at, Drive::Deadlines, heap_links(config.clone()));
            world.add_pair(node(&config, &path), node(&config, &path));
            world.offer(Traffic::new(0, 0, 100, 32, 15 * MILLISECOND));
            world.offer(Traffic::new(1, 0, 100, 32, 15 * MILLISECOND));
            for n in who {
                world.at(at * MILLISECOND, Action::Reboot { node: *n, down: DOWN, keeps_memory: false });
            }
            kept(world.run_until((at + 6) * MILLISECOND));
            kept(world.converge_within(20 * SECOND));
            kept(world.quiet_within(5 * SECOND));
        }
    }
}
