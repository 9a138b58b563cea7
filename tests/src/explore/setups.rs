//! The configurations that are explored.

use std::time::Duration;

use ackline::Mode;

use super::setup::{Memory, Setup};

/// Acknowledges at once. (Acknowledgement timers multiply the states; some setups have them.)
fn prompt(name: &'static str) -> Setup {
    Setup { ack_delay: Duration::ZERO, ..Setup::new(name) }
}

/// The same, with the handshake done.
fn prompt_connected(name: &'static str) -> Setup {
    Setup { is_connected: true, ..prompt(name) }
}

/// The same, with applications that take what arrives.
fn connected(name: &'static str) -> Setup {
    Setup { takes_at_once: true, ..prompt_connected(name) }
}

/// A search of at most a few seconds, for every test run.
pub fn small() -> Vec<Setup> {
    vec![
        Setup { messages: [1, 1], ..Setup::new("one each way, from the first hello") },
        Setup { messages: [2, 2], losses: 1, ..connected("two each way") },
        Setup { messages: [1, 0], reboots: 1, takes_at_once: true, ..prompt("one, reboot") },
        Setup {
            messages: [1, 1],
            connects: [true, true],
            losses: 1,
            takes_at_once: true,
            ..prompt("collision")
        },
        Setup {
            messages: [2, 0],
            losses: 1,
            copies: 1,
            mode: Mode::Latest,
            ..connected("two latest values")
        },
        Setup { messages: [2, 0], losses: 1, settles: true, ..connected("two, settled explicitly") },
        Setup { messages: [1, 0], len: 200, losses: 1, copies: 1, ..connected("one in fragments") },
        Setup {
            losses: 2,
            copies: 1,
            closes: [true, false],
            ..prompt("closed as soon as it is open, two losses, a copy")
        },
        Setup {
            losses: 2,
            copies: 1,
            early: 1,
            closes: [false, true],
            ..connected("closed by who is not confirmed, two losses, a copy, an early timer")
        },
    ]
}

/// All of them.
pub fn all() -> Vec<Setup> {
    let both = [true, true];
    vec![
        Setup {
            messages: [2, 2],
            losses: 1,
            copies: 1,
            early: 1,
            ..connected("two each way, a loss, a copy, an early timer")
        },
        Setup {
            messages: [2, 2],
            losses: 1,
            copies: 1,
            takes_at_once: true,
            ..prompt("two each way from the first hello, a loss, a copy")
        },
        Setup {
            ack_delay: Duration::from_millis(1),
            messages: [2, 2],
            losses: 1,
            ..connected("two each way, delayed acknowledgements, a loss")
        },
        Setup { messages: [2, 2], losses: 1, ..prompt_connected("two each way, taken at any time, a loss") },
        Setup { messages: [2, 0], reboots: 1, ..prompt("two, a reboot without memory") },
        Setup {
            messages: [2, 0],
            reboots: 1,
            losses: 1,
            copies: 1,
            takes_at_once: true,
            ..prompt("two, a reboot without memory, a loss, a copy")
        },
        Setup {
            messages: [2, 0],
            reboots: 1,
            losses: 1,
            takes_at_once: true,
            connects: both,
            memory: Memory::Outbox,
            ..prompt("two, a reboot with an outbox, a loss")
        },
        Setup {
            messages: [2, 0],
            reboots: 1,
            takes_at_once: true,
            connects: both,
            memory: Memory::Outbox,
            ..prompt("two, both open, a reboot with an outbox")
        },
        Setup {
            messages: [2, 0],
            reboots: 1,
            losses: 1,
            memory: Memory::Everything,
            ..prompt("two, a reboot with all memory, a loss")
        },
        Setup {
            messages: [2, 0],
            reboots: 1,
            settles: true,
            ..prompt("two settled explicitly, a reboot without memory")
        },
        Setup {
            messages: [1, 1],
            connects: both,
            losses: 1,
            copies: 1,
            takes_at_once: true,
            ..prompt("collision, a loss, a copy")
        },
        Setup {
            messages: [1, 0],
            connects: both,
            losses: 1,
            copies: 1,
            ..Setup::new("collision, delayed acknowledgements, a loss, a copy")
        },
        Setup {
            messages: [2, 0],
            reboots: 1,
            losses: 1,
            mode: Mode::Latest,
            ..prompt("two latest values, a reboot, a loss")
        },
        Setup {
            messages: [2, 0],
            losses: 1,
            copies: 1,
            early: 1,
            mode: Mode::Unordered,
            ..prompt_connected("two unordered, a loss, a copy, an early timer")
        },
        Setup {
            messages: [1, 0],
            len: 200,
            reboots: 1,
            losses: 1,
            takes_at_once: true,
            ..prompt("one in fragments, a reboot, a loss")
        },
        Setup {
            messages: [1, 1],
            connects: both,
            is_framed: true,
            reboots: 1,
            losses: 1,
            ..prompt("serial line, one each way, a reboot, a loss")
        },
    ]
}
