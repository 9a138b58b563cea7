"""Section 6: frames."""

from dataclasses import dataclass, field

from .numbers import Malformed, Reader, varint, truncated

GRANULE = 16
RANGE_SUM_MAX = (1 << 31) - 1


@dataclass
class Frame:
    kind: str
    channel: int = 0
    low: int = 0
    length: int = 0  # bytes of the truncated number
    number: int = None  # restored
    payload: bytes = b""
    redelivered: bool = False
    offset: int = 0  # bytes
    total: int = None  # bytes; None: a whole message
    value: int = 0  # credit: bytes; close: code; skip: count; ack rate: packets
    delay: int = 0  # ack rate: µs
    ranges: list = field(default_factory=list)  # settled: (gap, run), each one less than what it means

    def is_eliciting(self):
        return self.kind != "floor"

    def absolute_ranges(self):
        """Settled ranges as (first, last), counted from the restored number."""
        out, at = [], self.number
        for gap, run in self.ranges:
            first = at + gap + 1
            out.append((first, first + run))
            at = first + run + 1
        return out


def _message(reader, kind):
    frame = Frame("message", kind & 15, redelivered=bool(kind & 0x10))
    frame.low, frame.length = reader.truncated()
    if kind & 0x20:
        frame.offset, frame.total = reader.varint() * GRANULE, reader.varint()
    frame.payload = _payload(reader, kind & 0x40)
    if frame.total is not None:  # R6.6
        end = frame.offset + len(frame.payload)
        if not frame.payload or end > frame.total or len(frame.payload) == frame.total:
            raise Malformed("fragment")
        if len(frame.payload) % GRANULE and end != frame.total:
            raise Malformed("fragment granule")
    return frame


def _payload(reader, has_length):
    if not has_length:
        return bytes(reader.rest())
    payload = bytes(reader.take(reader.varint()))
    if not reader.left():  # R6.4
        raise Malformed("length not needed")
    return payload


def _settled(reader, kind):
    frame = Frame("settled", kind & 15)
    frame.low, frame.length = reader.truncated()
    if kind & 0x10:
        count = reader.byte()
        if not count:
            raise Malformed("no ranges")
        frame.ranges = [(reader.varint(), reader.varint()) for _ in range(count)]
        if sum(gap + run + 2 for gap, run in frame.ranges) > RANGE_SUM_MAX:
            raise Malformed("ranges too wide")
    return frame


def _skip(reader, kind):
    frame = Frame("skip", kind & 15)
    frame.low, frame.length = reader.truncated()
    less = reader.varint()
    if less >= (1 << 31) - 1:
        raise Malformed("skip too wide")
    frame.value = less + 1
    return frame


def _next(reader, kind, previous):
    if previous is None or previous.kind not in ("message", "next") or previous.total is not None:  # R6.5
        raise Malformed("next after nothing")
    payload = _payload(reader, kind == 0x07)
    return Frame("next", previous.channel, payload=payload, redelivered=previous.redelivered)


def decode(data):
    """The frames, and how many bytes of padding follow them."""
    reader, out = Reader(data), []
    while reader.left():
        kind = reader.byte()
        if kind == 0x00:
            rest = reader.rest()
            if any(rest):  # R6.2
                raise Malformed("padding")
            return out, len(rest) + 1
        if kind == 0x01:
            frame = Frame("ping")
        elif kind == 0x02:
            frame = Frame("credit", value=reader.varint())
        elif kind == 0x03:
            frame = Frame("ack_rate", value=reader.varint(), delay=reader.varint())
        elif kind == 0x04:
            low, length = reader.truncated()
            frame = Frame("floor", low=low, length=length)
        elif kind == 0x05:
            frame = Frame("close", value=reader.byte())
        elif kind in (0x06, 0x07):
            frame = _next(reader, kind, out[-1] if out else None)
        elif kind & 0xE0 == 0x40:
            frame = _settled(reader, kind)
        elif kind & 0xF0 == 0x60:
            frame = _skip(reader, kind)
        elif kind & 0x80:
            frame = _message(reader, kind)
        else:
            raise Malformed("unknown frame")
        out.append(frame)
    return out, 0


def encode(frames, padding=0):
    out = b""
    for at, frame in enumerate(frames):
        is_last = at == len(frames) - 1 and not padding
        out += _encode(frame, is_last)
    return out + bytes(padding)


def _encode(f, is_last):
    number = truncated(f.low, f.length) if f.length else b""
    if f.kind == "ping":
        return b"\x01"
    if f.kind == "credit":
        return b"\x02" + varint(f.value)
    if f.kind == "ack_rate":
        return b"\x03" + varint(f.value) + varint(f.delay)
    if f.kind == "floor":
        return b"\x04" + number
    if f.kind == "close":
        return bytes([5, f.value])
    if f.kind == "settled":
        if not f.ranges:
            return bytes([0x40 + f.channel]) + number
        ranges = b"".join(varint(gap) + varint(run) for gap, run in f.ranges)
        return bytes([0x50 + f.channel]) + number + bytes([len(f.ranges)]) + ranges
    if f.kind == "skip":
        return bytes([0x60 + f.channel]) + number + varint(f.value - 1)
    body = f.payload if is_last else varint(len(f.payload)) + f.payload
    if f.kind == "next":
        return (b"\x06" if is_last else b"\x07") + body
    kind = 0x80 + f.channel | (0x10 if f.redelivered else 0) | (0 if is_last else 0x40)
    if f.total is None:
        return bytes([kind]) + number + body
    return bytes([kind | 0x20]) + number + varint(f.offset // GRANULE) + varint(f.total) + body
