//! Which packets are in flight, which arrived, which are lost, and when to probe: RFC 9002 with the adaptive reordering
//! window of RFC 8985.
//!
//! A packet number is used once; what was in a lost packet is sent again in a new one. A packet is lost when one sent
//! three packets later has arrived (until reordering is seen), or when one sent later has arrived and it has been out for
//! longer than a round trip and the reordering window. A probe timeout declares nothing lost: it sends something that
//! brings an acknowledgement.

use core::hash::{Hash, Hasher};

use super::ack_rate::AckRate;
use super::digest::{relative, relative_to};
use super::repetition::LOSS_MANY;
use super::sent::{Fate, SentPacket, control};
use super::timers::tick;
use super::{Link, Phase};
use crate::config::{Config, Medium};
use crate::congestion::Controller;
use crate::event::{CloseReason, FailReason};
use crate::logging::{debug, trace};
use crate::rtt::Rtt;
use crate::sequence::{Range, Sequence};
use crate::storage::{Ring, Slots, Storage};
use crate::time::{Instant, micros_u32};
use crate::wire::{ACK_RANGES_MAX, Ack};

/// Packets sent after a lost one that must have arrived (RFC 9002, 6.1.1), until reordering is seen.
const PACKET_THRESHOLD: u32 = 3;

/// The same where one packet in thirty is lost: a gap is far more likely a loss than the first reordering ever seen there (RFC 8985, 6.2,
/// step 4, has no window at all in recovery, until reordering is seen).
const PACKET_THRESHOLD_LOSSY: u32 = 1;

/// The longest probe interval in microseconds: an unreachable peer costs a packet every 5 s. (RFC 8085, 3.1.1 asks for no
/// more than one in 3 s where the round trip is not known; RFC 6298 allows a maximum of 60 s, but a peer that comes back
/// should not wait for so long.)
const PROBE_MAX: u32 = 5_000_000;

/// The shortest wait from an unanswered probe to the next, in microseconds, where loss is rare. Chosen: longer than a
/// flash page erase (85 ms, nRF52832 product specification), for which a small peer stands still. That a packet and its
/// probe were both lost is less likely there than that nobody was listening.
const STALL: u32 = 100_000;

/// From this loss on, in 1/65536, loss is not rare: one packet in a hundred.
const LOSS_RARE: u32 = 65_536 / 100;

/// A timer that comes this many microseconds late, or more than the granularity, tells of a driver that was held up: what
/// arrived meanwhile has to be looked at before anything is concluded from silence. Chosen: two periods of a timer of
/// 1 kHz.
const LATE: u32 = 2_000;

/// The widest the reordering window becomes, in quarters of the minimum round trip (RFC 8985, 7: up to one SRTT).
const REORDER_MAX: u8 = 16;

/// The weight of a packet in the mean loss: 1/256.
const LOSS_GAIN: u32 = 8;

/// Packets in flight and the timers that watch them.
#[derive(Clone, Debug)]
pub(super) struct Recovery {
    /// Number of the next packet.
    pub(super) next: Sequence,
    /// Number of the first packet of this association.
    pub(super) start: Sequence,
    /// Number of the first packet that is remembered.
    pub(super) base: Sequence,
    /// Number of the first frame that is remembered.
    pub(super) frames_base: u32,
    /// No packet before is in flight.
    pub(super) first_open: Sequence,
    /// Bytes in flight.
    pub(super) in_flight: u32,
    /// Packets in flight that ask for an acknowledgement.
    pub(super) open_count: u32,
    pub(super) rtt: Rtt,
    pub(super) largest_acked: Option<Sequence>,
    /// Probe timeouts since the last acknowledgement of something new.
    pub(super) probe_count: u8,
    last_eliciting_at: Instant,
    loss_at: Option<Instant>,
    /// A timer came late, and nothing is concluded from silence before then. Once for each timer.
    excused_until: Option<Instant>,
    is_reordering: bool,
    reorder_quarters: u8,
    pub(super) granularity: u32,
    /// The part of packets that is lost, in 1/65536: a mean over about 256 packets.
    pub(super) loss: u32,
}

