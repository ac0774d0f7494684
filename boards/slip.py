"""Datagrams over a serial line (RFC 1055), for any machine.UART that does not block."""

from time import ticks_add, ticks_diff, ticks_ms

import machine
from micropython import const

_LONGEST = const(2560)  # 1,280 bytes, all escaped


class SlipLink:
    """A link as skerry_device/links/__init__.py describes it."""

    def __init__(self, uart) -> None:
        self.uart = uart
        self.sent = self.received = 0
        self._held = b""

    def send(self, datagram: bytes) -> None:
        """Send a frame; the END before it ends what noise began."""
        self.sent += len(datagram)
        escaped = datagram.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
        self.uart.write(b"\xc0" + escaped + b"\xc0")

    def receive(self, timeout_ms: int) -> bytes | None:
        """Return a datagram, or None."""
        end = ticks_add(ticks_ms(), timeout_ms)
        while True:
            frame, mark, rest = self._held.partition(b"\xc0")
            if mark:
                self._held = rest
                if frame:
                    frame = frame.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")
                    self.received += len(frame)
                    return frame
                continue
            if ticks_diff(end, ticks_ms()) <= 0:
                return None
            got = self.uart.read()
            if got:
                self._held = (frame + got)[-_LONGEST:]
            else:
                machine.idle()

    def close(self) -> None:
        """Leave the UART as it is."""
