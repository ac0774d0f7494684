"""CoAP messages as bytes (RFC 7252 section 3); no exchange, no timer, no socket.

 0                   1                   2                   3
|Ver|Typ|  TKL  |     Code      |          Message ID           |
|  Token (0 to 8 bytes) ...   |  Options ...  | 0xFF | Payload  |
"""

from skerry.errors import Malformed
from skerry.primitives import const

# Types (section 3).
CON = const(0)
NON = const(1)
ACK = const(2)
RST = const(3)

# Codes (section 12.1) and option numbers (section 12.2; RFC 8613 section 2).
EMPTY = const(0)
GET = const(1)
POST = const(2)
PUT = const(3)
CHANGED = const(0x44)
CONTENT = const(0x45)
UNAUTHORIZED = const(0x81)

URI_HOST = const(3)
URI_PORT = const(7)
OSCORE = const(9)
URI_PATH = const(11)
CONTENT_FORMAT = const(12)


class Message:
    """One message. `options` is a list of (number, value) in any order; encoding sorts it."""

    def __init__(
        self,
        code: int,
        options: list[tuple[int, bytes]],
        payload: bytes = b"",
        type: int = NON,
        mid: int = 0,
        token: bytes = b"",
    ) -> None:
        self.code = code
        self.options = options
        self.payload = payload
        self.type = type
        self.mid = mid
        self.token = token

    def option(self, number: int) -> bytes | None:
        """Return the first value of an option, or None."""
        for each, value in self.options:
            if each == number:
                return value
        return None


def path_options(path: str) -> list[tuple[int, bytes]]:
    """Return the Uri-Path options of 'a/b'; a leading or trailing '/' does not count."""
    return [(URI_PATH, each.encode()) for each in path.strip("/").split("/") if each]


def uint(value: int) -> bytes:
    """Encode an option value or a Partial IV as an unsigned integer of least length."""
    length = 0
    while value >> 8 * length:
        length += 1
    return value.to_bytes(length, "big")


def _extended(value: int) -> tuple[int, bytes]:
    """Return the 4-bit field and the bytes that follow it (section 3.1)."""
    if value < 13:
        return value, b""
    if value < 269:
        return 13, bytes((value - 13,))
    return 14, (value - 269).to_bytes(2, "big")


def encode_body(options: list[tuple[int, bytes]], payload: bytes) -> bytes:
    """Return options and payload, as they stand in a message and in OSCORE's plaintext."""
    ordered: list[tuple[int, bytes]] = []
    for option in options:  # by number, stable: MicroPython's sort is not
        at = len(ordered)
        while at and ordered[at - 1][0] > option[0]:
            at -= 1
        ordered.insert(at, option)
    parts = bytearray()
    last = 0
    for number, value in ordered:
        delta, delta_bytes = _extended(number - last)
        length, length_bytes = _extended(len(value))
        parts.append(delta << 4 | length)
        parts.extend(delta_bytes)
        parts.extend(length_bytes)
        parts.extend(value)
        last = number
    if payload:
        parts.append(0xFF)
        parts.extend(payload)
    return bytes(parts)


def encode(message: Message) -> bytes:
    """Return the datagram."""
    head = bytes((0x40 | message.type << 4 | len(message.token), message.code))
    head += message.mid.to_bytes(2, "big") + message.token
    return head + encode_body(message.options, message.payload)


def _read_extended(data: bytes, field: int, at: int) -> tuple[int, int]:
    """Return the value of a 4-bit field and where its extension ends."""
    if field < 13:
        return field, at
    end = at + field - 12
    if field == 15 or end > len(data):
        raise Malformed("option field")
    return int.from_bytes(data[at:end], "big") + (13 if field == 13 else 269), end


def decode_body(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Return (options, payload) of what follows a token; raise Malformed."""
    options: list[tuple[int, bytes]] = []
    number = at = 0
    while at < len(data):
        first = data[at]
        at += 1
        if first == 0xFF:
            if at == len(data):
                raise Malformed("payload marker")
            return options, data[at:]
        delta, at = _read_extended(data, first >> 4, at)
        length, at = _read_extended(data, first & 15, at)
        number += delta
        if number > 0xFFFF or at + length > len(data):
            raise Malformed("option range")
        options.append((number, data[at : at + length]))
        at += length
    return options, b""


def decode(datagram: bytes) -> Message:
    """Return the message; raise Malformed for anything that section 3 does not allow."""
    if len(datagram) < 4 or datagram[0] >> 6 != 1:
        raise Malformed("not CoAP")
    token_length = datagram[0] & 15
    code = datagram[1]
    body = 4 + token_length
    if token_length > 8 or body > len(datagram) or (code == EMPTY and len(datagram) != 4):
        raise Malformed("CoAP header")
    options, payload = decode_body(datagram[body:])
    return Message(
        code,
        options,
        payload,
        datagram[0] >> 4 & 3,
        int.from_bytes(datagram[2:4], "big"),
        datagram[4:body],
    )
