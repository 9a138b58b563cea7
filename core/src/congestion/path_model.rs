//! The default for UDP: a model of the path's capacity and round trip that fills the path despite random loss, keeps the
//! standing queue short and shares with loss-based flows.
//!
//! Once per round trip the controller compares what arrived with what it sent. While a queue stands, the rate at which
//! packets leave the network *is* the path's capacity for this flow; while none stands, that rate is only a lower bound
//! and the controller sends faster. A small target for the queue, in time, closes the loop:
//!
//! ```text
//! pacing = capacity × (1 + (target − queue) / (2 × round trip))
//! target = 2 datagrams + K / sqrt(capacity) + what the path's own jitter explains
//! ```
//!
//! The target of a slower flow is longer, so that flows which share a queue converge to equal rates (as in FAST TCP and
//! Copa). Where somebody else keeps the queue full although this flow backs off, it competes as a loss-based flow does
//! until the queue empties again (as Copa does).
//!
//! Loss by itself is not taken for congestion: packets that were lost count as carried. What is carried is
//! believed only up to what arrives, corrected by the loss that the path shows when it is *not* loaded: a path that drops instead of
//! queueing holds the rate where it delivers.

use super::Controller;
use super::units::{bytes_in, rate_of, scale};
use crate::rtt::Rtt;
use crate::time::Instant;

/// Fractions are in 1/1024.
const ONE: u32 = 1024;
/// Initial window in datagrams, and the bytes that bound it (RFC 6928; RFC 9002, 7.2).
const INITIAL_DATAGRAMS: u32 = 10;
const INITIAL_BYTES: u32 = 14_720;
/// The datagram size assumed until the link tells it (RFC 9000, 14.1).
const DATAGRAM_DEFAULT: u32 = 1200;
/// The window never falls below this many datagrams: two may wait for one acknowledgement, two more keep it coming.
const WINDOW_MIN_DATAGRAMS: u32 = 4;
/// K of the queue target in µs × sqrt(bytes per second): 1.6 ms at 20 Mbit/s.
const TARGET_K: u32 = 2_500_000;
/// The least queue target in µs: what timers and schedulers of hosts blur anyway.
const TARGET_FLOOR: u32 = 200;
/// Mean changes of the round trip that the target allows for.
const JITTER_GAIN: u32 = 5;
/// The most that a drain slows down, in 1/1024.
const DRAIN_MAX: u64 = 717;
/// How long a smallest round trip is believed before the queue is drained to see it again, in µs.
const BASE_LIFE: u32 = 2_500_000;
/// Rounds a drain lasts: one to empty the queue, one to see that it is empty.
const DRAIN_ROUNDS: u8 = 2;
/// More rounds that it waits while the queue goes on shrinking.
const DRAIN_MORE: u8 = 4;
/// Rounds with a queue that does not answer to this flow's backing off before it competes.
const FOREIGN_ROUNDS: u8 = 8;
/// A drain is joined after this part of the life.
const JOIN_PART: u32 = 4;
/// Twice this often longer a base is believed while competing.
const COMPETE_SHIFT: u32 = 0;
/// The same when it competed not long ago.
const FOREIGN_AGAIN_ROUNDS: u8 = 5;
/// Rounds without such a queue after which that is forgotten.
const FOREIGN_MEMORY: u8 = 24;
/// Rounds over which the best arrival rate is remembered.
const ARRIVED_ROUNDS: usize = 8;
/// Loss above the path's own that is not yet taken for a full queue: 5 %.
const LOSS_MARGIN: u32 = ONE * 5 / 100;
/// Round trips between drains for the sake of unexplained loss.
const SUSPECT_ROUNDS: u32 = 8;
/// Losses to expect before their absence says anything: at eight, fewer than three are a 1 % chance.
const JUDGED_LOSSES: u32 = 8;
/// Datagrams over which a sample of the loss is taken.
const LOSS_SAMPLE_DATAGRAMS: u32 = 16;
/// The most loss that is taken for the path's own: 30 %.
const LOSS_MAX: u32 = ONE * 3 / 10;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Mode {
    /// Multiplying the rate every round until the path is full.
    Start,
    /// Holding the queue at its target.
    Cruise,
    /// Emptying the queue to see the bare round trip; the rounds left.
    Drain(u8),
    /// Sharing with flows that fill the queue.
    Compete,
}

