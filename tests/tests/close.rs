//! The end of a link.

use ackline::Config;
use ackline_tests::endpoint::{Ending, Failure, MILLISECOND, Outcome, SECOND};
use ackline_tests::net::{Loss, PathConfig};
use ackline_tests::scenario::{kept, pair};
use ackline_tests::world::{Action, Traffic};

#[test]
fn close_drains_what_was_accepted_and_both_sides_hear_of_it() {
    for (seed, loss) in [(1, 0.0), (2, 0.1), (3, 0.3)] {
        let path = PathConfig { loss: Loss::Independent(loss), rate: 2_000_000, ..PathConfig::default() };
        let mut world = pair(seed, &Config::udp(), &path);
        world.offer(Traffic::new(0, 0, 200, 500, 0));
        world.at(100 * MILLISECOND, Action::Close { node: 0 });
        world.at(101 * MILLISECOND, Action::Offer(Traffic::new(0, 0, 10, 50, 0)));
        kept(world.run_until(200 * MILLISECOND));
        kept(world.converge_within(30 * SECOND));
        kept(world.quiet_within(30 * SECOND));
        assert_eq!(world.records().len(), 200, "nothing is accepted after close");
        assert!(world.records().iter().all(|r| r.outcome.is_some_and(|o| o.0 == Outcome::Settled)));
        assert_eq!(world.oracle().ended(0), Some(Ending::Drained), "loss {loss}");
        assert_eq!(world.oracle().ended(1), Some(Ending::Peer), "loss {loss}");
        assert!(world.endpoint(0).unwrap().is_closed() && world.endpoint(1).unwrap().is_closed());
    }
}

#[test]
fn close_of_an_idle_link_ends_both_sides_within_a_round_trip() {
    let mut world = pair(4, &Config::udp(), &PathConfig::default());
    world.offer(Traffic::new(0, 0, 5, 32, 0));
    kept(world.run_until(SECOND));
    world.at(SECOND, Action::Close { node: 1 });
    kept(world.run_until(SECOND + 12 * MILLISECOND));
    assert_eq!(world.oracle().ended(1), Some(Ending::Drained));
    assert_eq!(world.oracle().ended(0), Some(Ending::Peer));
    kept(world.quiet_within(10 * SECOND));
}

#[test]
fn messages_that_the_closing_peer_did_not_settle_fail_with_that_reason() {
    let config = Config::udp().channel(0, ackline::ChannelConfig::default().settle_explicitly());
    let mut world = pair(5, &config, &PathConfig::default());
    let never = ackline_tests::world::Reader { settle_after: 1_000 * SECOND, ..Default::default() };
    world.at(0, Action::SetReader { node: 1, reader: never });
    world.offer(Traffic::new(0, 0, 10, 32, 0));
    world.at(SECOND, Action::Close { node: 1 });
    kept(world.run_until(5 * SECOND));
    let reasons: Vec<_> = world.records().iter().filter_map(|r| r.outcome).map(|o| o.0).collect();
    assert_eq!(reasons, [Outcome::Failed(Failure::PeerClosed); 10]);
    assert_eq!(world.oracle().ended(0), Some(Ending::Peer));
}

#[test]
fn abort_fails_everything_at_once_and_tells_the_peer() {
    let mut world = pair(6, &Config::udp(), &PathConfig { rate: 1_000_000, ..PathConfig::default() });
    world.offer(Traffic::new(0, 0, 200, 500, 0));
    world.at(100 * MILLISECOND, Action::Abort { node: 0 });
    kept(world.run_until(100 * MILLISECOND + 1));
    assert_eq!(world.oracle().ended(0), Some(Ending::Aborted));
    assert_eq!(world.oracle().owed(), 0);
    assert!(
        world.records().iter().any(|r| r.outcome.is_some_and(|o| o.0 == Outcome::Failed(Failure::Closed)))
    );
    kept(world.quiet_within(10 * SECOND));
    assert_eq!(world.oracle().ended(1), Some(Ending::Peer));
}

#[test]
fn both_closing_at_once_end() {
    for skew in [0, 1, 4_000, 5_000, 9_000, 11_000] {
        let mut world = pair(7 + skew, &Config::udp(), &PathConfig::default());
        world.offer(Traffic::new(0, 0, 50, 100, 0));
        world.offer(Traffic::new(1, 0, 50, 100, 0));
        world.at(SECOND, Action::Close { node: 0 });
        world.at(SECOND + skew, Action::Close { node: 1 });
        kept(world.run_until(SECOND + skew));
        kept(world.converge_within(10 * SECOND));
        kept(world.quiet_within(10 * SECOND));
        assert!(world.oracle().ended(0).is_some() && world.oracle().ended(1).is_some(), "skew {skew}");
    }
}
