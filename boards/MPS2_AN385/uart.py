"""UART 1, with the part of machine.UART's interface that links/serial.py uses."""

from machine import mem32
from micropython import const

_DATA = const(0x40005000)
_STATE = const(0x40005004)
_CTRL = const(0x40005008)
_BAUDDIV = const(0x40005010)
_TX_FULL = const(1)
_RX_FULL = const(2)


class Uart:
    """Polled; a byte that arrives ends machine.idle()."""

    def __init__(self) -> None:
        mem32[_BAUDDIV] = 16
        mem32[_CTRL] = 0x0B  # transmit, receive, receive interrupt

    def read(self) -> bytes | None:
        """Return what has arrived, or None."""
        if mem32[_STATE] & _RX_FULL:
            return bytes((mem32[_DATA],))
        return None

    def write(self, data: bytes) -> None:
        """Send all bytes."""
        for byte in data:
            while mem32[_STATE] & _TX_FULL:
                pass
            mem32[_DATA] = byte
