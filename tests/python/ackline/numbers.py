"""Section 3: varints, truncated numbers, and how they are restored."""

SPAN = 1 << 32


class Malformed(Exception):
    """A datagram that breaks a rule of sections 3 to 7 (R1.2)."""


def precedes(a, b):
    return 0 < (b - a) % SPAN < SPAN // 2


def distance(a, b):
    """How far `b` comes after `a`: negative if it precedes it."""
    d = (b - a) % SPAN
    return d - SPAN if d >= SPAN // 2 else d


def varint(value):
    assert 0 <= value < SPAN
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def truncated(number, length):
    low = number % (1 << 7 * length)
    out = bytearray()
    for i in range(length):
        out.append(low >> 7 * i & 127 | (128 if i < length - 1 else 0))
    return bytes(out)


def nearest(low, length, reference):
    """R3.4: two-sided."""
    span = 1 << 7 * length
    return (reference + (low - reference + span // 2) % span - span // 2) % SPAN


def before(low, length, limit):
    """R3.5: one-sided."""
    return (limit - (limit - low) % (1 << 7 * length)) % SPAN


def length_two_sided(span):
    """The shortest truncated number for which 2^(7L - 1) is more than `span` (R3.7)."""
    return next(n for n in (1, 2, 3, 4) if 1 << 7 * n - 1 > span)


def length_one_sided(span):
    return next(n for n in (1, 2, 3, 4) if 1 << 7 * n > span)


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def left(self):
        return len(self.data) - self.at

    def take(self, count):
        if count > self.left():
            raise Malformed("cut short")
        self.at += count
        return self.data[self.at - count : self.at]

    def byte(self):
        return self.take(1)[0]

    def rest(self):
        return self.take(self.left())

    def fixed(self, count):
        return int.from_bytes(self.take(count), "little")

    def varint(self):
        value = 0
        for i in range(5):
            byte = self.byte()
            value |= (byte & 127) << 7 * i
            if byte < 128:
                if (byte == 0 and i > 0) or value >= SPAN:
                    raise Malformed("varint not canonical")
                return value
        raise Malformed("varint too long")

    def truncated(self):
        """The low bits, and how many bytes held them."""
        low = 0
        for i in range(4):
            byte = self.byte()
            low |= (byte & 127) << 7 * i
            if byte < 128:
                return low, i + 1
        raise Malformed("number too long")
