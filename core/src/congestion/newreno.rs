//! NewReno as QUIC has it (RFC 9002, section 7), byte-counted and paced: the small default for sharing the open internet
//! (RFC 8085, section 3.1).
//!
//! Kept invariant: `window >= 2 × datagram`, and the window grows only while the application fills it.

use super::Controller;
use super::units::rate_of;
use crate::rtt::Rtt;
use crate::storage::Item;
use crate::time::Instant;

/// Initial window in datagrams, and the bytes that bound it for large ones (RFC 9002, 7.2).
const INITIAL_DATAGRAMS: u32 = 10;
const INITIAL_BYTES: u32 = 14_720;
/// The window never falls below this many datagrams (RFC 9002, 7.2).
const WINDOW_MIN_DATAGRAMS: u32 = 2;
/// The datagram size assumed until the link tells it (RFC 9000, 14.1: the size every path must carry).
const DATAGRAM_DEFAULT: u32 = 1200;
/// Round trips' worth of probe timeouts that make a run of losses persistent congestion (RFC 9002, 7.6.1).
const PERSISTENT_THRESHOLD: u32 = 3;
/// Timer granularity in the probe timeout, microseconds (RFC 9002, 6.1.2).
const GRANULARITY: u32 = 1_000;
/// How long the peer may hold an acknowledgement back, microseconds (RFC 9000, 18.2, the default).
const ACK_DELAY_MAX: u32 = 25_000;
/// No window grows past this: it keeps sums of two windows within 32 bits.
const WINDOW_MAX: u32 = 1 << 30;

/// Byte-counted NewReno with pacing.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NewReno {
    datagram: u32,
    window: u32,
    threshold: u32,
    /// Bytes acknowledged since the window last grew in congestion avoidance.
    acked: u32,
    pacing: u32,
    /// Losses of packets sent before this instant belong to a reduction that was already made.
    recovery_start: Option<Instant>,
    /// The newest send time acknowledged by earlier acknowledgements, the oldest acknowledged by this one.
    acked_newest: Option<Instant>,
    ack_oldest: Option<Instant>,
    ack_newest: Option<Instant>,
    /// Send times of the first and last packet of the run of losses that no acknowledgement interrupts.
    lost_run: Option<(Instant, Instant)>,
    /// The application fills the window.
    is_filled: bool,
}

impl Default for NewReno {
    fn default() -> Self {
        Self::new()
    }
}

impl NewReno {
    /// A controller with the initial window for the default datagram size.
    pub const fn new() -> Self {
        NewReno {
            datagram: DATAGRAM_DEFAULT,
            window: initial_window(DATAGRAM_DEFAULT),
            threshold: u32::MAX,
            acked: 0,
            pacing: 0,
            recovery_start: None,
            acked_newest: None,
            ack_oldest: None,
            ack_newest: None,
            lost_run: None,
            is_filled: true,
        }
    }

    fn window_min(&self) -> u32 {
        self.datagram * WINDOW_MIN_DATAGRAMS
    }

    fn is_in_recovery(&self, sent_at: Instant) -> bool {
        self.recovery_start.is_some_and(|start| sent_at <= start)
    }

    /// One reduction per round trip (RFC 9002, 7.3.2).
    fn on_congestion(&mut self, now: Instant, sent_at: Instant) {
        if self.is_in_recovery(sent_at) {
            return;
        }
        self.recovery_start = Some(now);
        self.threshold = (self.window / 2).max(self.window_min());
        self.window = self.threshold;
        self.acked = 0;
    }

    /// RFC 9002, 7.6: by the time that a run of losses spans, never by counting probe timeouts.
    fn on_loss_run(&mut self, sent_at: Instant, rtt: &Rtt) {
        let interrupted =
            self.acked_newest.is_some_and(|t| sent_at <= t) || self.ack_oldest.is_some_and(|t| sent_at >= t);
        if !rtt.is_sampled() || interrupted {
            return;
        }
        let (first, last) = self.lost_run.unwrap_or((sent_at, sent_at));
        let (first, last) = (first.min(sent_at), last.max(sent_at));
        self.lost_run = Some((first, last));
        let probe_timeout = rtt.smoothed() + (4 * rtt.variation()).max(GRANULARITY) + ACK_DELAY_MAX;
        if last.micros_since(first) > probe_timeout.saturating_mul(PERSISTENT_THRESHOLD) {
            self.window = self.window_min();
            self.recovery_start = None;
            self.acked = 0;
        }
    }
}