/// Rate-based controller: see the [module documentation](self).
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PathModel {
    mode: Mode,
    datagram: u32,
    /// Bytes per second that the path carries for this flow, lost packets included.
    capacity: u32,
    pacing: u32,
    window: u32,

    /// Bytes ever sent, wrapping; the newest value acknowledged; the latter when the round began.
    sent: u32,
    carried: u32,
    round_carried: u32,
    round_start: Instant,
    /// When the newest acknowledged packet was sent, now and when the round began.
    newest_sent_at: Instant,
    round_sent_at: Instant,
    round_acked: u32,
    /// Smallest round trip of the round, µs.
    round_rtt: u32,
    round_done: bool,
    is_started: bool,
    last_now: Instant,
    app_limited_at: Option<Instant>,

    /// Round trip without a queue and when it was last seen.
    base: u32,
    /// Smallest since the end of the last drain, which counts as well.
    base_next: u32,
    base_at: Instant,
    last_rtt: u32,
    last_rtt2: u32,
    /// Four times the smoothed smallest round trip of the rounds.
    rtt_x4: u32,
    /// Eight times the mean change of the smallest round trip from round to round.
    jitter_x8: u32,
    queue: u32,
    empty_rounds: u8,
    foreign_rounds: u8,
    quiet_rounds: u8,
    /// Gain applied in this round and the one before, 1/1024 above or below one.
    gain: i32,
    gain_before: i32,

    /// Loss when the path is not loaded, in 1/1024.
    loss_base: u32,
    /// Smoothed loss, in 1/1024.
    loss: u32,
    loss_carried: u32,
    loss_acked: u32,
    /// Its smoothed scatter.
    loss_dev: i32,
    /// Datagrams sent and lost in the slow rounds of drains since the last verdict.
    judged_sent: u32,
    judged_lost: u32,
    arrived: [u32; ARRIVED_ROUNDS],
    arrived_next: u8,

    /// First train: stamp and time of its first acknowledgement, and the rate its spread shows.
    train: Option<(u32, Instant)>,
    train_end: u32,
    train_seen: u32,
    train_rate: u32,
    stalled_rounds: u8,
    known_rounds: u8,

    compete_window: u32,
    is_competing: bool,
    is_drained: bool,
    drained_at: Instant,
    drain_more: u8,
    cut_at: Instant,
}

impl Default for PathModel {
    fn default() -> Self {
        Self::new()
    }
}

impl PathModel {
    /// A controller that knows nothing of its path yet.
    pub const fn new() -> Self {
        PathModel {
            mode: Mode::Start,
            datagram: DATAGRAM_DEFAULT,
            capacity: 0,
            pacing: 0,
            window: initial_window(DATAGRAM_DEFAULT),
            sent: 0,
            carried: 0,
            round_carried: 0,
            round_start: Instant::ZERO,
            newest_sent_at: Instant::ZERO,
            round_sent_at: Instant::ZERO,
            round_acked: 0,
            round_rtt: u32::MAX,
            round_done: false,
            is_started: false,
            last_now: Instant::ZERO,
            app_limited_at: None,
            base: u32::MAX,
            base_next: u32::MAX,
            base_at: Instant::ZERO,
            last_rtt: 0,
            last_rtt2: 0,
            jitter_x8: 0,
            queue: 0,
            empty_rounds: 0,
            foreign_rounds: 0,
            quiet_rounds: 0,
            gain: 0,
            gain_before: 0,
            loss_base: 0,
            loss: 0,
            loss_carried: 0,
            loss_acked: 0,
            loss_dev: 0,
            judged_sent: 0,
            judged_lost: 0,
            rtt_x4: 0,
            is_competing: false,
            is_drained: false,
            drained_at: Instant::ZERO,
            drain_more: 0,
            arrived: [0; ARRIVED_ROUNDS],
            arrived_next: 0,
            train: None,
            train_end: 0,
            train_seen: 0,
            train_rate: 0,
            stalled_rounds: 0,
            known_rounds: 0,
            compete_window: 0,
            cut_at: Instant::ZERO,
        }
    }

    /// The queue, in µs, that this flow wants to see.
    fn target(&self) -> u32 {
        let rate = self.capacity.max(1);
        let packets = (u64::from(2 * self.datagram) * 1_000_000 / u64::from(rate)).min(10_000_000) as u32;
        let jitter = (self.jitter_x8 / 8).saturating_mul(JITTER_GAIN).min(self.base / 2);
        packets + TARGET_K / rate.isqrt().max(1) + jitter + TARGET_FLOOR
    }

