"""A UDP relay on loopback that loses, repeats, delays and reorders what a rule says.

device  <->  relay  <->  hub          direction "up" is from the device to the hub
"""

import heapq
import select
import socket
import threading
import time
from collections.abc import Callable

Rule = Callable[[str, int, bytes], list[float]]


def passing(direction: str, index: int, datagram: bytes) -> list[float]:
    """Let everything pass at once."""
    return [0.0]


class Relay(threading.Thread):
    """Relays until `stop`. `seen` lists (direction, datagram) as they arrived.

    `rule(direction, index, datagram)` returns the delays, in seconds, of the copies to send on:
    [] loses the datagram, [0.0] passes it, [0.0, 0.0] repeats it. The index counts a direction's
    datagrams from 0.
    """

    def __init__(self, hub: tuple[str, int], rule: Rule = passing) -> None:
        """Listen on a port of the kernel's choice; `start` begins to relay."""
        super().__init__(daemon=True)
        self.rule = rule
        self.seen: list[tuple[str, bytes]] = []
        self._counts = {"up": 0, "down": 0}
        self._down = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._down.bind(("127.0.0.1", 0))
        self._hub = hub
        self._up = self._towards_hub()
        self._left: list[socket.socket] = []
        self._device: tuple[str, int] | None = None
        self._waiting: list[tuple[float, int, str, bytes]] = []
        self._ended = threading.Event()
        self._serial = 0

    @property
    def address(self) -> tuple[str, int]:
        """Where the device has to send to."""
        host, port = self._down.getsockname()
        return host, port

    def run(self) -> None:
        """Relay until stopped."""
        while not self._ended.is_set():
            due = self._waiting[0][0] - time.monotonic() if self._waiting else 0.05
            ready, _, _ = select.select([self._down, self._up], [], [], max(0.0, min(due, 0.05)))
            for each in ready:
                self._take(each)
            while self._waiting and self._waiting[0][0] <= time.monotonic():
                _, _, direction, datagram = heapq.heappop(self._waiting)
                self.send(direction, datagram)

    def _take(self, ready: socket.socket) -> None:
        direction = "up" if ready is self._down else "down"
        try:
            datagram, address = ready.recvfrom(2048)
        except OSError:  # the hub is down: an ICMP error of an earlier datagram
            return
        if direction == "up":
            self._device = address
        self.seen.append((direction, datagram))
        index = self._counts[direction]
        self._counts[direction] += 1
        for delay in self.rule(direction, index, datagram):
            self._serial += 1
            heapq.heappush(
                self._waiting, (time.monotonic() + delay, self._serial, direction, datagram)
            )

    def send(self, direction: str, datagram: bytes) -> None:
        """Send a datagram on, or one that nobody sent."""
        try:
            if direction == "up":
                self._up.send(datagram)
            elif self._device is not None:
                self._down.sendto(datagram, self._device)
        except OSError:
            pass  # lost, like any datagram

    def _towards_hub(self) -> socket.socket:
        found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        found.connect(self._hub)
        return found

    def move(self) -> None:
        """Come to the hub from another port, as after a NAT has forgotten; the old one is dead."""
        self._left.append(self._up)
        self._up = self._towards_hub()

    def stop(self) -> None:
        """Stop, and close all sockets."""
        self._ended.set()
        if self.is_alive():
            self.join()
        for each in (self._down, self._up, *self._left):
            each.close()
