//! Tables in Markdown.

use anyhow::Context;

use crate::fairness::Shares;
use crate::instructions::{Cost, FLOWS};
use crate::peer::{self, Kind};
use crate::scenario::Scenario;
use crate::simulate::Measured;
use crate::workload::Workload;

/// Peers and scenarios of the tables that fit on a front page.
const SHORT_PEERS: [&str; 9] = [
    "oracle-unordered",
    "ackline-unordered",
    "ackline",
    "quic-cubic",
    "quic-bbr",
    "kcp-flush",
    "enet",
    "sctp-rto50",
    "smoltcp-cubic",
];
const SHORT_SCENARIOS: [&str; 6] = ["S2", "S3", "S5", "S6", "S7", "S8"];

/// What was simulated.
pub struct Simulated<'a> {
    /// The measurements.
    pub rows: &'a [Measured],
    /// The columns.
    pub scenarios: &'a [Scenario],
    /// The rows.
    pub peers: Vec<Kind>,
}

type Cell = fn(&Measured) -> String;

impl Simulated<'_> {
    /// Every table: name, title, text.
    pub fn all(&self) -> Vec<(&'static str, &'static str, String)> {
        let peers: Vec<&str> = self.peers.iter().map(|k| k.name).collect();
        let scenarios: Vec<&str> = self.scenarios.iter().map(|s| s.name.as_str()).collect();
        let table = |workload, cell: Cell| self.table(&peers, &scenarios, workload, cell);
        vec![
            (
                "W1",
                "W1, bulk: goodput in percent of the bound (mean wait in the queue, ms)",
                table(Workload::Bulk, |row| format!("{} ({})", short(row.goodput), short(row.queue_ms))),
            ),
            (
                "W2",
                "W2, one message per period: latency p50 / p99 / p99.9, ms",
                table(Workload::Paced, |row| latencies(row, &[0.5, 0.99, 0.999])),
            ),
            (
                "W3",
                "W3, request and reply: time of the exchange p50 / p99, ms",
                table(Workload::Ping, |row| latencies(row, &[0.5, 0.99])),
            ),
            (
                "W1-efficiency",
                "W1: payload in percent of the bytes on the wire, both directions",
                table(Workload::Bulk, |row| short(row.efficiency)),
            ),
            (
                "W2-efficiency",
                "W2: payload in percent of the bytes on the wire, both directions",
                table(Workload::Paced, |row| short(row.efficiency)),
            ),
            (
                "integrity",
                "What arrived wrong, in all runs of all workloads",
                self.integrity(&peers, &scenarios),
            ),
        ]
    }

    /// The tables of the front page.
    pub fn short(&self) -> Vec<(String, String)> {
        let table = |workload, cell: Cell| self.table(&SHORT_PEERS, &SHORT_SCENARIOS, workload, cell);
        vec![
            ("W1-short".into(), table(Workload::Bulk, |row| short(row.goodput))),
            ("W2-short".into(), table(Workload::Paced, |row| latencies(row, &[0.99]))),
            ("W3-short".into(), table(Workload::Ping, |row| latencies(row, &[0.99]))),
        ]
    }

    fn row(&self, peer: &str, scenario: &str, workload: Workload) -> Option<&Measured> {
        self.rows.iter().find(|r| r.peer == peer && r.scenario == scenario && r.workload == workload)
    }

    fn table(&self, peers: &[&str], scenarios: &[&str], workload: Workload, cell: Cell) -> String {
        let mut text = head("peer", scenarios);
        for peer in peers {
            let cells: Vec<String> = scenarios
                .iter()
                .map(|scenario| self.row(peer, scenario, workload).map_or("–".into(), cell))
                .collect();
            text += &line(&bold(peer), &cells);
        }
        text
    }

    fn integrity(&self, peers: &[&str], scenarios: &[&str]) -> String {
        let mut text = String::from("Peers and scenarios that are not listed delivered nothing wrong.\n\n");
        text += &head("peer", &["scenario", "damaged", "repeated", "out of order", "runs that ended early"]);
        for peer in peers {
            for scenario in scenarios {
                let rows = self.rows.iter().filter(|r| r.peer == *peer && r.scenario == *scenario);
                let sum = rows.fold([0; 4], |sum, r| {
                    [sum[0] + r.damaged, sum[1] + r.repeated, sum[2] + r.misordered, sum[3] + r.failures]
                });
                if sum != [0; 4] {
                    let mut cells = vec![(*scenario).to_owned()];
                    cells.extend(sum.map(|n| n.to_string()));
                    text += &line(peer, &cells);
                }
            }
        }
        text
    }
}

