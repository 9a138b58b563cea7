//! Explores small configurations without omission, and prints a table. See `ackline_tests::explore` and `tests/EXPLORED.md`.
//!
//! ```text
//! cargo run --release -p ackline-tests --example explore                 # every configuration
//! cargo run --release -p ackline-tests --example explore -- small        # those of every test run
//! cargo run --release -p ackline-tests --example explore -- collision    # those with this word in their name
//! cargo run --release -p ackline-tests --example explore -- m0=2 loss=1  # one of your own: see `own` in the source
//! ```
//!
//! Ends with an error if a promise is broken, after the steps that lead there.

use std::time::Duration;

use ackline::Mode;
use ackline_tests::explore::setups::{all, small};
use ackline_tests::explore::{Memory, Setup, explore};

/// States after which a search is given up: 16 bytes and a little more of memory each.
const STATE_MAX: u64 = 200_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let setups = match arguments.first().map(String::as_str) {
        None => all(),
        Some("small") => small(),
        Some(first) if first.contains('=') => vec![own(&arguments)],
        Some(word) => all().into_iter().filter(|s| s.name.contains(word)).collect(),
    };
    println!(
        "| configuration | states | steps | at rest | longest run | seconds |\n|---|--:|--:|--:|--:|--:|"
    );
    let (mut total, mut is_good) = (0, true);
    for setup in &setups {
        let report = explore(setup, STATE_MAX);
        total += report.state_count;
        println!(
            "| {} | {} | {} | {} | {} | {:.1} |",
            setup.name,
            report.state_count,
            report.step_count,
            report.rest_count,
            report.depth,
            report.took.as_secs_f64()
        );
        if let Some(violation) = &report.violation {
            println!("\n{setup:#?}\n{violation}\n");
        }
        if !report.is_complete {
            println!("\ngiven up after {STATE_MAX} states\n");
        }
        is_good &= report.violation.is_none() && report.is_complete;
    }
    println!("\n{total} different states");
    std::process::exit(i32::from(!is_good));
}

/// A setup from `name=number` arguments.
fn own(arguments: &[String]) -> Setup {
    let mut setup = Setup::new("own");
    for argument in arguments {
        let (name, value) = argument.split_once('=').unwrap_or((argument, "1"));
        let n: u32 = value.parse().expect("name=number");
        match name {
            "m0" => setup.messages[0] = n as u8,
            "m1" => setup.messages[1] = n as u8,
            "len" => setup.len = n as usize,
            "loss" => setup.losses = n as u8,
            "copy" => setup.copies = n as u8,
            "early" => setup.early = n as u8,
            "reboot" => setup.reboots = n as u8,
            "both" => setup.connects[1] = n == 1,
            "connected" => setup.is_connected = n == 1,
            "once" => setup.takes_at_once = n == 1,
            "ack" => setup.ack_delay = Duration::from_micros(u64::from(n)),
            "framed" => setup.is_framed = n == 1,
            "settles" => setup.settles = n == 1,
            "mode" => setup.mode = [Mode::Ordered, Mode::Unordered, Mode::Latest][n as usize],
            "memory" => setup.memory = [Memory::Nothing, Memory::Outbox, Memory::Everything][n as usize],
            "close0" => setup.closes[0] = n == 1,
            "close1" => setup.closes[1] = n == 1,
            other => panic!("no setting {other}"),
        }
    }
    setup
}
