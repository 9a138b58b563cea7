"""Reads every vector in core/docs/vectors and reproduces it, byte for byte."""

import pathlib
import re
import unittest

from ackline import ack, check, frames, numbers, packets, stream
from ackline.numbers import Malformed, Reader

VECTORS = pathlib.Path(__file__).resolve().parents[2] / "core" / "docs" / "vectors"


def lines(name):
    for number, line in enumerate((VECTORS / name).read_text().splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            yield f"{name}:{number}", line


def unhex(text):
    return b"" if text == "-" else bytes.fromhex(text)


def hexed(data):
    return data.hex() or "-"


def number_text(low, length):
    return f"{low}/{length}"


def frame_text(f, ranges_from):
    """As in frames.txt. `ranges_from`: the number that ranges are counted from."""
    number = number_text(f.low, f.length) if f.length else None
    if f.kind == "ping":
        return "ping"
    if f.kind in ("credit", "close"):
        return f"{f.kind} {f.value}"
    if f.kind == "ack_rate":
        return f"ack_rate {f.value} {f.delay}"
    if f.kind == "floor":
        return f"floor {number}"
    if f.kind == "settled":
        f.number = ranges_from(f)
        ranges = ",".join(f"{a}..{b}" for a, b in f.absolute_ranges())
        return f"settled {f.channel} {number} {ranges}".rstrip()
    if f.kind == "skip":
        return f"skip {f.channel} {number} {f.value}"
    mark = " redelivered" if f.redelivered else ""
    if f.kind == "next":
        return f"next {f.channel}{mark} {hexed(f.payload)}"
    if f.kind == "series":
        begins = "" if f.total is None else f" begins {f.total}"
        return f"series {f.channel}{begins}{mark} {hexed(f.payload)}"
    if f.total is None:
        return f"message {f.channel} {number}{mark} {hexed(f.payload)}"
    return f"fragment {f.channel} {number} {f.offset} {f.total}{mark} {hexed(f.payload)}"


def frames_text(parsed):
    return "; ".join(frame_text(f, lambda f: f.low) for f in parsed) or "-"


def ack_text(parsed):
    """As in packets.txt: the low bits stand for the number."""
    if parsed is None:
        return "-"
    parsed.largest = parsed.low
    ranges = ",".join(f"{a}..{b}" for a, b in parsed.ranges())
    return f"{number_text(parsed.low, parsed.length)}@{parsed.delay * 8}:{ranges}"


def parameter_text(name, value):
    if name == "bases":
        return "+".join(f"{c}:{n}" for c, n in value) or "-"
    return hexed(value) if isinstance(value, bytes) else str(value)


class Vectors(unittest.TestCase):
    def each(self, name, least, one):
        """Calls `one` for the fields of every line: none may be passed over."""
        count = 0
        for where, line in lines(name):
            with self.subTest(where, line=line):
                one(line.split())
            count += 1
        self.assertGreaterEqual(count, least)

    def test_integers(self):
        def one(fields):
            kind, values = fields[0], fields[1:]
            if kind in ("varint", "truncated"):
                data, value = unhex(values[-1]), int(values[0])
                reader = Reader(data)
                if kind == "varint":
                    self.assertEqual(reader.varint(), value)
                    self.assertEqual(numbers.varint(value), data)
                else:
                    self.assertEqual(reader.truncated(), (value, int(values[1])))
                    self.assertEqual(numbers.truncated(value, int(values[1])), data)
                self.assertEqual(reader.left(), 0)
            else:
                restore = {"nearest": numbers.nearest, "before": numbers.before}[kind]
                low, length, reference, number = map(int, values)
                self.assertEqual(restore(low, length, reference), number)

        self.each("integers.txt", 45, one)

    def test_acks(self):
        def one(fields):
            _, bits, data, largest, length, delay, ranges = fields
            reader = Reader(unhex(data))
            parsed = ack.decode(reader, int(bits, 16))
            self.assertEqual(reader.left(), 0)
            parsed.restore(int(largest))
            self.assertEqual(parsed.largest, int(largest))
            self.assertEqual((parsed.length, parsed.delay * 8), (int(length), int(delay)))
            self.assertEqual(",".join(f"{a}..{b}" for a, b in parsed.ranges()), ranges)
            made = ack.of_ranges(parsed.ranges(), int(length), parsed.delay)
            self.assertEqual((made.bits(), made.encode()), (int(bits, 16), unhex(data)))

        self.each("acks.txt", 8, one)

    def test_frames(self):
        def one(fields):
            data = unhex(fields[1])
            parsed, padding = frames.decode(data)
            self.assertEqual(frames_text(parsed), " ".join(fields[2:]))
            self.assertEqual(frames.encode(parsed, padding), data)

        self.each("frames.txt", 42, one)

    def test_packets(self):
        self.each("packets.txt", 18, lambda fields: getattr(self, "packet_" + fields[0])(*fields[1:]))

    def packet_short(self, id_length, data, number, acked, *rest):
        parsed = packets.decode_short(unhex(data), int(id_length))
        self.assertEqual(number_text(parsed.low, parsed.length) if parsed.length else "-", number)
        self.assertEqual(ack_text(parsed.ack), acked)
        self.assertEqual(frames_text(parsed.frames), " ".join(rest))
        self.assertEqual(parsed.encode(), unhex(data))

    def packet_retry(self, data, incarnation, cookie):
        self.assertEqual(packets.decode_retry(unhex(data)), (int(incarnation, 16), unhex(cookie)))
        made = b"\x81" + int(incarnation, 16).to_bytes(8, "little") + unhex(cookie)
        self.assertEqual(made, unhex(data))

    def packet_reset(self, data, echo):
        self.assertEqual(b"\x82" + unhex(echo), unhex(data))

    def packet_version(self, data, incarnation, versions):
        self.assertEqual(packets.decode_version(unhex(data)), (int(incarnation, 16), unhex(versions)))

    def packet_hello(self, data, to_id, from_id, incarnation, to_incarnation, flags, number, parameters, acked, *rest):
        parsed = packets.decode_hello(unhex(data))
        self.assertEqual((hexed(parsed.to_id), hexed(parsed.from_id)), (to_id, from_id))
        incarnations = (parsed.incarnation, parsed.to_incarnation)
        self.assertEqual(incarnations, (int(incarnation, 16), int(to_incarnation, 16)))
        self.assertEqual((parsed.flags, parsed.number), (int(flags, 16), int(number)))
        text = ",".join(f"{name}={parameter_text(name, value)}" for name, value in parsed.parameters.items())
        self.assertEqual(text, parameters)
        self.assertEqual(ack_text(parsed.ack), acked)
        self.assertEqual(frames_text(parsed.frames), " ".join(rest))
        self.assertEqual(parsed.encode(), unhex(data))

    def test_checks(self):
        def one(fields):
            if fields[0] == "crc32c":
                self.assertEqual(check.crc32c(unhex(fields[1])), int(fields[2], 16))
            elif fields[0] == "key":
                self.assertEqual(check.key(int(fields[1], 16), int(fields[2], 16)), int(fields[3], 16))
            elif fields[0] == "long":
                self.assertEqual(check.seal(unhex(fields[1]))[-4:], unhex(fields[2]))
            else:
                _, body, sender, receiver, packet, acked, others, expected = fields
                as_number = lambda text: None if text == "-" else int(text)
                others = [] if others == "-" else [int(n) for n in others.split(",")]
                bound = check.binding(as_number(packet), as_number(acked), others)
                key = check.key(int(sender, 16), int(receiver, 16))
                self.assertEqual(check.seal(unhex(body), key, bound)[-4:], unhex(expected))

        self.each("checks.txt", 18, one)

    def test_streams(self):
        def one(fields):
            _, kind, datagram, frame = fields
            self.assertEqual(stream.encode(unhex(datagram), kind), unhex(frame))
            deframer = stream.Deframer(kind)
            # Between noise: a bad frame before, zeros around.
            got = deframer.push(b"\x05\x00\x00" + unhex(frame) + b"\x00")
            self.assertEqual(got, [unhex(datagram)])

        self.each("streams.txt", 22, one)

    def test_rejected(self):
        def one(fields):
            kind = fields[0]
            with_argument = kind in ("ack", "packet")
            data = unhex(fields[2 if with_argument else 1])
            if kind == "stream":
                self.assertEqual(stream.Deframer("crc32").push(data + b"\0"), [])
                return
            with self.assertRaises(Malformed):
                self.reject(kind, fields[1], data)

        self.each("rejected.txt", 92, one)

    @staticmethod
    def reject(kind, argument, data):
        if kind == "varint":
            Reader(data).varint()
        elif kind == "truncated":
            Reader(data).truncated()
        elif kind == "ack":
            ack.decode(Reader(data), int(argument, 16))
        elif kind == "frames":
            frames.decode(data)
        elif kind == "packet":
            packets.decode_short(data, int(argument))
        elif kind == "long":
            decoders = {0x81: packets.decode_retry, 0x83: packets.decode_version}
            if data[0] not in decoders:
                raise Malformed("unknown kind")
            decoders[data[0]](data)
        elif kind == "hello":
            packets.decode_hello(data)
        else:
            raise AssertionError(re.escape(kind))


if __name__ == "__main__":
    unittest.main()