impl Recovery {
    pub(super) const BLANK: Self = Recovery {
        next: Sequence(0),
        start: Sequence(0),
        base: Sequence(0),
        frames_base: 0,
        first_open: Sequence(0),
        in_flight: 0,
        open_count: 0,
        rtt: Rtt::new(0),
        largest_acked: None,
        probe_count: 0,
        last_eliciting_at: Instant::ZERO,
        loss_at: None,
        excused_until: None,
        is_reordering: false,
        reorder_quarters: 0,
        granularity: 0,
        loss: 0,
    };

    pub(super) fn start(&mut self, config: &Config) {
        self.rtt = Rtt::new(micros_u32(config.initial_rtt));
        self.granularity = micros_u32(config.granularity);
        self.reorder_quarters = 1;
    }

    pub(super) fn start_at(&mut self, n: Sequence) {
        self.next = n;
        self.start = n;
        self.base = n;
        self.first_open = n;
    }

    /// The probe timeout without backoff in microseconds (RFC 9002, 6.2.1); `line` is the time that a packet and its
    /// acknowledgement occupy a slow line.
    pub(super) fn probe_timeout(&self, peer_ack_delay: u32, line: u32) -> u32 {
        let variation = (self.rtt.variation() * 4).max(self.granularity);
        let sampled = if self.rtt.is_sampled() { peer_ack_delay } else { 0 };
        self.rtt.smoothed().saturating_add(variation).saturating_add(sampled).saturating_add(line)
    }

    /// For [`Link::digest`].
    pub(super) fn digest(&self, now: Instant, state: &mut impl Hasher) {
        let Recovery {
            next,
            start,
            base,
            frames_base: _,
            first_open,
            in_flight,
            open_count,
            rtt,
            largest_acked,
            probe_count,
            last_eliciting_at,
            loss_at,
            is_reordering,
            reorder_quarters,
            granularity: _,
            loss,
            excused_until,
        } = self;
        (next, start, base, first_open, in_flight, open_count).hash(state);
        (rtt, largest_acked, probe_count, is_reordering, reorder_quarters).hash(state);
        relative_to(now, *loss_at).hash(state);
        relative_to(now, *excused_until).hash(state);
        if *open_count > 0 {
            relative(now, *last_eliciting_at).hash(state);
        }
        loss.hash(state);
    }

    /// When losses are to be declared or a probe is due.
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub(super) fn timeout(&self, peer_ack_delay: u32, line: u32) -> Option<Instant> {
        if self.open_count == 0 {
            return None;
        }
        let at = match self.loss_at {
            Some(at) => at,
            None => {
                let wait = self.probe_wait(self.probe_timeout(peer_ack_delay, line));
                tick(self.last_eliciting_at.plus_micros(wait))
            }
        };
        Some(self.excused_until.map_or(at, |excused| at.max(excused)))
    }

    /// `base` with the backoff of the probes that went unanswered, in microseconds.
    #[cfg_attr(target_pointer_width = "64", inline)]
    fn probe_wait(&self, base: u32) -> u32 {
        let first = if self.probe_count > 0 && self.loss < LOSS_RARE { base.max(STALL / 2) } else { base };
        let backed_off = first.saturating_mul(1 << self.probe_count.min(16));
        backed_off.min(PROBE_MAX.max(base))
    }

    /// Whether a timer that was due at `at` comes so late that arrivals must be waiting. Excuses it, once.
    fn is_excused(&mut self, at: Instant, now: Instant) -> bool {
        let is_excused = self.excused_until.is_none() && now.micros_since(at) > LATE.max(self.granularity);
        self.excused_until = is_excused.then(|| tick(now.plus_micros(self.granularity)));
        is_excused
    }

    /// How long after a packet was sent it counts as lost, once a later one has arrived (RFC 9002, 6.1.2; RFC 8985, 6.2).
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub(super) fn loss_delay(&self) -> u32 {
        let rtt = self.rtt.smoothed().max(self.rtt.latest());
        let window = if self.is_reordering {
            (self.rtt.min() / 4 * self.reorder_quarters as u32).min(self.rtt.smoothed()).max(rtt / 8)
        } else {
            rtt / 8
        };
        rtt + window.max(super::timers::TICK)
    }
}

impl<S: Storage, C: Controller> Link<S, C> {
    /// The time that `bytes` of a datagram occupy a line of known rate, in microseconds: ten bits a byte.
    fn line_time(&self, bytes: u32) -> u32 {
        match self.config.medium {
            Medium::Framed { bits_per_second } if bits_per_second > 0 => {
                bytes * (10_000_000 / bits_per_second.max(1200))
            }
            _ => 0,
        }
    }

