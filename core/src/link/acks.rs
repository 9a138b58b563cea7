//! What arrived and must be acknowledged: the receiving half of RFC 9000, section 13.2.

use core::hash::{Hash, Hasher};

use super::digest::{relative, relative_to};
use super::ranges::insert;
use super::timers::{TICK, tick};
use crate::sequence::{Range, Sequence};
use crate::storage::{List, Storage};
use crate::time::Instant;
use crate::wire::varint_len;

/// Packets that ask for an acknowledgement, before one is sent at once (RFC 9000, 13.2.2).
const ACK_EVERY: u32 = 2;

/// How long the application has, in microseconds, to take what arrived before the acknowledgement goes: the grain of all deadlines.
const HELD: u32 = TICK;

/// Received packet numbers and when to acknowledge them.
#[derive(Clone, Debug)]
pub(super) struct Acks<S: Storage> {
    /// Sorted, oldest first, never adjacent.
    ranges: S::Ranges<Range>,
    /// When the largest number arrived.
    largest_at: Instant,
    /// Length in bytes of the numbers the peer sends.
    pub(super) number_len: u8,
    /// Packets since the last acknowledgement that ask for one.
    waiting: u32,
    /// Packets since the last acknowledgement.
    any: bool,
    at: Option<Instant>,
    /// It was due and did not fit what may be sent: it waits for the peer's next datagram.
    is_stuck: bool,
    every: u32,
    delay: u32,
    /// Acknowledgements sent.
    pub(super) epoch: u32,
}

impl<S: Storage> Acks<S> {
    pub(super) const BLANK: Self = Acks {
        ranges: List::EMPTY,
        largest_at: Instant::ZERO,
        number_len: 0,
        waiting: 0,
        any: false,
        at: None,
        is_stuck: false,
        every: 0,
        delay: 0,
        epoch: 0,
    };

    pub(super) fn start(&mut self, delay: u32) {
        self.number_len = 1;
        self.every = ACK_EVERY;
        self.delay = delay;
    }

    /// Forgets all packets: another numbering begins.
    pub(super) fn restart(&mut self) {
        self.ranges.clear();
        self.waiting = 0;
        self.any = false;
        self.at = None;
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// For [`Link::digest`](super::Link::digest).
    pub(super) fn digest(&self, now: Instant, state: &mut impl Hasher) {
        let Acks { ranges, largest_at, number_len, waiting, any, at, is_stuck, every, delay, epoch } = self;
        ranges.as_slice().hash(state);
        (number_len, waiting, any, is_stuck, every, delay).hash(state);
        // It is only compared, and messages say with what they would compare it.
        let _ = epoch;
        (relative(now, *largest_at), relative_to(now, *at)).hash(state);
    }

    /// The largest number received.
    pub(super) fn largest(&self) -> Option<Sequence> {
        self.ranges.as_slice().last().map(|r| r.last)
    }

    pub(super) fn ranges(&self) -> &[Range] {
        self.ranges.as_slice()
    }

    /// The peer would like an acknowledgement every `every` packets or `delay` microseconds.
    pub(super) fn set_rate(&mut self, every: u32, delay: u32) {
        self.every = every.max(1).min(256);
        self.delay = delay.min(100_000);
    }

    /// Packet `n` arrived and was stored. Its number takes `number_len` bytes in acknowledgements.
    pub(super) fn on_packet(&mut self, now: Instant, n: Sequence, number_len: u8, is_eliciting: bool) {
        let previous = self.largest();
        let in_order = previous.is_none_or(|l| n == l.plus(1));
        if previous.is_none_or(|l| l.precedes(n)) {
            self.largest_at = now;
            self.number_len = number_len;
        }
        self.insert(n);
        self.any = true;
        if !is_eliciting {
            return;
        }
        self.waiting += 1;
        if !in_order || self.waiting >= self.every {
            self.at = Some(now);
        } else if self.at.is_none() {
            self.at = Some(tick(now.plus_micros(self.delay)));
        }
    }

    fn insert(&mut self, n: Sequence) {
        if insert(&mut self.ranges, n) {
            return;
        }
        // The oldest one gives way, unless `n` is older still.
        if self.ranges.as_slice().first().is_some_and(|r| r.first.precedes(n)) {
            self.ranges.remove(0);
            insert(&mut self.ranges, n);
        }
    }

    /// The peer needs no word on numbers before `floor`.
    pub(super) fn on_floor(&mut self, floor: Sequence) {
        while let [r, rest @ ..] = self.ranges.as_mut_slice() {
            if !r.first.precedes(floor) {
                return;
            }
            if !r.last.precedes(floor) {
                r.first = floor;
                return;
            }
            if rest.is_empty() {
                return;
            }
            self.ranges.remove(0);
        }
    }

    /// Whether an acknowledgement must go now. `is_held`: the application may be about to take messages, whose settlement would
    /// ride with it.
    pub(super) fn is_due(&self, now: Instant, is_held: bool) -> bool {
        self.due_at(is_held).is_some_and(|t| t <= now)
    }

    fn due_at(&self, is_held: bool) -> Option<Instant> {
        let at = self.at?;
        Some(if is_held { tick(at.plus_micros(HELD)) } else { at })
    }

    /// Whether one may ride along.
    pub(super) fn is_pending(&self) -> bool {
        self.any
    }

    pub(super) fn timeout(&self, is_held: bool) -> Option<Instant> {
        if self.is_stuck { None } else { self.due_at(is_held) }
    }

    /// Nothing could be sent: an acknowledgement that is due asks for no more calls until
    /// [`on_datagram`](Self::on_datagram).
    pub(super) fn on_nothing_sent(&mut self, now: Instant, is_held: bool) {
        self.is_stuck |= self.is_due(now, is_held);
    }

    /// The peer sent something, so perhaps more may be sent.
    pub(super) fn on_datagram(&mut self) {
        self.is_stuck = false;
    }

    /// How long the largest number has been held back, as far as three bytes can say it: nobody believes as much.
    pub(super) fn delay(&self, now: Instant) -> u32 {
        now.micros_since(self.largest_at).min((1 << 24) - 1)
    }

    /// Bytes of the fields in a hello, of one range at least.
    pub(super) fn fields_len(&self, now: Instant) -> usize {
        let delay = self.delay(now) / 8;
        let first = self.ranges().last().map_or(0, |r| r.last.since(r.first));
        1 + 4 + if delay > 0 { varint_len(delay) } else { 0 } + varint_len(first)
    }

    pub(super) fn on_sent(&mut self) {
        self.waiting = 0;
        self.any = false;
        self.at = None;
        self.is_stuck = false;
        self.epoch = self.epoch.wrapping_add(1);
    }
}
