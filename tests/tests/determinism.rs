//! A seed means the same run everywhere: the same bytes at the same virtual times, whatever the machine, the compiler and
//! the optimisation. What a schedule showed on one machine, it shows on every other one.
//!
//! The digests are those of every datagram that both ends emit. They change when the behaviour of an endpoint or of the
//! simulator changes at all; whoever means to change it puts the printed ones here, and says in the commit what changed.
//! Whoever rewrites code that shall do the same sees here whether it does.

use std::hash::Hasher;

use ackline::congestion::{Controller, FixedRate, FixedWindow, NewReno, PathModel};
use ackline::storage::Heap;
use ackline::{Config, Mode};
use ackline_tests::compact::Compact;
use ackline_tests::endpoint::{MILLISECOND, Micros, SECOND};
use ackline_tests::link::{Ackline, LinkFactory};
use ackline_tests::net::{Loss, PathConfig};
use ackline_tests::scenario::{kept, node, udp};
use ackline_tests::schedule::{Subject, WIDE, play, schedule_of};
use ackline_tests::tailored::AllFeatures;
use ackline_tests::world::{Drive, Emission, Traffic, World};
use siphasher::sip::SipHasher24;

/// One digest for all of these runs.
fn digest(runs: impl Iterator<Item = Vec<Emission>>) -> u64 {
    let mut sum = SipHasher24::new();
    for emission in runs.flatten() {
        sum.write_u64(emission.at);
        sum.write_u64(emission.node as u64);
        sum.write_u64(emission.len as u64);
        sum.write_u64(emission.hash);
    }
    sum.finish()
}

fn of_schedules<S: Subject>(subject: &S, seeds: impl Iterator<Item = u64>) -> u64 {
    digest(seeds.map(|seed| kept(play(subject, &schedule_of(seed), Drive::Deadlines))))
}

/// How `assert_eq` shows a digest: as it is written here.
fn hex(digest: u64) -> String {
    format!("{digest:#018x}")
}

/// Schedules of each kind of endpoint: enough to come by nearly every line of them.
const COUNT: u64 = 60;

#[test]
fn schedules_of_the_full_link_are_the_same_everywhere() {
    assert_eq!(hex(of_schedules(&Ackline, (0..COUNT).chain(WIDE..WIDE + COUNT))), "0xe24bddb38803fea9");
}

#[test]
fn schedules_of_the_compact_link_are_the_same_everywhere() {
    assert_eq!(hex(of_schedules(&Compact, 0..COUNT)), "0xe004f79b936c97cf");
}

#[test]
fn schedules_of_a_tailored_link_are_the_same_everywhere() {
    assert_eq!(hex(of_schedules(&AllFeatures, 0..COUNT)), "0x17b36101868d20a0");
}

/// A link of 5 Mbit/s with what `loss` loses, other traffic in its queue from time to time, and half of its rate in the end.
fn path(loss: Loss) -> PathConfig {
    PathConfig {
        rate: 5_000_000,
        delay: 15 * MILLISECOND,
        wander: 2 * MILLISECOND,
        queue: 40_000,
        loss,
        ..PathConfig::default()
    }
}

const FADES: Loss = Loss::BurstsInTime { good_mean: 760 * MILLISECOND, bad_mean: 40 * MILLISECOND, bad: 1.0 };

/// The paths of the flows below.
fn paths() -> [PathConfig; 6] {
    [
        path(Loss::None),
        path(Loss::Independent(0.02)),
        path(Loss::Independent(0.2)),
        path(FADES),
        PathConfig {
            jitter: 8 * MILLISECOND,
            duplicate: 0.01,
            reorder: 0.01,
            reorder_by: 5_000,
            ..path(FADES)
        },
        // The serial line that `Config::serial` is for.
        PathConfig::serial(115_200),
    ]
}

/// What two links emit while `flow` runs on `path`.
fn run<C: Controller + 'static>(path: &PathConfig, controller: fn() -> C, flow: Traffic) -> Vec<Emission> {
    let modes = [Mode::Ordered, Mode::Unordered, Mode::Latest, Mode::BestEffort];
    let config = if path.serial.is_some() { Config::serial(115_200) } else { udp(&modes) };
    let links = LinkFactory::<Heap, C>::new(config.clone(), controller);
    let mut world = World::new(7, Drive::Deadlines, links);
    world.add_pair(node(&config, path), node(&config, path).listening());
    world.offer(flow);
    kept(world.run_until(4 * SECOND));
    world.emissions().to_vec()
}

/// As fast as the link takes them, long ones among them.
fn bulk(channel: u8) -> Traffic {
    Traffic::new(0, channel, 3_000, 40, 0).up_to(3_000)
}

fn paced(channel: u8, period: Micros) -> Traffic {
    Traffic::new(0, channel, 400, 64, period).up_to(300).expiring(200 * MILLISECOND)
}

#[test]
fn flows_are_the_same_everywhere() {
    let flows =
        [bulk(0), bulk(1), paced(1, 10 * MILLISECOND), paced(2, 7 * MILLISECOND), paced(3, MILLISECOND)];
    let runs = paths().into_iter().flat_map(|path| {
        flows.into_iter().filter_map(move |flow| {
            let has_channel = path.serial.is_none() || flow.channel == 0;
            has_channel.then(|| run(&path, PathModel::new, flow))
        })
    });
    assert_eq!(hex(digest(runs)), "0x549bad47077ebdde");
}

#[test]
fn other_controllers_are_the_same_everywhere() {
    let runs = paths().into_iter().flat_map(|path| {
        [
            run(&path, NewReno::new, bulk(0)),
            run(&path, || FixedRate::new(4_000_000), bulk(0)),
            run(&path, || FixedWindow::new(20_000), bulk(0)),
        ]
    });
    assert_eq!(hex(digest(runs)), "0x92943a7ebab9b1f1");
}