/// RFC 9002, 7.2.
const fn initial_window(datagram: u32) -> u32 {
    let most = if datagram > INITIAL_BYTES / 2 { datagram * 2 } else { INITIAL_BYTES };
    if datagram * INITIAL_DATAGRAMS < most { datagram * INITIAL_DATAGRAMS } else { most }
}

impl Item for NewReno {
    const BLANK: Self = NewReno { datagram: 0, window: 0, threshold: 0, is_filled: false, ..NewReno::new() };
}

impl Controller for NewReno {
    type Stamp = ();

    fn on_sent(&mut self, _now: Instant, bytes: u32, in_flight: u32) {
        if in_flight.saturating_add(bytes).saturating_add(self.datagram) > self.window {
            self.is_filled = true;
        }
    }

    fn on_acked(&mut self, _now: Instant, sent_at: Instant, bytes: u32, _stamp: &(), _rtt: &Rtt) {
        self.ack_oldest = Some(self.ack_oldest.map_or(sent_at, |t| t.min(sent_at)));
        self.ack_newest = Some(self.ack_newest.map_or(sent_at, |t| t.max(sent_at)));
        if !self.is_filled || self.is_in_recovery(sent_at) {
            return;
        }
        if self.window < self.threshold {
            self.window = self.window.saturating_add(bytes).min(WINDOW_MAX);
            return;
        }
        self.acked = self.acked.saturating_add(bytes);
        if self.acked >= self.window {
            self.acked -= self.window;
            self.window = self.window.saturating_add(self.datagram).min(WINDOW_MAX);
        }
    }

    fn on_lost(&mut self, now: Instant, sent_at: Instant, _bytes: u32, _stamp: &(), rtt: &Rtt) {
        self.on_congestion(now, sent_at);
        self.on_loss_run(sent_at, rtt);
    }

    fn on_ack_end(&mut self, _now: Instant, _in_flight: u32, rtt: &Rtt) {
        if let Some(newest) = self.ack_newest.take() {
            self.acked_newest = Some(self.acked_newest.map_or(newest, |t| t.max(newest)));
            self.ack_oldest = None;
            self.lost_run = None;
        }
        // RFC 9002, 7.7 asks for a factor above one and offers 1.25; twice the window keeps slow start from being slowed
        // by its own pacing, as Linux does (tcp_pacing_ss_ratio).
        if rtt.is_sampled() {
            let base = rate_of(self.window, rtt.smoothed());
            let extra = if self.window < self.threshold { base } else { base / 4 };
            self.pacing = base.saturating_add(extra).max(1);
        }
    }

    fn on_app_limited(&mut self, in_flight: u32) {
        // RFC 9002, 7.8: a window that is not used is not shown to fit the path.
        if in_flight.saturating_add(self.datagram) <= self.window {
            self.is_filled = false;
        }
    }

    fn on_datagram_max(&mut self, bytes: u32) {
        let bytes = bytes.max(1).min(65_535);
        let untouched = self.window == initial_window(self.datagram) && self.recovery_start.is_none();
        self.datagram = bytes;
        self.window = if untouched { initial_window(bytes) } else { self.window.max(self.window_min()) };
    }

    fn reset(&mut self) {
        let datagram = self.datagram;
        *self = NewReno { datagram, window: initial_window(datagram), ..NewReno::new() };
    }

    fn window(&self) -> u32 {
        self.window
    }

    fn pacing_rate(&self) -> u32 {
        self.pacing
    }

