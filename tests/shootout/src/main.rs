//! ackline beside other protocols for reliable delivery. `README.md` says what is measured and how; `run` does all of it.

mod arena;
mod carrier;
mod fairness;
mod instructions;
#[cfg(feature = "loopback")]
mod loopback;
mod peer;
mod peers;
mod report;
mod results;
mod scenario;
mod simulate;
mod workload;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::results::Results;

/// Compares ackline with other protocols for reliable delivery.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Folder with scenarios/ and results/.
    #[arg(long, default_value = env!("CARGO_MANIFEST_DIR"), global = true)]
    folder: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows peers and scenarios.
    List,
    /// Runs the workloads over the simulated links and adds what they measure to results/simulation.json.
    Simulate(simulate::Options),
    /// Runs one peer once and shows what happened.
    One(simulate::OneOptions),
    /// One scenario, all peers, every workload, in seconds; fails if a peer does not deliver, or ackline does not share.
    Smoke {
        /// Only these, separated by commas.
        #[arg(long)]
        peers: Option<String>,
    },
    /// Two flows on one link; results/fairness.json.
    Fairness {
        /// Runs per case.
        #[arg(long, default_value_t = 5)]
        seeds: u64,
    },
    /// Instructions per message by callgrind; results/instructions.json. Needs valgrind.
    Instructions {
        /// Messages of the shorter of two runs; the longer one has three times as many.
        #[arg(long, default_value_t = 1_000)]
        count: usize,
        /// Only these, separated by commas.
        #[arg(long)]
        peers: Option<String>,
    },
    /// What `instructions` runs under callgrind.
    #[command(hide = true)]
    InstructionsOne(instructions::One),
    /// Real sockets on 127.0.0.1; results/loopback.json.
    #[cfg(feature = "loopback")]
    Loopback(loopback::Options),
    /// Writes tables and plots of what results/*.json holds.
    Report,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let scenarios = scenario::load(&arguments.folder.join("scenarios"))?;
    let results = Results::in_folder(&arguments.folder.join("results"));
    let shared = || scenarios.iter().find(|s| s.name == "S7").context("there is no scenario S7");
    match arguments.command {
        Command::List => {
            for kind in peer::all() {
                println!("{:20} {}", kind.name, kind.about);
            }
            for scenario in scenarios {
                println!("{:20} {}", scenario.name, scenario.about);
            }
            Ok(())
        }
        Command::Simulate(options) => simulate::run(&options, &scenarios, &results),
        Command::One(options) => simulate::one(&options, &scenarios),
        Command::Smoke { peers } => {
            simulate::smoke(peers.as_deref(), &scenarios)?;
            fairness::check(&shared()?.link)
        }
        Command::Fairness { seeds } => fairness::run(&shared()?.link, seeds, &results),
        Command::Instructions { count, peers } => instructions::run(count, peers.as_deref(), &results),
        Command::InstructionsOne(one) => instructions::run_one(&one),
        #[cfg(feature = "loopback")]
        Command::Loopback(options) => loopback::run(&options, &results),
        Command::Report => report::write(&scenarios, &results),
    }
}
