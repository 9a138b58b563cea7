//! Opening an association: data in the first flight, crossing and repeated hellos, loss of any packet.

use ackline::Config;
use ackline_tests::endpoint::{MILLISECOND, SECOND};
use ackline_tests::link::heap_links;
use ackline_tests::net::{Loss, PathConfig};
use ackline_tests::scenario::{kept, node, pair};
use ackline_tests::world::{Action, Drive, Traffic, World};

#[test]
fn data_of_the_first_flight_arrives_after_half_a_round_trip_and_settles_within_one() {
    let mut world = pair(1, &Config::udp(), &PathConfig { delay: 50 * MILLISECOND, ..PathConfig::default() });
    world.offer(Traffic::new(0, 0, 3, 32, 0));
    kept(world.converge_within(SECOND));
    for record in world.records() {
        assert_eq!(record.latency(), Some(50 * MILLISECOND), "{}", record.key);
        assert_eq!(record.outcome.map(|o| o.1), Some(100 * MILLISECOND), "{}", record.key);
    }
}

#[test]
fn crossing_hellos_make_one_association() {
    for skew in [0, 1, 500, 4_999, 5_000, 5_001, 9_999, 10_000, 12_000] {
        let (config, path) = (Config::udp(), PathConfig::default());
        let mut world = World::new(skew, Drive::Deadlines, heap_links(config.clone()));
        world.add_pair(node(&config, &path), node(&config, &path).booting_at(skew));
        world.offer(Traffic::new(0, 0, 20, 32, MILLISECOND));
        world.offer(Traffic::new(1, 0, 20, 32, MILLISECOND));
        kept(world.converge_within(3 * SECOND));
        kept(world.quiet_within(SECOND));
        for n in 0..2 {
            assert!(world.endpoint(n).unwrap().is_connected());
            assert_eq!(world.oracle().restarts_reported(n), 0, "no one restarted; skew {skew} µs");
            assert_eq!(world.oracle().connected_count(n), 1, "skew {skew} µs");
        }
    }
}

#[test]
fn loss_of_any_packet_of_a_handshake_is_repaired() {
    for both_connect in [false, true] {
        for first in 0..2 {
            for n in 0..5 {
                for m in 0..5 {
                    let (config, path) = (Config::udp(), PathConfig::default());
                    let mut world = World::new(n * 8 + m, Drive::Deadlines, heap_links(config.clone()));
                    let second = node(&config, &path);
                    world.add_pair(
                        node(&config, &path),
                        if both_connect { second } else { second.listening() },
                    );
                    world.path_mut(first).lose_nth(n);
                    world.path_mut(1 - first).lose_nth(m);
                    world.offer(Traffic::new(0, 0, 10, 32, MILLISECOND));
                    world.offer(Traffic::new(1, 0, 10, 32, MILLISECOND));
                    kept(world.converge_within(10 * SECOND));
                    kept(world.quiet_within(10 * SECOND));
                    assert_eq!(world.oracle().restarts_reported(0) + world.oracle().restarts_reported(1), 0);
                }
            }
        }
    }
}

#[test]
fn handshake_succeeds_on_a_path_that_loses_half_and_repeats_a_third() {
    for seed in 0..200 {
        let path = PathConfig {
            loss: Loss::Independent(0.5),
            duplicate: 0.33,
            reorder: 0.3,
            reorder_by: 500 * MILLISECOND,
            ..PathConfig::default()
        };
        let mut world = pair(seed, &Config::udp(), &path);
        world.offer(Traffic::new(0, 0, 3, 32, 0));
        world.offer(Traffic::new(1, 0, 3, 32, 0));
        world.at(20 * SECOND, Action::Heal);
        kept(world.run_until(20 * SECOND));
        kept(world.converge_within(15 * SECOND));
        kept(world.quiet_within(15 * SECOND));
    }
}

#[test]
fn listener_with_messages_waits_without_asking_for_the_clock() {
    let (config, path) = (Config::udp(), PathConfig::default());
    let mut world = World::new(1, Drive::Deadlines, heap_links(config.clone()));
    world.add_pair(node(&config, &path).listening(), node(&config, &path).listening());
    world.offer(Traffic::new(0, 0, 3, 32, 0));
    kept(world.run_until(SECOND));
    kept(world.quiet_within(0));
    assert!(world.emissions().is_empty());
}
