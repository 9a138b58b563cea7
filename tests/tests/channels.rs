//! Every mode of channel, on a path that loses, repeats, reorders and damages.

use ackline::Mode::{BestEffort, Latest, Ordered, Unordered};
use ackline_tests::endpoint::{Failure, MILLISECOND, Outcome, SECOND};
use ackline_tests::net::{Loss, PathConfig};
use ackline_tests::scenario::{kept, pair, percentile, udp};
use ackline_tests::world::{Action, Traffic};

fn rough() -> PathConfig {
    PathConfig {
        loss: Loss::Independent(0.2),
        duplicate: 0.05,
        reorder: 0.1,
        reorder_by: 10 * MILLISECOND,
        corrupt: 0.01,
        ..PathConfig::default()
    }
}

#[test]
fn reliable_channels_settle_everything_on_a_rough_path() {
    for (seed, mode) in [(1, Ordered), (2, Unordered)] {
        let mut world = pair(seed, &udp(&[mode]), &rough());
        world.offer(Traffic::new(0, 0, 1_000, 32, 2 * MILLISECOND).up_to(300));
        world.offer(Traffic::new(1, 0, 1_000, 32, 2 * MILLISECOND).up_to(300));
        kept(world.converge_within(20 * SECOND));
        kept(world.quiet_within(10 * SECOND));
        assert_eq!(world.records().len(), 2_000);
        assert!(world.records().iter().all(|r| matches!(r.outcome, Some((Outcome::Settled, _)))));
    }
}

#[test]
fn unordered_channel_does_not_hold_back_what_follows_a_loss_and_ordered_does() {
    let delayed = |mode| {
        let mut world = pair(3, &udp(&[mode]), &PathConfig::default());
        world.offer(Traffic::new(0, 0, 20, 32, MILLISECOND).starting(SECOND));
        world.at(SECOND, Action::LoseNth { node: 0, n: 2 });
        kept(world.converge_within(5 * SECOND));
        world.latencies(|_| true).iter().filter(|l| **l > 6 * MILLISECOND).count()
    };
    assert!(delayed(Unordered) <= 2, "{} late on an unordered channel", delayed(Unordered));
    assert!(delayed(Ordered) > 2, "{} late on an ordered channel", delayed(Ordered));
}

#[test]
fn loss_on_one_channel_does_not_delay_another() {
    let mut world = pair(4, &udp(&[Ordered, Ordered]), &PathConfig::default());
    world.offer(Traffic::new(0, 0, 50, 32, 4 * MILLISECOND).starting(SECOND));
    world.offer(Traffic::new(0, 1, 50, 32, 4 * MILLISECOND).starting(SECOND + 2 * MILLISECOND));
    // The first packet is one of channel 0.
    world.at(SECOND - 1, Action::LoseNth { node: 0, n: 0 });
    kept(world.converge_within(5 * SECOND));
    let other = world.latencies(|r| r.key.channel == 1);
    assert!(percentile(&other, 1_000) <= 6 * MILLISECOND, "{other:?}");
}

#[test]
fn latest_value_replaces_older_ones_and_the_newest_settles() {
    let mut world = pair(5, &udp(&[Latest]), &rough());
    world.offer(Traffic::new(0, 0, 2_000, 32, MILLISECOND));
    world.at(500 * MILLISECOND, Action::Outage { node: 0, lasting: 300 * MILLISECOND });
    kept(world.converge_within(10 * SECOND));
    kept(world.quiet_within(10 * SECOND));
    let outcome = |o| world.records().iter().filter(|r| r.outcome.is_some_and(|x| x.0 == o)).count();
    let (settled, superseded) = (outcome(Outcome::Settled), outcome(Outcome::Failed(Failure::Superseded)));
    assert_eq!(settled + superseded, 2_000);
    // A value that is replaced in flight counts as replaced, though it may be delivered.
    assert!(superseded >= 200, "in an outage of 300 values only {superseded} were replaced");
    let taken = world.records().iter().filter(|r| !r.taken.is_empty()).count();
    assert!((900..1_600).contains(&taken), "{taken} of 1,700 values arrived at 20 % loss");
    assert!(settled >= 1);
    assert_eq!(world.records()[1_999].outcome.map(|o| o.0), Some(Outcome::Settled));
}

#[test]
fn best_effort_loses_what_the_path_loses_and_tells_the_sender_which() {
    let path = PathConfig { loss: Loss::Independent(0.2), ..PathConfig::default() };
    let mut world = pair(6, &udp(&[BestEffort]), &path);
    world.offer(Traffic::new(0, 0, 2_000, 32, 5 * MILLISECOND).starting(SECOND));
    kept(world.converge_within(20 * SECOND));
    kept(world.quiet_within(10 * SECOND));
    let taken = world.records().iter().filter(|r| !r.taken.is_empty()).count();
    let lost =
        |r: &&ackline_tests::oracle::Record| r.outcome.is_some_and(|o| o.0 == Outcome::Failed(Failure::Lost));
    let lost_count = world.records().iter().filter(lost).count();
    assert!((1_450..1_750).contains(&taken), "{taken} of 2,000 arrived at 20 % loss");
    // Some that arrived count as lost: their acknowledgements were.
    assert!(lost_count >= 2_000 - taken && lost_count < 700, "{lost_count} reported lost, {taken} taken");
    assert!(
        world.path_stats(0).packets < 2_600,
        "{} packets: something was retransmitted",
        world.path_stats(0).packets
    );
}

#[test]
fn all_modes_share_one_link() {
    let mut world = pair(7, &udp(&[Ordered, Unordered, Latest, BestEffort]), &rough());
    for node in 0..2 {
        for channel in 0..4 {
            world.offer(Traffic::new(node, channel, 300, 20, 5 * MILLISECOND).up_to(900));
        }
    }
    kept(world.converge_within(20 * SECOND));
    kept(world.quiet_within(10 * SECOND));
    assert_eq!(world.records().len(), 2_400);
}
