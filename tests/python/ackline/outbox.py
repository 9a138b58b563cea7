"""Sections 13 and 14 at the sender: messages until their outcome."""

from .frames import Frame, granule
from .numbers import SPAN, distance, length_two_sided
from .packets import DEFAULTS

QUEUED, IN_FLIGHT, ARRIVED = range(3)


class Piece:
    """A whole message, a fragment, or a skip: what is sent again when its packet is lost."""

    def __init__(self, channel, message, offset, length):
        self.channel, self.message = channel, message
        self.offset, self.length = offset, length
        self.state = QUEUED
        self.packet = None  # the newest packet that carries it

    def is_whole(self):
        return self.length == len(self.message.payload)


class Skip:
    def __init__(self, channel, number, count):
        self.channel, self.number, self.count = channel, number, count
        self.state, self.packet = QUEUED, None


class Message:
    def __init__(self, number, payload):
        self.number, self.payload = number, payload
        self.redelivered = False
        self.was_sent = False
        self.outcome = None
        self.pieces = []

    def was_sent_completely(self):
        return self.pieces and all(p.packet is not None for p in self.pieces)

    def has_arrived(self):
        return self.pieces and all(p.state == ARRIVED for p in self.pieces)


class Channel:
    def __init__(self):
        self.base = 0  # the first that is not known to be settled
        self.next = 0  # of the next message accepted
        self.sent = 0  # one after the newest sent
        self.messages = {}
        self.skips = []

    def number_length(self):
        """R3.7, for messages and skips."""
        return length_two_sided(max(distance(self.base, self.sent), 1))


class Outbox:
    def __init__(self, datagram_max):
        self.channels = [Channel() for _ in range(16)]
        self.datagram_max = datagram_max  # our own
        self.peer = dict(DEFAULTS)  # R8.5
        self.outcomes = []

    def send(self, index, payload):
        channel = self.channels[index]
        message = Message(channel.next, payload)
        channel.messages[channel.next] = message
        channel.next = (channel.next + 1) % SPAN
        return message.number

    def bases(self):
        return tuple((i, c.base) for i, c in enumerate(self.channels) if c.base)

    def unsettled(self):
        return [m for c in self.channels for m in c.messages.values() if not m.outcome]

    def bytes_out(self):
        return sum(len(m.payload) for m in self.unsettled() if m.was_sent)

    def on_adopted(self, peer, replaced):
        """R8.18, R8.21."""
        self.peer = peer
        for index, channel in enumerate(self.channels):
            channel.skips = []
            for number, message in sorted(channel.messages.items(), key=lambda it: distance(channel.base, it[0])):
                if message.outcome:
                    channel.skips.append(Skip(index, number, 1))
                elif len(message.payload) > peer["message_max"] or index >= min(peer["channels"], 16):
                    self.finish(index, message, "failed")
                    channel.skips.append(Skip(index, number, 1))
                elif replaced:
                    message.redelivered |= message.was_sent
                    message.was_sent = False
                    message.pieces = []
            if replaced:
                channel.sent = channel.base

    def mark_redelivered(self):
        """R8.24: a believed reset."""
        for message in self.unsettled():
            message.redelivered |= message.was_sent

    def finish(self, index, message, outcome):
        message.outcome = outcome
        self.outcomes.append((index, message.number, outcome))

    def sendable(self, room, may_fragment):
        """The next piece that fits into `room` bytes of payload, or None. The caller marks it as sent."""
        for index, channel in enumerate(self.channels):
            number = channel.base
            while distance(number, channel.next) > 0 and distance(channel.base, number) < self.peer["window"]:
                message = channel.messages.get(number)
                number = (number + 1) % SPAN
                if not message or message.outcome:
                    continue
                if not message.was_sent and not self.has_credit(message):
                    return None
                piece = self.piece_of(index, message, room, may_fragment)
                if piece:
                    return piece
                if not message.pieces:
                    break  # it does not fit now, and later ones do not overtake it
        return None

    def has_credit(self, message):
        out = self.bytes_out()
        return not out or out + len(message.payload) <= self.peer["buffer"]

    def piece_max(self):
        """Payload of one packet that leaves room for everything else in it (R4.4)."""
        return min(self.datagram_max, self.peer["datagram_max"]) - 48

    def piece_of(self, index, message, room, may_fragment):
        if not message.pieces:
            limit = self.piece_max()
            if len(message.payload) <= limit:
                message.pieces = [Piece(index, message, 0, len(message.payload))]
            elif may_fragment and self.peer["fragments"]:
                size = limit - limit % granule(len(message.payload))
                cuts = range(0, len(message.payload), size)
                message.pieces = [Piece(index, message, at, min(size, len(message.payload) - at)) for at in cuts]
        fitting = (p for p in message.pieces if p.state == QUEUED and p.length <= room)
        return next(fitting, None)

    def requeue_first(self):
        """R12.7: the first message of each channel that is not known to have arrived."""
        for channel in self.channels:
            waiting = [m for m in channel.messages.values() if m.was_sent and not m.has_arrived() and not m.outcome]
            if waiting:
                first = min(waiting, key=lambda m: distance(channel.base, m.number))
                for piece in first.pieces:
                    piece.state = QUEUED if piece.state == IN_FLIGHT else piece.state

    def frame_of(self, piece):
        channel = self.channels[piece.channel]
        message = piece.message
        if distance(channel.sent, message.number) >= 0:
            channel.sent = (message.number + 1) % SPAN
        message.was_sent = True
        length = channel.number_length()
        low = message.number % (1 << 7 * length)
        frame = Frame("message", piece.channel, low, length, message.number, redelivered=message.redelivered)
        frame.payload = message.payload[piece.offset : piece.offset + piece.length]
        if not piece.is_whole():
            frame.offset, frame.total = piece.offset, len(message.payload)
        return frame

    def skip_frame(self, skip):
        channel = self.channels[skip.channel]
        end = (skip.number + skip.count) % SPAN
        if distance(channel.sent, end) > 0:
            channel.sent = end
        length = channel.number_length()
        return Frame("skip", skip.channel, skip.number % (1 << 7 * length), length, skip.number, value=skip.count)

    def on_settled(self, frame):
        channel = self.channels[frame.channel]
        if distance(channel.next, frame.number) > 0:  # R6.18
            return
        number = channel.base
        while distance(number, frame.number) > 0:
            message = channel.messages.get(number)
            if message and not message.outcome:
                if not message.was_sent_completely():
                    return
                self.finish(frame.channel, message, "settled")
            channel.messages.pop(number, None)
            number = channel.base = (number + 1) % SPAN
        channel.skips = [s for s in channel.skips if distance(channel.base, s.number) >= 0]
        for first, last in frame.absolute_ranges():
            for number in list(channel.messages):
                message = channel.messages[number]
                if first <= frame.number + distance(frame.number, number) <= last:
                    if not message.outcome and message.was_sent_completely():
                        self.finish(frame.channel, message, "settled")
