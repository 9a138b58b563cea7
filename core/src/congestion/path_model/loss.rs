//! How much is lost, and whether that is the path's own loss or the load's doing.

use super::super::units::{quotient, scale};
use super::{LOSS_MAX, ONE, Sample};

/// Loss above the path's own that is not yet taken for a full queue, chosen: 5 %. BBR version 3 reacts at 2 %, but the bursts
/// of a bad radio reach more.
const MARGIN: u32 = ONE * 5 / 100;
/// Above this loss of its own, in 1/1024, the scatter of a path's loss hides an overflow from single rounds.
const OWN_MAX: u32 = 64;
/// Datagrams over which a sample of the loss is taken.
const SAMPLE_DATAGRAMS: u32 = 16;
/// Losses to expect before their absence says anything: at eight, fewer than three are a 1 % chance.
const JUDGED_LOSSES: u32 = 8;
/// Datagrams after which a judgement without result begins anew.
const JUDGED_DATAGRAMS: u32 = 4096;

/// Loss in 1/1024 of the bytes sent.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Loss {
    /// The path's own: what it loses while nothing overflows.
    own: u32,
    smoothed: u32,
    /// Smoothed scatter of the samples.
    scatter: u32,
    /// Bytes of the sample that is being taken.
    carried: u32,
    acked: u32,
    /// Datagrams sent and lost in the slow rounds of drains since the last verdict.
    judged_sent: u32,
    judged_lost: u32,
}

impl Loss {
    pub const fn new() -> Self {
        Loss { own: 0, smoothed: 0, scatter: 0, carried: 0, acked: 0, judged_sent: 0, judged_lost: 0 }
    }

    /// The path's own loss.
    pub fn own(&self) -> u32 {
        self.own
    }

    /// Whether so little is lost that fast probing does no harm.
    pub fn is_low(&self) -> bool {
        self.smoothed <= MARGIN
    }

    /// Whether the path loses much by itself.
    pub fn is_high(&self) -> bool {
        self.own > OWN_MAX
    }

    /// A round ended. The path's own loss is learned only while `is_growing`: while more arrives the more is sent. An
    /// overflowing queue must not teach it.
    pub fn on_round(&mut self, round: &Sample, datagram: u32, is_growing: bool) {
        self.carried = self.carried.saturating_add(round.carried);
        self.acked = self.acked.saturating_add(round.acked);
        if self.carried < SAMPLE_DATAGRAMS * datagram {
            return;
        }
        // What arrived late is counted here, if not in its round.
        let loss = part(self.carried.saturating_sub(self.acked), self.carried);
        (self.carried, self.acked) = (0, 0);
        self.scatter = approach(self.scatter, loss.abs_diff(self.smoothed), 4);
        self.smoothed = approach(self.smoothed, loss, if loss < self.smoothed { 2 } else { 4 });
        if is_growing {
            self.own = approach(self.own, loss.min(LOSS_MAX), 2);
        } else if loss < self.own {
            self.own = approach(self.own, loss, 8);
        }
    }

    /// Whether more is lost than the path's own loss and its scatter explain: the path drops what does not fit.
    pub fn is_overloaded(&self) -> bool {
        self.smoothed > self.own + (2 * self.scatter).max(MARGIN).min(4 * MARGIN)
    }

    /// Whether this one round lost more than is explained, on a path that loses little by itself.
    pub fn is_unusual(&self, round: &Sample, datagram: u32) -> bool {
        // A few packets tell little: one lost of eight is no sign of anything.
        let chance = 2 * ONE * datagram / round.carried.max(datagram).max(1);
        self.own < OWN_MAX && part(round.lost, round.carried) > self.own + self.own / 4 + MARGIN + chance
    }

    /// The slow round of a drain is accounted for. Loss that went away with half of the load was the load's doing: then true
    /// is returned. Loss that did not is the path's own.
    pub fn judge(&mut self, round: &Sample, datagram: u32) -> bool {
        let datagram = datagram.max(1);
        self.judged_sent = self.judged_sent.saturating_add(round.carried / datagram);
        self.judged_lost = self.judged_lost.saturating_add(round.lost / datagram);
        let expected = scale(self.judged_sent, self.smoothed);
        let mut is_congestion = false;
        if expected < JUDGED_LOSSES && self.judged_sent < JUDGED_DATAGRAMS {
            return false;
        }
        if expected >= JUDGED_LOSSES && self.judged_lost.saturating_mul(3) < expected {
            self.smoothed = part(self.judged_lost, self.judged_sent);
            self.own = self.own.min(self.smoothed);
            is_congestion = true;
        } else if expected >= JUDGED_LOSSES && self.judged_lost.saturating_mul(2) > expected {
            self.own += self.smoothed.min(LOSS_MAX).saturating_sub(self.own) / 2;
        }
        (self.judged_sent, self.judged_lost) = (0, 0);
        is_congestion
    }
}

/// `of / all` in 1/1024.
fn part(of: u32, all: u32) -> u32 {
    quotient(u64::from(of) * u64::from(ONE), u64::from(all)).min(ONE)
}

/// `value` moved towards `target` by one part in `parts`.
fn approach(value: u32, target: u32, parts: i32) -> u32 {
    (value as i32 + (target as i32 - value as i32) / parts).max(0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(sent: u32, lost: u32) -> Sample {
        Sample {
            carried: sent * 1000,
            acked: (sent - lost) * 1000,
            lost: lost * 1000,
            rate: 0,
            arrived: 0,
            bottleneck: 0,
            rtt: 1,
        }
    }

    fn settled(percent: u32, is_growing: bool) -> Loss {
        let mut l = Loss::new();
        for _ in 0..32 {
            l.on_round(&round(100, percent), 1000, is_growing);
        }
        l
    }

    #[test]
    fn loss_seen_while_growing_is_the_paths_own() {
        assert!(settled(20, true).own() > 180 && !settled(20, true).is_overloaded());
    }

    #[test]
    fn loss_seen_only_under_load_is_overload() {
        assert!(settled(20, false).is_overloaded() && settled(20, false).own() == 0);
        assert!(!settled(4, false).is_overloaded());
    }

    #[test]
    fn loss_that_vanishes_in_the_drain_was_congestion() {
        let mut l = settled(20, false);
        assert!(!l.judge(&round(30, 0), 1000), "six expected losses prove nothing");
        assert!(l.judge(&round(30, 0), 1000));
        assert!(!l.is_overloaded());
    }

    #[test]
    fn loss_that_stays_in_the_drain_is_the_paths_own() {
        let mut l = settled(20, false);
        for _ in 0..4 {
            assert!(!l.judge(&round(100, 20), 1000));
        }
        assert!(!l.is_overloaded() && l.own() > 150);
    }

    #[test]
    fn a_lone_loss_among_few_packets_is_not_unusual() {
        let l = settled(0, false);
        assert!(!l.is_unusual(&round(8, 1), 1000));
        assert!(l.is_unusual(&round(100, 10), 1000));
    }
}
