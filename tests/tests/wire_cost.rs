//! Bytes on the wire, counted from what links emit.

use ackline::{ChannelConfig, Config};
use ackline_tests::endpoint::{MILLISECOND, SECOND};
use ackline_tests::net::PathConfig;
use ackline_tests::scenario::{kept, pair};
use ackline_tests::world::{Action, Reader, Traffic};

const PAYLOAD_LEN: usize = 32;
const CHECK_LEN: usize = 4;

/// Bytes that a packet with one message costs beside the message: the median, and the most, of 1,000.
fn cost(config: &Config, path: &PathConfig, check_len: usize) -> (usize, usize) {
    let mut world = pair(1, config, path);
    world.offer(Traffic::new(0, 0, 1_050, PAYLOAD_LEN, 20 * MILLISECOND));
    kept(world.run_until(SECOND));
    kept(world.converge_within(60 * SECOND));
    let steady = world.emissions().iter().filter(|e| e.node == 0 && e.at > SECOND && e.len > PAYLOAD_LEN);
    let mut costs: Vec<usize> = steady.map(|e| e.len - PAYLOAD_LEN - check_len).collect();
    costs.sort_unstable();
    assert!(costs.len() >= 990, "one packet a message, {} packets", costs.len());
    (costs[costs.len() / 2], *costs.last().unwrap())
}

#[test]
fn small_message_costs_at_most_9_bytes_on_udp() {
    let (median, most) = cost(&Config::udp(), &PathConfig::default(), CHECK_LEN);
    println!("UDP: {median} bytes a message, at most {most}");
    assert!(median <= 9, "{median} bytes");
}

#[test]
fn small_message_costs_at_most_6_bytes_on_serial_before_framing() {
    let (median, most) = cost(&Config::serial(115_200), &PathConfig::serial(115_200), 0);
    println!("serial: {median} bytes a message, at most {most}");
    assert!(median <= 6, "{median} bytes");
}

#[test]
fn acknowledgement_of_up_to_three_ranges_fits_12_bytes() {
    // Nothing is settled, so that packets of the receiver carry acknowledgements only.
    let mut config = Config::udp().channel(0, ChannelConfig::default().settle_explicitly());
    // A repeated message is answered with what is settled of its channel, which is no part of an acknowledgement.
    config.repetition = false;
    let mut world = pair(2, &config, &PathConfig::default());
    let never = Reader { settle_after: 1_000 * SECOND, ..Reader::default() };
    world.at(0, Action::SetReader { node: 1, reader: never });
    world.offer(Traffic::new(0, 0, 40, PAYLOAD_LEN, 5 * MILLISECOND).starting(SECOND));
    // Two gaps: three ranges.
    world.at(SECOND, Action::LoseNth { node: 0, n: 10 });
    world.at(SECOND, Action::LoseNth { node: 0, n: 13 });
    kept(world.run_until(3 * SECOND));
    let lengths: Vec<usize> = world
        .emissions()
        .iter()
        .filter(|e| e.node == 1 && e.at > SECOND)
        .map(|e| e.len - CHECK_LEN)
        .collect();
    println!("acknowledgements: {lengths:?}");
    assert!(lengths.len() >= 10);
    assert!(lengths.iter().all(|len| *len <= 12), "{lengths:?}");
}
