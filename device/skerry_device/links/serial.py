"""Datagrams over a serial line, for any machine.UART that does not block: slipmux.

    C0 | A9 | CoAP message | FCS 2, low byte first | C0      C0 is sent as DB DC, DB as DB DD

As draft-bormann-t2trg-slipmux-03 has it: RFC 1055 frames, of which those that begin with A9 are
CoAP, with the 16-bit FCS of RFC 1662 appendix C over A9 and the message. All other frames are left
alone, diagnostics and aborted ones too.
"""

from time import ticks_add, ticks_diff, ticks_ms

import machine
from micropython import const

_LONGEST = const(2568)  # 1,280 bytes with type and FCS, all escaped
_GOOD = const(0xF0B8)  # what the FCS comes to over a frame and its own FCS


def fcs(data: bytes) -> int:
    """Return the FCS before its final complement (RFC 1662 appendix C.2)."""
    crc = 0xFFFF
    for byte in data:
        mixed = (byte ^ crc) & 0xFF
        mixed ^= mixed << 4 & 0xFF
        crc = crc >> 8 ^ mixed << 8 ^ mixed << 3 ^ mixed >> 4
    return crc


class SerialLink:
    """A link as links/__init__.py describes it."""

    def __init__(self, uart) -> None:
        self.uart = uart
        self.sent = self.received = 0
        self._held = b""

    def send(self, datagram: bytes) -> None:
        """Send a frame; the END before it ends what noise began."""
        self.sent += len(datagram)
        frame = b"\xa9" + datagram
        frame += (fcs(frame) ^ 0xFFFF).to_bytes(2, "little")
        escaped = frame.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
        self.uart.write(b"\xc0" + escaped + b"\xc0")

    def receive(self, timeout_ms: int) -> bytes | None:
        """Return a datagram, or None."""
        end = ticks_add(ticks_ms(), timeout_ms)
        late = False
        while True:
            frame, mark, rest = self._held.partition(b"\xc0")
            if mark:
                self._held = rest
                frame = frame.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")
                if frame[:1] == b"\xa9" and fcs(frame) == _GOOD:
                    self.received += len(frame) - 3
                    return frame[1:-2]
                continue
            if late:
                return None
            late = ticks_diff(end, ticks_ms()) <= 0
            got = self.uart.read()
            if got:
                self._held = (frame + got)[-_LONGEST:]
            elif not late:
                machine.idle()

    def close(self) -> None:
        """Leave the UART as it is."""
