"""Section 8 and what holds the rest together: one link over UDP. Reads no clock and no socket; times in µs."""

from . import check, packets
from .frames import Frame
from .inbox import Inbox
from .numbers import Malformed, SPAN, before, distance, length_one_sided, length_two_sided, nearest, precedes, truncated
from .outbox import ARRIVED, IN_FLIGHT, QUEUED, Outbox
from .packets import BARE, CONFIRM, DEFAULTS, KNOWS, MORE, Hello, Short, modes_of, pack_modes
from .recovery import Received, Recovery, Sent

IN_FLIGHT_MAX = 16
CHECK_LEN = 4


class Peer:
    """What is known of the other side."""

    def __init__(self, hello, is_successor):
        self.incarnation = hello.incarnation
        self.link_id = hello.from_id
        self.parameters = hello.parameters
        self.number = hello.number
        self.was_bare = bool(hello.flags & BARE)
        self.full_hello = not hello.flags & (BARE | MORE)
        self.confirmed = False
        self.is_successor = is_successor
        self.credit_from = None


class Link:
    def __init__(self, random, modes=(), **parameters):
        self.random = random
        self.parameters = dict(DEFAULTS, modes=pack_modes(modes), **parameters)
        self.incarnation = random.getrandbits(64) or 1
        self.link_id = random.randbytes(3)
        self.next_id = self.new_id()
        self.next_number = random.getrandbits(32)
        self.peer = None
        self.cookie = b""
        self.outbox, self.inbox = Outbox(self.parameters["datagram_max"]), Inbox(self.parameters)
        self.received = Received(self.parameters["ack_delay"])
        self.recovery = Recovery()
        self.first_number = self.next_number  # of this association (R3.7)
        self.replies = []  # packets that belong to no association
        self.events = []
        self.hello_due = self.ping_due = self.settled_due = False
        self.opened = False
        self.is_connected = False  # and the application knows (R8.9, R8.30)
        self.first_flight = True  # the next hello may carry messages (R8.2)
        self.close_code = None  # what is to be sent
        self.close_sent = self.is_closing = self.is_over = False
        self.floor_due = False
        self.heard_at = self.spoke_at = 0
        self.idle_pings = 0
        self.told_next_id = False  # after a believed reset (R8.24)

    def new_id(self):
        while True:
            drawn = self.random.randbytes(3)
            if drawn != self.link_id:
                return drawn

    # The application.

    def open(self):
        self.opened = self.hello_due = True

    def send(self, channel, payload):
        return self.outbox.send(channel, payload)

    def recv(self):
        return self.inbox.take()

    def settle(self, channel, number):
        self.settled_due |= self.inbox.settle(channel, number)

    def close(self):
        self.is_closing = True

    def is_drained(self):
        return not self.outbox.unsettled()

    # Datagrams in.

    def handle_datagram(self, now, data):
        try:
            self.dispatch(now, data)
        except Malformed:
            self.events.append("malformed")

    def dispatch(self, now, data):
        if not data:
            return
        if data[0] < 0x80:
            self.on_short(now, data)
            return
        body, tail = data[:-CHECK_LEN], data[-CHECK_LEN:]
        if len(data) < 1 + CHECK_LEN or check.seal(body)[-CHECK_LEN:] != tail:
            return
        if body[0] == 0x80:
            self.on_hello(now, packets.decode_hello(body))
        elif body[0] == 0x81:
            incarnation, cookie = packets.decode_retry(body)
            if incarnation == self.incarnation and not (self.peer and self.peer.confirmed):  # R9.5
                self.cookie, self.first_flight, self.hello_due = cookie, True, True
                self.requeue_all()
        elif body[0] == 0x82:
            self.on_reset(body[1:])
        elif body[0] == 0x83:
            incarnation, versions = packets.decode_version(body)
            if incarnation == self.incarnation and not self.peer and 1 not in versions:  # R8.28
                self.end("version")

    def on_short(self, now, data):
        if not self.peer:
            self.hello_due |= self.opened  # R8.26
            return
        body = data[:-CHECK_LEN]  # we never ask for NO_CHECK, so R4.9 never holds
        if len(body) < 1 + len(self.link_id):
            return
        packet = packets.decode_short(body, len(self.link_id))
        if packet.link_id not in (self.link_id, self.next_id):  # R4.2, R8.25
            return
        if packet.length:
            packet.number = nearest(packet.low, packet.length, self.received.expected())
        self.restore(packet.number, packet.ack, packet.frames)
        bound = check.binding(packet.number, packet.ack and packet.ack.largest, numbers_bound(packet.frames))
        if check.seal(body, check.key(self.peer.incarnation, self.incarnation), bound) != data:
            self.events.append("check")
            return
        self.heard_at = now
        self.on_link_id_used(packet.link_id)
        self.confirm()
        self.on_packet(now, packet, packet.frames, packet.ack)

    def on_link_id_used(self, link_id):
        """R8.25: the peer uses the next link id, which makes it the present one."""
        if link_id == self.next_id:
            self.link_id, self.told_next_id = self.next_id, False
            self.next_id = self.new_id()

    def on_connected(self):
        if not self.is_connected:
            self.is_connected = True
            self.events.append("connected")

    def confirm(self):
        self.on_connected()
        if not self.peer.confirmed:
            self.peer.confirmed, self.hello_due = True, False
            self.told_next_id = False

    def restore(self, number, ack, frames):
        """R3.6: all numbers, from the state before any frame takes effect."""
        if ack:
            ack.restore((self.next_number - 1) % SPAN)
        previous = None
        for frame in frames:
            if frame.kind == "floor":
                frame.number = before(frame.low, frame.length, number)
            elif frame.kind in ("next", "series"):
                frame.number = (previous.number + 1) % SPAN
            elif frame.kind == "settled":
                frame.number = nearest(frame.low, frame.length, self.outbox.channels[frame.channel].base)
            elif frame.length:
                known = frame.channel < len(self.inbox.channels)
                reference = self.inbox.channels[frame.channel].highest if known else 0
                frame.number = nearest(frame.low, frame.length, reference)
            previous = frame

    def on_packet(self, now, packet, frames, ack):
        """What a packet of the association brings, once it is known to be one."""
        if packet.number is not None and self.received.has(packet.number):
            self.received.on_duplicate(now)
            return
        if self.is_over:  # R15.3
            has_close_2 = any(f.kind == "close" and f.value == 2 for f in frames)
            if packet.number is not None and not has_close_2:
                self.received.on_packet(now, packet.number, True, False)
                self.close_code = 2
            return
        for frame in frames:  # R6.19
            if frame.kind == "settled":
                self.outbox.on_settled(frame)
        if ack:
            self.on_ack(now, ack)
        all_stored, had_duplicate, eliciting = True, False, False
        for frame in frames:
            stored, duplicate = self.on_frame(frame, packet)
            all_stored &= stored
            had_duplicate |= duplicate
            eliciting |= frame.is_eliciting()
        if packet.number is not None and all_stored:  # R11.1
            self.received.on_packet(now, packet.number, eliciting, had_duplicate)
            self.received.length = max(packet_length(packet), 1)

    def on_frame(self, frame, packet):
        if frame.kind in ("message", "next", "series"):
            return self.inbox.on_message(frame)
        if frame.kind == "skip":
            self.inbox.on_skip(frame)
        elif frame.kind in ("credit", "ack_rate"):
            newest = self.peer.credit_from
            if newest is None or precedes(newest, packet.number):  # R6.20
                self.peer.credit_from = packet.number
                if frame.kind == "credit":
                    self.peer.parameters["buffer"] = frame.value
                else:
                    self.received.packets = min(max(frame.value, 1), 256)
                    self.received.ack_delay = min(frame.delay, 100_000)
        elif frame.kind == "floor":
            self.received.on_floor(frame.number)
        elif frame.kind == "close":
            self.on_close(frame.value)
        return True, False

    def on_close(self, code):
        """R15.2."""
        self.end("drained" if self.is_closing and self.is_drained() else "peer closed")
        if code != 2:
            self.close_code = 2

    def end(self, reason):
        if self.is_over:
            return
        for index, channel in enumerate(self.outbox.channels):
            for message in channel.messages.values():
                if not message.outcome:
                    self.outbox.finish(index, message, "failed")
        self.is_over = True
        self.events.append(reason)

    def on_ack(self, now, ack):
        if precedes((self.next_number - 1) % SPAN, ack.largest):  # R5.4
            return
        acked, lost = self.recovery.on_ack(now, ack)
        for packet in acked:
            for piece in packet.pieces:
                piece.state = ARRIVED
            for index, version in packet.settled.items():
                channel = self.inbox.channels[index]
                channel.confirmed = max(channel.confirmed, version)
            if packet.has_close and self.is_closing:  # R15.1
                self.end("drained")
        self.requeue(lost)
        oldest = self.oldest_remembered()
        self.floor_due |= any(distance(first, oldest) > 64 for first, _ in ack.ranges())  # R11.7

    def oldest_remembered(self):
        numbers = list(self.recovery.packets) + [self.next_number]
        return min(numbers, key=lambda n: distance(self.next_number, n))

    def requeue(self, lost):
        """R12.4."""
        for packet in lost:
            for piece in packet.pieces:
                if piece.state == IN_FLIGHT and piece.packet == packet.number:
                    piece.state = QUEUED
            self.settled_due |= bool(packet.settled)
            if packet.has_close:
                self.close_code = 0

    def requeue_all(self):
        lost = list(self.recovery.packets.values())
        self.recovery.packets.clear()
        self.requeue(lost)

    # Hellos (8.3).

    def on_hello(self, now, hello):
        mine = hello.to_incarnation == self.incarnation
        if hello.incarnation == self.incarnation:
            return
        if self.is_over:
            self.on_hello_after_end(now, hello, mine)
            return
        if hello.flags & CONFIRM and not mine:
            return
        if not self.peer or hello.incarnation != self.peer.incarnation:
            proven = mine and not hello.flags & CONFIRM and hello.to_id == self.next_id
            if not self.peer or proven:
                self.adopt(now, hello, mine)
            else:
                self.answer_bare(hello)
            return
        if hello.flags & BARE:
            if mine and not self.peer.confirmed:
                self.peer.link_id = hello.from_id
                self.ask()
            return
        if not self.is_new(hello.number):
            return
        self.take_parameters(hello, mine)
        if not mine:
            if not hello.to_incarnation:
                self.receive_hello(now, hello, mine)
            self.peer.confirmed, self.hello_due = False, True
            return
        ours = hello.to_id in (self.link_id, self.next_id)
        if ours:
            self.on_link_id_used(hello.to_id)
        self.receive_hello(now, hello, mine)
        self.ping_due |= bool(hello.flags & MORE)  # R7.15
        if hello.flags & KNOWS and not hello.flags & MORE and ours and self.has_heard_us():
            self.confirm()
        else:
            self.hello_due = True

    def on_hello_after_end(self, now, hello, mine):
        """R15.3."""
        is_for_us = mine or not hello.to_incarnation
        if not self.peer or hello.incarnation != self.peer.incarnation or hello.flags & BARE or not is_for_us:
            return
        if self.is_new(hello.number):
            self.peer.confirmed &= mine
            self.on_packet(now, hello, hello.frames, None)

    def has_heard_us(self):
        """R8.29."""
        acked = self.recovery.largest_acked
        has_acked = acked is not None and not precedes(acked, self.first_number)
        return self.peer.confirmed or not self.peer.is_successor or has_acked

    def is_new(self, number):
        after_adopted = self.peer.was_bare or precedes(self.peer.number, number)
        ranges = self.received.ranges
        return after_adopted and (not ranges or precedes(ranges[0][1], number))

    def take_parameters(self, hello, mine):
        """R8.12."""
        begins = not self.peer.full_hello
        if hello.parameters["modes"]:
            for index, mode in enumerate(modes_of(hello.parameters["modes"])[: len(self.inbox.channels)]):
                self.inbox.channels[index].mode = mode
        for index, base in hello.parameters["bases"]:
            if index < len(self.inbox.channels):
                if begins:
                    self.inbox.channels[index].begin(base)
                self.inbox.channels[index].raise_base(base)
        self.peer.full_hello |= not hello.flags & MORE
        if mine:
            self.peer.link_id = hello.from_id

    def adopt(self, now, hello, mine):
        """R8.9, R8.16 to R8.18."""
        replaced = self.peer is not None
        addressed = hello.to_id == self.link_id
        self.peer = Peer(hello, replaced)
        if replaced:
            if hello.to_id == self.next_id:
                self.on_link_id_used(hello.to_id)
            self.requeue_all()
            self.recovery.largest_acked = None
            self.first_number = self.next_number
        self.outbox.on_adopted(hello.parameters, replaced)
        self.inbox.reset(hello.parameters)
        self.received.reset(hello.number)
        self.recovery.peer_ack_delay = hello.parameters["ack_delay"]
        if self.is_connected:
            self.events.append("peer restarted")
        elif mine or not hello.to_incarnation:
            self.on_connected()
        self.ping_due |= bool(hello.flags & MORE)  # R7.15
        if not replaced and mine and hello.flags & KNOWS and not hello.flags & MORE and addressed:
            self.confirm()
        else:
            self.hello_due = True
        if hello.flags & CONFIRM:
            self.ask()
        if replaced and self.close_sent:  # R15.5
            self.end("drained")
        self.receive_hello(now, hello, mine)

    def ask(self):
        """R8.11."""
        self.hello_due = self.ping_due = True
        self.requeue_all()

    def receive_hello(self, now, hello, mine):
        if hello.flags & BARE or (hello.to_incarnation and not mine):  # R7.3, R7.5
            return
        frames, ack = hello.frames, hello.ack
        self.on_connected()
        if not mine:
            frames, ack = [f for f in frames if f.kind not in ("settled", "credit")], None
        self.restore(hello.number, ack, frames)
        self.on_packet(now, hello, [PING] + frames if not mine else frames, ack)

    def answer_bare(self, hello):
        """R8.15."""
        flags = BARE | (0 if hello.flags & CONFIRM else CONFIRM)
        answer = Hello(hello.from_id, self.next_id, self.incarnation, hello.incarnation, flags, self.next_number)
        answer.parameters = dict(self.parameters, modes=b"")
        self.replies.append(check.seal(answer.encode()))

    def on_reset(self, echo):
        """R8.23, R8.24."""
        believed = self.peer and self.peer.confirmed
        if not believed or not any(p.beginning == echo for p in self.recovery.packets.values()):
            return
        self.events.append("reset")
        self.peer.confirmed, self.hello_due, self.told_next_id = False, True, True
        self.outbox.mark_redelivered()
        self.requeue_all()
        if self.close_sent:
            self.end("drained")

    # The clock.

    def timeouts(self):
        out = [self.received.deadline, self.recovery.probe_at() if not self.is_over else None]
        if self.recovery.largest_acked is not None:
            window = max(self.recovery.srtt, self.recovery.latest)
            acked = self.recovery.largest_acked
            old = [p.at for p in self.recovery.packets.values() if precedes(p.number, acked)]
            out += [at + window + window // 8 + 1 for at in old]
        out.append(self.idle_ping_at())
        return [t for t in out if t is not None]

    def idle_ping_at(self):
        """R16.4: acknowledged, not settled, and silent."""
        if self.is_over or self.recovery.in_flight() or not any(m.was_sent for m in self.outbox.unsettled()):
            return None
        wait = max(4 * self.recovery.pto(), 100_000) << min(self.idle_pings, 6)
        return max(self.heard_at, self.spoke_at) + min(wait, 5_000_000)

    def handle_timeout(self, now):
        self.requeue(self.recovery.lost(now))
        idle_at = self.idle_ping_at()
        if idle_at is not None and now >= idle_at:
            self.ping_due = True
            self.idle_pings += 1
        probe_at = self.recovery.probe_at()
        if probe_at is None or now < probe_at or self.is_over:
            return
        self.recovery.backoff += 1
        self.recovery.last_eliciting_at = now
        self.ping_due = True  # R12.7: or the oldest pieces, below
        self.outbox.requeue_first()
        oldest = min(self.recovery.in_flight(), key=lambda p: p.at)
        for piece in oldest.pieces:
            if piece.state == IN_FLIGHT:
                piece.state = QUEUED
        if self.peer is None:
            self.first_flight, self.hello_due = False, True  # R8.2

    # Datagrams out.

    def poll_transmit(self, now):
        if self.replies:
            return self.replies.pop(0)
        if self.is_over:
            return self.build(now) if self.close_code is not None and self.peer else None
        if self.is_closing and self.is_drained() and not self.close_sent and not self.recovery.in_flight():
            self.close_code = 0
        if not self.peer:
            return self.build(now) if self.hello_due else None
        ack_now = self.received.deadline is not None and now >= self.received.deadline
        wants = ack_now or self.hello_due or self.ping_due or self.settled_due or self.close_code is not None
        has_room = len(self.recovery.in_flight()) < IN_FLIGHT_MAX
        wants |= has_room and (self.next_skip() is not None or self.outbox.sendable(self.outbox.piece_max(), True) is not None)
        return self.build(now) if wants else None

    def next_skip(self):
        return next((s for c in self.outbox.channels for s in c.skips if s.state == QUEUED), None)

    def build(self, now):
        is_hello = not (self.peer and self.peer.confirmed)
        datagram_max = min(self.parameters["datagram_max"], self.outbox.peer["datagram_max"])
        sent = Sent(self.next_number, now, False)
        ack = self.received.fields(now, 4 if is_hello else 0) if self.peer else None  # R3.7
        packet = self.start_hello(ack) if is_hello else self.start_short(ack)
        frames = packet.frames
        self.add_settled(frames, sent, ack)
        if self.close_code is not None:
            frames.append(Frame("close", value=self.close_code))
            sent.has_close = True
        if self.ping_due:
            frames.append(Frame("ping"))
        if self.floor_due and not is_hello:
            frames.append(self.floor_frame())
        self.add_skips(frames, sent)
        self.add_messages(packet, sent, datagram_max - CHECK_LEN, is_hello)
        eliciting = any(f.is_eliciting() for f in frames) or (is_hello and not self.peer)
        if not is_hello and all(f.kind == "settled" for f in frames) and not self.settled_due and ack:
            return self.without_number(packet, now)
        sent.eliciting = eliciting
        self.pad(packet, is_hello)
        body = packet.encode()
        if is_hello:
            datagram = check.seal(body)
        else:
            bound = check.binding(packet.number, ack and ack.largest, numbers_bound(frames))
            datagram = check.seal(body, check.key(self.incarnation, self.peer.incarnation), bound)
            sent.beginning = bytes([datagram[0]]) + self.peer.link_id + truncated(packet.low, packet.length)
        assert len(datagram) <= datagram_max, len(datagram)
        self.recovery.on_sent(sent)
        self.next_number = (self.next_number + 1) % SPAN
        self.after_sent(ack)
        self.hello_due = self.ping_due = self.settled_due = self.first_flight = False
        self.close_sent |= self.close_code == 0
        self.close_code, self.spoke_at = None, now
        return datagram

    def floor_frame(self):
        self.floor_due = False
        oldest = self.oldest_remembered()
        length = length_one_sided(distance(oldest, self.next_number))
        return Frame("floor", low=oldest % (1 << 7 * length), length=length, number=oldest)

    def after_sent(self, ack):
        if ack:
            self.received.on_ack_left()
            self.inbox.on_ack_left()

    def without_number(self, packet, now):
        """R11.4: nothing but an acknowledgement and what is settled."""
        packet.length = 0
        for frame in packet.frames:
            assert frame.kind == "settled"
        body = packet.encode()
        bound = check.binding(None, packet.ack.largest, numbers_bound(packet.frames))
        self.after_sent(packet.ack)
        return check.seal(body, check.key(self.incarnation, self.peer.incarnation), bound)

    def start_hello(self, ack):
        peer = self.peer
        own_id = self.next_id if self.told_next_id else self.link_id
        hello = Hello(from_id=own_id, incarnation=self.incarnation, number=self.next_number)
        hello.parameters = dict(self.parameters, bases=self.outbox.bases(), cookie=self.cookie)
        if peer:
            hello.to_id, hello.to_incarnation = peer.link_id, peer.incarnation
            hello.flags = KNOWS if peer.full_hello else 0
            hello.ack = ack
        return hello

    def start_short(self, ack):
        acked = self.recovery.largest_acked
        reference = self.first_number if acked is None else acked
        length = length_two_sided(max(distance(reference, self.next_number), 1))
        low = self.next_number % (1 << 7 * length)
        return Short(self.peer.link_id, low, length, ack, number=self.next_number)

    def add_settled(self, frames, sent, ack):
        """R6.15, R6.16."""
        if not ack and not self.settled_due and self.close_code is None:
            return
        for index, channel in enumerate(self.inbox.channels):
            if channel.confirmed != channel.version:
                frames.append(channel.settled_frame(index, self.inbox.window))
                sent.settled[index] = channel.version

    def add_skips(self, frames, sent):
        skip = self.next_skip()
        if skip:
            frames.append(self.outbox.skip_frame(skip))
            skip.state, skip.packet = IN_FLIGHT, sent.number
            sent.pieces.append(skip)

    def add_messages(self, packet, sent, room, is_hello):
        if self.is_over or (not self.peer and not self.first_flight):
            return
        in_flight = len(self.recovery.in_flight())
        while in_flight < IN_FLIGHT_MAX or self.ping_due:
            left = room - len(packet.encode()) - 16
            piece = self.outbox.sendable(left, bool(self.peer)) if left > 0 else None
            if not piece:
                return
            frame = self.outbox.frame_of(piece)
            previous = packet.frames[-1] if packet.frames else None
            if previous and may_follow(previous, frame):  # R6.5
                frame = Frame("next", frame.channel, number=frame.number, payload=frame.payload,
                              redelivered=frame.redelivered)
            packet.frames.append(frame)
            piece.state, piece.packet = IN_FLIGHT, sent.number
            sent.pieces.append(piece)

    def pad(self, packet, is_hello):
        length = len(packet.encode()) + CHECK_LEN
        least = 96 if is_hello and not self.peer else 0  # R8.3
        if not is_hello and all(f.kind in ("ping", "settled") for f in packet.frames):
            least = 16 + CHECK_LEN  # R6.23
        if length < least:
            packet.padding = 1
            packet.padding += max(least - len(packet.encode()) - CHECK_LEN, 0)


PING = Frame("ping")


def may_follow(previous, frame):
    return (
        previous.kind in ("message", "next") and previous.total is None and frame.total is None
        and previous.channel == frame.channel and previous.redelivered == frame.redelivered
        and (previous.number + 1) % SPAN == frame.number
    )


def numbers_bound(frames):
    """R4.8: what the check covers besides packet number and largest acknowledged."""
    return [f.number for f in frames if f.kind in ("message", "next", "series", "skip", "settled", "floor")]


def packet_length(packet):
    return packet.length if isinstance(packet, Short) else 2
