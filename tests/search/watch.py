"""What the search changes around the real code: time, randomness, and who watches the ciphers.

`controlled` gives the code a clock that stands still and random bytes that never repeat but are
the same in every run, remembers the results of HMAC (a pure function), and lets `WATCH` see
whatever is sealed. No rule of the protocol is touched.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import repeat
from types import SimpleNamespace
from unittest.mock import patch

import fuzz.ticks  # noqa: F401 - before skerry_device

from skerry import backend_cpython, oscore, primitives, schedule
from skerry_hub import bucket, front, handshakes, sessions

_NOW = 1_800_000_000
_REMEMBERED = 200_000  # results of HMAC


class Violation(AssertionError):
    """A rule that does not hold. `rule` is its name in docs/search.md."""

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(f"{rule}: {what}")
        self.rule = rule


class History:
    """What happened on the way to a state and is stored at neither end."""

    def __init__(self) -> None:
        self.sealed: dict[tuple[bytes, bytes], bytes] = {}  # (key, nonce) -> AAD and plaintext
        self.derived: dict[str, str] = {}  # sessions at devices -> the attempt that gave them
        self.sent: dict[bytes, str] = {}  # requests of devices -> their session
        self.executed: dict[bytes, str] = {}  # requests at the application -> their session
        self.confirmed: dict[str, int] = {}  # sessions at hubs -> which run of a hub

    def copy(self) -> "History":
        other = History.__new__(History)
        other.__dict__ = {name: each.copy() for name, each in self.__dict__.items()}
        return other

    def key(self) -> int:
        return hash(tuple(frozenset(each.items()) for each in self.__dict__.values()))


class Watch:
    """The history of the world that runs just now, and its source of random bytes."""

    def __init__(self) -> None:
        self.history = History()
        self.database = None  # there is one, whatever it holds
        self.drawn = 0  # random values so far
        self.hmacs = 0  # HMACs of the key schedule since this was set to 0

    def urandom(self, length: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(8, "big").rjust(length, b"r")[:length]

    def seal(self, key: bytes, nonce: bytes, content: bytes) -> None:
        if self.history.sealed.setdefault((key, nonce), content) != content:
            raise Violation("nonce", "one key and nonce with two plaintexts")


WATCH = Watch()


class WatchedAesCcm(backend_cpython.AesCcm):
    """AES-CCM that shows what it seals, and that can be pickled."""

    def __init__(self, key: bytes, tag_length: int) -> None:
        super().__init__(key, tag_length)
        self.key = key
        self.tag_length = tag_length

    def __reduce__(self) -> tuple:
        return WatchedAesCcm, (self.key, self.tag_length)

    def seal(self, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        WATCH.seal(self.key, nonce, aad + b"|" + plaintext)
        return super().seal(nonce, plaintext, aad)


def _remembering(counted: bool):
    known: dict[tuple[bytes, bytes], bytes] = {}

    def hmac_sha256(key: bytes, message: bytes) -> bytes:
        WATCH.hmacs += counted
        result = known.get((key, message))
        if result is None:
            if len(known) >= _REMEMBERED:
                known.clear()
            result = known[key, message] = backend_cpython.hmac_sha256(key, message)
        return result

    return hmac_sha256


@contextmanager
def controlled() -> Iterator[None]:
    """Take hold of time, randomness, HMAC and AES-CCM while this lasts."""
    clock = SimpleNamespace(
        time=lambda: _NOW, monotonic=lambda: _NOW, time_ns=lambda: _NOW * 1_000_000_000
    )
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    with ExitStack() as stack:
        for module in (bucket, front, handshakes, sessions):
            stack.enter_context(patch.object(module, "time", clock))
        stack.enter_context(patch.object(sessions, "_numbers", repeat(0)))  # aiocoap's business
        stack.enter_context(patch("os.urandom", WATCH.urandom))
        stack.enter_context(patch.object(oscore, "AesCcm", WatchedAesCcm))
        counted = _remembering(counted=True)
        for module in (schedule, handshakes):
            stack.enter_context(patch.object(module, "hmac_sha256", counted))
        stack.enter_context(patch.object(primitives, "hmac_sha256", _remembering(counted=False)))
        try:
            yield
        finally:
            logging.disable(level)
