//! Bounded memory on both sides.

use ackline::Config;
use ackline_tests::endpoint::{MILLISECOND, SECOND};
use ackline_tests::net::{Loss, PathConfig};
use ackline_tests::scenario::{kept, pair};
use ackline_tests::world::{Action, Reader, Take, Traffic};

fn bounded() -> Config {
    let mut config = Config::udp();
    config.receive_window = 50;
    config.receive_buffer = 8 << 10;
    config.send_buffer = 16 << 10;
    config.message_max = 4 << 10;
    config
}

#[test]
fn full_outbox_refuses_and_says_when_to_go_on() {
    // The world offers again only when it hears of an outcome: 2,000 messages of 1 kB pass a 16 kB outbox.
    let mut world = pair(1, &bounded(), &PathConfig::default());
    world.offer(Traffic::new(0, 0, 2_000, 1_000, 0));
    kept(world.converge_within(60 * SECOND));
    assert_eq!(world.records().len(), 2_000);
}

#[test]
fn slow_reader_holds_back_the_sender_within_the_granted_window() {
    let mut world = pair(2, &bounded(), &PathConfig::default());
    let slow = Reader { take: Take::Slowly { period: 10 * MILLISECOND, count: 2 }, settle_after: 0 };
    world.at(0, Action::SetReader { node: 1, reader: slow });
    world.offer(Traffic::new(0, 0, 500, 200, 0));
    let mut most = 0;
    for i in 0..200 {
        kept(world.run_until(i * 20 * MILLISECOND));
        let sent_bytes = world.path_stats(0).bytes;
        let taken_bytes: u64 =
            world.records().iter().filter(|r| !r.taken.is_empty()).map(|r| r.len as u64).sum();
        most = most.max(sent_bytes.saturating_sub(taken_bytes * 12 / 10));
    }
    kept(world.converge_within(60 * SECOND));
    // The window is 8 KiB of payload; headers and what is in flight come on top.
    assert!(most <= 14_000, "{most} bytes were sent ahead of the reader");
}

#[test]
fn reader_that_stops_stops_the_sender_and_both_go_on_later() {
    let path = PathConfig { loss: Loss::Independent(0.1), ..PathConfig::default() };
    let mut world = pair(3, &bounded(), &path);
    world.offer(Traffic::new(0, 0, 1_000, 100, MILLISECOND));
    world.offer(Traffic::new(1, 0, 1_000, 100, MILLISECOND));
    for node in 0..2 {
        world.at(300 * MILLISECOND, Action::PauseReader { node, lasting: 5 * SECOND });
    }
    kept(world.run_until(5 * SECOND));
    assert!(world.oracle().owed() > 20, "nothing was held back");
    kept(world.converge_within(40 * SECOND));
    kept(world.quiet_within(10 * SECOND));
}

#[test]
fn stopped_reader_of_one_channel_does_not_stop_another() {
    let mut config = bounded();
    config = config.channel(1, ackline::ChannelConfig::default().settle_explicitly());
    config.receive_buffer = 64 << 10;
    let mut world = pair(4, &config, &PathConfig::default());
    // Nothing on channel 1 is settled for 10 s: its 50 messages of credit run out.
    let never = Reader { take: Take::AtOnce, settle_after: 10 * SECOND };
    world.at(0, Action::SetReader { node: 1, reader: never });
    world.offer(Traffic::new(0, 1, 100, 50, MILLISECOND));
    world.offer(Traffic::new(0, 0, 500, 50, 5 * MILLISECOND).starting(SECOND));
    kept(world.run_until(4 * SECOND));
    let settled = world.records().iter().filter(|r| r.key.channel == 0 && r.outcome.is_some()).count();
    assert_eq!(settled, 500);
    let taken = world.records().iter().filter(|r| r.key.channel == 1 && !r.taken.is_empty()).count();
    assert_eq!(taken, 50, "the window of channel 1 is 50 messages");
    kept(world.converge_within(60 * SECOND));
}