/// Instructions per message, less those of the harness.
///
/// # Errors
/// If the harness was not counted.
pub fn instructions(costs: &[Cost]) -> anyhow::Result<String> {
    let null = costs.iter().find(|c| c.peer == peer::NULL).context("the null peer was not counted")?;
    let mut text = head("peer", &FLOWS.map(|f| f.name));
    for cost in costs.iter().filter(|c| c.peer != peer::NULL) {
        let net = cost.gross.iter().zip(&null.gross).map(|(gross, null)| thousands((gross - null).max(0.0)));
        text += &line(&bold(&cost.peer), &net.collect::<Vec<_>>());
    }
    text += &line("*harness, taken off*", &null.gross.iter().map(|n| thousands(*n)).collect::<Vec<_>>());
    Ok(text)
}

/// Shares of a bottleneck.
pub fn fairness(shares: &[Shares]) -> String {
    let mut text =
        head("case", &["first / second, per run", "Jain's index, least", "both, % of bound", "queue, ms"]);
    for share in shares {
        let ratios: Vec<String> = share.ratios.iter().map(|r| format!("{r:.2}")).collect();
        let jain = share.jain.iter().copied().fold(1.0, f64::min);
        let cells = [ratios.join(", "), format!("{jain:.3}"), short(share.goodput), short(share.queue_ms)];
        text += &line(&share.name, &cells);
    }
    text
}

/// Real sockets: messages per second, as ratios of what raw UDP carries, and times of an exchange, as ratios of those of raw UDP.
#[cfg(feature = "loopback")]
pub fn loopback(rates: &[crate::loopback::Rate]) -> String {
    let named = |name| rates.iter().find(|r| r.name == name);
    let (raw, bare) = (named(crate::loopback::BASELINE), named(crate::loopback::BARE));
    let mut text = head(
        "transport",
        &[
            "64 B, × offload",
            "messages/s",
            "1200 B, × offload",
            "messages/s",
            "exchange p50, µs",
            "× UDP",
            "p99, µs",
            "× UDP",
        ],
    );
    for rate in rates {
        let times = |value: Option<f64>, raw: Option<f64>| {
            value.zip(raw).map_or("–".into(), |(value, raw)| format!("{:.2}", value / raw))
        };
        let count = |value: Option<f64>| value.map_or("–".into(), thousands);
        let micros = |value: Option<f64>| value.map_or("–".into(), |v| format!("{v:.0}"));
        let cells = [
            times(rate.small, raw.and_then(|r| r.small)),
            count(rate.small),
            times(rate.large, raw.and_then(|r| r.large)),
            count(rate.large),
            micros(rate.p50_us),
            times(rate.p50_us, bare.and_then(|r| r.p50_us)),
            micros(rate.p99_us),
            times(rate.p99_us, bare.and_then(|r| r.p99_us)),
        ];
        text += &line(&bold(&rate.name), &cells);
    }
    text
}

fn bold(peer: &str) -> String {
    if peer.starts_with("ackline") { format!("**{peer}**") } else { peer.to_owned() }
}

fn head(first: &str, columns: &[&str]) -> String {
    format!("| {first} | {} |\n|---|{}\n", columns.join(" | "), "---:|".repeat(columns.len()))
}

fn line(first: &str, cells: &[String]) -> String {
    format!("| {first} | {} |\n", cells.join(" | "))
}

fn latencies(row: &Measured, quantiles: &[f64]) -> String {
    let cells: Vec<String> = quantiles.iter().map(|q| row.latency_ms(*q).map_or("∞".into(), short)).collect();
    cells.join(" / ")
}

/// Three digits, or as many as there are before the point.
fn short(value: f64) -> String {
    match value {
        v if v >= 99.95 => format!("{v:.0}"),
        v if v >= 0.05 || v == 0.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// 12,345.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_meaning() {
        assert_eq!(
            [0.0, 0.02, 0.1, 20.14, 99.94, 145.6].map(short),
            ["0.0", "0.02", "0.1", "20.1", "99.9", "146"]
        );
        assert_eq!([0.0, 999.0, 1_000.0, 1_234_567.4].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
