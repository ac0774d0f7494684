"""MicroPython's clock on CPython, so that skerry_device imports. Import this before it."""

import time

PERIOD = 1 << 30  # as on MicroPython's ports


def _ticks(nanoseconds: int) -> int:
    return time.monotonic_ns() // nanoseconds % PERIOD


def _ticks_diff(end: int, start: int) -> int:
    return (end - start + PERIOD // 2) % PERIOD - PERIOD // 2


if not hasattr(time, "ticks_ms"):
    time.ticks_us = lambda: _ticks(1000)
    time.ticks_ms = lambda: _ticks(1_000_000)
    time.ticks_add = lambda ticks, delta: (ticks + delta) % PERIOD
    time.ticks_diff = _ticks_diff
