//! One direction of a link.

use std::collections::BTreeSet;

use super::loss::{Loss, LossState};
use super::serial::{Framing, Serial};
use crate::endpoint::Micros;
use crate::random::Random;

/// What a path is like. May be changed while datagrams are on it: those keep the fate they were given.
#[derive(Clone, Debug)]
pub struct PathConfig {
    /// Rate in bit/s; 0 for no limit.
    pub rate: u64,
    /// One-way propagation delay.
    pub delay: Micros,
    /// Largest extra delay, uniform per packet. Reorders unless `in_order`.
    pub jitter: Micros,
    /// Largest extra delay that comes and goes over tens of milliseconds, the same for all packets of a moment, as on a
    /// shared radio channel. Up to 20 ms it is too slow to reorder.
    pub wander: Micros,
    /// Never lets a packet overtake another (a single queue, a wire).
    pub in_order: bool,
    /// Bytes that the transmit queue holds; what does not fit is dropped (drop-tail). Ignored without a rate.
    pub queue: u64,
    /// Bytes of the layers below, added to every packet for the rate and the byte counters (28 for UDP over IPv4).
    pub overhead: u64,
    /// Largest datagram that passes; larger ones vanish without a word.
    pub mtu: usize,
    /// Which packets are lost.
    pub loss: Loss,
    /// Probability of a packet arriving twice, the second time up to `reorder_by` later.
    pub duplicate: f64,
    /// Probability of a packet being held back by up to `reorder_by`.
    pub reorder: f64,
    /// Longest time that a reordered or repeated packet is late.
    pub reorder_by: Micros,
    /// Probability of 1 to 3 flipped bits in a packet.
    pub corrupt: f64,
    /// Probability of a packet being cut short.
    pub truncate: f64,
    /// Nothing passes.
    pub is_down: bool,
    /// Set for a serial line: its damage. Such a path keeps the order, whatever `in_order` says, and has back-pressure:
    /// the world lets an endpoint transmit only when less than one frame is waiting.
    pub serial: Option<Serial>,
}

impl Default for PathConfig {
    /// A clean path with 5 ms one-way delay, no rate limit, and the header sizes of UDP over IPv4.
    fn default() -> Self {
        PathConfig {
            rate: 0,
            delay: 5_000,
            jitter: 0,
            wander: 0,
            in_order: false,
            queue: 1 << 20,
            overhead: 28,
            mtu: 65_507,
            loss: Loss::None,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_by: 0,
            corrupt: 0.0,
            truncate: 0.0,
            is_down: false,
            serial: None,
        }
    }
}

impl PathConfig {
    /// A clean serial line of `baud` bit/s with 8N1 bytes (10 bits a byte) and no propagation delay worth the name.
    pub fn serial(baud: u64) -> Self {
        PathConfig {
            rate: baud * 8 / 10,
            delay: 10,
            in_order: true,
            queue: u64::MAX,
            overhead: 0,
            serial: Some(Serial::default()),
            ..PathConfig::default()
        }
    }

    /// This path without any fault: rate, delay, queue and MTU stay.
    pub fn healed(&self) -> Self {
        PathConfig {
            jitter: 0,
            wander: 0,
            loss: Loss::None,
            duplicate: 0.0,
            reorder: 0.0,
            corrupt: 0.0,
            truncate: 0.0,
            is_down: false,
            serial: self.serial.map(|_| Serial::default()),
            ..self.clone()
        }
    }
}

/// Something that will arrive at the far end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// When.
    pub at: Micros,
    /// What: a datagram, or bytes of a serial line.
    pub bytes: Vec<u8>,
}

/// Counters of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PathStats {
    /// Packets given to the path.
    pub packets: u64,
    /// Their bytes, without the layers below (on a serial line: before framing).
    pub bytes: u64,
    /// Their bytes with the layers below (on a serial line: after framing).
    pub wire_bytes: u64,
    /// Packets dropped by the queue.
    pub dropped_queue: u64,
    /// Packets larger than the MTU.
    pub dropped_mtu: u64,
    /// Packets lost on the wire, outages and scripted losses included.
    pub lost: u64,
    /// Packets damaged or cut short.
    pub damaged: u64,
    /// Packets that arrived twice.
    pub duplicated: u64,
    /// Sum of the times that packets waited in the queue before their first bit left, in nanoseconds.
    pub waited_ns: u64,
    /// The longest of these times, in nanoseconds.
    pub waited_max_ns: u64,
}

