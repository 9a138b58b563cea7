//! The sending half of the model: what is in flight, what is lost, what may go.

use std::collections::VecDeque;

use ackline_tests::endpoint::{MILLISECOND, Micros, SECOND};

use super::segment::HEADER_LEN;
use super::window::Window;
use crate::peer::Setting;

/// Linux `TCP_RTO_MIN`: the least that is added to the smoothed round trip.
const RTO_SLACK_MIN: Micros = 200 * MILLISECOND;
/// Linux `TCP_TIMEOUT_INIT` and `TCP_RTO_MAX`.
const RTO_INITIAL: Micros = SECOND;
const RTO_MAX: Micros = 120 * SECOND;
/// Selectively acknowledged segments after which reordering is no excuse (RFC 8985, 6.2, step 4).
const REORDER_COUNT: usize = 3;

#[derive(Clone, Copy, PartialEq)]
enum State {
    Flying,
    Arrived,
    Lost,
}

struct Flight {
    sequence: u32,
    payload: Vec<u8>,
    sent_at: Micros,
    is_retransmission: bool,
    state: State,
}

/// Sends a stream of bytes.
pub struct Sender {
    payload_max: usize,
    buffered_max: usize,
    unsent: VecDeque<u8>,
    flights: VecDeque<Flight>,
    next: u32,
    window: Window,
    /// Smoothed round trip and its variation.
    rtt: Option<(Micros, Micros)>,
    latest_rtt: Micros,
    /// When the segment that was sent last among those that arrived was sent.
    newest_arrived: Micros,
    has_reordering: bool,
    /// Losses below this belong to a reduction that was made.
    recovery_until: u32,
    timer_start: Micros,
    backoff: u32,
    has_probed: bool,
    probe_now: bool,
    loss_at: Option<Micros>,
}

impl Sender {
    pub fn new(setting: &Setting) -> Self {
        Sender {
            payload_max: setting.mtu - HEADER_LEN,
            buffered_max: (4 * setting.link.bdp()).max(256 * 1024),
            unsent: VecDeque::new(),
            flights: VecDeque::new(),
            next: 0,
            window: Window::default(),
            rtt: None,
            latest_rtt: 0,
            newest_arrived: 0,
            has_reordering: false,
            recovery_until: 0,
            timer_start: 0,
            backoff: 0,
            has_probed: false,
            probe_now: false,
            loss_at: None,
        }
    }

    /// Takes a message, or not.
    pub fn push(&mut self, message: &[u8]) -> bool {
        if self.unsent.len() > self.buffered_max {
            return false;
        }
        self.unsent.extend((message.len() as u32).to_le_bytes());
        self.unsent.extend(message);
        true
    }

    pub fn next_sequence(&self) -> u32 {
        self.next
    }

    fn flying(&self) -> usize {
        self.flights.iter().filter(|f| f.state == State::Flying).count()
    }

    pub fn on_ack(&mut self, now: Micros, acknowledged: u32, blocks: &[(u32, u32)], echo: u32) {
        let was_limited = self.flying() + 1 >= self.window.segments();
        let is_covered = |f: &Flight| {
            let end = f.sequence + f.payload.len() as u32;
            end <= acknowledged || blocks.iter().any(|(from, to)| *from <= f.sequence && end <= *to)
        };
        let highest = blocks.iter().map(|(_, to)| *to).max().unwrap_or(acknowledged);
        let mut count = 0;
        for flight in &mut self.flights {
            if flight.state == State::Arrived || !is_covered(flight) {
                continue;
            }
            count += 1;
            // It was passed by another one and had not been sent again.
            self.has_reordering |= !flight.is_retransmission
                && flight.sent_at < self.newest_arrived
                && flight.sequence + (flight.payload.len() as u32) < highest;
            flight.state = State::Arrived;
            self.newest_arrived = self.newest_arrived.max(flight.sent_at);
        }
        if count == 0 {
            return;
        }
        let rtt = Micros::from((now as u32).wrapping_sub(echo));
        self.on_rtt(now, rtt);
        while self.flights.front().is_some_and(|f| f.state == State::Arrived) {
            self.flights.pop_front();
        }
        self.backoff = 0;
        self.has_probed = false;
        self.timer_start = now;
        self.detect(now);
        if acknowledged >= self.recovery_until && was_limited {
            self.window.on_acked(now, count);
        }
    }

