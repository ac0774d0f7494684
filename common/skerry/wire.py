"""The two handshake messages, byte by byte. No key and no secret passes through this file.

    message 1, device to hub                        message 2, hub to device
    header 1 | PID 6 | N_D 8 | tag 8 or 16          header 1 | N_H 8 | [T 5] | tag 8 or 16

    header: version 2 bits (0) | type 2 bits (1 or 2) | suite 3 bits | time 1 bit

In message 1 the time bit asks for T, in message 2 it says that T is there: a 40-bit count of
1/256 s since 1970 UTC, 0 for a hub that does not know the time. The suite fixes the tag length
and OSCORE's algorithm; it is provisioned with the key and never negotiated. Here is what a device
writes and reads, in wire_hub.py what a hub does.
"""

from skerry.errors import Malformed
from skerry.primitives import const

_TYPE_1 = const(0x10)
_TYPE_2 = const(0x20)
_TIME = const(0x01)
_TIME_LENGTH = const(5)
_LENGTH_2 = const(9)  # without T and the tag

SUITES = (
    (8, 10),  # suite 0: 8-byte tags, AES-CCM-16-64-128 (COSE algorithm 10)
    (16, 30),  # suite 1: 16-byte tags, AES-CCM-16-128-128 (COSE algorithm 30)
)


def header_1(suite: int, time: bool) -> int:
    """Return message 1's header byte."""
    return _TYPE_1 | suite << 1 | (_TIME if time else 0)


def suite_of(header: int) -> int:
    """Return a header's suite."""
    return header >> 1 & 7


def decode_message_2(message: bytes) -> tuple[bytes, bytes, int | None, bytes]:
    """Return (what tag_2 covers, N_H, T or None, tag); raise Malformed."""
    header = message[0] if message else 0
    suite = suite_of(header)
    if header & 0xF0 != _TYPE_2 or suite >= len(SUITES):
        raise Malformed("handshake header")
    end = _LENGTH_2 + _TIME_LENGTH * (header & _TIME)
    if len(message) != end + SUITES[suite][0]:
        raise Malformed("handshake length")
    time = message[_LENGTH_2:end]
    return (
        message[:end],
        message[1:9],
        int.from_bytes(time, "big") if time else None,
        message[end:],
    )


def body_1(header: int, pid: bytes, n_d: bytes) -> bytes:
    """Return message 1 up to its tag."""
    return bytes((header,)) + pid + n_d
