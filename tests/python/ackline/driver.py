"""A link on a UDP socket, with what a bad network does to its datagrams. The only file that knows time and sockets."""

import select
import socket
import time


class Network:
    """Loses, copies and holds back datagrams, as a seeded generator says."""

    def __init__(self, random, loss=0.0, copies=0.0, late=0.0):
        self.random, self.loss, self.copies, self.late = random, loss, copies, late
        self.held = []
        self.counts = {"lost": 0, "copied": 0, "late": 0}

    def carry(self, datagram):
        """What comes out for one datagram that goes in."""
        out = [datagram]
        if self.random.random() < self.loss:
            self.counts["lost"] += 1
            out = []
        elif self.random.random() < self.copies:
            self.counts["copied"] += 1
            out = [datagram, datagram]
        elif self.random.random() < self.late:
            self.counts["late"] += 1
            self.held.append(datagram)
            return []
        if self.held and self.random.random() < 0.3:
            out.append(self.held.pop(0))
        return out


class Driver:
    def __init__(self, link, address, out=None, back=None, sock=None):
        self.link, self.address = link, address
        self.out, self.back = out, back
        self.sock = sock or socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sent, self.datagrams = [], 0
        self.received = []  # messages: (channel, payload, redelivered)

    @staticmethod
    def now():
        return time.monotonic_ns() // 1000

    def step(self, wait=0.05):
        """Sends what is due, waits for a datagram or a timer, and handles it."""
        self.link.handle_timeout(self.now())
        for _ in range(64):
            datagram = self.link.poll_transmit(self.now())
            if datagram is None:
                break
            self.sent.append(datagram)
            for copy in self.out.carry(datagram) if self.out else [datagram]:
                self.sock.sendto(copy, self.address)
        due = min(self.link.timeouts(), default=None)
        if due is not None:
            wait = min(wait, max(due - self.now(), 0) / 1e6)
        if select.select([self.sock], [], [], wait)[0]:
            try:
                datagram = self.sock.recv(65536)
            except ConnectionRefusedError:
                return
            self.datagrams += 1
            for copy in self.back.carry(datagram) if self.back else [datagram]:
                self.link.handle_datagram(self.now(), copy)
        while message := self.link.recv():
            channel, number, payload, redelivered = message
            self.received.append((channel, payload, redelivered))
            self.link.settle(channel, number)

    def run_until(self, condition, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"events {self.link.events[-5:]}, {len(self.received)} received")
            self.step()
