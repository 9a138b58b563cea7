"""Section 6: frames."""

from dataclasses import dataclass, field

from .numbers import Malformed, Reader, varint, truncated

RANGE_SUM_MAX = (1 << 31) - 1


def granule(total):
    """R6.6: how long the pieces are that a message of `total` bytes is cut into."""
    return 4 if total < 4096 else 16


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
        index, frame.total = reader.varint(), reader.varint()
        frame.offset = index * granule(frame.total)
    frame.payload = _payload(reader, kind & 0x40)
    if frame.total is not None:
        _check_fragment(frame)
    return frame


def _check_fragment(frame):
    """R6.6."""
    end = frame.offset + len(frame.payload)
    if not frame.payload or end > frame.total or len(frame.payload) == frame.total:
        raise Malformed("fragment")
    if len(frame.payload) % granule(frame.total) and end != frame.total:
        raise Malformed("fragment granule")


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


def _ends_message(frame):
    """R6.5: what a next or a series may follow."""
    if frame is None or frame.kind not in ("message", "next"):
        return False
    return frame.total is None or frame.offset + len(frame.payload) == frame.total


def _next(reader, kind, previous):
    if not _ends_message(previous):  # R6.5
        raise Malformed("next after nothing")
    payload = _payload(reader, kind == 0x07)
    return Frame("next", previous.channel, payload=payload, redelivered=previous.redelivered)


def _series(reader, kind, previous):
    """R6.24: a frame for each message."""
    if not _ends_message(previous):
        raise Malformed("series after nothing")
    total = len(previous.payload) if previous.total is None else previous.total
    payloads = _payload(reader, kind == 0x09)
    if not payloads or not total:
        raise Malformed("empty series")
    out = []
    for at in range(0, len(payloads), total):
        frame = Frame("series", previous.channel, payload=payloads[at : at + total], redelivered=previous.redelivered)
        if len(frame.payload) < total:
            frame.total = total
            _check_fragment(frame)
        out.append(frame)
    return out


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
        elif kind in (0x08, 0x09):
            out += _series(reader, kind, out[-1] if out else None)
            continue
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
    at = 0
    while at < len(frames):
        series = []
        while at < len(frames) and frames[at].kind == "series":
            series.append(frames[at].payload)
            at += 1
        at += not series
        is_last = at == len(frames) and not padding
        if series:
            payloads = b"".join(series)
            out += b"\x08" + payloads if is_last else b"\x09" + varint(len(payloads)) + payloads
        else:
            out += _encode(frames[at - 1], is_last)
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
    return bytes([kind | 0x20]) + number + varint(f.offset // granule(f.total)) + varint(f.total) + body
