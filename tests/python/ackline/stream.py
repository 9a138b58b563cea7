"""Section 17: datagrams in a stream of bytes."""

from .check import crc16, crc32c

CHECKS = {"crc32": (crc32c, 4), "crc16": (crc16, 2)}


def encode(datagram, check="crc32"):
    function, size = CHECKS[check]
    data = datagram + function(datagram).to_bytes(size, "little")
    out = bytearray()
    parts = data.split(b"\0")
    for at, part in enumerate(parts):
        is_full = False
        while len(part) >= 254:
            out += b"\xff" + part[:254]
            part, is_full = part[254:], True
        if part or not is_full or at < len(parts) - 1:
            out += bytes([len(part) + 1]) + part
    return bytes(out) + b"\0"


def _uncover(frame):
    out, at = bytearray(), 0
    while at < len(frame):
        code = frame[at]
        block = frame[at + 1 : at + code]
        if len(block) != code - 1:
            return None
        out += block
        at += code
        if code != 255 and at < len(frame):
            out.append(0)
    return bytes(out)


class Deframer:
    def __init__(self, check="crc32", datagram_max=1200):
        self.function, self.size = CHECKS[check]
        self.datagram_max = datagram_max
        self.pending = bytearray()

    def push(self, data):
        """The datagrams that end in `data`."""
        out = []
        for byte in data:
            if byte:
                self.pending.append(byte)
                continue
            plain = _uncover(bytes(self.pending))
            self.pending.clear()
            if not plain or not self.size < len(plain) <= self.datagram_max + self.size:
                continue
            body, check = plain[: -self.size], plain[-self.size :]
            if self.function(body).to_bytes(self.size, "little") == check:
                out.append(body)
        return out
