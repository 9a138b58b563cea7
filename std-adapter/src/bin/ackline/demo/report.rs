//! What the demonstration prints at its end.

use ackline_std::proxy::ProxyStats;
use anyhow::Result;
use serde::Serialize;

use super::receiver::Told;
use super::sending::{Figures, Sending};
use crate::hash::short;
use crate::percentiles::{Percentiles, readable};

#[derive(Serialize)]
pub struct Report {
    messages: u64,
    settled: u64,
    retransmitted: u64,
    repeated: u64,
    duplicates_dropped: u64,
    redelivered: u64,
    kills: u32,
    restarts_noticed: u64,
    datagrams_sent: u64,
    datagrams_lost_on_path: u64,
    datagrams_repeated_by_path: u64,
    datagrams_reordered_by_path: u64,
    datagrams_damaged_by_path: u64,
    seconds: f64,
    settle_latency_micros: Percentiles,
}

impl Report {
    pub fn new(
        figures: &Figures,
        incarnations: &[Told],
        path: &ProxyStats,
        kills: u32,
        seconds: f64,
    ) -> Self {
        let both = path.forward.plus(path.back);
        Report {
            messages: figures.messages,
            settled: figures.settled_numbers.len() as u64,
            retransmitted: figures.stats.retransmitted.into(),
            repeated: figures.stats.repeated.into(),
            duplicates_dropped: incarnations.iter().map(|told| told.duplicates).sum(),
            redelivered: incarnations.iter().map(|told| told.redelivered).sum(),
            kills,
            restarts_noticed: figures.restarts,
            datagrams_sent: both.taken,
            datagrams_lost_on_path: both.lost,
            datagrams_repeated_by_path: both.duplicated,
            datagrams_reordered_by_path: both.reordered,
            datagrams_damaged_by_path: both.damaged,
            seconds,
            settle_latency_micros: figures.latency,
        }
    }

    pub fn print(
        &self,
        json: bool,
        sending: &Sending,
        mismatches: &[String],
        unaccepted: usize,
    ) -> Result<()> {
        let goodput = sending.total_len() as f64 / self.seconds;
        if json {
            let mut value = serde_json::to_value(self)?;
            value["files"] = sending.sources().len().into();
            value["files_differing"] = mismatches.len().into();
            value["bytes"] = sending.total_len().into();
            value["goodput_bytes_per_second"] = goodput.into();
            value["settled_but_not_accepted"] = unaccepted.into();
            println!("{value}");
            return Ok(());
        }
        self.print_files(sending, mismatches);
        println!();
        row("messages", self.messages);
        row("settled", self.settled);
        row("  of which the receiver's record has", self.settled - unaccepted as u64);
        row("retransmitted", self.retransmitted);
        row("repeated in spare room or as probes", self.repeated);
        row("duplicates dropped by the receiver", self.duplicates_dropped);
        row("delivered again after the restart", self.redelivered);
        row("receiver killed and started again", self.kills);
        row("restarts noticed", self.restarts_noticed);
        row("datagrams on the path, both ways", self.datagrams_sent);
        row("  lost", self.datagrams_lost_on_path);
        row("  repeated", self.datagrams_repeated_by_path);
        row("  reordered", self.datagrams_reordered_by_path);
        row("  damaged", self.datagrams_damaged_by_path);
        row("goodput", format!("{:.2} MB/s, {:.2} s", goodput / 1e6, self.seconds));
        let p = &self.settle_latency_micros;
        row("small messages beside the files", p.count);
        row("  settled within, p50", readable(p.p50));
        row("  p90", readable(p.p90));
        row("  p99", readable(p.p99));
        row("  longest, across the restart", readable(p.max));
        Ok(())
    }

    /// One line a file, the middle left out when there are many.
    fn print_files(&self, sending: &Sending, mismatches: &[String]) {
        const SHOWN: usize = 12;
        let sources = sending.sources();
        for (index, source) in sources.iter().enumerate() {
            let differs = mismatches.contains(&source.name);
            if !differs && index >= SHOWN && index + 1 < sources.len() {
                continue;
            }
            let verdict = if differs { "DIFFERS" } else { "same" };
            println!("{verdict:>8}  {}  {:>9}  {}", short(&source.hash), source.len, source.name);
        }
        let same = sources.len() - mismatches.len();
        println!("{same} of {} files arrived with the SHA-256 of their source", sources.len());
    }
}

fn row(name: &str, value: impl std::fmt::Display) {
    println!("{name:<40} {value:>20}");
}
