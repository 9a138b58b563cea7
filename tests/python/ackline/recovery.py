"""Sections 11 and 12: acknowledging, round trips, loss and probes. Times in µs."""

from . import ack as acks
from .numbers import SPAN, distance, precedes

GRANULARITY = 1000
RANGES_KEPT = 32


class Received:
    """The packet numbers that count as received in this association."""

    def __init__(self, ack_delay):
        self.ack_delay, self.packets = ack_delay, 2
        self.reset(None)

    def reset(self, hello_number):
        self.reference = hello_number
        self.length = 2  # R3.7: of the peer's packet numbers
        self.ranges = []  # (first, last), newest first
        self.largest_at = 0
        self.waiting = 0  # eliciting packets since the last acknowledgement
        self.is_due = False  # something is not acknowledged yet
        self.deadline = None

    def expected(self):
        """What packet numbers are restored from."""
        last = self.ranges[0][1] if self.ranges else self.reference
        return (last + 1) % SPAN

    def has(self, number):
        return any(distance(a, number) >= 0 and distance(number, b) >= 0 for a, b in self.ranges)

    def on_packet(self, now, number, eliciting, had_duplicate):
        in_order = not self.ranges or number == self.expected()
        if not self.ranges or precedes(self.ranges[0][1], number):
            self.largest_at = now
        numbers = self.ranges + [(number, number)]
        numbers.sort(key=lambda r: -distance(self.reference, r[0]))
        merged = [numbers[0]]
        for first, last in numbers[1:]:
            if distance(last, merged[-1][0]) <= 1:
                merged[-1] = (first, merged[-1][1])
            else:
                merged.append((first, last))
        self.ranges = merged[:RANGES_KEPT]
        self.is_due = True
        if not eliciting:
            return
        self.waiting += 1
        at_once = not in_order or had_duplicate or self.waiting >= self.packets
        due = now if at_once else now + self.ack_delay
        self.deadline = due if self.deadline is None else min(self.deadline, due)

    def on_duplicate(self, now):
        self.is_due, self.deadline = True, now

    def on_floor(self, number):
        """R6.22: forgets what is before, but for the largest."""
        largest = self.ranges[0][1] if self.ranges else None
        cut = [(number if precedes(a, number) else a, b) for a, b in self.ranges if not precedes(b, number)]
        self.ranges = cut or ([(largest, largest)] if largest is not None else [])

    def fields(self, now, length=0):
        if not self.is_due or not self.ranges:
            return None
        return acks.of_ranges(self.ranges, length or self.length, (now - self.largest_at) // 8)

    def on_ack_left(self):
        self.waiting, self.is_due, self.deadline = 0, False, None


class Sent:
    """One packet in flight."""

    def __init__(self, number, at, eliciting):
        self.number, self.at, self.eliciting = number, at, eliciting
        self.pieces = []  # of messages, and skips
        self.settled = {}  # channel: version
        self.beginning = b""  # what a reset repeats
        self.has_close = False


class Recovery:
    def __init__(self):
        self.srtt, self.rttvar, self.latest, self.minimum = 100_000, 50_000, 0, None
        self.peer_ack_delay = 0
        self.packets = {}
        self.largest_acked = None
        self.backoff = 0
        self.last_eliciting_at = 0

    def in_flight(self):
        return [p for p in self.packets.values() if p.eliciting]

    def pto(self):
        plain = self.srtt + max(4 * self.rttvar, GRANULARITY)
        plain += self.peer_ack_delay if self.minimum is not None else 0
        return min(plain << self.backoff, max(5_000_000, plain))

    def probe_at(self):
        return self.last_eliciting_at + self.pto() if self.in_flight() else None

    def on_sent(self, packet):
        self.packets[packet.number] = packet
        if packet.eliciting:
            self.last_eliciting_at = packet.at

    def on_sample(self, sample, delay):
        self.latest = sample
        if self.minimum is None:
            self.srtt, self.rttvar, self.minimum = sample, sample // 2, sample
            return
        self.minimum = min(self.minimum, sample)
        delay = min(delay, self.peer_ack_delay + GRANULARITY)
        adjusted = sample - delay if sample >= self.minimum + delay else sample
        self.rttvar = (3 * self.rttvar + abs(self.srtt - adjusted)) // 4
        self.srtt = (7 * self.srtt + adjusted) // 8

    def on_ack(self, now, ack):
        """Packets newly acknowledged, and those that this shows to be lost."""
        acked = []
        for first, last in ack.ranges():
            for number in [n for n in self.packets if distance(first, n) >= 0 and distance(n, last) >= 0]:
                acked.append(self.packets.pop(number))
        if acked:
            self.backoff = 0
            largest = max(acked, key=lambda p: distance(ack.largest, p.number))
            if largest.number == ack.largest and largest.eliciting:
                self.on_sample(now - largest.at, ack.delay * 8)
            if self.largest_acked is None or precedes(self.largest_acked, ack.largest):
                self.largest_acked = ack.largest
        return acked, self.lost(now)

    def lost(self, now):
        if self.largest_acked is None:
            return []
        window = max(self.srtt, self.latest)
        lost = []
        for packet in list(self.packets.values()):
            behind = distance(packet.number, self.largest_acked)
            if behind >= 3 or (behind > 0 and now > packet.at + window + window // 8):
                lost.append(self.packets.pop(packet.number))
        return lost
