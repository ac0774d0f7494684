"""The hub's end of block-wise transfers, for `FakeHub.answer`: one resource, kept in `body`."""

import gc

from skerry import coap

BLOCK1, BLOCK2, ETAG = 27, 23, 4


class BlockStore:
    """Answers PUT and GET in blocks of at most 16 << `szx` bytes; `limit` bytes are taken."""

    def __init__(self, szx=6, limit=1 << 20):
        self.szx = szx
        self.limit = limit
        self.body = b""
        self.etag = b"1"
        self.coming = None  # what an upload has brought so far
        self.blocks = []  # (option, value) of every request
        self.before = lambda: None  # called before each answer

    def __call__(self, inner):
        self.before()
        gc.collect()  # both ends share a heap here, and whole bodies want long pieces of it
        for option in (BLOCK1, BLOCK2):
            if inner.option(option) is not None:
                self.blocks.append((option, int.from_bytes(inner.option(option), "big")))
        if inner.code == coap.GET:
            return self.piece(inner, coap.CONTENT)
        return self.take(inner)

    def take(self, inner):
        block = inner.option(BLOCK1)
        if block is None:
            if inner.payload or inner.option(BLOCK2) is None:
                self.body = inner.payload
            return self.piece(inner, coap.CHANGED)
        block = int.from_bytes(block, "big")
        szx = block & 7
        offset = (block >> 4) << szx + 4
        if not offset:
            self.coming = b""
        if self.coming is None or offset != len(self.coming):
            self.coming = None
            return coap.Message(0x88, [])
        if len(inner.payload) > 16 << self.szx and not offset:
            return coap.Message(0x8D, [(BLOCK1, coap.uint(self.szx))])
        self.coming += inner.payload
        if len(self.coming) > self.limit:
            return coap.Message(0x8D, [])
        told = (BLOCK1, coap.uint(block & ~7 | min(szx, self.szx)))
        if block & 8:
            return coap.Message(0x5F, [told])
        self.body, self.coming = self.coming, None
        answer = self.piece(inner, coap.CHANGED)
        answer.options.append(told)
        return answer

    def piece(self, inner, code):
        block = int.from_bytes(inner.option(BLOCK2) or b"\6", "big")
        szx = min(block & 7, self.szx)
        size = 16 << szx
        start = (block >> 4) * (16 << (block & 7))
        if code != coap.CONTENT and not inner.option(BLOCK2):
            return coap.Message(code, [])
        more = start + size < len(self.body)
        number = start // size
        options = [(BLOCK2, coap.uint(number << 4 | more << 3 | szx)), (ETAG, self.etag)]
        return coap.Message(code, options, self.body[start : start + size])
