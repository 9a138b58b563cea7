"""Talks to a real `ackline listen` (the path of the binary is in ACKLINE)."""

import hashlib
import os
import pathlib
import random
import re
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from ackline.driver import Driver, Network
from ackline.link import Link
from ackline.numbers import Reader, varint

CONTROL, DATA, LINES, PING = range(4)
MODES = (0, 1, 0, 1)  # those that `listen` expects: pieces and pings in any order
LINE_BODY, PING_BODY, PONG_ANSWER = 3, 4, 2


def request(number, body, data):
    """What `ackline listen` understands, in postcard's encoding: a struct of a number and an enum."""
    return varint(number) + bytes([body]) + varint(len(data)) + data


def pong(payload):
    reader = Reader(payload)
    assert reader.byte() == PONG_ANSWER, payload
    data = reader.take(reader.varint())
    assert not reader.left()
    return data


def digest(data):
    """Short enough for a failed comparison to be read."""
    return len(data), hashlib.sha256(data).hexdigest()[:8]


class Listener:
    """`ackline listen` as a child process; its lines are collected as they come."""

    def __init__(self, port=0):
        self.dir = tempfile.TemporaryDirectory()
        command = [os.environ["ACKLINE"], "listen", f"127.0.0.1:{port}", "--dir", self.dir.name]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        told = self.process.stderr.readline().decode()
        self.port = int(re.search(r":(\d+)$", told.strip()).group(1))
        self.lines = []
        self.thread = threading.Thread(target=self.collect, daemon=True)
        self.thread.start()

    def collect(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip(b"\n"))

    def check_lines(self, expected):
        """What was settled was written, but may still be in the pipe."""
        end = time.monotonic() + 60
        while len(self.lines) < len(expected) and time.monotonic() < end:
            time.sleep(0.01)
        assert self.lines == expected, (self.lines, expected)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.thread.join()
        self.process.stdout.close()
        self.process.stderr.close()
        self.dir.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    @property
    def address(self):
        return ("127.0.0.1", self.port)


def new_link(seed, **parameters):
    link = Link(random.Random(seed), MODES, **parameters)
    link.open()
    return link


def settled(link):
    return [(channel, number) for channel, number, outcome in link.outbox.outcomes if outcome == "settled"]


class Listen(unittest.TestCase):
    def check_clean(self, link):
        self.assertNotIn("malformed", link.events)
        self.assertNotIn("check", link.events)
        self.assertEqual([o for o in link.outbox.outcomes if o[2] != "settled"], [])

    def exchange(self, driver, count, sizes):
        """Lines one way and pings both ways; every one settled, every answer right."""
        link = driver.link
        pings = [bytes([i & 255]) * size for i, size in enumerate(sizes)]
        for i in range(count):
            link.send(LINES, request(i, LINE_BODY, b"line %d" % i))
        for i, data in enumerate(pings):
            link.send(PING, request(count + i, PING_BODY, data))
        everything = count + len(pings)
        # What an earlier life of this side had not settled for the listener to know comes again, flagged (R14.10).
        answers = lambda: [pong(payload) for _, payload, redelivered in driver.received if not redelivered]
        driver.run_until(lambda: len(settled(link)) >= everything and len(answers()) >= len(pings))
        self.assertEqual(len(settled(link)), everything)
        self.assertEqual(sorted(map(digest, answers())), sorted(map(digest, pings)))

    def close(self, driver):
        driver.link.close()
        driver.run_until(lambda: driver.link.is_over)
        self.assertEqual(driver.link.events[-1], "drained")

    def test_handshake_and_exchange(self):
        with Listener() as listener:
            driver = Driver(new_link(1), listener.address)
            self.exchange(driver, 50, [0, 1, 15, 16, 17, 300, 1200, 5000, 40_000])
            self.close(driver)
            self.check_clean(driver.link)
            listener.check_lines([b"line %d" % i for i in range(50)])
            self.assertEqual(driver.link.events, ["connected", "drained"])

    def test_small_limits_are_respected(self):
        with Listener() as listener:
            limits = dict(datagram_max=96, window=3, buffer=6000, message_max=2000, ack_delay=20_000, channels=4)
            driver = Driver(new_link(2, **limits), listener.address)
            self.exchange(driver, 20, [100, 900, 1900, 1000, 1500, 10, 1800, 0])
            self.close(driver)
            self.check_clean(driver.link)
            listener.check_lines([b"line %d" % i for i in range(20)])

    def test_lost_copied_and_late_datagrams(self):
        with Listener() as listener:
            out = Network(random.Random(10), 0.15, 0.1, 0.1)
            back = Network(random.Random(11), 0.15, 0.1, 0.1)
            driver = Driver(new_link(3), listener.address, out, back)
            self.exchange(driver, 300, [i * 37 % 3000 for i in range(100)])
            self.check_clean(driver.link)
            listener.check_lines([b"line %d" % i for i in range(300)])
            for network in (out, back):
                self.assertGreater(min(network.counts.values()), 5, network.counts)

    def test_first_datagram_lost_each_way(self):
        with Listener() as listener:
            driver = Driver(new_link(4), listener.address, First(), First())
            self.exchange(driver, 3, [10])
            self.check_clean(driver.link)
            listener.check_lines([b"line 0", b"line 1", b"line 2"])

    def test_restart_of_this_side(self):
        with Listener() as listener:
            first = Driver(new_link(5), listener.address)
            self.exchange(first, 5, [10])
            first.link.send(LINES, request(5, LINE_BODY, b"lost with its sender"))
            # The first life ends here without a word. The second one has its socket, and so its address.
            second = Driver(new_link(6), listener.address, sock=first.sock)
            self.exchange(second, 5, [20, 3000])
            self.check_clean(second.link)
            twice = [b"line %d" % i for i in range(5)] * 2
            listener.check_lines(twice)
            # It was met with a bare hello: both ids in one round trip (8.5), and then it is confirmed.
            self.assertEqual(second.link.events, ["connected"])
            self.assertTrue(second.link.peer.was_bare)
            # Late copies of everything the first life said change nothing.
            for datagram in first.sent:
                second.sock.sendto(datagram, listener.address)
            second.link.send(LINES, request(99, LINE_BODY, b"after the copies"))
            second.run_until(lambda: len(settled(second.link)) == 8)
            for _ in range(20):
                second.step(0.01)
            self.assertEqual(second.link.events, ["connected"])
            listener.check_lines(twice + [b"after the copies"])
            self.close(second)

    def test_restart_of_the_listener(self):
        with Listener() as before:
            driver = Driver(new_link(7), before.address)
            self.exchange(driver, 5, [10])
            port = before.port
        driver.link.send(LINES, request(50, LINE_BODY, b"to nobody"))
        driver.link.send(PING, request(51, PING_BODY, b"p" * 2000))
        for _ in range(5):
            driver.step(0.01)
        with Listener(port) as after:
            driver.run_until(lambda: len(settled(driver.link)) == 8 and len(driver.received) == 2)
            after.check_lines([b"to nobody"])
            self.assertIn("peer restarted", driver.link.events)
            self.assertEqual(driver.link.events.count("peer restarted"), 1)
            self.check_clean(driver.link)
            self.close(driver)


class First:
    """Loses the first datagram."""

    def __init__(self):
        self.count = 0

    def carry(self, datagram):
        self.count += 1
        return [datagram] if self.count > 1 else []


if __name__ == "__main__":
    assert pathlib.Path(os.environ.get("ACKLINE", "")).is_file(), "ACKLINE must name the ackline binary"
    unittest.main()
