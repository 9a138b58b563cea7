//! Controllers for paths that need no congestion control: a line of known rate, or a pipe of known size.
//!
//! Neither of them reacts to loss: on a dedicated line a lost packet was damaged, not squeezed out. They must not be used
//! where other traffic shares the path (RFC 8085, section 3.1); there, use [`NewReno`](super::NewReno) or
//! [`PathModel`](super::PathModel).

use super::Controller;
use crate::rtt::Rtt;
use crate::storage::Item;
use crate::time::Instant;

/// Datagrams in flight beyond what the bare round trip holds: two that the peer may gather before it acknowledges
/// (RFC 9000, 13.2.2), one being serialised, one for the acknowledgement that waits behind a datagram of the peer's.
const SLACK_DATAGRAMS: u32 = 4;

/// The datagram size assumed until the link tells it: the smallest MTU that IPv4 promises (RFC 791).
const DATAGRAM_DEFAULT: u32 = 576;

/// Exact pacing at a rate that was told, for a dedicated line (serial, radio).
///
/// Datagrams leave at the given rate, and at most `rate × (round trip + slack)` plus four datagrams are in
/// flight, so that a line that is slower than told, or a peer that stops answering, never has more than that queued.
///
/// All arithmetic is 32 bits wide, without a 64-bit multiplication or division.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FixedRate {
    rate: u32,
    /// Sixteenths of a byte in 1024 µs: keeps 1 % of precision down to 100 bytes per second.
    sixteenths_per_1024us: u32,
    slack: u32,
    datagram: u32,
    window: u32,
}

impl FixedRate {
    /// `rate` is in bytes per second of whatever unit the link counts datagrams in: on a UART with 8N1 framing it is the
    /// bit rate divided by ten. `0` is taken as 1, rates above 4 GB/s do not exist in a `u32`.
    pub const fn new(rate: u32) -> Self {
        let rate = if rate == 0 { 1 } else { rate };
        // rate * 1024 * 16 / 1_000_000, split so that it cannot overflow.
        let sixteenths = rate / 15_625 * 256 + rate % 15_625 * 256 / 15_625;
        let unset = FixedRate {
            rate,
            sixteenths_per_1024us: if sixteenths == 0 { 1 } else { sixteenths },
            slack: 0,
            datagram: DATAGRAM_DEFAULT,
            window: 0,
        };
        FixedRate { window: unset.window_for(0), ..unset }
    }

    /// Lets `slack` more microseconds' worth of bytes be in flight: for a peer that answers late, such as one that
    /// stops for a flash erase. At most 71 minutes.
    pub const fn with_slack(self, slack: u32) -> Self {
        let wider = FixedRate { slack, ..self };
        FixedRate { window: wider.window_for(0), ..wider }
    }

    /// Bytes in flight on a path whose smallest round trip took `rtt` microseconds.
    const fn window_for(&self, rtt: u32) -> u32 {
        let ticks = (rtt.saturating_add(self.slack) >> 10) + 1;
        let on_the_line = self.sixteenths_per_1024us.saturating_mul(ticks) >> 4;
        on_the_line.saturating_add(self.datagram.saturating_mul(SLACK_DATAGRAMS))
    }
}

impl Item for FixedRate {
    const BLANK: Self = FixedRate { rate: 0, sixteenths_per_1024us: 0, slack: 0, datagram: 0, window: 0 };
}

impl Controller for FixedRate {
    type Stamp = ();

    fn on_sent(&mut self, _now: Instant, _bytes: u32, _in_flight: u32) {}

    fn on_acked(&mut self, _now: Instant, _sent_at: Instant, _bytes: u32, _stamp: &(), _rtt: &Rtt) {}

    fn on_lost(&mut self, _now: Instant, _sent_at: Instant, _bytes: u32, _stamp: &(), _rtt: &Rtt) {}