    fn on_rtt(&mut self, now: Micros, rtt: Micros) {
        self.latest_rtt = rtt;
        self.window.on_sample(now, now - rtt, rtt);
        // RFC 6298, 2.
        self.rtt = Some(match self.rtt {
            None => (rtt, rtt / 2),
            Some((smoothed, variation)) => {
                ((7 * smoothed + rtt) / 8, (3 * variation + smoothed.abs_diff(rtt)) / 4)
            }
        });
    }

    /// RFC 8985, 6.2: what was sent before something that arrived, and long enough ago, is lost.
    fn detect(&mut self, now: Micros) {
        let arrived = self.flights.iter().filter(|f| f.state == State::Arrived).count();
        let is_recovering = self.flights.front().is_some_and(|f| f.sequence < self.recovery_until);
        let excuses = self.has_reordering || (arrived < REORDER_COUNT && !is_recovering);
        let patience = if excuses { self.window.rtt_min() / 4 } else { 0 };
        self.loss_at = None;
        let mut lost_below = None;
        for flight in &mut self.flights {
            if flight.state != State::Flying || flight.sent_at >= self.newest_arrived {
                continue;
            }
            let at = flight.sent_at + self.latest_rtt + patience;
            if at <= now {
                flight.state = State::Lost;
                lost_below = Some(flight.sequence);
            } else {
                self.loss_at = Some(self.loss_at.map_or(at, |earlier| earlier.min(at)));
            }
        }
        if lost_below.is_some_and(|sequence| sequence >= self.recovery_until) {
            self.recovery_until = self.next;
            self.window.on_loss();
        }
    }

    fn rto(&self) -> Micros {
        let base =
            self.rtt.map_or(RTO_INITIAL, |(smoothed, variation)| smoothed + RTO_SLACK_MIN.max(4 * variation));
        (base << self.backoff.min(10)).min(RTO_MAX)
    }

    /// RFC 8985, 7.2.
    fn probe_wait(&self) -> Option<Micros> {
        let (smoothed, _) = self.rtt.filter(|_| !self.has_probed && self.backoff == 0)?;
        let slack = if self.flying() == 1 { RTO_SLACK_MIN } else { 2 * MILLISECOND };
        Some((2 * smoothed + slack).min(self.rto()))
    }

    pub fn timeout(&self) -> Option<Micros> {
        if self.flights.is_empty() {
            return None;
        }
        let wait = self.probe_wait().unwrap_or_else(|| self.rto());
        self.loss_at.into_iter().chain([self.timer_start + wait]).min()
    }

    pub fn on_timeout(&mut self, now: Micros) {
        if self.flights.is_empty() {
            return;
        }
        if self.loss_at.is_some_and(|at| at <= now) {
            self.detect(now);
        }
        if self.probe_wait().is_some_and(|wait| self.timer_start + wait <= now) {
            self.has_probed = true;
            self.probe_now = true;
            self.timer_start = now;
        } else if self.timer_start + self.rto() <= now {
            for flight in self.flights.iter_mut().filter(|f| f.state == State::Flying) {
                flight.state = State::Lost;
            }
            self.recovery_until = self.next;
            self.window.on_timeout();
            self.backoff += 1;
            self.timer_start = now;
        }
    }

    /// What to send now: its number and its bytes.
    pub fn poll(&mut self, now: Micros) -> Option<(u32, Vec<u8>)> {
        let has_room = self.flying() < self.window.segments();
        let probes = std::mem::take(&mut self.probe_now);
        if !has_room && !probes {
            return None;
        }
        if self.flights.iter().all(|f| f.state != State::Flying) {
            self.timer_start = now;
        }
        let lost = self.flights.iter_mut().find(|f| f.state == State::Lost);
        if let Some(flight) = lost {
            flight.state = State::Flying;
            flight.sent_at = now;
            flight.is_retransmission = true;
            return Some((flight.sequence, flight.payload.clone()));
        }
        if !self.unsent.is_empty() {
            let len = self.unsent.len().min(self.payload_max);
            let payload: Vec<u8> = self.unsent.drain(..len).collect();
            let sequence = self.next;
            self.next += len as u32;
            let sent_at = now;
            let bytes = payload.clone();
            let (is_retransmission, state) = (false, State::Flying);
            self.flights.push_back(Flight { sequence, payload, sent_at, is_retransmission, state });
            return Some((sequence, bytes));
        }
        let last = self.flights.iter_mut().rfind(|f| f.state == State::Flying).filter(|_| probes)?;
        last.sent_at = now;
        last.is_retransmission = true;
        Some((last.sequence, last.payload.clone()))
    }
}
