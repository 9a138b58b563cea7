//! The model against a small path: one FIFO bottleneck, acknowledgements for every packet, losses known by overtaking.

use std::collections::VecDeque;
use std::vec::Vec;

use super::*;

const MSS: u32 = 1_200;

struct Path {
    /// Bytes per second, one-way delay in µs, bytes that the queue holds, loss in 1/1000.
    rate: u64,
    delay: u64,
    queue: u64,
    loss: u64,
    free_at: u64,
    random: u64,
    waits: (u64, u64),
}

impl Path {
    fn new(rate: u64, delay: u64, queue: u64, loss: u64) -> Self {
        Path { rate, delay, queue, loss, free_at: 0, random: 1, waits: (0, 0) }
    }

    /// When the acknowledgement of a packet sent at `now` comes, `None` if it is lost.
    fn send(&mut self, now: u64) -> Option<u64> {
        let wait = self.free_at.saturating_sub(now);
        if wait * self.rate / 1_000_000 + u64::from(MSS) > self.queue {
            return None;
        }
        self.waits = (self.waits.0 + wait, self.waits.1 + 1);
        self.free_at = self.free_at.max(now) + u64::from(MSS) * 1_000_000 / self.rate;
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let is_lost = (self.random >> 33) % 1000 < self.loss;
        (!is_lost).then_some(self.free_at + 2 * self.delay)
    }
}

struct Packet {
    sent_at: u64,
    stamp: u32,
    ack_at: Option<u64>,
}

/// A sender that always has data, or `app_rate` bytes per second of it.
struct Flow {
    model: PathModel,
    rtt: Rtt,
    packets: VecDeque<Packet>,
    next_at: u64,
    app_rate: Option<u64>,
    delivered: u64,
}

impl Flow {
    fn new(start: u64) -> Self {
        let mut model = PathModel::new();
        model.on_datagram_max(MSS);
        let packets = VecDeque::new();
        Flow { model, rtt: Rtt::new(333_000), packets, next_at: start, app_rate: None, delivered: 0 }
    }

    fn in_flight(&self) -> u32 {
        self.packets.len() as u32 * MSS
    }

    fn can_send(&self) -> bool {
        self.packets.is_empty() || self.in_flight() + MSS <= self.model.window()
    }

    fn next_event(&self) -> u64 {
        let ack = self.packets.iter().filter_map(|p| p.ack_at).min();
        // With nothing but losses in flight, a probe goes after half a second.
        let probe = self.packets.back().map_or(u64::MAX, |p| p.sent_at + 500_000);
        ack.unwrap_or(probe).min(if self.can_send() { self.next_at } else { u64::MAX })
    }

    fn step(&mut self, now: u64, path: &mut Path) {
        let at = Instant::from_micros(now);
        while let Some(i) = self.packets.iter().position(|p| p.ack_at.is_some_and(|t| t <= now)) {
            let Some(p) = self.packets.remove(i) else { break };
            self.delivered += u64::from(MSS);
            let sent_at = Instant::from_micros(p.sent_at);
            self.rtt.on_sample(at.micros_since(sent_at), 0);
            self.model.on_acked(at, sent_at, MSS, &p.stamp, &self.rtt);
            for lost in self.packets.drain(..i) {
                self.model.on_lost(at, Instant::from_micros(lost.sent_at), MSS, &lost.stamp, &self.rtt);
            }
            self.model.on_ack_end(at, self.in_flight(), &self.rtt);
        }
        let is_probe = self.packets.back().is_some_and(|p| p.ack_at.is_none() && p.sent_at + 500_000 <= now);
        while self.next_at <= now && (self.can_send() || is_probe) {
            let stamp = self.model.on_sent(at, MSS, self.in_flight());
            self.packets.push_back(Packet { sent_at: now, stamp, ack_at: path.send(now) });
            let pace = u64::from(self.model.pacing_rate());
            let rate = self.app_rate.unwrap_or(u64::MAX).min(if pace == 0 { u64::MAX } else { pace });
            self.next_at = self.next_at.max(now) + u64::from(MSS) * 1_000_000 / rate;
            if self.app_rate.is_some() {
                self.model.on_app_limited(self.in_flight());
            }
        }
    }
}

/// Runs until `end` µs; returns what each flow delivered meanwhile, in bytes per second.
fn run(flows: &mut [Flow], path: &mut Path, from: u64, end: u64) -> Vec<u64> {
    let before: Vec<u64> = flows.iter().map(|f| f.delivered).collect();
    path.waits = (0, 0);
    let mut now = from;
    loop {
        now = flows.iter().map(Flow::next_event).min().unwrap_or(end).max(now);
        if now >= end {
            break;
        }
        for f in flows.iter_mut() {
            f.step(now, path);
        }
    }
    flows.iter().zip(before).map(|(f, b)| (f.delivered - b) * 1_000_000 / (end - from)).collect()
}

