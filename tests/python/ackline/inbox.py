"""Sections 13 and 14: what arrives, and what of it is settled."""

from .frames import Frame, granule
from .numbers import distance, length_two_sided, SPAN
from .packets import modes_of

ORDERED, UNORDERED, LATEST, BEST_EFFORT = range(4)


class Message:
    """One message that is arriving."""

    def __init__(self, total):
        self.total = total
        self.data = bytearray(total)
        self.missing = self.granules(0, total)
        self.redelivered = False
        self.taken = False

    def granules(self, start, end):
        """Those that hold the bytes from `start` to before `end` (R6.6)."""
        size = granule(self.total)
        return set(range(start // size, (end + size - 1) // size))

    def is_complete(self):
        return not self.missing


class Channel:
    """All numbers are compared with `distance` (section 3)."""

    def __init__(self, mode, base):
        self.mode = mode
        self.base = base  # the first that is not settled or skipped
        self.highest = base  # one after the highest received or skipped
        self.messages = {}
        self.done = set()  # settled or skipped, after the base
        self.version = 0  # counts changes of what is settled
        self.confirmed = 0  # the version that the peer is known to have
        self.version_seen = 0  # the newest version that left
        self.complete_unacked = set()  # complete, and no acknowledgement has left since (R6.16)

    def is_done(self, number):
        return distance(self.base, number) < 0 or number in self.done

    def finish(self, number):
        self.messages.pop(number, None)
        self.done.add(number)
        while self.base in self.done:
            self.done.remove(self.base)
            self.base = (self.base + 1) % SPAN
        self.version += 1

    def raise_highest(self, number):
        if distance(self.highest, number) >= 0:
            self.highest = (number + 1) % SPAN

    def begin(self, base):
        """R8.12: no hello has told yet where the channel begins."""
        if self.base == self.highest == 0:
            self.base = self.highest = base

    def raise_base(self, base):
        """R8.12: what is before counts as skipped, however far it is."""
        if distance(self.base, base) <= 0:
            return
        for number in [n for n in self.messages if distance(n, base) > 0]:
            if not self.messages[number].is_complete():
                del self.messages[number]
        self.done = {n for n in self.done if distance(n, base) <= 0}
        self.base = base
        while self.base in self.done:
            self.done.remove(self.base)
            self.base = (self.base + 1) % SPAN
        if distance(self.highest, base) > 0:
            self.highest = base
        self.version += 1

    def settled_frame(self, index, window):
        length = 4 if self.mode == LATEST else length_two_sided(window)
        frame = Frame("settled", index, self.base % (1 << 7 * length), length, self.base)
        if self.mode == LATEST:
            return frame
        at = self.base
        for number in sorted(self.done, key=lambda n: distance(self.base, n)):
            gap = distance(at, number)
            if frame.ranges and not gap:
                frame.ranges[-1] = (frame.ranges[-1][0], frame.ranges[-1][1] + 1)
            elif len(frame.ranges) < 255:
                frame.ranges.append((gap - 1, 0))
            at = (number + 1) % SPAN
        return frame


class Inbox:
    def __init__(self, parameters):
        self.window = parameters["window"]
        self.buffer = parameters["buffer"]
        self.message_max = parameters["message_max"]
        self.count = min(parameters["channels"], 16)
        self.channels = []

    def reset(self, peer):
        """R8.9: each channel begins at its base, empty."""
        modes, bases = modes_of(peer["modes"]), dict(peer["bases"])
        mode = lambda i: modes[i] if i < len(modes) else ORDERED
        self.channels = [Channel(mode(i), bases.get(i, 0)) for i in range(self.count)]

    def stored(self):
        return sum(m.total for c in self.channels for m in c.messages.values())

    def has_room(self, channel, number, total):
        if distance(channel.base, number) >= self.window and channel.mode != LATEST:
            return False
        if channel.mode == ORDERED and number == channel.base:
            return True  # R13.4: the one that is waited for always finds room
        return self.stored() + total <= self.buffer

    def on_message(self, frame):
        """Whether it was stored or is known (R11.1), and whether it was known already."""
        if frame.channel >= len(self.channels):
            return False, False
        channel, number = self.channels[frame.channel], frame.number
        total = len(frame.payload) if frame.total is None else frame.total
        if channel.is_done(number) or (channel.mode == LATEST and self.is_stale(channel, number)):
            return True, True
        message = channel.messages.get(number)
        if message and message.is_complete():
            return True, True
        if message and message.total != total:  # R6.8
            return False, False
        if not message:
            if total > self.message_max or not self.has_room(channel, number, total):
                return False, False
            if channel.mode == LATEST:  # R14.5
                channel.messages = {n: m for n, m in channel.messages.items() if m.taken}
            message = channel.messages[number] = Message(total)
            channel.raise_highest(number)
        message.redelivered |= frame.redelivered
        granules = message.granules(frame.offset, frame.offset + len(frame.payload))
        was_known = bool(granules) and not granules & message.missing
        message.data[frame.offset : frame.offset + len(frame.payload)] = frame.payload
        message.missing -= granules
        if message.is_complete():
            channel.complete_unacked.add(number)
        return True, was_known

    @staticmethod
    def is_stale(channel, number):
        return distance(number, channel.highest) > 0 and number not in channel.messages

    def on_skip(self, frame):
        """R6.10, R6.11."""
        if frame.channel >= len(self.channels):
            return
        channel = self.channels[frame.channel]
        if channel.mode == LATEST:
            return
        end = (frame.number + frame.value) % SPAN
        number = frame.number if distance(channel.base, frame.number) > 0 else channel.base
        while distance(number, end) > 0:
            message = channel.messages.get(number)
            if not channel.is_done(number) and not (message and message.is_complete()):
                channel.finish(number)
            number = (number + 1) % SPAN
        if distance(channel.highest, end) > 0:
            channel.highest = end

    def take(self):
        """The next message for the application: (channel, number, payload, redelivered)."""
        for index, channel in enumerate(self.channels):
            for number in sorted(channel.messages, key=lambda n: distance(channel.base, n)):
                message = channel.messages[number]
                if message.taken:
                    continue
                if message.is_complete():
                    message.taken = True
                    return index, number, bytes(message.data), message.redelivered
                if channel.mode == ORDERED:
                    break
            else:
                continue
        return None

    def settle(self, index, number):
        """True if it must be told in an eliciting packet (R6.16)."""
        channel = self.channels[index]
        message = channel.messages.get(number)
        if not message or not message.taken:
            return False
        if channel.mode == LATEST:
            del channel.messages[number]
            channel.base = (number + 1) % SPAN
            channel.version += 1
        else:
            channel.finish(number)
        was_unacked = number in channel.complete_unacked
        channel.complete_unacked.discard(number)
        return not was_unacked

    def on_ack_left(self):
        for channel in self.channels:
            channel.complete_unacked.clear()