    fn end_round(&mut self, now: Instant) {
        let carried = self.carried.wrapping_sub(self.round_carried);
        let sent_for = self.newest_sent_at.micros_since(self.round_sent_at);
        let acked_for = now.micros_since(self.round_start).max(1);
        let micros = acked_for.max(sent_for);
        let arrived = rate_of(self.round_acked.min(carried), micros);
        // Lost packets count as carried, but only so far: what overflows a queue was not carried by anything.
        let rate = rate_of(carried, micros).min(scale(arrived, ONE * ONE / (ONE - LOSS_MAX)));
        // While acknowledgements come in at another rate than the packets left, a queue grows or shrinks, and theirs is
        // the rate of the bottleneck.
        let is_bottleneck = acked_for.abs_diff(sent_for) > sent_for / 50;
        let drained = rate_of(carried, acked_for)
            .min(scale(rate_of(self.round_acked, acked_for), ONE * ONE / (ONE - LOSS_MAX)));
        let lost =
            (u64::from(carried.saturating_sub(self.round_acked)) * 1024 / u64::from(carried.max(1))) as u32;
        // A few packets tell little: one lost of eight is no sign of anything.
        let explained = self.loss_base + self.loss_base / 4 + LOSS_MARGIN;
        let is_lossy =
            self.loss_base < 64 && lost > explained + 2 * ONE * self.datagram / carried.max(self.datagram);
        if self.mode == Mode::Drain(1) {
            self.judge_loss(carried);
        }
        let app_limited = self.app_limited_at.is_some_and(|t| t >= self.round_sent_at);
        self.observe_queue(now);

        if !app_limited {
            self.arrived[usize::from(self.arrived_next) % ARRIVED_ROUNDS] = arrived;
            self.arrived_next = (self.arrived_next + 1) % ARRIVED_ROUNDS as u8;
        }
        self.loss_carried = self.loss_carried.saturating_add(carried);
        self.loss_acked = self.loss_acked.saturating_add(self.round_acked);
        if self.loss_carried >= LOSS_SAMPLE_DATAGRAMS * self.datagram {
            let lost = self.loss_carried.saturating_sub(self.loss_acked);
            let loss = (u64::from(lost) * 1024 / u64::from(self.loss_carried)) as u32;
            let is_growing = rate > scale(self.capacity, ONE * 5 / 4);
            self.observe_loss(loss, is_growing);
            (self.loss_carried, self.loss_acked) = (0, 0);
        }

        match self.mode {
            Mode::Start => self.round_in_start(rate, app_limited),
            Mode::Cruise => self.round_in_cruise(
                now,
                rate,
                if is_bottleneck { drained } else { u32::MAX },
                is_lossy,
                app_limited,
            ),
            Mode::Drain(left) => self.round_in_drain(now, left),
            Mode::Compete => self.round_in_compete(now, rate),
        }
        self.apply();

        self.begin_round(now);
    }

    fn begin_round(&mut self, now: Instant) {
        self.round_carried = self.carried;
        self.round_start = now;
        self.round_sent_at = self.newest_sent_at;
        self.round_acked = 0;
        self.round_rtt = u32::MAX;
    }

    /// The path's own loss is learned while the path fills, when more arrives the more is sent.
    fn observe_loss(&mut self, loss: u32, is_growing: bool) {
        let change = loss as i32 - self.loss as i32;
        self.loss_dev += (change.abs() - self.loss_dev) / 4;
        self.loss = (self.loss as i32 + change / if change < 0 { 2 } else { 4 }) as u32;
        let toward = loss.min(LOSS_MAX) as i32 - self.loss_base as i32;
        let step = if self.mode == Mode::Start && is_growing { toward / 2 } else { (toward / 8).min(0) };
        self.loss_base = (self.loss_base as i32 + step).max(0) as u32;
    }

    /// Whether more is lost than the path's own loss and its scatter explain: the path drops what does not fit.
    fn is_overloaded(&self) -> bool {
        self.loss > self.loss_base + (2 * self.loss_dev as u32).clamp(LOSS_MARGIN, 4 * LOSS_MARGIN)
    }

