//! Silence: what an idle link sends, and when a silent peer counts as gone.

use std::time::Duration;

use ackline::Config;
use ackline_tests::endpoint::{Ending, Failure, MILLISECOND, Outcome, SECOND};
use ackline_tests::net::PathConfig;
use ackline_tests::scenario::{kept, pair};
use ackline_tests::world::{Action, Traffic};

// R16.1
#[test]
fn idle_link_without_keep_alive_is_silent_and_asks_for_nothing() {
    let mut world = pair(1, &Config::udp(), &PathConfig::default());
    world.offer(Traffic::new(0, 0, 10, 32, MILLISECOND));
    kept(world.converge_within(SECOND));
    kept(world.quiet_within(SECOND));
    let sent = world.emissions().len();
    kept(world.run_until(3_600 * SECOND));
    assert_eq!(world.emissions().len(), sent);
    for n in 0..2 {
        assert_eq!(world.endpoint(n).unwrap().poll_timeout(), None);
    }
}

#[test]
fn keep_alive_is_sent_as_often_as_asked_and_not_much_more() {
    let mut config = Config::udp();
    config.keep_alive = Some(Duration::from_secs(1));
    let mut world = pair(2, &config, &PathConfig::default());
    kept(world.run_until(100 * SECOND));
    for n in 0..2 {
        let times: Vec<_> = world.emissions().iter().filter(|e| e.node == n).map(|e| e.at).collect();
        let longest = times.windows(2).map(|w| w[1] - w[0]).max().unwrap();
        assert!(longest <= 1_100 * MILLISECOND, "n{n} was silent for {longest} µs");
        assert!(times.len() <= 320, "n{n} sent {} packets in 100 s", times.len());
    }
}

#[test]
fn silent_peer_is_given_up_and_every_message_fails() {
    let mut config = Config::udp();
    config.give_up = Some(Duration::from_secs(3));
    let mut world = pair(3, &config, &PathConfig::default());
    world.offer(Traffic::new(0, 0, 100, 32, 20 * MILLISECOND));
    world.at(SECOND, Action::Outage { node: 0, lasting: 60 * SECOND });
    world.at(SECOND, Action::Outage { node: 1, lasting: 60 * SECOND });
    kept(world.run_until(10 * SECOND));
    assert_eq!(world.oracle().ended(0), Some(Ending::Unreachable));
    let failed = |r: &&ackline_tests::oracle::Record| {
        r.outcome.is_some_and(|o| o.0 == Outcome::Failed(Failure::Unreachable))
    };
    let failed: Vec<_> = world.records().iter().filter(failed).collect();
    assert!((45..=55).contains(&failed.len()), "{} failed", failed.len());
    let at = failed[0].outcome.unwrap().1;
    assert!((3_900 * MILLISECOND..=4_300 * MILLISECOND).contains(&at), "given up at {at} µs");
    assert_eq!(world.endpoint(0).unwrap().poll_timeout(), None);
}

#[test]
fn peer_that_is_silent_because_nothing_is_due_is_not_given_up() {
    let mut config = Config::udp();
    config.give_up = Some(Duration::from_secs(3));
    let mut world = pair(4, &config, &PathConfig::default());
    world.offer(Traffic::new(0, 0, 10, 32, MILLISECOND));
    world.offer(Traffic::new(0, 0, 10, 32, MILLISECOND).starting(100 * SECOND));
    kept(world.run_until(101 * SECOND));
    kept(world.converge_within(SECOND));
    assert!(world.records().iter().all(|r| r.outcome.is_some_and(|o| o.0 == Outcome::Settled)));
}

#[test]
fn without_give_up_a_peer_that_comes_back_after_an_hour_is_served() {
    let mut world = pair(5, &Config::udp(), &PathConfig::default());
    world.offer(Traffic::new(0, 0, 100, 32, 20 * MILLISECOND));
    for n in 0..2 {
        world.at(SECOND, Action::Outage { node: n, lasting: 3_600 * SECOND });
    }
    kept(world.run_until(3_600 * SECOND));
    // The backoff has a cap, so that an hour costs some hundreds of probes and recovery takes seconds.
    assert!(world.emissions().len() < 2_500, "{} datagrams", world.emissions().len());
    kept(world.run_until(3_601 * SECOND));
    kept(world.converge_within(6 * SECOND));
}