fn mean_wait(path: &Path) -> u64 {
    path.waits.0 / path.waits.1.max(1)
}

const SECOND: u64 = 1_000_000;

#[test]
fn a_clean_path_is_filled_with_a_short_queue() {
    for (rate, delay) in [(2_500_000, 20_000), (125_000_000, 100), (31_250, 20_000), (1_200, 50_000)] {
        let mut path = Path::new(rate, delay, 10_000_000, 0);
        let mut flows = [Flow::new(0)];
        let end = 20 * SECOND.max(40 * u64::from(MSS) * SECOND / rate);
        run(&mut flows, &mut path, 0, end / 2);
        let got = run(&mut flows, &mut path, end / 2, end)[0];
        assert!(got * 100 > rate * 93, "{rate} {delay}: {got}");
        // Twice the target: two datagrams, K / sqrt(rate), the floor.
        let target = 2 * u64::from(MSS) * SECOND / rate + 2_500_000 / rate.isqrt() + 200;
        assert!(mean_wait(&path) < 2 * target, "{rate} {delay}: {} of {target} µs", mean_wait(&path));
    }
}

#[test]
fn the_first_flight_finds_the_rate_within_four_round_trips() {
    let mut path = Path::new(2_500_000, 20_000, 10_000_000, 0);
    let mut flows = [Flow::new(0)];
    run(&mut flows, &mut path, 0, 160_000);
    let got = run(&mut flows, &mut path, 160_000, 360_000)[0];
    assert!(got > 2_400_000, "{got}");
    assert!(mean_wait(&path) < 8_000, "{}", mean_wait(&path));
}

#[test]
fn a_first_flight_is_learned_from_whatever_the_datagrams() {
    for datagram in [127, 1_200, 1_472, 4_000, 8_900, 65_507] {
        let mut model = PathModel::new();
        model.on_datagram_max(datagram);
        let mut rtt = Rtt::new(333_000);
        let (sent_at, at) = (Instant::from_micros(1_000_000), Instant::from_micros(1_000_100));
        let count = model.window() / datagram;
        let stamps: Vec<u32> = (0..count).map(|i| model.on_sent(sent_at, datagram, i * datagram)).collect();
        assert_eq!(model.pacing_rate(), 0, "{datagram}");
        rtt.on_sample(at.micros_since(sent_at), 0);
        model.on_acked(at, sent_at, datagram, &stamps[0], &rtt);
        model.on_ack_end(at, (count - 1) * datagram, &rtt);
        assert!(model.pacing_rate() > 0, "{datagram}");
        assert!(model.window() > count * datagram, "{datagram}");
    }
}

#[test]
fn random_loss_does_not_slow_down() {
    for loss in [10, 50, 200] {
        let mut path = Path::new(2_500_000, 20_000, 128 * 1024, loss);
        let mut flows = [Flow::new(0)];
        run(&mut flows, &mut path, 0, 2 * SECOND);
        let got = run(&mut flows, &mut path, 2 * SECOND, 12 * SECOND)[0] * 1000 / (1000 - loss);
        assert!(got > 2_350_000, "{loss}: {got}");
        assert!(mean_wait(&path) < 10_000, "{loss}: {}", mean_wait(&path));
    }
}

#[test]
fn loss_that_begins_later_is_learned() {
    let mut path = Path::new(2_500_000, 20_000, 128 * 1024, 0);
    let mut flows = [Flow::new(0)];
    run(&mut flows, &mut path, 0, 5 * SECOND);
    path.loss = 150;
    let got = run(&mut flows, &mut path, 5 * SECOND, 15 * SECOND)[0] * 100 / 85;
    assert!(got > 2_250_000, "{got}");
}

#[test]
fn a_small_buffer_is_not_flooded() {
    let mut path = Path::new(2_500_000, 20_000, 16 * 1024, 0);
    let mut flows = [Flow::new(0)];
    run(&mut flows, &mut path, 0, 2 * SECOND);
    let got = run(&mut flows, &mut path, 2 * SECOND, 12 * SECOND)[0];
    let offered = path.waits.1 * u64::from(MSS) / 10;
    assert!(got > 2_300_000, "{got}");
    assert!(offered < got * 105 / 100, "{offered} of {got}");
}

#[test]
fn a_slower_path_is_followed_and_a_faster_one_found() {
    let mut path = Path::new(2_500_000, 20_000, 128 * 1024, 0);
    let mut flows = [Flow::new(0)];
    run(&mut flows, &mut path, 0, 5 * SECOND);
    path.rate = 625_000;
    run(&mut flows, &mut path, 5 * SECOND, 8 * SECOND);
    let got = run(&mut flows, &mut path, 8 * SECOND, 12 * SECOND)[0];
    assert!(got > 560_000, "{got}");
    assert!(mean_wait(&path) < 40_000, "{}", mean_wait(&path));
    path.rate = 6_250_000;
    run(&mut flows, &mut path, 12 * SECOND, 15 * SECOND);
    let got = run(&mut flows, &mut path, 15 * SECOND, 20 * SECOND)[0];
    assert!(got > 5_700_000, "{got}");
}