    /// The slow round of a drain is accounted for. Loss that went away with half of the load was the load's doing, loss
    /// that did not is the path's own.
    fn judge_loss(&mut self, carried: u32) {
        let sent = carried / self.datagram;
        let lost = carried.saturating_sub(self.round_acked) / self.datagram;
        self.judged_sent += sent;
        self.judged_lost += lost;
        let expected = scale(self.judged_sent, self.loss);
        if expected < JUDGED_LOSSES {
            return;
        }
        let unexplained = self.loss.min(LOSS_MAX).saturating_sub(self.loss_base);
        if self.judged_lost * 3 < expected {
            self.loss = self.judged_lost * 1024 / self.judged_sent.max(1);
            self.loss_base = self.loss_base.min(self.loss);
            self.capacity = scale(self.capacity, ONE * 3 / 4);
        } else if self.judged_lost * 2 > expected {
            self.loss_base += unexplained / 2;
        }
        (self.judged_sent, self.judged_lost) = (0, 0);
    }

    fn observe_queue(&mut self, now: Instant) {
        let rtt = self.round_rtt;
        if rtt <= self.base {
            self.base = rtt;
            self.base_at = now;
        }
        self.base_next = self.base_next.min(rtt);
        if self.last_rtt != 0 && self.mode == Mode::Cruise && self.gain_before.abs() < 64 {
            // The change of the change: a queue that this flow fills or empties at a constant rate is no jitter.
            let bend =
                (i64::from(rtt) + i64::from(self.last_rtt2) - 2 * i64::from(self.last_rtt)).unsigned_abs();
            self.jitter_x8 =
                self.jitter_x8 - self.jitter_x8 / 8 + (bend / 2).min(u64::from(self.base)) as u32;
        }
        self.rtt_x4 =
            if self.rtt_x4 == 0 { rtt.saturating_mul(4) } else { self.rtt_x4 - self.rtt_x4 / 4 + rtt };
        self.last_rtt2 = self.last_rtt;
        self.last_rtt = rtt;
        self.queue = rtt - self.base;
    }

    fn on_ack_in_start(&mut self, now: Instant, in_flight: u32) {
        self.on_first_flight(now);
        let elapsed = now.micros_since(self.round_start);
        let queue = self.round_rtt.saturating_sub(self.base);
        let carried = self.carried.wrapping_sub(self.round_carried);
        if carried >= 8 * self.datagram && elapsed > self.base / 8 && queue > self.target().max(self.base / 8)
        {
            // Lost packets count, but a gap that a fade left must not pass for speed.
            let arrived = scale(self.round_acked, ONE * ONE / (ONE - LOSS_MAX));
            self.capacity = rate_of(carried.min(arrived), elapsed).min(self.pacing);
            self.leave_start(now, queue, in_flight);
        }
    }

    /// The path is full and more is on its way: drain what is in flight beyond the path's capacity in one round trip.
    fn leave_start(&mut self, now: Instant, queue: u32, in_flight: u32) {
        let arriving = scale(in_flight, ONE - self.loss_base);
        let fits = bytes_in(self.capacity, self.base);
        let excess = u64::from(arriving.saturating_sub(fits)) * 1024 / u64::from(arriving.max(1));
        self.mode = Mode::Cruise;
        self.gain_before = self.gain;
        self.gain = -(excess.min(DRAIN_MAX) as i32);
        self.queue = queue;
        self.apply();
        self.begin_round(now);
        self.round_done = false;
    }

    /// The first flight leaves back to back: how far its acknowledgements spread shows what the path carries.
    fn on_first_flight(&mut self, now: Instant) {
        let Some((stamp, at)) = self.train else {
            let flight = self.sent.wrapping_sub(self.round_carried).max(initial_window(self.datagram));
            self.train = Some((self.carried, now));
            self.train_end = self.sent;
            self.base = self.base.min(self.round_rtt);
            self.base_at = now;
            self.capacity = self.capacity.max(rate_of(flight, self.base));
            self.pacing = self.faster();
            self.apply_start();
            self.begin_round(now);
            self.round_done = false;
            return;
        };
        let is_of_train = self.train_end.wrapping_sub(self.carried) as i32 >= 0;
        let is_new = self.carried != self.train_seen;
        let (spread, micros) = (self.carried.wrapping_sub(stamp), now.micros_since(at));
        if is_of_train && is_new && spread >= 4 * self.datagram && micros > 0 && micros < self.base / 2 {
            let is_first = self.train_rate == 0;
            self.train_seen = self.carried;
            self.train_rate = rate_of(spread, micros);
            if is_first {
                self.pacing = self.capacity;
            }
            if is_first || self.pacing > self.train_rate {
                self.pacing = self.faster().min(self.train_rate.max(self.capacity));
                self.apply_start();
            }
        }
    }

