//! Messages that do not fit a packet.

use ackline::Mode::{Latest, Ordered, Unordered};
use ackline::{Channel, Config, Instant, Link, SendError, congestion::NewReno, storage::Heap};
use ackline_tests::endpoint::{MILLISECOND, SECOND};
use ackline_tests::net::{Loss, PathConfig};
use ackline_tests::scenario::{kept, pair, udp};
use ackline_tests::world::Traffic;

#[test]
fn every_length_around_the_packet_boundaries_arrives_whole() {
    let mut world = pair(1, &udp(&[Ordered]), &PathConfig::default());
    // One message per length: 1,140 to 1,240 spans one packet, 2,300 to 2,460 two.
    let lengths: Vec<usize> = (1_140..1_240).chain(2_300..2_460).collect();
    for (i, len) in lengths.iter().enumerate() {
        world.offer(Traffic::new(0, 0, 1, *len, 0).starting(i as u64 * 2 * MILLISECOND));
    }
    kept(world.converge_within(30 * SECOND));
    assert_eq!(world.records().len(), lengths.len());
}

#[test]
fn large_messages_survive_a_rough_path_on_every_reliable_channel() {
    let path = PathConfig {
        loss: Loss::Independent(0.1),
        duplicate: 0.05,
        reorder: 0.1,
        reorder_by: 10 * MILLISECOND,
        corrupt: 0.01,
        ..PathConfig::default()
    };
    for (seed, mode) in [(2, Ordered), (3, Unordered), (4, Latest)] {
        let mut world = pair(seed, &udp(&[mode, Ordered]), &path);
        world.offer(Traffic::new(0, 0, 10, 10_000, 200 * MILLISECOND).up_to(200_000));
        world.offer(Traffic::new(0, 1, 100, 32, 20 * MILLISECOND));
        kept(world.converge_within(60 * SECOND));
        kept(world.quiet_within(10 * SECOND));
    }
}

#[test]
fn message_of_the_largest_length_is_taken_and_one_byte_more_is_refused() {
    let mut config = Config::udp();
    config.message_max = 5_000;
    let mut link = Link::<Heap, _>::new(&config, NewReno::new(), 1);
    let now = Instant::ZERO;
    assert!(link.send(now, Channel(0), &[7; 5_000]).is_ok());
    assert_eq!(link.send(now, Channel(0), &[7; 5_001]), Err(SendError::TooLarge { max: 5_000 }));
    let mut world = pair(5, &config, &PathConfig::default());
    world.offer(Traffic::new(0, 0, 20, 5_000, MILLISECOND));
    kept(world.converge_within(10 * SECOND));
    assert_eq!(world.records().len(), 20);
}

#[test]
fn small_datagrams_carry_large_messages() {
    let mut config = Config::udp();
    config.datagram_max = 96;
    let mut world = pair(6, &config, &PathConfig::default());
    world.offer(Traffic::new(0, 0, 20, 2_000, 10 * MILLISECOND));
    kept(world.converge_within(30 * SECOND));
    assert!(world.emissions().iter().all(|e| e.len <= 96));
}