/// A wandering delay has a new random value every so often and moves evenly in between.
const WANDER_STEP: Micros = 20_000;

/// One direction of a link: give it what an endpoint emits, it answers what arrives when.
pub struct Path {
    config: PathConfig,
    random: Random,
    loss: LossState,
    /// Names the course of the wandering delay, which does not depend on what is sent.
    wander_seed: u64,
    /// When the serialiser has sent everything it was given, in nanoseconds (a byte at 10 Gbit/s takes 0.8 ns).
    busy_until_ns: u64,
    last_arrival: Micros,
    framing: Option<Box<dyn Framing>>,
    scripted_losses: BTreeSet<u64>,
    stats: PathStats,
}

impl Path {
    /// A path with its own random sequence.
    pub fn new(config: PathConfig, random: Random) -> Self {
        let own = |label| Random::labelled(random.clone().bits(), label);
        Path {
            config,
            loss: LossState::new(own(1)),
            wander_seed: own(2).bits(),
            random,
            busy_until_ns: 0,
            last_arrival: 0,
            framing: None,
            scripted_losses: BTreeSet::new(),
            stats: PathStats::default(),
        }
    }

    /// Sets how datagrams become bytes, for a serial line.
    pub fn set_framing(&mut self, framing: Box<dyn Framing>) {
        self.framing = Some(framing);
    }

    /// What the path is like.
    pub fn config(&self) -> &PathConfig {
        &self.config
    }

    /// Changes what the path is like from now on.
    pub fn config_mut(&mut self) -> &mut PathConfig {
        &mut self.config
    }

    /// Counters so far.
    pub fn stats(&self) -> PathStats {
        self.stats
    }

    /// Loses the `n`th packet from now (0: the next one).
    pub fn lose_nth(&mut self, n: u64) {
        self.scripted_losses.insert(self.stats.packets + n);
    }

    /// Makes the path clean: see [`PathConfig::healed`]. Losses that were ordered and have not happened yet will not.
    pub fn heal(&mut self) {
        self.config = self.config.healed();
        self.scripted_losses.clear();
    }

    /// When the endpoint may transmit again, if the line is busy (serial lines only).
    pub fn busy_until(&self, now: Micros) -> Option<Micros> {
        let until = self.busy_until_ns.div_ceil(1_000);
        (self.config.serial.is_some() && until > now).then_some(until)
    }

    /// Sends `datagram` at `now`; `sink` is given what arrives. Answers when it arrives, or would have if nothing had
    /// happened to it: neither loss nor jitter nor reordering.
    pub fn transmit(&mut self, now: Micros, datagram: &[u8], sink: &mut dyn FnMut(Arrival)) -> Micros {
        let index = self.stats.packets;
        self.stats.packets += 1;
        self.stats.bytes += datagram.len() as u64;
        let frame = self.frame(datagram);
        let wire = frame.as_ref().map_or(datagram.len(), Vec::len) as u64 + self.config.overhead;
        self.stats.wire_bytes += wire;
        if datagram.len() > self.config.mtu {
            self.stats.dropped_mtu += 1;
            return self.due(now);
        }
        let Some(departure) = self.serialise(now, wire) else {
            self.stats.dropped_queue += 1;
            return self.due(now.max(self.busy_until_ns.div_ceil(1_000)));
        };
        let due = self.due(departure);
        let is_lost = self.loss.is_lost(self.config.loss, departure, &mut self.random);
        if self.scripted_losses.remove(&index) || self.config.is_down || is_lost {
            self.stats.lost += 1;
            return due;
        }
        let (bytes, is_damaged) = match (self.config.serial, frame) {
            (Some(serial), Some(frame)) => serial.damage(&frame, &mut self.random),
            _ => self.damage(datagram),
        };
        self.stats.damaged += u64::from(is_damaged);
        self.deliver(due, bytes, sink);
        due
    }

