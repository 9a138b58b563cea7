//! `ackline ping`: round trips of a small message and its answer.

use std::time::{Duration, Instant};

use ackline_std::RecvError;
use anyhow::{Result, bail};

use crate::args::Ping;
use crate::percentiles::{Times, readable};
use crate::send::connect;
use crate::transfer::{Answer, Body, PING, Request};

pub fn run(args: &Ping) -> Result<()> {
    let connection = connect(&args.address, None, args.timeout)?;
    let filler = vec![0x55; args.size as usize];
    let mut times = Times::default();
    for number in 0..u64::from(args.count) {
        let started = Instant::now();
        let request = Request { number, body: Body::Ping(&filler) };
        connection.send_typed(PING, &request)?;
        match connection.recv_timeout(args.timeout) {
            Ok(message) => {
                times.push(started.elapsed());
                let _ = connection.settle(message.id);
                if !matches!(postcard::from_bytes(&message.payload), Ok(Answer::Pong(_))) {
                    bail!("{} answers, but not to pings", args.address);
                }
            }
            Err(RecvError::TimedOut) => {
                bail!("no answer from {} within {}", args.address, humantime::format_duration(args.timeout))
            }
            Err(e) => return Err(e.into()),
        }
        std::thread::sleep(args.interval.saturating_sub(started.elapsed()));
    }
    let figures = times.percentiles();
    let stats = connection.stats();
    connection.close(Duration::from_secs(1));
    if args.json {
        println!(
            "{}",
            serde_json::json!({
                "round_trip_micros": figures,
                "retransmitted": stats.retransmitted,
                "repeated": stats.repeated,
            })
        );
    } else {
        println!(
            "{} round trips of {} bytes: min {}, p50 {}, p90 {}, p99 {}, max {}",
            figures.count,
            args.size,
            readable(figures.min),
            readable(figures.p50),
            readable(figures.p90),
            readable(figures.p99),
            readable(figures.max),
        );
    }
    Ok(())
}
