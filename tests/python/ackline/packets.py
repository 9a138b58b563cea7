"""Sections 4 and 7: packets and hellos, without their check."""

from dataclasses import dataclass, field

from . import ack as acks
from . import frames as framing
from .numbers import Malformed, Reader, truncated, varint

CONFIRM, ACK, NO_CHECK, BARE, KNOWS, MORE = 1, 2, 4, 8, 16, 32
VERSION = 1
DEFAULTS = {
    "datagram_max": 1200, "window": 64, "buffer": 65536, "message_max": 65536, "ack_delay": 1000,
    "channels": 16, "modes": b"", "bases": (), "cookie": b"", "fragments": 1,
}
NAMES = list(DEFAULTS)


@dataclass
class Short:
    link_id: bytes
    low: int = 0
    length: int = 0  # 0: no number
    ack: acks.Ack = None
    frames: list = field(default_factory=list)
    padding: int = 0
    number: int = None

    def encode(self):
        group = 0x60 if not self.length else 0x20 if self.ack else 0x00
        out = bytes([group | (self.ack.bits() if self.ack else 0)]) + self.link_id
        if self.length:
            out += truncated(self.low, self.length)
        if self.ack:
            out += self.ack.encode()
        return out + framing.encode(self.frames, self.padding)


def decode_short(data, id_length):
    reader = Reader(data)
    first = reader.byte()
    group = first & 0xE0
    if group not in (0x00, 0x20, 0x60) or (group == 0 and first):
        raise Malformed("first byte")
    packet = Short(bytes(reader.take(id_length)))
    if group != 0x60:
        packet.low, packet.length = reader.truncated()
    if group:
        packet.ack = acks.decode(reader, first & 0x1F)
    packet.frames, packet.padding = framing.decode(reader.rest())
    if group == 0x60 and any(f.kind != "settled" for f in packet.frames):  # R4.3
        raise Malformed("frame without number")
    return packet


def decode_retry(data):
    reader = Reader(data[1:])
    incarnation, cookie = reader.fixed(8), bytes(reader.rest())
    if not 1 <= len(cookie) <= 16:
        raise Malformed("cookie")
    return incarnation, cookie


def decode_version(data):
    reader = Reader(data[1:])
    return reader.fixed(8), bytes(reader.rest())


@dataclass
class Hello:
    to_id: bytes = b""
    from_id: bytes = b""
    incarnation: int = 0
    to_incarnation: int = 0
    flags: int = 0
    number: int = 0
    parameters: dict = field(default_factory=lambda: dict(DEFAULTS))
    ack: acks.Ack = None
    frames: list = field(default_factory=list)
    padding: int = 0

    def encode(self):
        flags = self.flags | (ACK if self.ack else 0)
        out = bytes([0x80, VERSION, len(self.to_id)]) + self.to_id + bytes([len(self.from_id)]) + self.from_id
        out += self.incarnation.to_bytes(8, "little") + self.to_incarnation.to_bytes(8, "little")
        parameters = encode_parameters(self.parameters)
        out += bytes([flags]) + self.number.to_bytes(4, "little") + varint(len(parameters)) + parameters
        if self.ack:
            out += bytes([self.ack.bits()]) + self.ack.encode()
        return out + framing.encode(self.frames, self.padding)


def encode_parameters(parameters):
    out = b""
    for at, name in enumerate(NAMES):
        value = parameters[name]
        if value == DEFAULTS[name]:  # R7.8
            continue
        if name == "bases":
            value = b"".join(bytes([channel]) + varint(base) for channel, base in value)
        elif isinstance(value, int):
            value = varint(value)
        out += bytes([at + 1]) + varint(len(value)) + value
    return out


def modes_of(packed):
    """Parameter 7: two bits for each channel."""
    return [byte >> bits & 3 for byte in packed[:4] for bits in (0, 2, 4, 6)]


def pack_modes(modes):
    value = sum(mode << 2 * channel for channel, mode in enumerate(modes))
    return value.to_bytes((value.bit_length() + 7) // 8, "little")


def decode_parameters(data):
    out, reader, last = dict(DEFAULTS), Reader(data), 0
    while reader.left():
        at = reader.varint()
        value = Reader(reader.take(reader.varint()))
        if at <= last:  # R7.6
            raise Malformed("parameter order")
        last = at
        if at > len(NAMES):  # R7.7
            continue
        name = NAMES[at - 1]
        if name in ("modes", "cookie"):
            out[name] = bytes(value.rest())
        elif name == "bases":
            pairs = []
            while value.left():
                pairs.append((value.byte(), value.varint()))
            out[name] = tuple(pairs)
        else:
            out[name] = value.varint()
            if value.left():
                raise Malformed("bytes left over")
    if not out["window"] or not out["channels"] or out["datagram_max"] < 96:
        raise Malformed("parameter value")  # R7.9
    return out


def decode_hello(data):
    reader = Reader(data[1:])
    if reader.byte() != VERSION:
        raise Malformed("version")
    hello = Hello()
    ids = []
    for _ in range(2):
        length = reader.byte()
        if length > 8:
            raise Malformed("link id")
        ids.append(bytes(reader.take(length)))
    hello.to_id, hello.from_id = ids
    hello.incarnation, hello.to_incarnation = reader.fixed(8), reader.fixed(8)
    hello.flags = reader.byte()
    if not hello.incarnation or hello.flags >= 0x40:  # 7.1, R7.4
        raise Malformed("incarnation or flags")
    hello.number = reader.fixed(4)
    hello.parameters = decode_parameters(reader.take(reader.varint()))
    if hello.flags & ACK:
        bits = reader.byte()
        if bits > 0x1F:
            raise Malformed("ack bits")
        hello.ack = acks.decode(reader, bits)
    hello.frames, hello.padding = framing.decode(reader.rest())
    return hello
