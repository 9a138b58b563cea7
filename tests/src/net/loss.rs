//! Which packets a wire loses: none, each on its own, or in bursts.

use crate::endpoint::Micros;
use crate::random::Random;

/// A loss process.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum Loss {
    /// Nothing is lost.
    #[default]
    None,
    /// Every packet is lost with this probability, whatever happened to the others.
    Independent(f64),
    /// Gilbert-Elliott: a good and a bad state with a loss probability each, left with a probability per packet.
    BurstsOfPackets {
        /// Probability, per packet, of entering the bad state.
        enter: f64,
        /// Probability, per packet, of leaving it.
        leave: f64,
        /// Loss probability in the good state.
        good: f64,
        /// Loss probability in the bad state.
        bad: f64,
    },
    /// Gilbert-Elliott in time: what a radio does, whether or not anything is sent. State durations are uniform between 0
    /// and twice their mean (an exponential would need a logarithm, whose last bit differs between platforms).
    BurstsInTime {
        /// Mean duration of the good state.
        good_mean: Micros,
        /// Mean duration of the bad state.
        bad_mean: Micros,
        /// Loss probability in the bad state; nothing is lost in the good one.
        bad: f64,
    },
}

/// The state of a loss process.
#[derive(Clone, Debug)]
pub(super) struct LossState {
    is_bad: bool,
    until: Micros,
    /// Times of the fades: of their own, so that they fall at the same instants whatever is sent.
    fades: Random,
}

impl LossState {
    pub(super) fn new(fades: Random) -> Self {
        LossState { is_bad: false, until: 0, fades }
    }

    /// Decides the fate of a packet that leaves at `now`. True: lost.
    pub(super) fn is_lost(&mut self, loss: Loss, now: Micros, random: &mut Random) -> bool {
        match loss {
            Loss::None => false,
            Loss::Independent(probability) => random.chance(probability),
            Loss::BurstsOfPackets { enter, leave, good, bad } => {
                if random.chance(if self.is_bad { leave } else { enter }) {
                    self.is_bad = !self.is_bad;
                }
                random.chance(if self.is_bad { bad } else { good })
            }
            Loss::BurstsInTime { good_mean, bad_mean, bad } => {
                while self.until <= now {
                    self.is_bad = !self.is_bad;
                    let mean = if self.is_bad { bad_mean } else { good_mean };
                    // At least 1 µs, so that this loop ends.
                    self.until += self.fades.below(2 * mean).max(1);
                }
                self.is_bad && random.chance(bad)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(loss: Loss, packets: u64, spacing: Micros) -> (u64, u64) {
        let (mut state, mut random) = (LossState::new(Random::new(4)), Random::new(3));
        let (mut lost, mut bursts, mut before) = (0, 0, false);
        for i in 0..packets {
            let now_lost = state.is_lost(loss, i * spacing, &mut random);
            lost += u64::from(now_lost);
            bursts += u64::from(now_lost && !before);
            before = now_lost;
        }
        (lost, bursts)
    }

    #[test]
    fn bursts_of_packets_have_the_stationary_share_and_the_mean_length() {
        // Share of the bad state 0.01 / (0.01 + 0.25) = 3.8 %; mean length 1 / 0.25 = 4 packets.
        let loss = Loss::BurstsOfPackets { enter: 0.01, leave: 0.25, good: 0.0, bad: 1.0 };
        let (lost, bursts) = run(loss, 200_000, 1);
        assert!((6_500..9_000).contains(&lost), "{lost}");
        let mean = lost as f64 / bursts as f64;
        assert!((3.5..4.5).contains(&mean), "{mean}");
    }

    #[test]
    fn bursts_in_time_do_not_depend_on_the_packet_rate() {
        let loss = Loss::BurstsInTime { good_mean: 900_000, bad_mean: 100_000, bad: 1.0 };
        let (often, _) = run(loss, 1_000_000, 1_000);
        let (seldom, _) = run(loss, 100_000, 10_000);
        assert!((80_000..120_000).contains(&often), "{often}");
        assert!((8_000..12_000).contains(&seldom), "{seldom}");
    }
}
