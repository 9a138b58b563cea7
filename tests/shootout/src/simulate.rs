//! Every peer, every scenario, every workload, several seeds: runs them on some threads and sums them up.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use ackline_tests::endpoint::Micros;
use anyhow::{Context, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::arena::Arena;
use crate::peer::{self, Kind};
use crate::results::{Results, Row};
use crate::scenario::{Bulk, Paced, Ping, Scenario};
use crate::workload::{self, Outcome, Workload};

/// The quantiles that are kept of every distribution.
pub const QUANTILES: [f64; 22] = [
    0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999,
    0.9995, 0.9998, 0.9999, 1.0,
];

/// Every workload.
pub const WORKLOADS: [Workload; 3] = [Workload::Bulk, Workload::Paced, Workload::Ping];

/// What to simulate.
#[derive(Args)]
pub struct Options {
    /// Only these peers, separated by commas.
    #[arg(long)]
    peers: Option<String>,
    /// Only these scenarios, separated by commas.
    #[arg(long)]
    scenarios: Option<String>,
    /// Runs per row.
    #[arg(long, default_value_t = 5)]
    seeds: u64,
    /// Runs at a time.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// One run.
#[derive(Args)]
pub struct OneOptions {
    /// The peer.
    peer: String,
    /// The scenario.
    scenario: String,
    /// bulk, paced or ping.
    workload: String,
    /// Names everything random.
    #[arg(default_value_t = 1)]
    seed: u64,
}

/// What some runs of one workload measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// Where.
    pub scenario: String,
    /// Who.
    pub peer: String,
    /// What.
    pub workload: Workload,
    /// Runs.
    pub seeds: u64,
    /// Share of the messages that arrived, in percent.
    pub delivered: f64,
    /// Payload per time in percent of what the link can carry ([`goodput_bound`](crate::scenario::LinkSpec::goodput_bound)).
    pub goodput: f64,
    /// Payload in percent of the bytes on the wire, both directions.
    pub efficiency: f64,
    /// Mean wait in the queue, milliseconds.
    pub queue_ms: f64,
    /// Latencies at [`QUANTILES`], milliseconds; `None`: never.
    pub latencies_ms: Vec<Option<f64>>,
    /// Messages handed out with a wrong content, twice, out of order.
    pub damaged: u64,
    /// See `damaged`.
    pub repeated: u64,
    /// See `damaged`.
    pub misordered: u64,
    /// Runs in which the connection ended by itself.
    pub failures: u64,
}

impl Row for Measured {
    const FILE: &'static str = "simulation";

    fn is_same(&self, other: &Self) -> bool {
        (&self.scenario, &self.peer, self.workload) == (&other.scenario, &other.peer, other.workload)
    }
}

impl Measured {
    /// The latency at a quantile of [`QUANTILES`]; `None`: never.
    pub fn latency_ms(&self, quantile: f64) -> Option<f64> {
        let index = QUANTILES.iter().position(|q| *q == quantile)?;
        *self.latencies_ms.get(index)?
    }

    fn of(scenario: &Scenario, peer: &str, workload: Workload, runs: &[Outcome]) -> Self {
        let sum = |of: &dyn Fn(&Outcome) -> f64| runs.iter().map(of).sum::<f64>();
        let mean = |of: &dyn Fn(&Outcome) -> f64| round(sum(of) / runs.len() as f64);
        let bound = scenario.link.goodput_bound();
        let mut latencies: Vec<Micros> = runs.iter().flat_map(|r| &r.latencies).filter_map(|l| *l).collect();
        latencies.sort_unstable();
        let wanted = runs.iter().map(|r| r.wanted).sum::<usize>();
        let at = |quantile: f64| {
            // Nearest rank.
            let rank = ((quantile * wanted as f64).ceil() as usize).clamp(1, wanted);
            latencies.get(rank - 1).map(|micros| *micros as f64 / 1e3)
        };
        Measured {
            scenario: scenario.name.clone(),
            peer: peer.into(),
            workload,
            seeds: runs.len() as u64,
            delivered: round(100.0 * sum(&|r| r.delivered as f64) / wanted as f64),
            goodput: mean(&|r| 100.0 * r.payload as f64 * 8e6 / r.elapsed.max(1) as f64 / bound),
            efficiency: round(100.0 * sum(&|r| r.payload as f64) / sum(&|r| r.wire as f64).max(1.0)),
            queue_ms: mean(&|r| r.queue_mean / 1e3),
            latencies_ms: if workload == Workload::Bulk { vec![] } else { QUANTILES.map(at).to_vec() },
            damaged: runs.iter().map(|r| r.damaged).sum(),
            repeated: runs.iter().map(|r| r.repeated).sum(),
            misordered: runs.iter().map(|r| r.misordered).sum(),
            failures: runs.iter().filter(|r| r.failure.is_some()).count() as u64,
        }
    }
}

/// Three decimals: more are noise, and make the file long.
fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// One run of one workload.
///
/// # Errors
/// If the peers do not connect.
pub fn play(kind: &Kind, scenario: &Scenario, workload: Workload, seed: u64) -> anyhow::Result<Outcome> {
    let mut arena = Arena::new(kind, &scenario.link, seed)
        .with_context(|| format!("{} on {}", kind.name, scenario.name))?;
    Ok(match workload {
        Workload::Bulk => workload::bulk(&mut arena, kind.is_ordered, scenario.bulk),
        Workload::Paced => workload::paced(&mut arena, kind.is_ordered, scenario.paced),
        Workload::Ping => workload::ping(&mut arena, scenario.ping),
    })
}

/// What `names` picks, or everything.
pub fn pick<T: Clone>(all: &[T], names: Option<&str>, name: impl Fn(&T) -> &str) -> anyhow::Result<Vec<T>> {
    let Some(names) = names else { return Ok(all.to_vec()) };
    let find = |wanted: &str| all.iter().find(|t| name(t) == wanted).cloned();
    names.split(',').map(|n| find(n).with_context(|| format!("there is no {n}"))).collect()
}

/// Simulates what `options` ask for and stores it.
///
/// # Errors
/// If a name is unknown, peers do not connect, or the results cannot be written.
pub fn run(options: &Options, scenarios: &[Scenario], results: &Results) -> anyhow::Result<()> {
    let kinds = pick(&peer::delivering(), options.peers.as_deref(), |k| k.name)?;
    let scenarios = pick(scenarios, options.scenarios.as_deref(), |s| &s.name)?;
    let mut jobs = Vec::new();
    for scenario in &scenarios {
        for kind in &kinds {
            jobs.extend(WORKLOADS.map(|workload| (scenario, kind, workload)));
        }
    }
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..options.threads.max(1))
            .map(|_| {
                scope.spawn(|| -> anyhow::Result<()> {
                    while let Some((scenario, kind, workload)) =
                        jobs.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        let started = Instant::now();
                        let runs: Result<Vec<_>, _> =
                            (1..=options.seeds).map(|seed| play(kind, scenario, *workload, seed)).collect();
                        let row = Measured::of(scenario, kind.name, *workload, &runs?);
                        eprintln!(
                            "{:4} {:20} {workload:?} {:.1} s",
                            scenario.name,
                            kind.name,
                            started.elapsed().as_secs_f64()
                        );
                        rows.lock().expect("no worker panics with the lock").push(row);
                    }
                    Ok(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker panicked"))
    })?;
    let mut rows = rows.into_inner().expect("all workers have ended");
    let order = |name: &str| kinds.iter().position(|k| k.name == name);
    rows.sort_by(|a, b| {
        (&a.scenario, order(&a.peer), a.workload).cmp(&(&b.scenario, order(&b.peer), b.workload))
    });
    results.store(rows)
}

/// Shows one run.
///
/// # Errors
/// If a name is unknown or the peers do not connect.
pub fn one(options: &OneOptions, scenarios: &[Scenario]) -> anyhow::Result<()> {
    let kind = peer::named(&options.peer)?;
    let scenario = pick(scenarios, Some(&options.scenario), |s| &s.name)?.remove(0);
    let workload: Workload = serde_json::from_value(options.workload.as_str().into())?;
    let outcome = play(&kind, &scenario, workload, options.seed)?;
    let row = Measured::of(&scenario, kind.name, workload, std::slice::from_ref(&outcome));
    println!("{}", serde_json::to_string_pretty(&row)?);
    println!(
        "{} of {} messages, {:.3} s, {} bytes on the wire, longest queue {:.1} ms, {:?}",
        outcome.delivered,
        outcome.wanted,
        outcome.elapsed as f64 / 1e6,
        outcome.wire,
        outcome.queue_max / 1e3,
        outcome.failure
    );
    Ok(())
}

/// Everything was delivered once, intact and in order.
fn is_sound(run: &Outcome) -> bool {
    let is_clean = run.damaged + run.repeated + run.misordered == 0 && run.failure.is_none();
    run.delivered == run.wanted && is_clean
}

/// Seeds that a peer gets which is not ours: some draw random numbers of their own, and a connection may fail on a bad draw.
const SMOKE_TRIES: u64 = 3;

/// A short run of every peer on S2; fails unless each delivers everything once, intact and in order.
///
/// # Errors
/// If one does not: of ours in its first run, of the others in three.
pub fn smoke(names: Option<&str>, scenarios: &[Scenario]) -> anyhow::Result<()> {
    let mut scenario = pick(scenarios, Some("S2"), |s| &s.name)?.remove(0);
    scenario.bulk = Bulk { message: 500, count: 400, limit_s: 600 };
    scenario.paced = Paced { message: 100, period_us: 10_000, count: 300 };
    scenario.ping = Ping { message: 64, count: 30 };
    println!("{:20} {:>12} {:>12} {:>12}", "", "W1 % bound", "W2 p99 ms", "W3 p99 ms");
    for kind in pick(&peer::delivering(), names, |k| k.name)? {
        let mut rows = Vec::new();
        for workload in WORKLOADS {
            let tries = if kind.name.starts_with("ackline") { 1 } else { SMOKE_TRIES };
            let mut run = play(&kind, &scenario, workload, 1)?;
            for seed in 2..=tries {
                if !is_sound(&run) {
                    run = play(&kind, &scenario, workload, seed)?;
                }
            }
            ensure!(
                is_sound(&run),
                "{} {workload:?}: {:?}",
                kind.name,
                Outcome { latencies: vec![], ..run }
            );
            rows.push(Measured::of(&scenario, kind.name, workload, &[run]));
        }
        let p99 = |n: usize| rows[n].latency_ms(0.99).unwrap_or(f64::INFINITY);
        println!("{:20} {:12.1} {:12.1} {:12.1}", kind.name, rows[0].goodput, p99(1), p99(2));
    }
    Ok(())
}
