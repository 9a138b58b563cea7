//! The one source of randomness of the simulator: ChaCha8 from a 64-bit seed.
//!
//! ChaCha is specified bit for bit, so that a seed printed by a failing run replays on every platform and with every later
//! release of the generator. Every part of the world derives its own sequence from the seed and a label, so that adding a
//! draw in one place does not change what another place sees.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A map that is the same in every run: the standard one draws a key for its hashes, and what an engine of coverage-guided
/// fuzzing sees of that would differ from run to run.
pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;
/// A set that is the same in every run.
pub type Set<T> = HashSet<T, BuildHasherDefault<DefaultHasher>>;

/// A seeded random sequence.
#[derive(Clone, Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Random(ChaCha8Rng::seed_from_u64(seed))
    }

    /// The sequence of `seed` that belongs to `label` alone.
    pub fn labelled(seed: u64, label: u64) -> Self {
        Random::new(mix(seed ^ mix(label)))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..n`; 0 if `n` is 0. The bias of at most `n / 2^64` does not matter here.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True with `probability` (0 to 1). Draws once, whatever the probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        // 53 bits: every value is exact in an f64.
        ((self.bits() >> 11) as f64) < probability * (1u64 << 53) as f64
    }

    /// `len` random bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}

/// A bijection of 64 bits that looks random (the finaliser of SplitMix64; Steele, Lea, Flood 2014).
pub fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_and_label_give_the_same_sequence_and_another_label_another() {
        let draw = |seed, label| {
            let mut random = Random::labelled(seed, label);
            [random.bits(), random.bits(), random.bits()]
        };
        assert_eq!(draw(7, 1), draw(7, 1));
        assert_ne!(draw(7, 1), draw(7, 2));
        assert_ne!(draw(7, 1), draw(8, 1));
    }

    #[test]
    fn chance_is_exact_at_both_ends_and_close_in_between() {
        let mut random = Random::new(1);
        assert!((0..1000).all(|_| !random.chance(0.0)));
        assert!((0..1000).all(|_| random.chance(1.0)));
        let hits = (0..100_000).filter(|_| random.chance(0.05)).count();
        assert!((4_700..5_300).contains(&hits), "{hits} of 100,000 at 5 %");
    }

    #[test]
    fn between_reaches_both_bounds_and_nothing_else() {
        let mut random = Random::new(2);
        let drawn: std::collections::BTreeSet<u64> = (0..1000).map(|_| random.between(3, 6)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6]);
    }
}
