//! "Reliable" that was not.

use ackline::Config;
use ackline_tests::endpoint::{MILLISECOND, Outcome, SECOND};
use ackline_tests::net::{Loss, PathConfig};
use ackline_tests::scenario::{HeapWorld, kept, pair};
use ackline_tests::world::{Action, Traffic};

fn all_settled(world: &HeapWorld) -> bool {
    world.records().iter().all(|r| r.outcome.map(|o| o.0) == Some(Outcome::Settled))
}

/// laminar: a tenth of the packets is lost, and the reliable messages in them with it.
/// <https://github.com/TimonPost/laminar/issues/174>
/// A link is ended after 34 packets. <https://github.com/TimonPost/laminar/pull/232>
/// <https://github.com/lsalzman/enet/issues/254>
#[test]
fn ten_percent_loss_loses_no_message() {
    let path = PathConfig { loss: Loss::Independent(0.1), ..PathConfig::default() };
    let mut world = pair(1, &Config::udp(), &path);
    world.offer(Traffic::new(0, 0, 5_000, 100, MILLISECOND));
    kept(world.converge_within(30 * SECOND));
    assert!(world.records().len() == 5_000 && all_settled(&world));
}

/// LiteNetLib: after some seconds in which everything is lost, reliable channels stay silent.
/// <https://github.com/RevenantX/LiteNetLib/issues/489>
#[test]
fn channel_goes_on_after_seconds_in_which_everything_was_lost() {
    let mut world = pair(2, &Config::udp(), &PathConfig::default());
    world.offer(Traffic::new(0, 0, 1_000, 100, 10 * MILLISECOND));
    for node in 0..2 {
        world.at(2 * SECOND, Action::Outage { node, lasting: 4 * SECOND });
    }
    kept(world.run_until(6 * SECOND));
    kept(world.converge_within(15 * SECOND));
    assert!(all_settled(&world));
}

/// ENet: a time-out that doubles without a limit keeps a link silent long after the path has come back.
/// <https://github.com/lsalzman/enet/issues/159>
#[test]
fn link_is_back_within_seconds_of_a_path_that_was_away_for_ten_minutes() {
    let mut world = pair(3, &Config::udp(), &PathConfig::default());
    world.offer(Traffic::new(0, 0, 10, 32, 300 * MILLISECOND));
    for node in 0..2 {
        world.at(SECOND, Action::Outage { node, lasting: 600 * SECOND });
    }
    kept(world.run_until(601 * SECOND));
    kept(world.converge_within(6 * SECOND));
    assert!(all_settled(&world));
}

/// A reordering path makes reports of loss come too soon, and everything is sent again and again.
/// <https://github.com/Haivision/srt/issues/701>
#[test]
fn reordering_causes_no_storm_of_retransmissions() {
    let path = PathConfig { jitter: 8 * MILLISECOND, ..PathConfig::default() };
    let mut world = pair(4, &Config::udp(), &path);
    world.offer(Traffic::new(0, 0, 5_000, 100, MILLISECOND));
    kept(world.converge_within(10 * SECOND));
    let stats = world.endpoint(0).unwrap().stats();
    assert!(
        stats.retransmitted < 250,
        "nothing was lost, and {} messages were sent again",
        stats.retransmitted
    );
}

/// QUIC stacks take heavy random loss for a path that has become narrower, over and over.
/// <https://github.com/quinn-rs/quinn/issues/2212>. Here nothing is concluded from loss about sizes: full packets go on.
#[test]
fn heavy_loss_does_not_shrink_packets() {
    let path = PathConfig { loss: Loss::Independent(0.15), ..PathConfig::default() };
    let mut world = pair(5, &Config::udp(), &path);
    world.offer(Traffic::new(0, 0, 400, 10_000, 20 * MILLISECOND));
    kept(world.converge_within(60 * SECOND));
    assert!(all_settled(&world));
    let last = world.emissions().iter().filter(|e| e.node == 0 && e.at > 6 * SECOND).map(|e| e.len).max();
    assert!(last >= Some(1_190), "{last:?}");
}

/// Serial protocols whose length field or unprotected head is damaged swallow the frames that follow.
/// <https://github.com/min-protocol/min/issues/11>, <https://github.com/vedderb/bldc/issues/79>
#[test]
fn damage_anywhere_in_a_frame_costs_no_third_frame() {
    use ackline::framing::{Deframer, FrameCheck, encode, encoded_len_max};
    let check = FrameCheck::Crc32;
    let mut stream = Vec::new();
    for i in 0..4u8 {
        let datagram = [i; 40];
        let mut frame = vec![0; encoded_len_max(40)];
        let len = encode(check, &datagram, &mut frame).unwrap();
        stream.extend(&frame[..len]);
    }
    for at in 0..stream.len() {
        for damage in [0x00, 0xff, stream[at] ^ 0x80, stream[at] ^ 1] {
            let mut bytes = stream.clone();
            bytes[at] = damage;
            let mut deframer = Deframer::<256>::new(check);
            let (mut rest, mut good) = (&bytes[..], 0);
            while !rest.is_empty() {
                let (used, datagram) = deframer.push(rest);
                good += usize::from(datagram.is_some_and(|d| d.len() == 40 && d.iter().all(|b| *b == d[0])));
                rest = &rest[used..];
            }
            assert!(good >= 2, "byte {at} became {damage:#x}: {good} of 4 frames arrived");
        }
    }
}
