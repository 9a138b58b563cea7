//! Datagrams that no honest peer sent: nothing follows from them.

use ackline::congestion::NewReno;
use ackline::storage::{Heap, Inline, Storage};
use ackline::{Channel, Config, Instant, Link, Medium, Mode};
use ackline_tests::endpoint::{MILLISECOND, Micros, SECOND};
use ackline_tests::net::PathConfig;
use ackline_tests::random::Random;
use ackline_tests::scenario::{HeapWorld, kept, pair, udp};
use ackline_tests::world::{Action, Traffic, first_difference};

const END: Micros = 3 * SECOND;

fn exchange() -> HeapWorld {
    let mut world = pair(1, &udp(&[Mode::Ordered, Mode::Unordered, Mode::Latest]), &PathConfig::default());
    for node in 0..2 {
        for channel in 0..3 {
            world.offer(Traffic::new(node, channel, 200, 20, 10 * MILLISECOND).up_to(2_000));
        }
    }
    world
}

/// Injects what `forge` makes of every real datagram, at both nodes, and demands that not one byte changes.
fn changes_nothing(mut forge: impl FnMut(&mut Random, &[u8]) -> Vec<u8>) {
    let mut honest = exchange();
    honest.record_datagrams();
    kept(honest.run_until(END));
    let mut attacked = exchange();
    let mut random = Random::new(2);
    for (emission, datagram) in honest.emissions().iter().zip(honest.datagrams()) {
        let at = emission.at + random.below(20_000);
        let bytes = forge(&mut random, datagram);
        attacked.at(at, Action::Inject { node: random.below(2) as usize, bytes });
    }
    kept(attacked.run_until(END));
    assert!(honest.emissions().len() > 500);
    assert_eq!(first_difference(honest.emissions(), attacked.emissions()), None);
}

// R1.2 R4.5
#[test]
fn random_bytes_change_nothing() {
    changes_nothing(|random, datagram| random.bytes(datagram.len()));
}

#[test]
fn real_datagrams_with_flipped_bits_change_nothing() {
    changes_nothing(|random, datagram| {
        let mut bytes = datagram.to_vec();
        for _ in 0..=random.below(8) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
        }
        if bytes == datagram {
            bytes[0] ^= 1;
        }
        bytes
    });
}

#[test]
fn truncated_and_extended_datagrams_change_nothing() {
    changes_nothing(|random, datagram| {
        let mut bytes = datagram.to_vec();
        if random.chance(0.5) {
            bytes.truncate(random.below(bytes.len() as u64) as usize);
        } else {
            let more = random.between(1, 40) as usize;
            bytes.extend(random.bytes(more));
        }
        bytes
    });
}

#[test]
fn replayed_datagrams_of_this_and_of_earlier_incarnations_break_no_promise() {
    let mut world = exchange();
    world.record_datagrams();
    for (at, node) in [(400, 0), (800, 1), (1_200, 0), (1_210, 1)] {
        world.at(at * MILLISECOND, Action::Reboot { node, down: MILLISECOND, keeps_memory: false });
    }
    let mut random = Random::new(3);
    let mut replay_count = 0;
    while world.now() < END {
        let now = world.now() + 10 * MILLISECOND;
        kept(world.run_until(now));
        // Ten of everything that was ever emitted, half of them young; to the receiver, and now and then back to the sender.
        for i in 0..10 {
            let count = world.emissions().len() as u64;
            let age = if i % 2 == 0 { random.below(count) } else { random.below(count.min(40)) };
            let index = (count - 1 - age) as usize;
            let sender = world.emissions()[index].node;
            let node = if random.chance(0.1) { sender } else { 1 - sender };
            let bytes = world.datagrams()[index].clone();
            world.at(now + random.below(10 * MILLISECOND), Action::Inject { node, bytes });
            replay_count += 1;
        }
    }
    assert!(replay_count >= 3_000);
    kept(world.converge_within(10 * SECOND));
    kept(world.quiet_within(20 * SECOND));
}

/// Mutations of real datagrams without the check that would reject them: anything may follow but a panic or a loop.
fn survives_anything<S: Storage>(mut config: Config, seed: u64, rounds: u32) {
    config.medium = Medium::Datagram { check: false };
    let mut random = Random::new(seed);
    let mut buffer = [0; 1500];
    for round in 0..rounds {
        let mut now = Instant::ZERO;
        let new = |seed| Link::<S, _>::new(&config, NewReno::new(), seed);
        let (mut a, mut b) = (new(random.bits()), new(random.bits()));
        a.connect(now);
        for step in 0..60u64 {
            now = Instant::from_micros(now.as_micros() + random.below(20_000));
            let len = random.below(1_500) as usize;
            let _ = a.send(now, Channel((step % 3) as u8), &random.bytes(len)[..]);
            let _ = b.send(now, Channel(0), &random.bytes(40)[..]);
            for turn in 0..2 {
                let (from, to) = if turn == 0 { (&mut a, &mut b) } else { (&mut b, &mut a) };
                from.handle_timeout(now);
                for _ in 0..20 {
                    let Some(len) = from.poll_transmit(now, &mut buffer) else { break };
                    let mut datagram = buffer[..len].to_vec();
                    if round % 2 == 0 || random.chance(0.3) {
                        mutate(&mut datagram, &mut random);
                    }
                    to.handle_datagram(now, &datagram);
                }
                for _ in 0..200 {
                    let Some(delivery) = to.recv(now) else { break };
                    let id = delivery.id;
                    let _ = to.settle(now, id);
                }
                for _ in 0..2_000 {
                    if to.poll_event().is_none() {
                        break;
                    }
                }
                let _ = to.poll_timeout();
            }
        }
    }
}

fn mutate(datagram: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        if datagram.is_empty() {
            return;
        }
        let at = random.below(datagram.len() as u64) as usize;
        match random.below(5) {
            0 => datagram[at] ^= 1 << random.below(8),
            1 => datagram[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5) as usize],
            2 => datagram.truncate(at),
            3 => datagram.insert(at, random.bits() as u8),
            _ => {
                let tail = datagram[at..].to_vec();
                datagram.extend(tail);
            }
        }
    }
    datagram.truncate(1_500);
}

// R1.3
#[test]
fn mutated_datagrams_without_a_check_do_not_panic_on_the_heap() {
    survives_anything::<Heap>(Config::udp(), 4, 1_500);
}

// R1.3
#[test]
fn mutated_datagrams_without_a_check_do_not_panic_inline() {
    survives_anything::<Inline<3, 8, 2048, 16>>(Config::udp(), 5, 1_500);
}
