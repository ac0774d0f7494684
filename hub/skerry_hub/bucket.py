"""A bound on how often something may happen."""

import time


class Bucket:
    """So many events a second in the long run, and as many at once."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.left = rate
        self.refused = 0  # since the last one that was not
        self._at = time.monotonic()

    def take(self) -> bool:
        """Tell whether one more event is within the bound, and count it."""
        now = time.monotonic()
        self.left = min(self.rate, self.left + (now - self._at) * self.rate)
        self._at = now
        if self.left < 1:
            self.refused += 1
            return False
        self.left -= 1
        self.refused = 0
        return True
