use core::time::Duration;

use ackline::Instant;

use super::delay_line::DelayLine;
use super::{ImpairStats, Profile};

/// One direction of a bad datagram link.
///
/// Give every datagram to [`push`](Self::push), then take what has arrived with [`poll`](Self::poll) until it answers
/// `false`, and ask again at [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct DatagramImpairer {
    profile: Profile,
    random: fastrand::Rng,
    line: DelayLine,
    in_burst: bool,
    /// When the rate limit has passed on the last byte.
    free_at: Instant,
    /// The latest arrival of a datagram that was not reordered: jitter must not overtake it.
    latest: Instant,
    scratch: Vec<u8>,
    stats: ImpairStats,
}

/// Bytes that wait for the rate limit when [`Profile::queue_len`] is 0. Chosen: the buffer of a small router.
const QUEUE_LEN: usize = 64 * 1024;

impl DatagramImpairer {
    /// A link that does `profile` to its datagrams, by the choices that `seed` makes.
    pub fn new(profile: Profile, seed: u64) -> Self {
        DatagramImpairer {
            profile,
            random: fastrand::Rng::with_seed(seed),
            line: DelayLine::default(),
            in_burst: false,
            free_at: Instant::ZERO,
            latest: Instant::ZERO,
            scratch: Vec::new(),
            stats: ImpairStats::default(),
        }
    }

    /// A datagram enters the link at `now`.
    pub fn push(&mut self, now: Instant, datagram: &[u8]) {
        self.stats.taken += 1;
        self.stats.bytes_taken += datagram.len() as u64;
        // Every chance is drawn for every datagram, in this order, whatever the earlier ones say: a profile with one
        // chance changed keeps the other choices of the same seed.
        let lost = self.draws_loss();
        let duplicated = self.chance(self.profile.duplicate);
        let damaged = self.chance(self.profile.corrupt);
        if lost {
            self.stats.lost += 1;
            return;
        }
        let Some(leaves) = self.pass_rate_limit(now, datagram.len()) else {
            self.stats.overflowed += 1;
            return;
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.extend_from_slice(datagram);
        if damaged && !scratch.is_empty() {
            self.stats.damaged += 1;
            for _ in 0..self.random.usize(1..=3) {
                let bit = self.random.usize(0..scratch.len() * 8);
                scratch[bit / 8] ^= 1 << (bit % 8);
            }
        }
        self.travel(leaves, &scratch);
        if duplicated {
            self.stats.duplicated += 1;
            self.travel(leaves, &scratch);
        }
        self.scratch = scratch;
    }

    /// Takes the next datagram that has arrived by `now` into `out`, or answers `false`.
    pub fn poll(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        let arrived = self.line.pop(now, out);
        if arrived {
            self.stats.given += 1;
            self.stats.bytes_given += out.len() as u64;
        }
        arrived
    }

    /// When the next datagram arrives. Only `push` and `poll` change it.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.line.next()
    }

    /// Counters.
    pub fn stats(&self) -> ImpairStats {
        self.stats
    }

    fn chance(&mut self, p: f64) -> bool {
        self.random.f64() < p
    }

    fn draws_loss(&mut self) -> bool {
        let alone = self.chance(self.profile.loss);
        let Some(burst) = self.profile.burst else { return alone };
        let step = if self.in_burst { burst.leave } else { burst.enter };
        if self.chance(step) {
            self.in_burst = !self.in_burst;
        }
        let in_burst = self.chance(burst.loss) && self.in_burst;
        alone || in_burst
    }

    /// The time at which the last byte leaves the bottleneck, or `None` if its queue is full.
    fn pass_rate_limit(&mut self, now: Instant, len: usize) -> Option<Instant> {
        let rate = self.profile.bits_per_second;
        if rate == 0 {
            return Some(now);
        }
        let queue_len = if self.profile.queue_len == 0 { QUEUE_LEN } else { self.profile.queue_len };
        let start = self.free_at.max(now);
        let waiting = (start - now).as_micros() as u64 * rate / 8_000_000;
        if waiting > 0 && waiting + len as u64 > queue_len as u64 {
            return None;
        }
        self.free_at = start + Duration::from_micros(len as u64 * 8_000_000 / rate);
        Some(self.free_at)
    }

