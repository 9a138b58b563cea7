//! Messages that are worthless after a while.

use ackline::Mode::{Ordered, Unordered};
use ackline_tests::endpoint::{MILLISECOND, Outcome, SECOND};
use ackline_tests::net::{Loss, PathConfig};
use ackline_tests::scenario::{kept, pair, udp};
use ackline_tests::world::{Action, Traffic};

#[test]
fn deadline_that_is_met_changes_nothing() {
    let mut world = pair(1, &udp(&[Ordered]), &PathConfig::default());
    world.offer(Traffic::new(0, 0, 500, 32, 5 * MILLISECOND).starting(SECOND).expiring(100 * MILLISECOND));
    kept(world.converge_within(10 * SECOND));
    assert!(world.records().iter().all(|r| matches!(r.outcome, Some((Outcome::Settled, _)))));
}

#[test]
fn what_expires_in_an_outage_is_reported_on_time_and_the_channel_goes_on() {
    let mut world = pair(2, &udp(&[Ordered]), &PathConfig::default());
    world.offer(Traffic::new(0, 0, 400, 32, 5 * MILLISECOND).starting(SECOND).expiring(50 * MILLISECOND));
    world.at(1_500 * MILLISECOND, Action::Outage { node: 0, lasting: 500 * MILLISECOND });
    kept(world.converge_within(10 * SECOND));
    kept(world.quiet_within(10 * SECOND));
    let expired: Vec<_> =
        world.records().iter().filter(|r| matches!(r.outcome, Some((Outcome::Expired, _)))).collect();
    assert!((80..=125).contains(&expired.len()), "{} expired in 500 ms at 200 a second", expired.len());
    for record in expired {
        let (_, at) = record.outcome.unwrap();
        let late = at - record.sent_at;
        assert!((50_000..=51_000).contains(&late), "{} expired after {late} µs", record.key);
    }
    let last = world.records().last().unwrap();
    assert!(last.latency().unwrap() < 10 * MILLISECOND, "the channel did not go on: {last:?}");
}

#[test]
fn ordered_channel_does_not_wait_for_what_expired() {
    // One message is lost, and expires before its retransmission could help.
    let mut world = pair(3, &udp(&[Ordered]), &PathConfig { delay: 50_000, ..PathConfig::default() });
    world.offer(Traffic::new(0, 0, 1, 32, 0));
    world.offer(Traffic::new(0, 0, 1, 32, 0).starting(SECOND).expiring(60 * MILLISECOND));
    world.offer(Traffic::new(0, 0, 1, 32, 0).starting(SECOND + MILLISECOND));
    world.at(SECOND - 1, Action::LoseNth { node: 0, n: 0 });
    kept(world.converge_within(10 * SECOND));
    let records = world.records();
    assert!(matches!(records[1].outcome, Some((Outcome::Expired, _))), "{:?}", records[1]);
    assert!(records[2].latency().unwrap() < 300 * MILLISECOND, "{:?}", records[2]);
}

#[test]
fn half_expiring_half_lasting_messages_on_a_bursty_path_keep_the_promise() {
    let loss = Loss::BurstsInTime { good_mean: 200 * MILLISECOND, bad_mean: 80 * MILLISECOND, bad: 0.9 };
    let path = PathConfig { loss, ..PathConfig::default() };
    let mut world = pair(4, &udp(&[Ordered, Unordered]), &path);
    for channel in 0..2 {
        world.offer(Traffic::new(0, channel, 500, 32, 5 * MILLISECOND));
        world.offer(
            Traffic::new(0, channel, 500, 32, 5 * MILLISECOND).expiring(30 * MILLISECOND).up_to(3_000),
        );
    }
    kept(world.converge_within(60 * SECOND));
    kept(world.quiet_within(10 * SECOND));
}
