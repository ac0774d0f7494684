"""Forged messages 1 are told from true ones in memory, once their pseudonym was tried.

A pseudonym follows from a chain key, so the epoch key that goes with it never changes, and a tag
that does not verify costs one HMAC: no look into the store, nothing unsealed. What does verify
goes the usual way. An epoch key authenticates one handshake and gives its session's keys, so it is
kept for a minute at most, and no longer than its epoch can be answered.
"""

import time
from collections import OrderedDict
from typing import NamedTuple

from skerry import responder

KEPT = 4096  # pseudonyms
LIFE_S = 60.0


class _Tried(NamedTuple):
    """The epochs that a pseudonym stands for: more than one only by chance."""

    until: float
    epochs: list[responder.Epoch]


class Sieve:
    """Epoch keys of pseudonyms that were shown lately."""

    def __init__(self, life_s: float = LIFE_S) -> None:
        self._life_s = life_s
        self._tried: OrderedDict[bytes, _Tried] = OrderedDict()  # the oldest first

    def __len__(self) -> int:
        return len(self._tried)

    def stops(self, hello: responder.Hello) -> bool:
        """Tell whether a message 1 is known to be forged."""
        tried = self._tried.get(hello.pid)
        if tried is None:
            return False
        if tried.until < time.monotonic():
            del self._tried[hello.pid]
            return False
        return not any(epoch.made(hello) for epoch in tried.epochs)

    def keep(self, pid: bytes, epochs: list[responder.Epoch]) -> None:
        """Keep all epochs that a pseudonym stands for."""
        self.expire()
        self._tried.pop(pid, None)
        if len(self._tried) == KEPT:
            self._tried.popitem(last=False)
        self._tried[pid] = _Tried(time.monotonic() + self._life_s, epochs)

    def forget(self, pid: bytes | None) -> None:
        """Drop what is kept of a pseudonym: its epoch is over."""
        self._tried.pop(pid or b"", None)

    def expire(self) -> None:
        """Drop what is old."""
        now = time.monotonic()
        while self._tried and next(iter(self._tried.values())).until < now:
            self._tried.popitem(last=False)

    def clear(self) -> None:
        """Drop everything."""
        self._tried.clear()
