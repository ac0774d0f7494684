"""How a long command tells where it is: a bar on a terminal, lines elsewhere."""

import sys
import time

_WIDTH = 24
_PERIOD_S = 0.1


class Report:
    """Tells on standard error; what a command finds out goes to standard output."""

    def __init__(self, quiet: bool = False) -> None:
        """Take `quiet` for programs, which read the result alone."""
        self._quiet = quiet
        self._bar = not quiet and sys.stderr.isatty()
        self._drawn = 0.0

    def step(self, text: str) -> None:
        """Tell what comes next."""
        if not self._quiet:
            end = "\x1b[K\n" if self._bar else "\n"
            print(("\r" if self._bar else "") + text, end=end, file=sys.stderr, flush=True)

    def progress(self, name: str, done: int, total: int) -> None:
        """Draw how far it is, on a terminal."""
        now = time.monotonic()
        if not self._bar or (now - self._drawn < _PERIOD_S and done < total):
            return
        self._drawn = now
        full = _WIDTH * done // max(total, 1)
        bar = "#" * full + "." * (_WIDTH - full)
        print(f"\r[{bar}] {done * 100 // max(total, 1):3} % {name}\x1b[K", end="", file=sys.stderr)
        if done >= total:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
