"""The replay window over received Partial IVs (RFC 8613 section 7.4)."""

from skerry.errors import Replayed
from skerry.primitives import const

_SIZE = const(32)  # RFC 8613 section 3.2.2: the default window size
NOTHING = b"\xff" * 9  # packed: the last number of all, and every one before it, were seen


class ReplayWindow:
    """A sliding window: `check` before a message is verified, `accept` after it."""

    def __init__(self) -> None:
        self._highest = -1
        self._seen = 0  # bit i stands for highest - i

    def check(self, number: int) -> None:
        """Raise Replayed if the number was accepted before or lies behind the window."""
        age = self._highest - number
        if age >= _SIZE or (age >= 0 and self._seen >> age & 1):
            raise Replayed("Partial IV used before")

    def accept(self, number: int) -> None:
        """Record the number of a message that verified."""
        ahead = number - self._highest
        if ahead > 0:
            self._seen = (self._seen << ahead | 1) & 0xFFFFFFFF if ahead < _SIZE else 1
            self._highest = number
        elif -ahead < _SIZE:  # else later ones, verified after it, were accepted first
            self._seen |= 1 << -ahead

    def pack(self) -> bytes:
        """Return highest number 5 | one bit a number, the highest last 4 = 9 bytes."""
        return max(self._highest, 0).to_bytes(5, "big") + self._seen.to_bytes(4, "big")

    @staticmethod
    def unpack(packed: bytes) -> "ReplayWindow":
        """Return the window of `pack`'s bytes; that of NOTHING takes no number at all."""
        window = ReplayWindow()
        window._seen = int.from_bytes(packed[5:], "big")
        if window._seen:  # no bit at all: no number came yet
            window._highest = int.from_bytes(packed[:5], "big")
        return window
