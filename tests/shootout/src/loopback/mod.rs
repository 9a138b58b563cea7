//! Real sockets on 127.0.0.1, in real time.
//!
//! One sender and one receiver per transport; what counts is what the receiver has taken. The rounds of all transports are
//! interleaved and the median of each is kept, because the machine is never as quiet as it looks.

mod enet;
mod kcp;
mod meter;
mod ours;
mod quinn;
mod tcp;
mod udp;
mod zmq;

use anyhow::Context;
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::results::{Results, Row};

/// What everything is compared with: what the system carries at most.
pub const BASELINE: &str = "UDP, segmentation offload";
/// And its exchange of a single datagram each way.
pub const BARE: &str = "UDP, one datagram per call";

/// What to measure.
#[derive(Args)]
pub struct Options {
    /// Rounds; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds per measurement.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Only these transports, separated by semicolons.
    #[arg(long)]
    only: Option<String>,
}

/// Median rates of one transport.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rate {
    /// The transport.
    pub name: String,
    /// Messages of 64 bytes per second.
    pub small: Option<f64>,
    /// Messages of 1,200 bytes per second.
    pub large: Option<f64>,
    /// Median time of a request of 64 bytes and its reply, microseconds: median of the rounds.
    pub p50_us: Option<f64>,
    /// 99th percentile, likewise.
    pub p99_us: Option<f64>,
}

impl Row for Rate {
    const FILE: &'static str = "loopback";

    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// A stream of messages of so many bytes for so many seconds: messages per second.
type Stream = fn(usize, f64) -> anyhow::Result<f64>;
/// Times of exchanges, microseconds, ascending.
type Exchange = fn() -> anyhow::Result<Vec<f64>>;

struct Transport {
    name: &'static str,
    stream: Stream,
    exchange: Option<Exchange>,
}

fn transports() -> Vec<Transport> {
    let new = |name, stream: Stream, exchange: Option<Exchange>| Transport { name, stream, exchange };
    vec![
        new(BASELINE, udp::offloaded, None),
        new(BARE, udp::single, Some(udp::exchange)),
        new("TCP, a write per message", tcp::unbuffered, Some(tcp::exchange)),
        new("TCP, 64 KiB buffer", tcp::buffered, None),
        new("ackline, blocking", ours::blocking, Some(ours::blocking_exchange)),
        new("ackline, blocking, batches", ours::batches, None),
        new("ackline, blocking, batches, 8,900-byte datagrams", ours::long_batches, None),
        new("ackline, tokio", ours::tasks, Some(ours::tasks_exchange)),
        new("ackline, tokio, batches", ours::task_batches, None),
        new("ackline, tokio, batches, 8,900-byte datagrams", ours::long_task_batches, None),
        new("quinn, one stream", quinn::stream, Some(quinn::exchange)),
        new("quinn, a stream per message", quinn::streams, None),
        new("tokio_kcp", kcp::stream, Some(kcp::exchange)),
        new("rusty_enet", enet::stream, Some(enet::exchange)),
        new("zeromq.rs", zmq::rust_stream, Some(zmq::rust_exchange)),
        new("libzmq", zmq::library_stream, Some(zmq::library_exchange)),
    ]
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[derive(Default, Clone)]
struct Samples {
    small: Vec<f64>,
    large: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

/// Measures and stores.
///
/// # Errors
/// If a transport does not work, or the results cannot be written.
pub fn run(options: &Options, results: &Results) -> anyhow::Result<()> {
    let is_wanted =
        |name: &str| options.only.as_ref().is_none_or(|names| names.split(';').any(|n| n == name));
    let chosen: Vec<Transport> = transports().into_iter().filter(|t| is_wanted(t.name)).collect();
    let mut samples = vec![Samples::default(); chosen.len()];
    for round in 0..options.rounds {
        for (transport, samples) in chosen.iter().zip(&mut samples) {
            let stream = |len| (transport.stream)(len, options.seconds).context(transport.name);
            samples.small.push(stream(64)?);
            samples.large.push(stream(1_200)?);
            if let Some(exchange) = transport.exchange {
                let times = exchange().context(transport.name)?;
                samples.p50.push(times[times.len() / 2]);
                samples.p99.push(times[times.len() * 99 / 100]);
            }
        }
        eprintln!("round {} of {}", round + 1, options.rounds);
    }
    let rows: Vec<Rate> = chosen
        .iter()
        .zip(samples)
        .map(|(transport, samples)| Rate {
            name: transport.name.into(),
            small: median(samples.small),
            large: median(samples.large),
            p50_us: median(samples.p50),
            p99_us: median(samples.p99),
        })
        .collect();
    println!("{}", crate::report::loopback_table(&rows));
    results.store(rows)
}
