//! What scenario tests share: the usual worlds, percentiles, and failing with a readable report.

use ackline::congestion::PathModel;
use ackline::storage::Heap;
use ackline::{ChannelConfig, Config, Mode};

use crate::endpoint::Micros;
use crate::link::{LinkFactory, contract, heap_links, stream_framing};
use crate::net::PathConfig;
use crate::world::{Drive, NodeSetup, Verdict, World};

/// Two links with heap storage and the default controller.
pub type HeapWorld = World<LinkFactory<Heap, PathModel>>;

/// A world of two links of the same configuration, on the same path each way; node 0 connects, node 1 listens.
pub fn pair(seed: u64, config: &Config, path: &PathConfig) -> HeapWorld {
    pair_driven(seed, config, path, Drive::Deadlines)
}

/// The same, driven as asked.
pub fn pair_driven(seed: u64, config: &Config, path: &PathConfig, drive: Drive) -> HeapWorld {
    let mut world = World::new(seed, drive, heap_links(config.clone()));
    world.add_pair(node(config, path), node(config, path).listening());
    world
}

/// A node that runs a link of `config` and sends on `path`.
pub fn node(config: &Config, path: &PathConfig) -> NodeSetup {
    let setup = NodeSetup::new(contract(config)).path(path.clone());
    if path.serial.is_some() { setup.framing(stream_framing) } else { setup }
}

/// The configuration for UDP with channels of these modes, the first with number 0.
pub fn udp(modes: &[Mode]) -> Config {
    modes
        .iter()
        .enumerate()
        .fold(Config::udp(), |config, (n, mode)| config.channel(n as u8, ChannelConfig::new(*mode)))
}

/// The smallest value of `sorted` that at least `per_mille` thousandths of the values do not exceed. 0 of nothing.
pub fn percentile(sorted: &[Micros], per_mille: usize) -> Micros {
    let rank = (sorted.len() * per_mille).div_ceil(1_000).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

/// What was asked for, or a panic that shows the rule that was broken and what led to it.
///
/// # Panics
///
/// If a promise was broken.
#[track_caller]
pub fn kept<T>(verdict: Verdict<T>) -> T {
    match verdict {
        Ok(value) => value,
        Err(violation) => panic!("{violation}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentile_takes_the_nearest_rank() {
        let values: Vec<Micros> = (1..=1_000).collect();
        assert_eq!([1, 500, 990, 999, 1_000].map(|p| percentile(&values, p)), [1, 500, 990, 999, 1_000]);
        assert_eq!(percentile(&[7], 500), 7);
        assert_eq!(percentile(&[], 500), 0);
    }
}
