"""UART 0, with the part of machine.UART's interface that links/serial.py uses."""

from machine import mem32
from micropython import const

_RXDRDY = const(0x40002108)
_TXDRDY = const(0x4000211C)
_INTENSET = const(0x40002304)
_RXD = const(0x40002518)
_TXD = const(0x4000251C)


class Uart:
    """Polled; a byte that arrives ends machine.idle(). MicroPython's port has enabled it."""

    def __init__(self) -> None:
        mem32[_INTENSET] = 1 << 2  # RXDRDY

    def read(self) -> bytes | None:
        """Return what has arrived, or None."""
        if mem32[_RXDRDY]:
            mem32[_RXDRDY] = 0
            return bytes((mem32[_RXD],))
        return None

    def write(self, data: bytes) -> None:
        """Send all bytes."""
        for byte in data:
            mem32[_TXDRDY] = 0
            mem32[_TXD] = byte
            while not mem32[_TXDRDY]:
                pass
