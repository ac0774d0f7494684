"""What differs between the emulated boards: where things are, and how instructions are counted."""

from machine import mem32
from micropython import const

MEMORY = const(0x20030000)  # RAM that nothing else uses, filled by QEMU's loader at each start
STACK_END = const(0x20040000)
LEDS = const(0x50000504)


def counter() -> int:
    """Return TIMER 0, at 16 MHz, captured into CC[2]; board.c has started it."""
    mem32[0x40008048] = 1
    return mem32[0x40008548]


def instructions(ticks: int) -> int:
    """Convert: a tick takes 62.5 ns of the guest's time, an instruction 256 ns."""
    return (125 * ticks + 256) // 512