    /// When a packet arrives that departs at `departure` and is treated like any other.
    fn due(&self, departure: Micros) -> Micros {
        // At least 1 µs: an arrival is never in the instant of its emission, which keeps the order of events clear.
        departure + self.config.delay.max(1) + self.wander_at(departure)
    }

    fn wander_at(&self, time: Micros) -> Micros {
        if self.config.wander == 0 {
            return 0;
        }
        let step = time / WANDER_STEP;
        let value = |step: u64| Random::labelled(self.wander_seed, step).between(0, self.config.wander);
        let (from, to) = (value(step), value(step + 1));
        let part = time % WANDER_STEP;
        (from * (WANDER_STEP - part) + to * part) / WANDER_STEP
    }

    fn frame(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        self.config.serial?;
        let framing = self.framing.as_mut().expect("a serial path has a framing: World::new sets it");
        let mut stream = Vec::with_capacity(datagram.len() + 8);
        framing.encode(datagram, &mut stream);
        Some(stream)
    }

    /// When the last byte leaves, or `None` if the queue is full.
    fn serialise(&mut self, now: Micros, wire: u64) -> Option<Micros> {
        if self.config.rate == 0 {
            return Some(now);
        }
        let now_ns = now * 1_000;
        let waiting_ns = self.busy_until_ns.saturating_sub(now_ns);
        let waiting = u128::from(waiting_ns) * u128::from(self.config.rate) / 8_000_000_000;
        if waiting + u128::from(wire) > u128::from(self.config.queue) {
            return None;
        }
        self.stats.waited_ns += waiting_ns;
        self.stats.waited_max_ns = self.stats.waited_max_ns.max(waiting_ns);
        let takes = u128::from(wire) * 8_000_000_000 / u128::from(self.config.rate);
        self.busy_until_ns = self.busy_until_ns.max(now_ns) + takes as u64;
        Some(self.busy_until_ns.div_ceil(1_000))
    }

    fn damage(&mut self, datagram: &[u8]) -> (Vec<u8>, bool) {
        let mut bytes = datagram.to_vec();
        let mut is_damaged = false;
        if self.random.chance(self.config.corrupt) && !bytes.is_empty() {
            for _ in 0..self.random.between(1, 3) {
                let at = self.random.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << self.random.below(8);
            }
            // Two flips of the same bit cancel out.
            is_damaged = bytes != datagram;
        }
        if self.random.chance(self.config.truncate) {
            bytes.truncate(self.random.below(bytes.len() as u64) as usize);
            is_damaged = true;
        }
        (bytes, is_damaged)
    }

    fn deliver(&mut self, due: Micros, bytes: Vec<u8>, sink: &mut dyn FnMut(Arrival)) {
        let is_duplicated = self.random.chance(self.config.duplicate);
        let mut late = 0;
        if self.random.chance(self.config.reorder) {
            late = self.random.between(1, self.config.reorder_by.max(1));
        }
        let jitter = self.random.between(0, self.config.jitter);
        let mut at = due + jitter + late;
        if self.config.in_order || self.config.serial.is_some() {
            at = at.max(self.last_arrival);
            self.last_arrival = at;
        }
        if is_duplicated {
            self.stats.duplicated += 1;
            let later = self.random.between(0, self.config.reorder_by);
            sink(Arrival { at: at + later, bytes: bytes.clone() });
        }
        sink(Arrival { at, bytes });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(config: PathConfig) -> Path {
        Path::new(config, Random::new(1))
    }

    fn send(path: &mut Path, now: Micros, len: usize) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        path.transmit(now, &vec![7; len], &mut |a| arrivals.push(a));
        arrivals
    }

    #[test]
    fn rate_and_overhead_give_the_arrival_time() {
        // 100 + 28 bytes at 1 Mbit/s are 1,024 µs.
        let mut path = path(PathConfig { rate: 1_000_000, ..PathConfig::default() });
        assert_eq!(send(&mut path, 0, 100)[0].at, 1_024 + 5_000);
        assert_eq!(send(&mut path, 0, 100)[0].at, 2_048 + 5_000);
        assert_eq!(send(&mut path, 10_000, 100)[0].at, 11_024 + 5_000);
    }