    /// Twice as fast; four times while the spread of the first flight says that the path is far from full.
    fn faster(&self) -> u32 {
        // What was sent at this pace is acknowledged two rounds later: that far the rate may be ahead of what was seen.
        let now = self.pacing.max(self.capacity).max(1);
        let (step, ahead) = if self.train_rate > now { (8, 32) } else { (2, 4) };
        let next = now.saturating_mul(step).min(self.capacity.saturating_mul(ahead)).max(now);
        if self.train_rate > now { next.min(self.train_rate) } else { next }
    }

    fn round_in_start(&mut self, rate: u32, app_limited: bool) {
        if app_limited {
            self.capacity = self.capacity.max(rate);
            return;
        }
        let is_known = self.train_rate > 0 && self.pacing >= self.train_rate;
        let is_grown = rate > scale(self.capacity, ONE * 5 / 4);
        self.stalled_rounds =
            if is_grown || (is_known && self.known_rounds < 2) { 0 } else { self.stalled_rounds + 1 };
        self.capacity = self.capacity.max(rate);
        // What this pace brings is seen two rounds after it was set.
        self.known_rounds = if is_known { self.known_rounds + 1 } else { 0 };
        if self.stalled_rounds >= 2 || (self.known_rounds >= 3 && self.stalled_rounds >= 1) {
            self.mode = Mode::Cruise;
            self.empty_rounds = 2;
            self.gain = self.correction();
            return;
        }
        if !is_known {
            self.pacing = self.faster();
        }
    }

    /// How much faster or slower than the capacity to send, in 1/1024.
    fn correction(&self) -> i32 {
        let target = self.target();
        let base = self.base.max(1);
        // What the last round's gain adds to the queue shows only in the next round's samples.
        let pending = i64::from(self.gain_before) * i64::from(base) / 1024;
        let queue = (i64::from(self.queue) + pending).clamp(0, i64::from(u32::MAX)) as u32;
        let part = |t: u32| (u64::from(t) * 512 / u64::from(base)).min(512) as i32;
        if queue >= target && self.queue < target / 2 {
            0
        } else if queue >= target {
            -part(queue - target)
        } else if self.is_overloaded() {
            0
        } else {
            let most = if self.empty_rounds < 5 || self.loss > LOSS_MARGIN { 256 } else { 1024 };
            (part(target - queue) << self.empty_rounds.min(6)).min(most)
        }
    }

    fn round_in_cruise(&mut self, now: Instant, rate: u32, drained: u32, is_lossy: bool, app_limited: bool) {
        let target = self.target();
        let is_loaded = self.queue > target / 2;
        let gain_seen = self.gain_before;
        let is_exceeded = gain_seen > 0 && rate > scale(self.capacity, (ONE as i32 + gain_seen / 2) as u32);
        if self.is_overloaded() || is_lossy {
            self.empty_rounds = 0;
        } else if is_exceeded && !is_loaded {
            self.capacity = rate;
        } else if rate > self.capacity {
            self.capacity += (rate - self.capacity) / if is_loaded { 4 } else { 2 };
        } else if !app_limited && is_loaded && drained < self.capacity {
            let part = if self.queue > self.base.max(2 * target) { 1 } else { 4 };
            self.capacity -= (self.capacity - drained) / part;
        } else if !app_limited && self.queue > target {
            self.capacity -= (self.capacity - rate) / 8;
        }
        if is_loaded {
            self.empty_rounds = 0;
        } else if !app_limited && is_exceeded {
            self.empty_rounds = (self.empty_rounds + 1).min(8);
        }
        let best = self.arrived.iter().copied().max().unwrap_or(0);
        if best > 0 && !app_limited {
            let most = u64::from(best) * 1088 / u64::from(ONE - self.loss_base);
            self.capacity = self.capacity.min(u32::try_from(most).unwrap_or(u32::MAX)).max(1);
        }
        self.foreign_rounds = if self.queue > target + target / 2 { self.foreign_rounds + 1 } else { 0 };
        self.quiet_rounds = if self.foreign_rounds > 0 { 0 } else { self.quiet_rounds.saturating_add(1) };
        self.is_competing &= self.quiet_rounds < FOREIGN_MEMORY;
        self.is_drained &= self.quiet_rounds < FOREIGN_MEMORY;
        self.gain_before = self.gain;
        let patience = if self.is_competing { FOREIGN_AGAIN_ROUNDS } else { FOREIGN_ROUNDS };
        if self.foreign_rounds >= patience && !self.is_drained && !self.is_competing {
            // Perhaps others of its kind arrived late and took the queue for the path's delay: a common drain shows them.
            self.is_drained = true;
            self.foreign_rounds = 0;
            self.start_drain(now);
        } else if self.foreign_rounds >= patience {
            self.start_competing(now);
        } else if self.is_drain_due(now) {
            self.start_drain(now);
        } else {
            self.gain = self.correction();
        }
    }