    fn travel(&mut self, leaves: Instant, datagram: &[u8]) {
        let jitter = self.profile.jitter.as_micros() as u64;
        let jitter = if jitter == 0 { 0 } else { self.random.u64(0..=jitter) };
        let mut arrives = (leaves + self.profile.delay + Duration::from_micros(jitter)).max(self.latest);
        if self.chance(self.profile.reorder) {
            self.stats.reordered += 1;
            arrives = arrives + self.profile.reorder_by;
        } else {
            self.latest = arrives;
        }
        self.line.push(arrives, datagram);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Burst;
    use super::*;

    /// Sends `count` numbered datagrams, one each millisecond, and lists the numbers that arrive.
    fn run(profile: Profile, seed: u64, count: u32) -> (Vec<u32>, ImpairStats) {
        let mut link = DatagramImpairer::new(profile, seed);
        let mut arrived = Vec::new();
        let mut out = Vec::new();
        for n in 0..count + 1000 {
            let now = Instant::from_millis(u64::from(n));
            if n < count {
                link.push(now, &n.to_be_bytes());
            }
            while link.poll(now, &mut out) {
                arrived.push(u32::from_be_bytes([out[0], out[1], out[2], out[3]]));
            }
        }
        assert_eq!(link.poll_timeout(), None, "everything has arrived");
        (arrived, link.stats())
    }

    #[test]
    fn default_profile_passes_everything_at_once() {
        let (arrived, _) = run(Profile::default(), 1, 1000);
        assert_eq!(arrived, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn same_seed_gives_the_same_output_and_another_seed_another() {
        let profile = Profile { jitter: Duration::from_millis(9), ..Profile::demo() };
        assert_eq!(run(profile.clone(), 7, 2000), run(profile.clone(), 7, 2000));
        assert_ne!(run(profile.clone(), 7, 2000).0, run(profile, 8, 2000).0);
    }

    #[test]
    fn rates_of_the_demo_profile_are_met() {
        let (arrived, stats) = run(Profile::demo(), 3, 50_000);
        let share = |n: u64, of: u64| n as f64 / of as f64;
        assert!((share(stats.lost, stats.taken) - 0.20).abs() < 0.01, "{stats:?}");
        let passed = stats.taken - stats.lost;
        assert!((share(stats.duplicated, passed) - 0.05).abs() < 0.005, "{stats:?}");
        assert!((share(stats.damaged, passed) - 0.01).abs() < 0.003, "{stats:?}");
        assert!((share(stats.reordered, stats.given) - 0.10).abs() < 0.01, "{stats:?}");
        assert_eq!(arrived.len() as u64, stats.given);
        assert_eq!(stats.given, passed + stats.duplicated);
    }

    #[test]
    fn reordered_datagrams_are_overtaken_by_later_ones() {
        let profile = Profile { reorder: 0.1, reorder_by: Duration::from_micros(2500), ..Profile::default() };
        let (arrived, stats) = run(profile, 5, 10_000);
        let behind = arrived.windows(2).filter(|w| w[1] < w[0]).count() as u64;
        assert!(behind > stats.reordered / 2 && behind <= stats.reordered, "{behind} of {stats:?}");
    }

    #[test]
    fn jitter_alone_keeps_the_order() {
        let (arrived, _) = run(Profile { jitter: Duration::from_millis(20), ..Profile::default() }, 5, 5000);
        assert!(arrived.is_sorted());
        assert_eq!(arrived.len(), 5000);
    }

    #[test]
    fn bursts_lose_runs_of_datagrams() {
        let burst = Burst { enter: 0.01, leave: 0.2, loss: 1.0 };
        let (arrived, stats) = run(Profile { burst: Some(burst), ..Profile::default() }, 11, 100_000);
        let share = stats.lost as f64 / stats.taken as f64;
        // The stationary share of the bad state: enter / (enter + leave).
        assert!((share - 0.0476).abs() < 0.006, "{share}");
        let runs = arrived.windows(2).filter(|w| w[1] > w[0] + 1).count() as f64;
        let mean = stats.lost as f64 / runs;
        assert!((mean - 5.0).abs() < 0.6, "mean burst {mean}");
    }

    #[test]
    fn rate_limit_spaces_datagrams_and_overflows_its_queue() {
        // 1,000 bytes at 8 Mbit/s take one millisecond.
        let profile = Profile { bits_per_second: 8_000_000, queue_len: 10_000, ..Profile::default() };
        let mut link = DatagramImpairer::new(profile, 1);
        for _ in 0..15 {
            link.push(Instant::ZERO, &[0; 1000]);
        }
        assert_eq!(link.stats().overflowed, 5, "ten fit the queue");
        let mut out = Vec::new();
        for ms in 1..=10 {
            assert_eq!(link.poll_timeout(), Some(Instant::from_millis(ms)));
            assert!(link.poll(Instant::from_millis(ms), &mut out));
            assert!(!link.poll(Instant::from_millis(ms), &mut out));
        }
        assert_eq!(link.poll_timeout(), None);
    }
}
