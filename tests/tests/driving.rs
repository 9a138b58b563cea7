//! When a link is driven makes no difference to what it emits.

use ackline::Mode::{BestEffort, Latest, Ordered, Unordered};
use ackline::congestion::FixedRate;
use ackline::storage::Inline;
use ackline::{Channel, ChannelConfig, Config, Event, Instant, Link, SendError};
use ackline_tests::endpoint::{MILLISECOND, SECOND};
use ackline_tests::link::Ackline;
use ackline_tests::net::{Loss, PathConfig};
use ackline_tests::scenario::{kept, pair_driven, udp};
use ackline_tests::schedule::{check, schedule_of};
use ackline_tests::world::{Action, Drive, Emission, Traffic, first_difference};

fn emissions(config: &Config, path: &PathConfig, drive: Drive) -> Vec<Emission> {
    let mut world = pair_driven(1, config, path, drive);
    for node in 0..2 {
        for channel in 0..4 {
            world.offer(Traffic::new(node, channel, 200, 20, 11 * MILLISECOND).up_to(400));
        }
    }
    world.offer(Traffic::new(0, 1, 20, 20, 11 * MILLISECOND).expiring(7 * MILLISECOND));
    world.at(SECOND, Action::Outage { node: 0, lasting: 400 * MILLISECOND });
    world.at(2 * SECOND, Action::Reboot { node: 1, down: 30 * MILLISECOND, keeps_memory: false });
    kept(world.run_until(20 * SECOND));
    world.emissions().to_vec()
}

fn is_independent(config: &Config, path: &PathConfig) {
    let pairs = [
        (Drive::Deadlines, Drive::DeadlinesAndTicks(100)),
        // Not a multiple of anything that a link may round to.
        (Drive::Deadlines, Drive::DeadlinesAndTicks(37)),
        (Drive::CoarseDeadlines(100), Drive::Ticks(100)),
    ];
    for (seldom, often) in pairs {
        let (left, right) = (emissions(config, path, seldom), emissions(config, path, often));
        assert!(left.len() > 100);
        assert_eq!(first_difference(&left, &right), None, "{seldom:?} and {often:?}");
    }
}

#[test]
fn driving_every_100_microseconds_emits_the_bytes_of_driving_at_deadlines_over_udp() {
    let path = PathConfig {
        loss: Loss::Independent(0.1),
        duplicate: 0.05,
        reorder: 0.1,
        reorder_by: 15 * MILLISECOND,
        jitter: 700,
        rate: 10_000_000,
        ..PathConfig::default()
    };
    is_independent(&udp(&[Ordered, Unordered, Latest, BestEffort]), &path);
}

#[test]
fn driving_every_100_microseconds_emits_the_bytes_of_driving_at_deadlines_on_serial() {
    let mut path = PathConfig::serial(115_200);
    path.serial = Some(ackline_tests::net::Serial { damage_frame: 0.05, ..Default::default() });
    let mut config = udp(&[Ordered, Unordered, Latest, BestEffort]);
    config.medium = ackline::Medium::Framed { bits_per_second: 115_200 };
    config.datagram_max = 256;
    is_independent(&config, &path);
}

/// What broke: a hello that asks for confirmation takes back what was in flight, whose deadlines made room for others when the
/// clock was looked at next.
#[test]
fn schedules_that_once_depended_on_ticks_do_not() {
    kept(check(&Ackline, &schedule_of(207_100), true));
}

#[test]
fn room_of_a_superseded_deadline_is_told_without_the_clock() {
    let config = Config::udp().channel(0, ChannelConfig::new(Latest));
    let mut link = Link::<Inline<2, 2, 256, 8>, FixedRate>::new(&config, FixedRate::new(1_000), 1);
    let (now, soon, later) = (Instant::ZERO, Instant::from_millis(5), Instant::from_millis(9));
    link.send_before(now, Channel(0), b"old", soon).unwrap();
    link.send_before(now, Channel(1), b"first", later).unwrap();
    assert_eq!(link.send_before(now, Channel(1), b"second", later), Err(SendError::Full));
    link.send(now, Channel(0), b"new").unwrap();
    let events: Vec<_> = std::iter::from_fn(|| link.poll_event()).collect();
    assert!(events.contains(&Event::Writable(Channel(1))), "{events:?}");
}