    fn on_ack_end(&mut self, _now: Instant, _in_flight: u32, rtt: &Rtt) {
        // Not the smoothed round trip: it counts what we queue ourselves, and on a line that is 1 % slower than told the
        // window would feed on its own queue. The variation covers a line that jitters.
        let jitter = rtt.variation().saturating_mul(4).min(rtt.min());
        self.window = self.window_for(rtt.min().saturating_add(jitter));
    }

    fn on_datagram_max(&mut self, bytes: u32) {
        self.datagram = bytes;
        self.window = self.window_for(0);
    }

    fn reset(&mut self) {
        self.window = self.window_for(0);
    }

    fn window(&self) -> u32 {
        self.window
    }

    fn pacing_rate(&self) -> u32 {
        self.rate
    }
}

/// A constant number of bytes in flight, without pacing: for a point-to-point pipe whose rate nobody knows and nobody
/// shares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FixedWindow {
    window: u32,
}

impl FixedWindow {
    /// At most `window` bytes in flight; `0` is taken as 1, which lets one datagram at a time through.
    pub const fn new(window: u32) -> Self {
        FixedWindow { window: if window == 0 { 1 } else { window } }
    }
}

impl Item for FixedWindow {
    const BLANK: Self = FixedWindow { window: 0 };
}

impl Controller for FixedWindow {
    type Stamp = ();

    fn on_sent(&mut self, _now: Instant, _bytes: u32, _in_flight: u32) {}

    fn on_acked(&mut self, _now: Instant, _sent_at: Instant, _bytes: u32, _stamp: &(), _rtt: &Rtt) {}

    fn on_lost(&mut self, _now: Instant, _sent_at: Instant, _bytes: u32, _stamp: &(), _rtt: &Rtt) {}

    fn on_ack_end(&mut self, _now: Instant, _in_flight: u32, _rtt: &Rtt) {}

    fn reset(&mut self) {}

    fn window(&self) -> u32 {
        self.window
    }

    fn pacing_rate(&self) -> u32 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after_rtt(mut c: FixedRate, micros: u32) -> u32 {
        let mut rtt = Rtt::new(333_000);
        // The first sample counts half of itself as variation: let that decay.
        for _ in 0..64 {
            rtt.on_sample(micros, 0);
        }
        c.on_ack_end(Instant::ZERO, 0, &rtt);
        c.window()
    }

    #[test]
    fn window_holds_one_round_trip_and_four_datagrams() {
        let mut c = FixedRate::new(11_520);
        c.on_datagram_max(256);
        assert_eq!(c.pacing_rate(), 11_520);
        // 100 ms at 11,520 B/s are 1,152 bytes; rounded up by at most two ticks of 1,024 µs.
        let w = after_rtt(c, 100_000) - 4 * 256;
        assert!((1_140..=1_176).contains(&w), "{w}");
    }

    #[test]
    fn slack_widens_the_window_by_its_bytes() {
        let plain = after_rtt(FixedRate::new(1_000_000), 10_000);
        let wide = after_rtt(FixedRate::new(1_000_000).with_slack(85_000), 10_000);
        assert!((84_000..=86_100).contains(&(wide - plain)), "{}", wide - plain);
    }

    #[test]
    fn extreme_rates_neither_overflow_nor_stall() {
        for rate in [0, 1, 960, 15_624, 15_625, 15_626, u32::MAX] {
            let mut c = FixedRate::new(rate);
            c.on_datagram_max(65_535);
            assert!(c.window() >= 65_535 * 4, "{rate}");
            assert!(after_rtt(c, 5_000_000) >= c.window(), "{rate}");
            assert!(c.pacing_rate() > 0);
        }
    }

    #[test]
    fn fixed_window_never_moves() {
        let mut c = FixedWindow::new(4096);
        c.on_lost(Instant::ZERO, Instant::ZERO, 100, &(), &Rtt::new(1));
        c.reset();
        assert_eq!((c.window(), c.pacing_rate()), (4096, 0));
        assert_eq!(FixedWindow::new(0).window(), 1);
    }
}
