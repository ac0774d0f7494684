"""The hot path: readings in and out, from datagram to datagram, without a message object.

    4 header | token | 9x OSCORE option | FF | ciphertext         what a device sends
    code | B8 "readings" | [1x Content-Format] | [FF payload]     its plaintext

What looks different or does not verify is nothing special here: it goes the way of all other
requests, to the resource in resources.py, which gives the same answers.
"""

from typing import NamedTuple

from skerry import coap
from skerry.errors import SkerryError
from skerry_hub.oscore_bytes import Bound, Context
from skerry_hub.sessions import Exchange, Live, Sessions
from skerry_hub.store import NewReading, Reading

MAX_READING = 1024  # bytes
PATH = "readings"

_PATH_OPTION = bytes((coap.URI_PATH << 4 | len(PATH),)) + PATH.encode()
_BEHIND_PATH = 1 + len(_PATH_OPTION)
_KID = 3  # bytes
_KID_FLAG = 0x08  # RFC 8613 section 6.1
_NOT_FOUND = 0x84  # 4.04


class Request(NamedTuple):
    """A verified request; `format` and `payload` are what a POST or PUT brings."""

    live: Live
    context: Context
    exchange: Exchange
    bound: Bound
    confirmable: bool
    code: int
    format: int | None
    payload: bytes

    def reading(self, at: float) -> NewReading | None:
        """Return what it adds, if it is no GET."""
        if self.code == coap.GET:
            return None
        return NewReading(self.live.device, at, PATH, self.format, self.payload)

    def answer(self, last: Reading | None, own_mid: bytes) -> bytes:
        """Return the datagram of its answer, and keep it for duplicates; `last` is for a GET.

        A confirmable request is answered in its acknowledgement, another one under `own_mid`.
        """
        their_mid, token, _ = self.exchange.identity
        kind, mid = coap.NON, own_mid
        if self.confirmable:
            kind, mid = coap.ACK, their_mid.to_bytes(2, "big")
        head = bytes((0x40 | kind << 4 | len(token), coap.CHANGED)) + mid
        ciphertext = self.context.seal_bytes(_answer(self.code, last), self.bound)
        return self.exchange.keep(head + token + b"\x90\xff" + ciphertext)


def options_at(datagram: bytes) -> int:
    """Return where the options of a POST begin, CON or NON; 0 if there are none."""
    if len(datagram) < 8 or datagram[1] != coap.POST or datagram[0] & 0xE0 != 0x40:
        return 0
    token_length = datagram[0] & 15
    return 4 + token_length if token_length <= 8 and len(datagram) > 4 + token_length else 0


def request(datagram: bytes, sessions: Sessions) -> Request | None:
    """Verify a request for readings and change nothing; None if it has to go the usual way."""
    begin = options_at(datagram)
    if not begin or datagram[begin] >> 4 != coap.OSCORE:
        return None
    end = begin + 1 + (datagram[begin] & 15)
    if datagram[end : end + 1] != b"\xff":
        return None
    option, ciphertext = datagram[begin + 1 : end], datagram[end + 1 :]
    for live in sessions.find(option[-_KID:]):
        opened = _open(live, option, ciphertext)
        if opened is not None:
            context, bound, asked = opened
            identity = int.from_bytes(datagram[2:4], "big"), datagram[4:begin], ciphertext
            exchange = Exchange(bound, identity)
            return Request(live, context, exchange, bound, not datagram[0] & 0x10, *asked)
    return None


def _open(
    live: Live, option: bytes, ciphertext: bytes
) -> tuple[Context, Bound, tuple[int, int | None, bytes]] | None:
    """Verify what has an OSCORE option of Partial IV and kid."""
    context, partial_iv = live.session.oscore, option[1:-_KID]
    if not 1 <= len(partial_iv) <= 5 or option[0] != _KID_FLAG | len(partial_iv):
        return None
    try:
        plaintext, bound = context.open_bytes(partial_iv, ciphertext)
    except SkerryError:
        return None
    asked = _asked(plaintext)
    return None if asked is None else (context, bound, asked)


def _asked(plaintext: bytes) -> tuple[int, int | None, bytes] | None:
    """Return code, Content-Format and payload, if that is all there is."""
    if plaintext[1:_BEHIND_PATH] != _PATH_OPTION:
        return None
    code, rest = plaintext[0], plaintext[_BEHIND_PATH:]
    if code == coap.GET:
        return None if rest else (code, None, b"")
    if code not in (coap.POST, coap.PUT):
        return None
    number = None
    if rest and rest[0] >> 4 == coap.CONTENT_FORMAT - coap.URI_PATH:
        length = rest[0] & 15
        if length > 2 or len(rest) <= length:
            return None
        number, rest = int.from_bytes(rest[1 : 1 + length], "big"), rest[1 + length :]
    if rest and (rest[0] != 0xFF or not 1 < len(rest) <= 1 + MAX_READING):
        return None
    return code, number, rest[1:]


def _answer(code: int, last: Reading | None) -> bytes:
    """Return the plaintext of the answer."""
    if code != coap.GET:
        return bytes((coap.CHANGED,))
    if last is None:
        return bytes((_NOT_FOUND,))
    options = [] if last.format is None else [(coap.CONTENT_FORMAT, coap.uint(last.format))]
    return bytes((coap.CONTENT,)) + coap.encode_body(options, last.payload)
