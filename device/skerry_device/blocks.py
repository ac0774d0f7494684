"""Block-wise transfer of bodies that do not fit one message (RFC 7959), inside OSCORE.

    upload    Block1   read(offset, length) -> bytes, b"" at the end
    download  Block2   write(offset, data); offset 0 starts anew

Each block is a request of its own: a lost session is replaced between two of them, and what the
other end forgot or changed meanwhile starts again at offset 0, a few times.
"""

from skerry import coap
from skerry.primitives import const
from skerry_device.client import Response

_ETAG = const(4)
_BLOCK2 = const(23)
_BLOCK1 = const(27)
_CONTINUE = const(0x5F)  # 2.31
_INCOMPLETE = const(0x88)  # 4.08
_TOO_LARGE = const(0x8D)  # 4.13
_SZX = const(4)  # 256 bytes; the other end may ask for less
_STARTS = const(4)


def upload(hub, path: str, read, format: int | None = None, code: int = coap.PUT) -> Response:
    """Send a body of any length; return the hub's Response to all of it.

    Every block has at most 256 bytes, and only one is held. Raises as `connect` does.
    """
    options = coap.path_options(path)
    if format is not None:
        options.append((coap.CONTENT_FORMAT, coap.uint(format)))
    return hub.run(_upload(hub, coap.Message(code, options, b"", coap.CON), read))


def download(hub, path: str, write, limit: int | None = None) -> Response:
    """Read a resource of any length; return the last Response, without payload.

    Raises ValueError beyond `limit` bytes, and as `connect` does.
    """
    request = coap.Message(coap.GET, coap.path_options(path), b"", coap.CON)
    return hub.run(_download(hub, request, write, None, limit))


def transfer(hub, request: coap.Message, response: Response | None):
    """Send a request whose payload is too long, or fetch what is missing in a response to it.

    Returns the Response with all of its payload; raises ValueError if that has more than
    `hub.limit` bytes, 4,096 unless set. A generator.
    """
    payload = request.payload
    request.options = [each for each in request.options if each[0] != _BLOCK2]
    if not response:
        response = yield from _upload(hub, request, lambda at, size: payload[at : at + size])
    block = response.message.option(_BLOCK2)
    if not block or not block[-1] & 8:
        return response
    body = bytearray()

    def write(offset, data):
        body[offset:] = data

    request.payload = b""
    limit = getattr(hub, "limit", 4096)
    response = yield from _download(hub, request, write, response, limit)
    response.payload = bytes(body)
    return response


def _upload(hub, request: coap.Message, read):
    """Send all blocks; return the Response to the last one. A generator."""
    options = request.options
    szx = _SZX
    offset = starts = 0
    block = read(0, 16 << szx)
    while True:
        size = 16 << szx
        after = read(offset + size, size) if len(block) == size else b""
        number = offset >> 4 + szx
        value = coap.uint(number << 4 | bool(after) << 3 | szx)
        request.options = options + [(_BLOCK1, value)]
        request.payload = block
        response = yield from hub.in_session(request)
        asked = _number(response, _BLOCK1)
        smaller = asked >= 0 and asked & 7 < szx
        if response.code == _CONTINUE and after:
            offset, block = offset + size, after
            if smaller:  # section 2.5: from the next block on
                szx = asked & 7
                block = block[: 16 << szx]
            continue
        if response.code == _TOO_LARGE and smaller and not offset:
            szx = asked & 7
        elif response.code != _INCOMPLETE or not offset or starts == _STARTS:
            request.options = options
            return response
        starts += 1
        offset, block = 0, read(0, 16 << szx)


def _download(hub, request: coap.Message, write, response: Response | None, limit: int | None):
    """Fetch all blocks from the one in `response` on; return the last Response. A generator."""
    options = request.options
    szx = _SZX
    offset = starts = 0
    etag = None
    while True:
        if not response:
            value = coap.uint(offset >> 4 + szx << 4 | szx)
            request.options = options + [(_BLOCK2, value)]
            response = yield from hub.in_session(request)
        got = max(_number(response, _BLOCK2), 0)
        at = (got >> 4) << (got & 7) + 4
        same = not offset or response.message.option(_ETAG) == etag
        if response.ok and at == offset and same and not (got & 8 and not response.payload):
            etag = response.message.option(_ETAG)
            offset += len(response.payload)
            if limit is not None and offset > limit:
                raise ValueError("more than %d bytes" % limit)
            write(at, response.payload)
            if not got & 8:
                response.payload = b""
                return response
            szx = min(szx, got & 7)
        elif not offset or request.code != coap.GET or starts == _STARTS:
            return response
        else:
            starts += 1
            offset = 0
        response = None


def _number(response: Response, option: int) -> int:
    """Return the value of a block option, -1 if there is none."""
    value = response.message.option(option)
    return -1 if value is None else int.from_bytes(value, "big")
