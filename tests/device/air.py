"""A clock and a network in memory."""

import time
from time import ticks_add

from skerry import coap
from skerry_device import client, exchange, fresh, keeping, more, observing, tending, unasked

_TICKING = (client, exchange, fresh, keeping, more, observing, tending, unasked)


def real_time():
    """Give the device its own clock again."""
    for each in _TICKING:
        each.ticks_ms = time.ticks_ms
    client.time = fresh.time = keeping.time = more.seconds = time.time


class Clock:
    """Stands in for ticks_ms, which soon wraps; time passes only while something waits."""

    def __init__(self):
        self.period = ticks_add(0, -1) + 1
        self.now = self.period - 3000
        self.offset = 1_000_000  # of the board's calendar clock, in s
        for each in _TICKING:
            each.ticks_ms = self.ticks
        client.time = fresh.time = keeping.time = more.seconds = self.seconds

    def ticks(self):
        return self.now % self.period

    def seconds(self):
        return self.offset + self.now // 1000


class Network:
    """A link whose other end is `peer(datagram)` -> list of (delay in ms, datagram)."""

    def __init__(self, peer):
        self.clock = Clock()
        self.peer = peer
        self.sends = []  # (ms since the start, datagram)
        self.longest = 0  # wait in ms
        self.closed = False
        self.sent = self.received = 0
        self.start = self.clock.now
        self._coming = []

    def deliver(self, delay, datagram):
        """Let a datagram arrive at the device."""
        self._coming.append((self.clock.now + delay, datagram))

    def send(self, datagram):
        self.sent += len(datagram)
        self.sends.append((self.clock.now - self.start, datagram))
        for delay, answer in self.peer(datagram):
            self.deliver(delay, answer)

    def receive(self, timeout_ms):
        assert timeout_ms > 0
        self.longest = max(self.longest, timeout_ms)
        due = [each for each in self._coming if each[0] <= self.clock.now + timeout_ms]
        if not due:
            self.clock.now += timeout_ms
            return None
        first = min([each[0] for each in due])
        found = next(each for each in due if each[0] == first)
        self._coming.remove(found)
        self.clock.now = max(self.clock.now, first)
        self.received += len(found[1])
        return found[1]

    def close(self):
        self.closed = True

    def messages(self):
        """Return what the device sent, decoded."""
        return [coap.decode(datagram) for _, datagram in self.sends]
