"""Section 5: acknowledgement fields."""

from dataclasses import dataclass, field

from .numbers import Malformed, Reader, SPAN, before, truncated, varint

RANGES_MAX = 16


@dataclass
class Ack:
    low: int
    length: int
    delay: int = 0  # units of 8 µs
    first: int = 0  # how many directly below the largest
    more: list = field(default_factory=list)  # (gap, count), each one less than what it means
    largest: int = None  # restored

    def bits(self):
        return (0x10 if self.delay else 0) | len(self.more)

    def restore(self, last_sent):
        self.largest = before(self.low, self.length, last_sent)

    def ranges(self):
        """(first, last) of each range, newest first; `largest` must have been restored."""
        last, count = self.largest, self.first
        out = [((last - count) % SPAN, last)]
        for gap, more in self.more:
            last = (out[-1][0] - gap - 2) % SPAN
            out.append(((last - more) % SPAN, last))
        return out

    def encode(self):
        out = truncated(self.low, self.length)
        if self.delay:
            out += varint(self.delay)
        out += varint(self.first)
        for gap, count in self.more:
            out += varint(gap) + varint(count)
        return out


def decode(reader: Reader, bits):
    low, length = reader.truncated()
    delay = 0
    if bits & 0x10:
        delay = reader.varint()
        if not 1 <= delay < 1 << 29:
            raise Malformed("delay")
    first = reader.varint()
    more = [(reader.varint(), reader.varint()) for _ in range(bits & 15)]
    if first + sum(gap + count + 2 for gap, count in more) > (1 << 31) - 1:  # R5.2
        raise Malformed("ranges too wide")
    return Ack(low, length, delay, first, more)


def of_ranges(ranges, length, delay_units):
    """From (first, last) pairs, newest first."""
    first, largest = ranges[0]
    ack = Ack(largest % (1 << 7 * length), length, delay_units, (largest - first) % SPAN, [], largest)
    for lower, upper in ranges[1:RANGES_MAX]:
        ack.more.append(((first - upper - 2) % SPAN, (upper - lower) % SPAN))
        first = lower
    return ack