    /// Flows that share a queue must drain it together to see the bare round trip. One that begins makes a dip, which
    /// the others join if their turn comes soon.
    fn is_drain_due(&self, now: Instant) -> bool {
        let age = now.micros_since(self.base_at);
        let life = BASE_LIFE.max(self.base.saturating_mul(16))
            << if self.mode == Mode::Compete { COMPETE_SHIFT } else { 0 };
        let usual = self.rtt_x4 / 4;
        let is_dip = self.last_rtt + (self.target() / 4).max(usual.saturating_sub(self.base) / 8) < usual;
        let since = now.micros_since(self.drained_at);
        let is_suspect = self.is_overloaded() && since > usual.saturating_mul(SUSPECT_ROUNDS);
        is_suspect || age > life || (since > life / JOIN_PART && is_dip)
    }

    fn start_competing(&mut self, now: Instant) {
        let fits = bytes_in(self.capacity, self.base.saturating_add(self.queue)).max(self.window_min());
        self.compete_window = if self.is_competing { self.compete_window.max(fits) } else { fits };
        self.is_competing = true;
        self.is_drained = false;
        self.foreign_rounds = 0;
        self.cut_at = now;
        self.mode = Mode::Compete;
    }

    fn start_drain(&mut self, now: Instant) {
        self.drained_at = now;
        self.drain_more = DRAIN_MORE;
        self.mode = Mode::Drain(DRAIN_ROUNDS);
        let share = (u64::from(self.queue) + u64::from(self.target())) * 1024 / u64::from(self.base.max(1));
        self.gain_before = self.gain;
        let least = if self.is_overloaded() { 512 } else { 256 };
        self.gain = -(share.min(512) as i32).max(least);
    }

    fn round_in_drain(&mut self, now: Instant, left: u8) {
        self.gain_before = self.gain;
        if left > 1 {
            self.mode = Mode::Drain(left - 1);
            self.gain = 0;
            return;
        }
        if self.last_rtt + self.target() / 8 < self.last_rtt2 && self.drain_more > 0 {
            // Others drain as well: the bottom is not yet seen.
            self.drain_more -= 1;
            self.gain = 0;
            return;
        }
        self.base = self.base_next;
        self.base_next = self.last_rtt;
        self.base_at = now;
        self.queue = self.last_rtt - self.base;
        self.empty_rounds = 0;
        self.mode = Mode::Cruise;
        if self.is_competing && self.queue > self.target() {
            self.mode = Mode::Compete;
        }
        self.gain = self.correction();
    }

    fn round_in_compete(&mut self, now: Instant, rate: u32) {
        let step = (i64::from(rate) - i64::from(self.capacity)) / 4;
        self.capacity = (i64::from(self.capacity) + step).max(1) as u32;
        self.compete_window = self.compete_window.saturating_add(self.datagram).min(WINDOW_MAX);
        if self.queue < self.target() {
            self.mode = Mode::Cruise;
            self.gain = self.correction();
        } else if self.is_drain_due(now) {
            self.start_drain(now);
        }
    }

    fn window_min(&self) -> u32 {
        self.datagram.saturating_mul(WINDOW_MIN_DATAGRAMS)
    }

    fn apply_start(&mut self) {
        let span = self.base.saturating_mul(2).saturating_add(self.target());
        self.window = bytes_in(self.pacing, span).max(initial_window(self.datagram)).min(WINDOW_MAX);
    }

