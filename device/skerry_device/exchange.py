"""CoAP's message layer at an end with one request at a time (RFC 7252 sections 4 and 5).

Nothing here waits: its generators yield how many milliseconds to wait at most, and are sent the
datagram that arrived, or None. Who drives them (client.py, aio.py) owns the time.

A request is answered by whatever verifies: `accept` sees every candidate, and the exchange goes
on until it takes one. Their number has no limit, or junk could end an exchange.
"""

import os
from time import ticks_add, ticks_diff, ticks_ms

from skerry import coap
from skerry.errors import Malformed


class Exchange:
    """Requests over a link (links/__init__.py).

    `hub.unasked(message)` is called with what answers no request, and tells whether that is dealt
    with; if not, and it is confirmable, it is rejected.
    """

    def __init__(self, link, hub) -> None:
        self.link = link
        self.hub = hub
        self.mid = int.from_bytes(os.urandom(2), "big")
        self._settled = None

    def ask(self, request: coap.Message, timeout_ms: int, transmissions: int, accept):
        """Send a request up to `transmissions` times; return what `accept(answer)` returns.

        None from `accept` means that this was no answer; None in the end, that there was none.
        Non-confirmable: `timeout_ms` after each transmission, and a fresh message id for each,
        so that no duplicate detection hides one. Confirmable: retransmission by section 4.2
        with `timeout_ms` for ACK_TIMEOUT; a reset ends it. A token that is not empty is kept.
        """
        confirmable = request.type == coap.CON
        if confirmable:
            timeout_ms += timeout_ms * os.urandom(1)[0] >> 9  # ACK_RANDOM_FACTOR 1.5
        end = ticks_ms()
        request.token = request.token or bytes((self.mid & 255,))
        sending = True
        for i in range(transmissions):
            if not (confirmable and i):
                self.mid = request.mid = self.mid + 1 & 0xFFFF
            if sending:
                self.link.send(coap.encode(request))
            end = ticks_add(end, timeout_ms)
            while answer := (yield from self.receive(end, request.token)):
                if answer.type >= coap.ACK and answer.mid != request.mid:
                    continue
                if answer.code:
                    taken = accept(answer)
                    if taken is not None:
                        return taken
                elif confirmable:
                    if answer.type == coap.RST:
                        return None
                    sending = False  # the response comes separately (section 5.2.2)
            timeout_ms <<= confirmable
        return None

    def receive(self, end: int, token: bytes | None):
        """Return the next response with this token, or empty ACK or RST; None at the end.

        Without a token, return the next message of any kind that somebody took.
        Confirmable responses are acknowledged, and so are their duplicates; pings and all other
        confirmable messages are rejected (section 4.2).
        """
        while True:
            left = ticks_diff(end, ticks_ms())
            if left <= 0:
                return None
            datagram = (yield left) or b""
            try:
                message = coap.decode(datagram)
                ours = message.token == token and message.code > 31
                if not ours and message.code and self.hub.unasked(message):
                    if token is None:
                        return message
                    continue
            except (Malformed, MemoryError):  # no more room: as good as lost
                continue
            if message.type == coap.CON:
                if ours:
                    self._settled = message.mid
                kind = b"\x60\0" if message.mid == self._settled else b"\x70\0"
                self.link.send(kind + datagram[2:4])
            if ours or (not message.code and message.type >= coap.ACK):
                return message