    /// When the last byte of a datagram of `bytes` has left that is handed over now: there its timers start. (The driver
    /// asks for a datagram when the one before it has left.)
    pub(super) fn left_at(&self, now: Instant, bytes: u32) -> Instant {
        tick(now.plus_micros(self.line_time(bytes)))
    }

    /// The part of the probe timeout that the line takes, in microseconds. The round-trip samples include the time of the
    /// answers that they were taken from; what may come on top is one packet that the other side was just sending.
    pub(super) fn line_micros(&self) -> u32 {
        self.line_time(self.peer.datagram_max.min(64))
    }

    /// The longest that the peer holds an acknowledgement back, in microseconds.
    pub(super) fn peer_ack_delay(&self) -> u32 {
        self.peer.ack_delay.max(self.ack_rate_told.delay)
    }

    /// The probe timeout without backoff, in microseconds.
    pub(super) fn probe_timeout(&self) -> u32 {
        self.recovery.probe_timeout(self.peer_ack_delay(), self.line_micros())
    }

    pub(super) fn packet(&self, n: Sequence) -> Option<&SentPacket<C::Stamp>> {
        self.packets.at(n.since(self.recovery.base) as usize)
    }

    fn packet_mut(&mut self, n: Sequence) -> Option<&mut SentPacket<C::Stamp>> {
        self.packets.at_mut(n.since(self.recovery.base) as usize)
    }

    /// Notes that packet `next` has left.
    pub(super) fn on_packet_sent(&mut self, now: Instant, bytes: u32, packet: SentPacket<C::Stamp>) {
        let eliciting = packet.fate == Fate::Open;
        self.packets.push_back(packet);
        self.recovery.next = self.recovery.next.plus(1);
        if eliciting {
            self.recovery.in_flight += bytes;
            self.recovery.open_count += 1;
            self.recovery.last_eliciting_at = packet.sent_at;
            self.unheard_since.get_or_insert(now);
            self.pacer.on_sent(now, bytes, self.congestion.pacing_rate());
        }
    }

    /// Takes acknowledgement fields, of which `largest` is the largest number.
    pub(super) fn on_ack(&mut self, now: Instant, ack: &Ack<'_>, largest: Sequence) {
        let (base, next) = (self.recovery.base, self.recovery.next);
        if self.packets.is_empty() || !largest.precedes(next) {
            return;
        }
        let mut ranges = [Range { first: base, last: base }; ACK_RANGES_MAX];
        let mut count = 0;
        for (range, r) in ranges.iter_mut().zip(ack.ranges(largest)) {
            if r.last.precedes(base) {
                // Of no interest any more: ask the peer to forget it.
                self.due.floor |= count > 0;
                break;
            }
            let first = if r.first.precedes(base) { base } else { r.first };
            self.due.floor |= base.since(r.first) < 1 << 31 && base.since(r.first) > 64;
            *range = Range { first, last: r.last };
            count += 1;
        }
        let newest = self.packet(largest).map(|p| (p.fate, p.sent_at));
        if let Some((Fate::Open, sent_at)) = newest {
            let delay = ack.delay.min(self.peer_ack_delay().saturating_add(self.recovery.granularity));
            self.recovery.rtt.on_sample(now.micros_since(sent_at), delay);
        }
        let mut any = false;
        for r in ranges.get(..count).unwrap_or(&[]).iter().rev() {
            any |= self.on_range_acked(now, *r);
        }
        if self.recovery.largest_acked.is_none_or(|l| l.precedes(largest)) {
            self.recovery.largest_acked = Some(largest);
        }
        if any {
            self.recovery.probe_count = 0;
            self.recovery.excused_until = None;
            self.due.probes = 0;
        }
        self.detect_losses(now);
        self.congestion.on_ack_end(now, self.recovery.in_flight, &self.recovery.rtt);
        self.retire(now);
    }

