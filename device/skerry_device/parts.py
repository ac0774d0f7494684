"""Requests and responses of several blocks at a server (RFC 7959): one of each at a time.

    hub    Block1 0, 1, 2 --collect--> the whole request, to a handler
    device            a handler's payload --first--> Block2 0, then 1, 2 --later-->

Each is held in one piece and let go with its last block, by the next one, or with the session.
"""

from skerry import coap
from skerry.primitives import const

_ETAG = const(4)
_BLOCK2 = const(23)
_BLOCK1 = const(27)
_SIZE2 = const(28)
_SIZE1 = const(60)
_OF_BLOCKS = (_BLOCK2, _BLOCK1, _SIZE2, _SIZE1)
_CONTINUE = const(0x5F)  # 2.31
_BAD = const(0x80)
_INCOMPLETE = const(0x88)  # 4.08
_TOO_LARGE = const(0x8D)  # 4.13
_SZX = const(4)  # 256 bytes, unless less is asked for


def _block(message: coap.Message, option: int) -> tuple[int, int, int]:
    """Return (offset, whether more follow, size exponent) of a block option (section 2.2)."""
    value = int.from_bytes(message.option(option) or b"", "big")
    return value >> 4 << 4 + (value & 7), value & 8, value & 7


def _same(request: coap.Message):
    """Return what the requests of one transfer have in common."""
    return request.code, [each for each in request.options if each[0] not in _OF_BLOCKS]


class Parts:
    """What one session has in several blocks."""

    def __init__(self, limit: int) -> None:
        """`limit`: bytes of a request's payload."""
        self._limit = limit
        self._whose = self._body = None  # of a request that is not whole yet
        self._asked = self._long = None  # a response that is not fetched yet
        self._tag = 0

    def collect(self, request: coap.Message) -> coap.Message | None:
        """Take a block of a request; return its answer, or None: now its payload is whole.

        One that does not follow the block before is answered 4.08, and changes nothing; a block
        of the wrong length 4.00; more than the limit 4.13 with the limit in Size1.
        """
        at, more, szx = _block(request, _BLOCK1)
        size = len(request.payload)
        if szx == 7 or (size != 16 << szx if more else size > 16 << szx):
            return coap.Message(_BAD, [])
        whose = _same(request)
        if not at:
            self._whose, self._body = whose, bytearray()
        elif whose != self._whose or at != len(self._body):
            return coap.Message(_INCOMPLETE, [])
        try:
            if at + size > self._limit:
                raise MemoryError
            self._body.extend(request.payload)
            if more:
                return coap.Message(_CONTINUE, [(_BLOCK1, request.option(_BLOCK1))])
            request.payload = bytes(self._body)
        except MemoryError:
            self._whose = self._body = None
            return coap.Message(_TOO_LARGE, [(_SIZE1, coap.uint(self._limit))])
        self._whose = self._body = None
        return None

    def first(self, request: coap.Message, answer: coap.Message) -> coap.Message:
        """Return what is sent of an answer: all of it, or its first block."""
        szx = _block(request, _BLOCK2)[2] if request.option(_BLOCK2) else _SZX
        if len(answer.payload) <= 16 << min(szx, _SZX):
            return answer
        self._tag = self._tag + 1 & 0xFFFF  # blocks of two versions must not be put together
        answer.options.append((_ETAG, self._tag.to_bytes(2, "big")))
        self._asked, self._long = _same(request), answer
        return self._piece(0, szx)

    def later(self, request: coap.Message) -> coap.Message | None:
        """Return the answer to a request for a later block; None if this is no such request."""
        at, _, szx = _block(request, _BLOCK2)
        if not at:
            return None
        if self._asked != _same(request):
            return coap.Message(_INCOMPLETE, [])
        if szx == 7 or at >= len(self._long.payload):
            return coap.Message(_BAD, [])
        return self._piece(at, szx)

    def _piece(self, at: int, szx: int) -> coap.Message:
        whole = self._long
        szx = min(szx, _SZX)
        end = at + (16 << szx)
        more = end < len(whole.payload)
        if not more:
            self._asked = self._long = None
        value = at >> 4 + szx << 4 | more << 3 | szx
        options = whole.options + [(_BLOCK2, coap.uint(value))]
        return coap.Message(whole.code, options, whole.payload[at:end])
