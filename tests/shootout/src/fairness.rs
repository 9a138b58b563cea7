//! Two flows on one bottleneck: ackline beside ackline, and ackline beside a model of a Linux TCP flow.

use ackline_tests::endpoint::{Micros, SECOND};
use anyhow::ensure;
use serde::{Deserialize, Serialize};

use crate::arena::{Arena, receiver, sender};
use crate::peer::{self, Kind};
use crate::results::{Results, Row};
use crate::scenario::LinkSpec;
use crate::workload::message;

/// Bytes per message of every flow.
const MESSAGE_LEN: usize = 1_000;

/// A case: who, since when, and when the shares are counted.
struct Case {
    name: &'static str,
    flows: [(&'static str, Micros); 2],
    counted: std::ops::Range<Micros>,
}

const CASES: [Case; 5] = [
    Case {
        name: "two ackline flows, the second 10 s later",
        flows: [("ackline", 0), ("ackline", 10 * SECOND)],
        counted: 10 * SECOND..40 * SECOND,
    },
    Case {
        name: "ackline, CUBIC 5 s later",
        flows: [("ackline", 0), ("cubic-model", 5 * SECOND)],
        counted: 5 * SECOND..65 * SECOND,
    },
    Case {
        name: "CUBIC, ackline 5 s later",
        flows: [("ackline", 5 * SECOND), ("cubic-model", 0)],
        counted: 5 * SECOND..65 * SECOND,
    },
    Case {
        name: "ackline and CUBIC at once",
        flows: [("ackline", 0), ("cubic-model", 0)],
        counted: 5 * SECOND..65 * SECOND,
    },
    Case {
        name: "for comparison: two CUBIC flows, the second 10 s later",
        flows: [("cubic-model", 0), ("cubic-model", 10 * SECOND)],
        counted: 10 * SECOND..40 * SECOND,
    },
];

/// What some runs of one case measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shares {
    /// The case.
    pub name: String,
    /// Rate of the first flow over that of the second: every run.
    pub ratios: Vec<f64>,
    /// Jain's index: every run. 1: equal; 0.5: one has everything.
    pub jain: Vec<f64>,
    /// Goodput of both, in percent of the bound: mean.
    pub goodput: f64,
    /// Mean wait in the queue, milliseconds.
    pub queue_ms: f64,
}

impl Row for Shares {
    const FILE: &'static str = "fairness";

    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// Payload bytes that each flow delivered while they were counted, and the mean queue in milliseconds.
fn share(case: &Case, link: &LinkSpec, seed: u64) -> anyhow::Result<([f64; 2], f64)> {
    let kinds: Result<Vec<Kind>, _> = case.flows.iter().map(|(name, _)| peer::named(name)).collect();
    let mut arena = Arena::shared(&kinds?, link, seed)?;
    let epoch = arena.now();
    // Seeds differ in when the second flow starts: within a tenth of a second.
    let starts = [0, 1].map(|n| epoch + case.flows[n].1 + n as Micros * (seed * 23_456) % 100_000);
    let (from, to) = (epoch + case.counted.start, epoch + case.counted.end);
    let (mut sent, mut counted) = ([0, 0], [0.0, 0.0]);
    let mut next = [0, 1].map(|_| message(0, MESSAGE_LEN));
    let mut before = None;
    while arena.now() < to {
        for flow in 0..2 {
            while arena.now() >= starts[flow] && arena.offer(sender(flow), &next[flow]) {
                sent[flow] += 1;
                next[flow] = message(sent[flow], MESSAGE_LEN);
            }
            while let Some(message) = arena.take(receiver(flow)) {
                if arena.now() >= from {
                    counted[flow] += message.len() as f64;
                }
            }
        }
        if arena.now() >= from && before.is_none() {
            before = Some(arena.carrier(0).stats());
        }
        let pause = starts.into_iter().chain([from, to]).filter(|at| *at > arena.now()).min().unwrap_or(to);
        arena.step(pause);
    }
    let (before, after) = (before.unwrap_or_default(), arena.carrier(0).stats());
    let passed = (after.packets - after.dropped_queue) - (before.packets - before.dropped_queue);
    Ok((counted, (after.waited_ns - before.waited_ns) as f64 / passed.max(1) as f64 / 1e6))
}

/// Runs every case and stores the shares.
///
/// # Errors
/// If peers do not connect or the results cannot be written.
pub fn run(link: &LinkSpec, seeds: u64, results: &Results) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for case in &CASES {
        let mut row =
            Shares { name: case.name.into(), ratios: vec![], jain: vec![], goodput: 0.0, queue_ms: 0.0 };
        for seed in 1..=seeds {
            let ([a, b], queue_ms) = share(case, link, seed)?;
            row.ratios.push(round(a / b.max(1.0)));
            row.jain.push(round((a + b).powi(2) / (2.0 * (a * a + b * b)).max(1.0)));
            let seconds = (case.counted.end - case.counted.start) as f64 / 1e6;
            row.goodput += 100.0 * (a + b) * 8.0 / seconds / link.goodput_bound() / seeds as f64;
            row.queue_ms += queue_ms / seeds as f64;
        }
        println!(
            "{:55} ratio {:?}, Jain {:?}, {:.1} % of the bound, queue {:.1} ms",
            row.name, row.ratios, row.jain, row.goodput, row.queue_ms
        );
        row.goodput = round(row.goodput);
        row.queue_ms = round(row.queue_ms);
        rows.push(row);
    }
    results.store(rows)
}

/// Between half and twice of what a CUBIC flow gets beside it: one run of each case.
///
/// # Errors
/// If it is more or less, or peers do not connect.
pub fn check(link: &LinkSpec) -> anyhow::Result<()> {
    for case in CASES.iter().filter(|case| case.flows[0].0 != case.flows[1].0) {
        let ([ackline, cubic], _) = share(case, link, 1)?;
        let ratio = ackline / cubic.max(1.0);
        println!("{:55} ratio {ratio:.2}", case.name);
        ensure!((0.5..=2.0).contains(&ratio), "{}: {ratio:.2} times as much as CUBIC", case.name);
    }
    Ok(())
}

fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
