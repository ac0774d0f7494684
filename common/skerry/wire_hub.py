"""The hub's half of wire.py: message 1 is read, message 2 is written."""

from skerry import wire
from skerry.errors import Malformed
from skerry.primitives import const

_TYPE_1 = const(0x10)
_TYPE_2 = const(0x20)
_TIME = const(0x01)
_TIME_LENGTH = const(5)
_LENGTH_1 = const(15)  # without the tag


def header_2(suite: int, time: bool) -> int:
    """Return message 2's header byte."""
    return _TYPE_2 | suite << 1 | (_TIME if time else 0)


def wants_time(header: int) -> bool:
    """Tell whether a header's time bit is set."""
    return header & _TIME != 0


def decode_message_1(message: bytes) -> tuple[bytes, bytes, bytes]:
    """Return (what tag_1 covers, PID, tag); raise Malformed."""
    header = message[0] if message else 0
    suite = wire.suite_of(header)
    if header & 0xF0 != _TYPE_1 or suite >= len(wire.SUITES):
        raise Malformed("handshake header")
    if len(message) != _LENGTH_1 + wire.SUITES[suite][0]:
        raise Malformed("handshake length")
    return message[:_LENGTH_1], message[1:7], message[_LENGTH_1:]


def body_2(header: int, n_h: bytes, time: int) -> bytes:
    """Return message 2 up to its tag; `time` counts 1/256 s and is left out if not asked for."""
    return bytes((header,)) + n_h + (time.to_bytes(_TIME_LENGTH, "big") if header & _TIME else b"")
