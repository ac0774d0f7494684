"""CoAP's message layer at a client with one request at a time (RFC 7252 sections 4 and 5).

A request is answered by whatever verifies: `answers` yields every candidate, and the caller stops
when one does. Their number has no limit, or junk could end an exchange.
"""

import os
from time import ticks_add, ticks_diff, ticks_ms

from skerry import coap
from skerry.errors import Malformed


class Exchange:
    """Requests over a link (links/__init__.py); `wdt` is fed while they wait."""

    def __init__(self, link, wdt) -> None:
        self.link = link
        self.wdt = wdt
        self.mid = int.from_bytes(os.urandom(2), "big")
        self._settled = None

    def answers(self, request: coap.Message, timeout_ms: int, transmissions: int):
        """Send a request up to `transmissions` times; yield each message that may answer it.

        Non-confirmable: `timeout_ms` after each transmission, and a fresh message id for each,
        so that no duplicate detection hides one. Confirmable: retransmission by section 4.2
        with `timeout_ms` for ACK_TIMEOUT; a reset ends it.
        """
        confirmable = request.type == coap.CON
        if confirmable:
            timeout_ms += timeout_ms * os.urandom(1)[0] >> 9  # ACK_RANDOM_FACTOR 1.5
        end = ticks_ms()
        request.token = bytes((self.mid & 255,))
        sending = True
        for i in range(transmissions):
            if not (confirmable and i):
                self.mid = request.mid = self.mid + 1 & 0xFFFF
            if sending:
                self.link.send(coap.encode(request))
            end = ticks_add(end, timeout_ms)
            while answer := self._receive(end, request.token):
                if answer.type >= coap.ACK and answer.mid != request.mid:
                    continue
                if answer.code:
                    yield answer
                elif confirmable:
                    if answer.type == coap.RST:
                        return
                    sending = False  # the response comes separately (section 5.2.2)
            timeout_ms <<= confirmable

    def _receive(self, end: int, token: bytes) -> coap.Message | None:
        """Return the next response with this token, or empty ACK or RST; None at the end.

        Confirmable responses are acknowledged, and so are their duplicates; pings and all other
        confirmable messages are rejected (section 4.2).
        """
        while True:
            left = ticks_diff(end, ticks_ms())
            if self.wdt:
                self.wdt.feed()
            if left <= 0:
                return None
            datagram = self.link.receive(min(left, 500)) or b""  # a watchdog waits no longer
            try:
                message = coap.decode(datagram)
            except Malformed:
                continue
            ours = message.token == token and message.code > 31
            if message.type == coap.CON:
                if ours:
                    self._settled = message.mid
                kind = b"\x60\0" if message.mid == self._settled else b"\x70\0"
                self.link.send(kind + datagram[2:4])
            if ours or (not message.code and message.type >= coap.ACK):
                return message
