//! A device that sleeps: wake, send, hear the settlement, sleep. A gateway that hears it now and then, and costs nothing
//! in between.

use ackline::Config;
use ackline_tests::endpoint::{MILLISECOND, Micros, SECOND};
use ackline_tests::net::PathConfig;
use ackline_tests::scenario::{HeapWorld, kept, pair};
use ackline_tests::world::{Action, Reader, Take, Traffic};

const DEVICE: usize = 0;
const ONE_WAY: Micros = 50 * MILLISECOND;
/// A settlement may ride with an acknowledgement, which is held back for `Config::ack_delay`, on a grid of 100 µs.
const ACK_DELAY: Micros = 1_100;
const HOUR: Micros = 3_600 * SECOND;

fn world() -> HeapWorld {
    pair(1, &Config::udp(), &PathConfig { delay: ONE_WAY, ..PathConfig::default() })
}

/// The device sends one message at `at` and waits until it is settled. Answers how long that took.
fn visit(world: &mut HeapWorld, at: Micros) -> Micros {
    let messages = world.records().len();
    world.offer(Traffic::new(DEVICE, 0, 1, 32, 0).starting(at));
    loop {
        let now = world.now().max(at);
        kept(world.run_until(now + 100));
        if let Some((_, settled_at)) = world.records().get(messages).and_then(|record| record.outcome) {
            return settled_at - at;
        }
        assert!(now < at + SECOND, "not settled within a second");
    }
}

/// The device sleeps until `wake_at`, and the gateway is silent.
fn sleep(world: &mut HeapWorld, wake_at: Micros, keeps_memory: bool) {
    let (down, count) = (wake_at - world.now(), world.emissions().len());
    world.at(world.now(), Action::Reboot { node: DEVICE, down, keeps_memory });
    kept(world.run_until(wake_at - 1));
    assert_eq!(world.emissions().len(), count);
}

#[test]
fn visit_on_a_fresh_association_costs_a_round_trip_and_two_datagrams() {
    let mut world = world();
    assert_eq!(visit(&mut world, 0), 2 * ONE_WAY);
    sleep(&mut world, HOUR, false);
    assert_eq!(world.emissions().len(), 2);
}

/// As any gateway with threads or tasks: the link can transmit before the application gets its turn.
#[test]
fn visit_to_a_gateway_whose_application_takes_its_time_costs_two_datagrams() {
    let mut world = world();
    let take = Take::Slowly { period: 700, count: 10 };
    world.at(0, Action::SetReader { node: 1 - DEVICE, reader: Reader { take, ..Reader::default() } });
    let awake = visit(&mut world, 0);
    assert!(awake > 2 * ONE_WAY && awake <= 2 * ONE_WAY + ACK_DELAY, "awake for {awake} µs");
    sleep(&mut world, HOUR, false);
    assert_eq!(world.emissions().len(), 2);
}

#[test]
fn visits_on_an_established_association_cost_a_round_trip_and_two_datagrams_each() {
    let mut world = world();
    visit(&mut world, 0);
    kept(world.run_until(SECOND));
    let established = world.emissions().len();
    for n in 1..50 {
        sleep(&mut world, n * HOUR, true);
        let awake = visit(&mut world, n * HOUR);
        assert!(awake <= 2 * ONE_WAY + ACK_DELAY, "visit {n}: awake for {awake} µs");
        assert_eq!(world.emissions().len() - established, 2 * n as usize, "visit {n}");
    }
}

/// The gateway asks the newcomer for a proof that it is not an old copy (protocol 8.4).
#[test]
fn visits_after_a_reboot_cost_two_round_trips_and_four_datagrams_each() {
    let mut world = world();
    visit(&mut world, 0);
    for n in 1..10 {
        sleep(&mut world, n * HOUR, false);
        let before = world.emissions().len();
        assert_eq!(visit(&mut world, n * HOUR), 4 * ONE_WAY, "visit {n}");
        assert_eq!(world.emissions().len() - before, 4, "visit {n}");
    }
}