    /// Walks over `r`, jumping over runs that are known not to be open. Runs that meet are joined, so the next walk jumps
    /// over both.
    fn on_range_acked(&mut self, now: Instant, r: Range) -> bool {
        let mut any = false;
        let mut n = r.first;
        let mut run_start: Option<Sequence> = None;
        while !r.last.precedes(n) {
            let Some(&p) = self.packet(n) else { break };
            let step = match p.fate {
                Fate::Gone => p.extent.max(1),
                Fate::Open | Fate::Lost => {
                    any |= self.on_packet_acked(now, n, p);
                    1
                }
            };
            if run_start.is_none() {
                run_start = Some(n);
            }
            n = n.plus(step);
        }
        if let Some(start) = run_start
            && let Some(p) = self.packet_mut(start)
        {
            p.extent = p.extent.max(n.since(start));
        }
        any
    }

    /// Packet `n` has arrived. Returns whether that was news.
    fn on_packet_acked(&mut self, now: Instant, n: Sequence, p: SentPacket<C::Stamp>) -> bool {
        if let Some(p) = self.packet_mut(n) {
            p.fate = Fate::Gone;
            p.extent = 1;
        }
        if p.fate == Fate::Open {
            self.recovery.in_flight -= p.extent;
            self.recovery.open_count -= 1;
            self.recovery.loss -= self.recovery.loss >> LOSS_GAIN;
            self.congestion.on_acked(now, p.sent_at, p.extent, &p.stamp, &self.recovery.rtt);
        } else {
            // Declared lost, and yet it came: packets overtake each other here (RFC 8985, 7.1).
            trace!("packet {} was not lost", n.0);
            self.stats.packets_spurious = self.stats.packets_spurious.wrapping_add(1);
            self.recovery.is_reordering = true;
            self.recovery.reorder_quarters = (self.recovery.reorder_quarters + 1).min(REORDER_MAX);
            self.congestion.on_spurious(now, p.extent);
        }
        for i in 0..p.frame_count as u32 {
            let index = p.first_frame.wrapping_add(i).wrapping_sub(self.recovery.frames_base);
            if let Some(f) = self.frames.at(index as usize)
                && let Some(out) = self.out.as_mut_slice().get_mut(f.channel as usize)
            {
                out.on_acked(f);
            }
        }
        if p.control & control::SETTLED != 0 {
            for c in self.inn.as_mut_slice() {
                c.is_unconfirmed &= !(c.told_in == n && c.is_told());
            }
        }
        if p.control & control::CLOSE != 0 && self.is_close_sent {
            self.end(CloseReason::Drained, FailReason::Closed);
        }
        p.fate == Fate::Open
    }

    /// Declares lost what an acknowledgement or the clock shows to be lost. Ends at the first packet that may still
    /// arrive, and begins there the next time.
    fn detect_losses(&mut self, now: Instant) {
        self.recovery.loss_at = None;
        let Some(largest) = self.recovery.largest_acked else { return };
        let delay = self.recovery.loss_delay();
        let is_lossy = self.recovery.loss >= LOSS_MANY;
        let threshold = if is_lossy { PACKET_THRESHOLD_LOSSY } else { PACKET_THRESHOLD };
        let mut n = self.recovery.first_open;
        while n.precedes(largest) {
            let Some(&p) = self.packet(n) else { break };
            if p.fate == Fate::Open {
                let deadline = tick(p.sent_at.plus_micros(delay));
                let by_count = !self.recovery.is_reordering && largest.since(n) >= threshold;
                if !by_count && deadline > now {
                    self.recovery.loss_at = Some(deadline);
                    break;
                }
                self.lose(now, n, true);
            }
            n = n.plus(1);
        }
        self.recovery.first_open = n;
    }

    /// Declares packet `n` lost: what it carried is to be sent again.
    pub(super) fn lose(&mut self, now: Instant, n: Sequence, tell: bool) {
        let Some(p) = self.packet_mut(n) else { return };
        if p.fate != Fate::Open {
            return;
        }
        let packet = *p;
        p.fate = Fate::Lost;
        p.extent = 1;
        trace!("packet {} lost", n.0);
        self.stats.packets_lost = self.stats.packets_lost.wrapping_add(1);
        self.recovery.in_flight -= packet.extent;
        self.recovery.open_count -= 1;
        if tell {
            self.recovery.loss += (0x1_0000 - self.recovery.loss) >> LOSS_GAIN;
            self.congestion.on_lost(now, packet.sent_at, packet.extent, &packet.stamp, &self.recovery.rtt);
        }
        for i in 0..packet.frame_count as u32 {
            let index = packet.first_frame.wrapping_add(i).wrapping_sub(self.recovery.frames_base);
            if let Some(f) = self.frames.at(index as usize)
                && let Some(out) = self.out.as_mut_slice().get_mut(f.channel as usize)
            {
                let count = out.on_lost(f);
                self.stats.retransmitted = self.stats.retransmitted.wrapping_add(count);
            }
        }
        self.send_control_again(packet.control);
    }