#[test]
fn a_late_flow_gets_its_share() {
    let mut path = Path::new(1_250_000, 30_000, 64 * 1024, 0);
    let mut flows = [Flow::new(0), Flow::new(10 * SECOND)];
    run(&mut flows, &mut path, 0, 10 * SECOND);
    let got = run(&mut flows, &mut path, 10 * SECOND, 40 * SECOND);
    let (a, b) = (got[0].max(got[1]), got[0].min(got[1]));
    assert!(a < 2 * b && a + b > 1_150_000, "{got:?}");
}

#[test]
fn a_queue_that_others_hold_is_competed_for() {
    let mut path = Path::new(1_250_000, 30_000, 1 << 20, 0);
    let mut flows = [Flow::new(0)];
    run(&mut flows, &mut path, 0, 2 * SECOND);
    let mut has_competed = false;
    // 80 ms of foreign packets at every moment, however slowly this flow sends.
    for t in 0..400 {
        let now = 2 * SECOND + t * 10_000;
        path.free_at = path.free_at.max(now + 80_000);
        run(&mut flows, &mut path, now, now + 10_000);
        has_competed |= flows[0].model.mode == Mode::Compete && flows[0].model.is_congested();
    }
    assert!(has_competed);
    run(&mut flows, &mut path, 6 * SECOND, 14 * SECOND);
    assert_ne!(flows[0].model.mode, Mode::Compete);
}

#[test]
fn a_thin_flow_is_not_paced_and_does_not_spoil_the_start() {
    let mut path = Path::new(2_500_000, 20_000, 128 * 1024, 0);
    let mut flows = [Flow::new(0)];
    flows[0].app_rate = Some(20_000);
    run(&mut flows, &mut path, 0, 20 * SECOND);
    // Nothing is paced yet, and the initial window bounds what leaves at once.
    assert_eq!((flows[0].model.pacing_rate(), flows[0].model.window()), (0, 10 * MSS));
    flows[0].app_rate = None;
    let got = run(&mut flows, &mut path, 20 * SECOND, 25 * SECOND)[0];
    assert!(got > 2_300_000, "{got}");
}

#[test]
fn reset_forgets_the_path() {
    let mut path = Path::new(2_500_000, 20_000, 128 * 1024, 0);
    let mut flows = [Flow::new(0)];
    run(&mut flows, &mut path, 0, SECOND);
    let m = &mut flows[0].model;
    assert!(m.pacing_rate() > 2_000_000);
    m.reset();
    assert_eq!((m.window(), m.pacing_rate()), (10 * MSS, 0));
}

#[test]
fn extreme_inputs_stay_within_bounds() {
    let mut random = 7u64;
    let mut draw = |n: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % n
    };
    for case in 0..200 {
        let mut m = PathModel::new();
        m.on_datagram_max([0, 1, 127, 1_472, 65_000, u32::MAX][case % 6]);
        let (mut now, rtt) = (draw(1 << 40), Rtt::new(333_000));
        let mut open: VecDeque<(u64, u32, u32)> = VecDeque::new();
        for _ in 0..2_000 {
            // Steps of nothing to hours, now and then backwards.
            now = match draw(8) {
                0 => now,
                1 => now.saturating_sub(draw(1000)),
                2 => now + draw(1 << 34),
                _ => now + draw(100_000),
            };
            let at = Instant::from_micros(now);
            match draw(4) {
                0 | 1 => {
                    let bytes = [1, 100, 65_535, u32::MAX / 4][draw(4) as usize];
                    let stamp = m.on_sent(at, bytes, draw(1 << 32) as u32);
                    open.push_back((now, bytes, stamp));
                }
                2 => {
                    for _ in 0..draw(20) {
                        let Some((t, bytes, stamp)) = open.pop_front() else { break };
                        let sent_at = Instant::from_micros(t);
                        match draw(4) {
                            0 => m.on_lost(at, sent_at, bytes, &stamp, &rtt),
                            1 => m.on_spurious(at, bytes),
                            _ => m.on_acked(at, sent_at, bytes, &stamp, &rtt),
                        }
                    }
                    m.on_ack_end(at, draw(1 << 32) as u32, &rtt);
                }
                _ => m.on_app_limited(draw(1 << 32) as u32),
            }
            assert!(m.window() > 0 && m.window() <= WINDOW_MAX.max(4 * 65_535));
            assert!(m.capacity == 0 || m.pacing_rate() > 0);
            let _ = m.is_congested();
        }
    }
}
