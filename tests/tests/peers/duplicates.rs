//! What comes twice.

use ackline::{Channel, Config};
use ackline_tests::endpoint::{MILLISECOND, SECOND};
use ackline_tests::forge::{Said, acked, at, established, taken};
use ackline_tests::net::{Loss, PathConfig};
use ackline_tests::scenario::{kept, pair};
use ackline_tests::world::Traffic;

/// Matter: a repeated message is dropped without being acknowledged again, and its sender repeats it for ever.
/// <https://github.com/project-chip/connectedhomeip/issues/7292>, <https://github.com/project-chip/connectedhomeip/issues/9796>
#[test]
fn repeated_message_is_acknowledged_again_and_not_delivered_again() {
    let (mut link, mut forger) = established(Config::udp());
    for i in 0..10 {
        forger.say(&mut link, at(3 + 10 * i), None, Said::new().whole(0, 0, b"same"));
        let heard = forger.listen(&mut link, at(8 + 10 * i));
        assert_eq!(
            heard.last().unwrap().acked().unwrap()[0].1,
            2 + i as u32,
            "the new packet is acknowledged"
        );
    }
    assert_eq!(taken(&mut link, at(200)), [b"same"]);
}

/// hdlcpp, nrf_rpc: a frame whose acknowledgement was lost is handled twice.
/// <https://github.com/bang-olufsen/hdlcpp/pull/42>, <https://github.com/nrfconnect/sdk-nrf/pull/17800>
/// reliable: repetitions within its window are delivered twice. <https://github.com/mas-bandwidth/reliable/issues/19>
#[test]
fn lost_acknowledgements_deliver_nothing_twice() {
    let mut world = pair(1, &Config::udp(), &PathConfig::default());
    // Half of what comes back is lost; the oracle watches that every message is taken once.
    world.path_mut(1).config_mut().loss = Loss::Independent(0.5);
    world.path_mut(0).config_mut().duplicate = 0.5;
    world.offer(Traffic::new(0, 0, 2_000, 32, MILLISECOND));
    kept(world.converge_within(30 * SECOND));
    assert!(world.records().iter().all(|r| r.taken.len() == 1));
}

/// rs-matter: an acknowledgement of another message ends the repetition of this one.
/// <https://github.com/project-chip/rs-matter/pull/178>
#[test]
fn acknowledgement_of_another_packet_does_not_end_the_repetition_of_a_lost_one() {
    let (mut link, mut forger) = established(Config::udp());
    let mut numbers = Vec::new();
    for payload in [b"lost", b"came"] {
        link.send(at(10), Channel(0), payload).unwrap();
        numbers.push(forger.listen(&mut link, at(10))[0].number().unwrap().0);
    }
    forger.say(&mut link, at(12), acked(numbers[1], 0), Said::new());
    let again: Vec<_> = (12..100).flat_map(|ms| forger.listen(&mut link, at(ms))).collect();
    assert!(again.iter().any(|h| h.messages().contains(&(0, Some(0), 4))), "{again:?}");
}