    #[test]
    fn queue_takes_what_fits_and_drops_the_next() {
        let mut path = path(PathConfig { rate: 1_000_000, queue: 256, ..PathConfig::default() });
        assert_eq!(send(&mut path, 0, 100).len(), 1);
        assert_eq!(send(&mut path, 0, 100).len(), 1);
        assert_eq!(send(&mut path, 0, 100).len(), 0);
        assert_eq!(path.stats().dropped_queue, 1);
        assert_eq!(send(&mut path, 1_024, 100).len(), 1);
    }

    #[test]
    fn mtu_passes_its_own_size_and_not_one_more() {
        let mut path = path(PathConfig { mtu: 500, ..PathConfig::default() });
        assert_eq!(send(&mut path, 0, 500).len(), 1);
        assert_eq!(send(&mut path, 0, 501).len(), 0);
    }

    #[test]
    fn waiting_in_the_queue_is_counted() {
        // 128 bytes at 1 Mbit/s take 1,024 µs: the second waits so long, the third twice that.
        let mut path = path(PathConfig { rate: 1_000_000, ..PathConfig::default() });
        for _ in 0..3 {
            send(&mut path, 0, 100);
        }
        assert_eq!((path.stats().waited_ns, path.stats().waited_max_ns), (3 * 1_024_000, 2 * 1_024_000));
    }

    #[test]
    fn a_wandering_delay_covers_its_range_slowly_and_whatever_is_sent() {
        let wandering = || path(PathConfig { wander: 10_000, ..PathConfig::default() });
        let (mut often, mut seldom) = (wandering(), wandering());
        let delays: Vec<Micros> =
            (0..10_000).map(|i| send(&mut often, i * 1_000, 1)[0].at - i * 1_000).collect();
        assert!(delays.iter().all(|d| (5_000..=15_000).contains(d)));
        assert!(delays.iter().any(|d| *d < 6_000) && delays.iter().any(|d| *d > 14_000));
        assert!(delays.windows(2).all(|d| d[0].abs_diff(d[1]) <= 501), "overtakes");
        assert_eq!(send(&mut seldom, 7_777_000, 1)[0].at, 7_777_000 + delays[7_777]);
    }

    #[test]
    fn the_nominal_arrival_is_answered_for_lost_packets_too() {
        let lossy = PathConfig { rate: 1_000_000, loss: Loss::Independent(1.0), ..PathConfig::default() };
        let mut path = path(lossy);
        assert_eq!(path.transmit(0, &[0; 100], &mut |_| ()), 1_024 + 5_000);
        assert_eq!(path.transmit(0, &[0; 100], &mut |_| ()), 2_048 + 5_000);
    }

    #[test]
    fn scripted_loss_takes_the_packet_it_names() {
        let mut path = path(PathConfig::default());
        send(&mut path, 0, 1);
        path.lose_nth(1);
        let arrived: Vec<usize> = (0..4).map(|_| send(&mut path, 0, 1).len()).collect();
        assert_eq!(arrived, [1, 0, 1, 1]);
    }

    #[test]
    fn faults_happen_at_their_rates_and_healing_ends_them() {
        let mut path = path(PathConfig {
            loss: Loss::Independent(0.1),
            duplicate: 0.1,
            reorder: 0.1,
            reorder_by: 3_000,
            corrupt: 0.1,
            truncate: 0.1,
            jitter: 100,
            ..PathConfig::default()
        });
        for _ in 0..10_000 {
            send(&mut path, 0, 50);
        }
        let stats = path.stats();
        assert!((800..1_200).contains(&stats.lost), "{stats:?}");
        assert!((700..1_200).contains(&stats.duplicated), "{stats:?}");
        assert!((1_400..2_100).contains(&stats.damaged), "{stats:?}");
        path.lose_nth(3);
        path.heal();
        for _ in 0..1_000 {
            let arrivals = send(&mut path, 0, 50);
            assert!(arrivals.len() == 1 && arrivals[0].at == 5_000 && arrivals[0].bytes == [7; 50]);
        }
    }
}