    /// What of the control information in a lost (or probed) packet still holds is sent again.
    pub(super) fn send_control_again(&mut self, bits: u8) {
        if bits & control::SETTLED != 0 {
            for c in self.inn.as_mut_slice() {
                if c.is_unconfirmed {
                    c.was_told = false;
                    self.due.settled = true;
                }
            }
        }
        self.due.credit |= bits & control::CREDIT != 0;
        self.due.close |= bits & control::CLOSE != 0;
        self.due.ping |= bits & control::PING != 0 && self.recovery.open_count == 0;
        if bits & control::ACK_RATE != 0 {
            self.ack_rate_told = AckRate::usual(self.peer.ack_delay);
        }
        self.due.hello |= bits & control::HELLO != 0 && !self.peer.is_confirmed;
    }

    /// Everything in flight is lost, for a reason that says nothing about the path.
    pub(super) fn lose_all(&mut self, now: Instant) {
        let mut n = self.recovery.base;
        while n != self.recovery.next {
            self.lose(now, n, false);
            n = n.plus(1);
        }
        self.recovery.loss_at = None;
        // Nothing is in flight that anybody could be silent about.
        self.unheard_since = None;
    }

    /// Forgets what was sent: the association that it belonged to is over.
    pub(super) fn forget_sent(&mut self) {
        self.packets.clear();
        self.frames.clear();
        let r = &mut self.recovery;
        r.start = r.next;
        r.base = r.next;
        r.first_open = r.next;
        r.frames_base = 0;
        r.in_flight = 0;
        r.open_count = 0;
        r.largest_acked = None;
        r.probe_count = 0;
        r.loss_at = None;
        r.excused_until = None;
        self.due.probes = 0;
        self.due.floor = false;
        self.due.copies = false;
        self.repetition.copy_at = None;
        self.unheard_since = None;
    }

    /// Forgets packets from the oldest on that are decided. Lost ones are kept for a while, to find out that they were
    /// not lost.
    pub(super) fn retire(&mut self, now: Instant) {
        let keep = self.probe_timeout().saturating_mul(2);
        while let Some(p) = self.packets.at(0) {
            let full =
                self.packets.len() >= self.packets.len_max() || self.frames.len() >= self.frames.len_max();
            let old = full || now.micros_since(p.sent_at) > keep;
            if p.fate == Fate::Open || p.fate == Fate::Lost && !old {
                return;
            }
            let frame_count = p.frame_count;
            self.packets.drop_front();
            self.recovery.base = self.recovery.base.plus(1);
            if self.recovery.first_open.precedes(self.recovery.base) {
                self.recovery.first_open = self.recovery.base;
            }
            for _ in 0..frame_count {
                self.frames.drop_front();
            }
            self.recovery.frames_base = self.recovery.frames_base.wrapping_add(frame_count as u32);
        }
    }

    pub(super) fn on_recovery_timeout(&mut self, now: Instant) {
        let Some(at) = self.recovery.timeout(self.peer_ack_delay(), self.line_micros()) else { return };
        if at > now || self.recovery.is_excused(at, now) {
            return;
        }
        if self.recovery.loss_at.is_some() {
            self.detect_losses(now);
            self.congestion.on_ack_end(now, self.recovery.in_flight, &self.recovery.rtt);
        } else {
            self.recovery.probe_count = self.recovery.probe_count.saturating_add(1);
            // The next one counts from here even if nothing can leave now.
            self.recovery.last_eliciting_at = now;
            self.due.probes = 1;
            self.stats.probes = self.stats.probes.wrapping_add(1);
            debug!("probe timeout {}", self.recovery.probe_count);
            if self.phase == Phase::Open && !self.peer.is_confirmed {
                self.due.hello = true;
            }
        }
    }
}
