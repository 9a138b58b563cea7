//! One side loses its memory.

use ackline::Config;
use ackline_tests::endpoint::{MILLISECOND, Micros, Outcome, SECOND};
use ackline_tests::link::heap_links;
use ackline_tests::net::PathConfig;
use ackline_tests::scenario::{HeapWorld, kept, node, pair};
use ackline_tests::world::{Action, Drive, Reader, Traffic, World};

fn reboot(node: usize) -> Action {
    Action::Reboot { node, down: 5 * MILLISECOND, keeps_memory: false }
}

fn one_way(count: u32, period: Micros) -> HeapWorld {
    let mut world = pair(1, &Config::udp(), &PathConfig::default());
    world.offer(Traffic::new(0, 0, count, 32, period));
    world
}

fn all_settle(world: &mut HeapWorld) {
    kept(world.run_until(2 * SECOND));
    kept(world.converge_within(10 * SECOND));
    let open =
        world.records().iter().filter(|r| !r.is_orphan && r.outcome.map(|o| o.0) != Some(Outcome::Settled));
    assert_eq!(open.count(), 0);
}

/// KCP: after the receiver has restarted, nothing is delivered any more, on a path that loses nothing.
/// <https://github.com/skywind3000/kcp/issues/439>, <https://github.com/skywind3000/kcp/issues/94>
#[test]
fn rebooted_receiver_gets_the_rest_of_the_messages() {
    let mut world = one_way(3_000, MILLISECOND / 2);
    world.at(SECOND, reboot(1));
    all_settle(&mut world);
}

/// KCP: what a restarted sender sends first is acknowledged and thrown away, as its numbers are old.
/// <https://github.com/skywind3000/kcp/issues/155>, <https://github.com/xtaci/kcp-go/issues/261>
#[test]
fn first_messages_of_a_rebooted_sender_are_delivered_though_it_counts_from_zero() {
    let mut world = one_way(3_000, MILLISECOND / 2);
    world.at(SECOND, reboot(0));
    all_settle(&mut world);
    let second_life: Vec<_> = world.records().iter().filter(|r| r.key.incarnation == 1).collect();
    assert!(second_life.len() > 500 && second_life.iter().all(|r| r.taken.len() == 1));
}

/// T-MIN: an end that restarts leaves the other with numbers that it calls spurious, for ever; its only cure is one RESET
/// frame, which may be lost.
/// <https://github.com/min-protocol/min/issues/40>, <https://github.com/min-protocol/min/issues/11>
#[test]
fn loss_of_the_first_answers_after_a_reboot_on_a_serial_line_stops_nothing() {
    for who in 0..2 {
        for lost in 0..4 {
            let (config, path) = (Config::serial(115_200), PathConfig::serial(115_200));
            let mut world = World::new(lost, Drive::Deadlines, heap_links(config.clone()));
            world.add_pair(node(&config, &path), node(&config, &path));
            world.offer(Traffic::new(0, 0, 100, 32, 15 * MILLISECOND));
            world.offer(Traffic::new(1, 0, 100, 32, 15 * MILLISECOND));
            world.at(500 * MILLISECOND, reboot(who));
            world.at(504 * MILLISECOND, Action::LoseNth { node: (lost % 2) as usize, n: lost / 2 });
            kept(world.run_until(2 * SECOND));
            kept(world.converge_within(10 * SECOND));
            assert!(world.records().iter().all(|r| r.is_orphan || !r.taken.is_empty()));
        }
    }
}

/// RadioHead: a sensor that wakes, sends one message and sleeps uses the same number each time; the receiver takes all but
/// the first for repetitions. <https://github.com/adafruit/RadioHead/pull/12>, <https://github.com/PaulStoffregen/RadioHead/pull/19>
/// secure-serial has the same defect: numbers start at 1 after each boot, and the last number is remembered.
/// Cyphal moves its numbers to random ones for such nodes: <https://github.com/OpenCyphal/specification/issues/139>
#[test]
fn sensor_that_boots_for_one_message_is_heard_every_time() {
    let mut world = pair(2, &Config::udp(), &PathConfig::default());
    for life in 0..50 {
        let start = life * 100 * MILLISECOND;
        world.offer(Traffic::new(0, 0, 1, 20, 0).starting(start));
        world.at(start + 60 * MILLISECOND, reboot(0));
    }
    kept(world.run_until(6 * SECOND));
    assert_eq!(world.records().len(), 50);
    assert!(world.records().iter().all(|r| r.taken.len() == 1), "one message of each life");
    assert!(world.records().iter().all(|r| matches!(r.outcome, Some((Outcome::Settled, _)))));
}

/// XRCE-DDS: after a restart of the agent, the client is dead until it reboots, or its streams keep their old state.
/// <https://github.com/eProsima/Micro-XRCE-DDS-Agent/issues/408>, <https://github.com/eProsima/Micro-XRCE-DDS-Client/issues/367>,
/// <https://github.com/micro-ROS/micro_ros_setup/issues/434>, <https://github.com/PX4/PX4-Autopilot/pull/26848>
#[test]
fn client_goes_on_by_itself_each_time_the_agent_restarts() {
    let (config, path) = (Config::serial(921_600), PathConfig::serial(921_600));
    let mut world = World::new(3, Drive::Deadlines, heap_links(config.clone()));
    world.add_pair(node(&config, &path), node(&config, &path).listening());
    world.offer(Traffic::new(0, 0, 400, 60, 10 * MILLISECOND));
    world.offer(Traffic::new(1, 0, 400, 60, 10 * MILLISECOND));
    for i in 1..=5 {
        world.at(
            i * 500 * MILLISECOND,
            Action::Reboot { node: 1, down: 200 * MILLISECOND, keeps_memory: false },
        );
    }
    kept(world.run_until(4 * SECOND));
    kept(world.converge_within(10 * SECOND));
    assert_eq!(world.oracle().restarts_reported(0), 5);
    let lost = world.records().iter().filter(|r| r.key.node == 0 && r.taken.is_empty()).count();
    assert_eq!(lost, 0);
}

/// Acknowledged on receipt is not processed: a small client wants what it did not confirm to come again.
/// <https://github.com/eclipse-mosquitto/mosquitto/issues/897>, <https://github.com/hyperledger/aries-rfcs/issues/329>
/// T-MIN acknowledges before its handler runs.
#[test]
fn message_whose_processing_a_crash_cut_short_comes_again() {
    let config = Config::udp().channel(0, ackline::ChannelConfig::default().settle_explicitly());
    let mut world = pair(4, &config, &PathConfig::default());
    let works = Reader { settle_after: 50 * MILLISECOND, ..Reader::default() };
    world.at(0, Action::SetReader { node: 1, reader: works });
    world.offer(Traffic::new(0, 0, 1, 32, 0));
    world.at(30 * MILLISECOND, reboot(1));
    kept(world.run_until(SECOND));
    kept(world.converge_within(5 * SECOND));
    assert_eq!(world.records()[0].taken.len(), 2, "{:?}", world.records()[0]);
    assert_eq!(world.records()[0].outcome.map(|o| o.0), Some(Outcome::Settled));
}