    fn apply(&mut self) {
        if self.mode == Mode::Start {
            return self.apply_start();
        }
        if self.mode == Mode::Compete {
            let rtt = self.base.saturating_add(self.queue);
            self.window = self.compete_window;
            self.pacing = scale(rate_of(self.window, rtt), ONE * 5 / 4).max(1);
            return;
        }
        // As slow as TCP goes: two datagrams in a round trip (RFC 9002, 7.2).
        let least = rate_of(self.datagram.saturating_mul(2), self.base.saturating_add(self.queue));
        self.capacity = self.capacity.max(least).max(1);
        self.pacing = scale(self.capacity, (ONE as i32 + self.gain).max(1) as u32).max(least).max(1);
        let rate = self.pacing.max(self.capacity);
        let span = self.base.saturating_mul(2).saturating_add(self.target().saturating_mul(2));
        self.window = bytes_in(rate, span).max(self.window_min()).min(WINDOW_MAX);
    }
}

const WINDOW_MAX: u32 = 1 << 30;

/// RFC 9002, 7.2.
const fn initial_window(datagram: u32) -> u32 {
    let most = if datagram > INITIAL_BYTES / 2 { datagram * 2 } else { INITIAL_BYTES };
    if datagram * INITIAL_DATAGRAMS < most { datagram * INITIAL_DATAGRAMS } else { most }
}

impl Controller for PathModel {
    /// Bytes sent up to and including the packet.
    type Stamp = u32;

    fn on_sent(&mut self, now: Instant, bytes: u32, in_flight: u32) -> u32 {
        if !self.is_started || (in_flight == 0 && self.carried == self.sent) {
            // The first packet, or the first after everything was acknowledged: a round begins here.
            self.is_started = true;
            self.train = None;
            self.round_carried = self.carried;
            self.round_start = now;
            self.round_sent_at = now;
            self.newest_sent_at = now;
        }
        self.last_now = now;
        self.sent = self.sent.wrapping_add(bytes);
        self.sent
    }

    fn on_acked(&mut self, now: Instant, sent_at: Instant, bytes: u32, stamp: &u32, _rtt: &Rtt) {
        self.last_now = now;
        self.round_acked = self.round_acked.saturating_add(bytes);
        if stamp.wrapping_sub(self.carried) as i32 > 0 {
            self.carried = *stamp;
            self.newest_sent_at = self.newest_sent_at.max(sent_at);
        }
        self.round_rtt = self.round_rtt.min(now.micros_since(sent_at).max(1));
        self.round_done |= sent_at >= self.round_start;
    }

    fn on_lost(&mut self, now: Instant, sent_at: Instant, _bytes: u32, _stamp: &u32, _rtt: &Rtt) {
        if self.mode == Mode::Compete && sent_at > self.cut_at {
            self.cut_at = now;
            self.compete_window = scale(self.compete_window, ONE * 7 / 10).max(self.window_min());
        }
    }

    fn on_ack_end(&mut self, now: Instant, in_flight: u32, _rtt: &Rtt) {
        if self.mode == Mode::Start {
            self.on_ack_in_start(now, in_flight);
        }
        if self.round_done {
            self.round_done = false;
            self.end_round(now);
        }
    }

    fn on_app_limited(&mut self, _in_flight: u32) {
        self.app_limited_at = Some(self.last_now);
    }

    fn on_datagram_max(&mut self, bytes: u32) {
        let bytes = bytes.clamp(1, 65_535);
        self.datagram = bytes;
        if self.capacity == 0 {
            self.window = initial_window(bytes);
        }
    }

    fn reset(&mut self) {
        let datagram = self.datagram;
        *self = PathModel { datagram, window: initial_window(datagram), ..PathModel::new() };
    }

    fn window(&self) -> u32 {
        self.window
    }

    fn pacing_rate(&self) -> u32 {
        if self.mode == Mode::Start && self.pacing > 0 {
            // What a flow sent that had little to send says nothing: an initial window in a round trip is always allowed
            // (RFC 9002, 7.7).
            return self.pacing.max(rate_of(initial_window(self.datagram), self.base.min(333_000)));
        }
        self.pacing
    }

    fn is_congested(&self) -> bool {
        self.mode == Mode::Compete || self.queue > self.target().saturating_mul(2)
    }
}
