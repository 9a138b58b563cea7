//! Percentiles of measured times.

use std::time::Duration;

use serde::Serialize;

/// Times in microseconds, sorted when asked.
#[derive(Default)]
pub struct Times(Vec<u64>);

/// In microseconds. All zero if nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    pub count: usize,
    pub min: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub max: u64,
}

impl Times {
    pub fn push(&mut self, time: Duration) {
        self.0.push(time.as_micros() as u64);
    }

    pub fn percentiles(&mut self) -> Percentiles {
        self.0.sort_unstable();
        // Nearest rank: the smallest value that `p` percent of the values do not exceed.
        let rank = |p: usize| (self.0.len() * p).div_ceil(100).max(1) - 1;
        let at = |p| self.0.get(rank(p)).copied().unwrap_or(0);
        Percentiles {
            count: self.0.len(),
            min: self.0.first().copied().unwrap_or(0),
            p50: at(50),
            p90: at(90),
            p99: at(99),
            max: self.0.last().copied().unwrap_or(0),
        }
    }
}

/// A time in microseconds, in the unit that suits it.
pub fn readable(micros: u64) -> String {
    match micros {
        0..10_000 => format!("{micros} µs"),
        10_000..10_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.1} s", micros as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let mut times = Times::default();
        assert_eq!(times.percentiles(), Percentiles::default());
        for micros in (1..=200).rev() {
            times.push(Duration::from_micros(micros));
        }
        let expected = Percentiles { count: 200, min: 1, p50: 100, p90: 180, p99: 198, max: 200 };
        assert_eq!(times.percentiles(), expected);
    }
}
