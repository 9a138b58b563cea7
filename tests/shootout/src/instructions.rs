//! Instructions per message, both ends together, by callgrind: steady where clocks are not.
//!
//! Each figure is the difference of a long and a short run, so that start-up and handshake drop out, less the same of the
//! `null` peer, so that the harness and the simulated link drop out.

use std::process::Command;

use ackline_tests::endpoint::{MILLISECOND, Micros};
use anyhow::{Context, bail, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::arena::Arena;
use crate::peer::{self, Kind};
use crate::results::{Results, Row};
use crate::scenario::{Bulk, LinkSpec, Paced};
use crate::simulate::pick;
use crate::workload;

/// A flow whose cost is counted.
#[derive(Clone, Copy)]
pub struct Flow {
    /// Its column.
    pub name: &'static str,
    message: usize,
    /// One message so often, or as fast as they are taken.
    period_us: Option<Micros>,
}

/// Every flow.
pub const FLOWS: [Flow; 3] = [
    Flow { name: "thin, 64 B", message: 64, period_us: Some(MILLISECOND) },
    Flow { name: "bulk, 64 B", message: 64, period_us: None },
    Flow { name: "bulk, 1000 B", message: 1_000, period_us: None },
];

/// What `instructions` runs under callgrind.
#[derive(Args)]
pub struct One {
    peer: String,
    /// Index of the flow.
    flow: usize,
    count: usize,
}

/// The cost of one peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cost {
    /// Who.
    pub peer: String,
    /// Instructions per message of each of [`FLOWS`], harness included.
    pub gross: Vec<f64>,
}

impl Row for Cost {
    const FILE: &'static str = "instructions";

    fn is_same(&self, other: &Self) -> bool {
        self.peer == other.peer
    }
}

/// A clean, fast link: nothing is lost, hardly anything waits.
fn link() -> LinkSpec {
    LinkSpec {
        rate: 1_000_000_000,
        delay_us: 500,
        wander_us: 0,
        reorder: 0.0,
        reorder_by_us: 0,
        loss: 0.0,
        bursts: None,
        duplicate: 0.0,
        corrupt: 0.0,
        serial_damage: None,
        queue: 1 << 20,
        mtu: 1472,
        overhead: 28,
    }
}

/// The run that is counted.
///
/// # Errors
/// If the peer is unknown or does not deliver everything.
pub fn run_one(one: &One) -> anyhow::Result<()> {
    let kind = peer::named(&one.peer)?;
    let flow = FLOWS.get(one.flow).context("there is no such flow")?;
    let mut arena = Arena::new(&kind, &link(), 1)?;
    let (message, count) = (flow.message, one.count);
    let outcome = match flow.period_us {
        Some(period_us) => workload::paced(&mut arena, kind.is_ordered, Paced { message, period_us, count }),
        None => workload::bulk(&mut arena, kind.is_ordered, Bulk { message, count, limit_s: 600 }),
    };
    ensure!(outcome.delivered == count, "{} delivered {} of {count}", one.peer, outcome.delivered);
    Ok(())
}

fn count(peer: &str, flow: usize, count: usize) -> anyhow::Result<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["instructions-one", peer, &flow.to_string(), &count.to_string()])
        .output()
        .context("valgrind is needed (Debian: valgrind)")?;
    let report = String::from_utf8_lossy(&output.stderr);
    let Some(line) = report.lines().find(|line| output.status.success() && line.contains("Collected")) else {
        bail!("{peer} under callgrind: {report}");
    };
    line.rsplit(':').next().and_then(|number| number.trim().parse().ok()).context("callgrind's last line")
}

/// Counts for every peer but those that are no implementation: the oracles and the model of TCP.
///
/// # Errors
/// If valgrind is missing, a peer fails, or the results cannot be written.
pub fn run(short: usize, names: Option<&str>, results: &Results) -> anyhow::Result<()> {
    let is_real = |kind: &Kind| !kind.name.starts_with("oracle") && kind.name != "cubic-model";
    let kinds: Vec<Kind> = peer::all().into_iter().filter(is_real).collect();
    for kind in pick(&kinds, names, |k| k.name)? {
        let mut gross = Vec::new();
        for flow in 0..FLOWS.len() {
            let difference = count(kind.name, flow, 3 * short)? - count(kind.name, flow, short)?;
            gross.push((difference / (2 * short) as f64).round());
        }
        println!("{:20} {gross:?}", kind.name);
        results.store(vec![Cost { peer: kind.name.into(), gross }])?;
    }
    Ok(())
}
