"""Frames on a serial line: slipmux (draft-bormann-t2trg-slipmux-03), the hub's end.

C0 | A9 | CoAP message | FCS 2, low byte first | C0      escapes as in RFC 1055
C0 | 0A | text | C0                                      diagnostics, for people
"""

from collections.abc import Iterator
from typing import NamedTuple

_END, _ESCAPE = b"\xc0", b"\xdb"
_ESCAPED = ((b"\xdb", b"\xdb\xdd"), (b"\xc0", b"\xdb\xdc"))
COAP, DIAGNOSTIC = 0xA9, 0x0A
_GOOD = 0xF0B8
_LONGEST = 2568  # bytes of a frame with a message of 1,280 bytes, all escaped


def fcs(data: bytes) -> int:
    """Return the FCS before its final complement (RFC 1662 appendix C.2)."""
    crc = 0xFFFF
    for byte in data:
        mixed = (byte ^ crc) & 0xFF
        mixed ^= mixed << 4 & 0xFF
        crc = crc >> 8 ^ mixed << 8 ^ mixed << 3 ^ mixed >> 4
    return crc


def frame(datagram: bytes) -> bytes:
    """Return a CoAP message as a frame."""
    content = bytes((COAP,)) + datagram
    content += (fcs(content) ^ 0xFFFF).to_bytes(2, "little")
    for plain, escaped in _ESCAPED:
        content = content.replace(plain, escaped)
    return _END + content + _END


class Frame(NamedTuple):
    """A frame that came: COAP with its message, or DIAGNOSTIC with its text in bytes."""

    type: int
    content: bytes


class Deframer:
    """Takes a line's bytes as they come."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, got: bytes) -> Iterator[Frame]:
        """Yield the frames that these bytes complete; all that is broken or unknown is dropped."""
        *ended, held = (self._held + got).split(_END)
        self._held = held[-_LONGEST:]
        for each in ended:
            found = _unframe(each)
            if found is not None:
                yield found


def _unframe(content: bytes) -> Frame | None:
    if not content or content.endswith(_ESCAPE):  # between two frames, or aborted
        return None
    for plain, escaped in reversed(_ESCAPED):
        content = content.replace(escaped, plain)
    if content[0] == COAP and fcs(content) == _GOOD:
        return Frame(COAP, content[1:-2])
    if content[0] == DIAGNOSTIC:
        return Frame(DIAGNOSTIC, content[1:])
    return None
