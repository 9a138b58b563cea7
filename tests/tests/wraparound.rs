//! Numbers that wrap: the short ones by sending more than they count, on a path that loses and reorders.

use ackline::Config;
use ackline::Mode::{Latest, Ordered, Unordered};
use ackline_tests::endpoint::{MILLISECOND, SECOND};
use ackline_tests::net::{Loss, PathConfig};
use ackline_tests::scenario::{kept, pair, udp};
use ackline_tests::world::Traffic;

#[test]
fn packet_numbers_and_message_numbers_wrap_under_loss_and_reordering() {
    let path = PathConfig {
        loss: Loss::Independent(0.02),
        duplicate: 0.02,
        reorder: 0.05,
        reorder_by: 20 * MILLISECOND,
        ..PathConfig::default()
    };
    // 70,000 messages, one a packet: 14-bit and 16-bit numbers wrap four times and once, each way.
    for (seed, mode) in [(1, Ordered), (2, Unordered)] {
        let mut world = pair(seed, &udp(&[mode]), &path);
        world.offer(Traffic::new(0, 0, 70_000, 12, 500));
        world.offer(Traffic::new(1, 0, 70_000, 12, 500));
        kept(world.converge_within(80 * SECOND));
        kept(world.quiet_within(10 * SECOND));
        assert_eq!(world.records().len(), 140_000);
        assert!(world.path_stats(0).packets > 65_536);
    }
}

#[test]
fn numbers_of_a_channel_that_mostly_replaces_wrap() {
    let path = PathConfig { delay: 50 * MILLISECOND, loss: Loss::Independent(0.1), ..PathConfig::default() };
    let mut world = pair(3, &udp(&[Latest]), &path);
    world.offer(Traffic::new(0, 0, 70_000, 12, 200));
    kept(world.converge_within(30 * SECOND));
    kept(world.quiet_within(10 * SECOND));
}

// R3.7 R4.8
#[test]
fn late_packet_from_before_the_wrap_is_not_taken_for_a_new_one() {
    // Packets come up to 3 s late: 6,000 packet numbers at 2,000 packets a second.
    let path = PathConfig { reorder: 0.01, duplicate: 0.05, reorder_by: 3 * SECOND, ..PathConfig::default() };
    let mut world = pair(4, &Config::udp(), &path);
    world.offer(Traffic::new(0, 0, 40_000, 12, 500));
    kept(world.converge_within(60 * SECOND));
    kept(world.quiet_within(10 * SECOND));
}
