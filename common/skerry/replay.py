"""The replay window over received Partial IVs (RFC 8613 section 7.4)."""

from skerry.errors import Replayed
from skerry.primitives import const

_SIZE = const(32)  # RFC 8613 section 3.2.2: the default window size


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
        else:
            self._seen |= 1 << -ahead
