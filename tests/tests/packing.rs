//! Small messages share packets.

use ackline::Mode::Ordered;
use ackline_tests::endpoint::SECOND;
use ackline_tests::net::PathConfig;
use ackline_tests::scenario::{kept, pair, udp};
use ackline_tests::world::Traffic;

#[test]
fn messages_offered_together_fill_packets() {
    let mut world = pair(1, &udp(&[Ordered]), &PathConfig::default());
    world.offer(Traffic::new(0, 0, 1, 32, 0));
    kept(world.run_until(SECOND));
    let before = world.path_stats(0);
    world.offer(Traffic::new(0, 0, 300, 32, 0).starting(SECOND));
    kept(world.converge_within(SECOND));
    let sent = world.path_stats(0).packets - before.packets;
    // 300 messages of 32 bytes with up to 6 bytes each of their own are 9,600 to 11,400 bytes: 8 to 10 packets of 1,200
    // bytes, if all were offered before the first left; acknowledgements come on top.
    assert!((8..=20).contains(&sent), "{sent} packets for 300 messages of 32 bytes");
}
