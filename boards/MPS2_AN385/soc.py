"""What differs between the emulated boards: where things are, and how instructions are counted."""

from machine import mem32
from micropython import const

MEMORY = const(0x21000000)  # PSRAM, which QEMU keeps in a file of the host: it survives
STACK_END = const(0x00400000)
LEDS = const(0x40028000)


def counter() -> int:
    """Return a counter of 25 MHz."""
    return mem32[0x40028018]


def instructions(ticks: int) -> int:
    """Convert: a tick takes 40 ns of the guest's time, an instruction 256 ns."""
    return (5 * ticks + 16) // 32