    fn is_congested(&self) -> bool {
        self.recovery_start.is_some() && self.is_filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1_000;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    fn rtt_of(ms: u32) -> Rtt {
        let mut r = Rtt::new(333_000);
        for _ in 0..64 {
            r.on_sample(ms * 1000, 0);
        }
        r
    }

    fn reno() -> NewReno {
        let mut c = NewReno::new();
        c.on_datagram_max(MSS);
        c
    }

    /// Sends a full window at `sent` and acknowledges it `rtt` later.
    fn round(c: &mut NewReno, sent: u64, rtt: &Rtt) {
        let packets = c.window() / MSS;
        for i in 0..packets {
            c.on_sent(at(sent), MSS, i * MSS);
        }
        let now = at(sent + u64::from(rtt.smoothed() / 1000));
        for _ in 0..packets {
            c.on_acked(now, at(sent), MSS, &(), rtt);
        }
        c.on_ack_end(now, 0, rtt);
    }

    #[test]
    fn initial_window_follows_rfc_9002() {
        for (datagram, window) in [
            (127, 1_270),
            (1_200, 12_000),
            (1_472, 14_720),
            (1_500, 14_720),
            (7_360, 14_720),
            (9_000, 18_000),
        ] {
            let mut c = NewReno::new();
            c.on_datagram_max(datagram);
            assert_eq!(c.window(), window, "{datagram}");
        }
    }

    #[test]
    fn slow_start_doubles_then_avoidance_adds_one() {
        let (mut c, rtt) = (reno(), rtt_of(40));
        round(&mut c, 0, &rtt);
        assert_eq!(c.window(), 20 * MSS);
        assert!((996_000..=1_000_000).contains(&c.pacing_rate()), "{}", c.pacing_rate());
        c.on_lost(at(50), at(45), MSS, &(), &rtt);
        assert_eq!(c.window(), 10 * MSS);
        round(&mut c, 60, &rtt);
        assert_eq!(c.window(), 11 * MSS);
        assert!((342_000..=343_750).contains(&c.pacing_rate()), "{}", c.pacing_rate());
    }

    #[test]
    fn losses_of_one_round_trip_reduce_once() {
        let (mut c, rtt) = (reno(), rtt_of(40));
        c.on_lost(at(50), at(10), MSS, &(), &rtt);
        c.on_lost(at(51), at(11), MSS, &(), &rtt);
        c.on_lost(at(90), at(50), MSS, &(), &rtt);
        assert_eq!(c.window(), 5 * MSS);
        c.on_lost(at(92), at(51), MSS, &(), &rtt);
        assert_eq!(c.window(), 2_500);
    }

    #[test]
    fn window_does_not_grow_while_the_application_is_idle() {
        let (mut c, rtt) = (reno(), rtt_of(40));
        for i in 0..100 {
            c.on_sent(at(i), 200, 0);
            c.on_app_limited(200);
            c.on_acked(at(i + 1), at(i), 200, &(), &rtt);
            c.on_ack_end(at(i + 1), 0, &rtt);
        }
        assert_eq!(c.window(), 10 * MSS);
        round(&mut c, 200, &rtt);
        assert_eq!(c.window(), 20 * MSS);
    }

    #[test]
    fn a_long_run_of_losses_is_persistent_congestion() {
        // The probe timeout is 40 + 4 × 0 (at least 1) + 25 ms; three of them are 198 ms.
        let rtt = rtt_of(40);
        let timeout = rtt.smoothed() + (4 * rtt.variation()).max(1000) + 25_000;
        for (span, window) in [(3 * timeout, 5 * MSS), (3 * timeout + 1, 2 * MSS)] {
            let mut c = reno();
            let last = Instant::from_micros(u64::from(span) + 1_000_000);
            let probe = last.plus_micros(100);
            c.on_acked(at(2_000), probe, MSS, &(), &rtt);
            c.on_lost(at(2_000), at(1_000), MSS, &(), &rtt);
            c.on_lost(at(2_000), last, MSS, &(), &rtt);
            c.on_ack_end(at(2_000), 0, &rtt);
            let grown = c.window() - window;
            assert!(grown <= MSS, "{span} {}", c.window());
        }
    }

    #[test]
    fn an_acknowledged_packet_interrupts_the_run() {
        let (mut c, rtt) = (reno(), rtt_of(40));
        c.on_acked(at(900), at(500), MSS, &(), &rtt);
        c.on_lost(at(900), at(0), MSS, &(), &rtt);
        c.on_lost(at(900), at(899), MSS, &(), &rtt);
        c.on_ack_end(at(900), 0, &rtt);
        assert!(c.window() >= 5 * MSS);
    }

    #[test]
    fn extreme_paths_stay_within_bounds() {
        for (datagram, micros) in [(1, 1), (127, 5_000_000), (65_535, 50), (65_535, u32::MAX)] {
            let mut rtt = Rtt::new(333_000);
            rtt.on_sample(micros, 0);
            let mut c = NewReno::new();
            c.on_datagram_max(datagram);
            for i in 0..64 {
                c.on_sent(at(i), datagram, c.window());
                c.on_acked(at(i), at(i), u32::MAX / 2, &(), &rtt);
                c.on_ack_end(at(i), 0, &rtt);
                assert!(c.window() >= 2 * datagram && c.window() <= WINDOW_MAX && c.pacing_rate() > 0);
            }
            for i in 64..128 {
                c.on_lost(at(i), at(i), datagram, &(), &rtt);
                assert!(c.window() >= 2 * datagram);
            }
            c.reset();
            assert_eq!(c.window(), initial_window(datagram));
        }
    }
}
