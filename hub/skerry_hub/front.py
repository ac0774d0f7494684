"""The hub's front: every datagram is sorted here, before aiocoap sees any.

    message 1              POST /k                     handshakes.py answers, or nobody does
    protected request      with an OSCORE option       opened, confirmed if it is the first one
                                                       of a handshake, then bridge.py
    answer to the hub      by its token, or an         bridge.py, if a session waits for it
                           acknowledgement
    anything else          plain CoAP                  bridge.py, at a bounded rate

Handshake messages cannot go through a CoAP message layer: its duplicate cache would answer a
rebooted device with the answer to an older attempt, and it acknowledges what must stay silent.
"""

import logging
import time
from collections import Counter

from skerry import coap, oscore
from skerry.coap_server import uri_path
from skerry.errors import Malformed
from skerry_hub.bridge import Bridge
from skerry_hub.errors import StoreError
from skerry_hub.handshakes import Handshakes
from skerry_hub.remote import Remote
from skerry_hub.sessions import Live, Sessions, duplicate_of, open_any
from skerry_hub.store import Store
from skerry_hub.udp import Path

PLAIN_RATE = 200  # plain messages a second: aiocoap keeps some 2.3 kB of each for 247 s
BLOCK1 = 27  # RFC 7959 section 2.1
MAX_BODY = 16 * 1024  # bytes of a request in blocks: aiocoap puts them together in memory
TOO_LARGE = 0x8D  # 4.13
COMPLAIN_EVERY_S = 10.0  # about a store that fails, whatever arrives meanwhile

log = logging.getLogger(__name__)


class Front:
    """Sorts datagrams. `counts` tells what became of those that are not handshakes."""

    def __init__(
        self, handshakes: Handshakes, sessions: Sessions, store: Store, bridge: Bridge
    ) -> None:
        self._handshakes = handshakes
        self._sessions = sessions
        self._store = store
        self._bridge = bridge
        self._next_mid = int.from_bytes(time.time_ns().to_bytes(8, "big")[-2:], "big")
        self._plain_allowed = 0.0
        self._plain_at = 0.0
        self._next_complaint = 0.0
        self.counts: Counter[str] = Counter()

    def receive(self, datagram: bytes, path: Path) -> None:
        """Take one datagram from the socket."""
        try:
            message = coap.decode(datagram)
            if message.option(coap.OSCORE) is not None and message.code >> 5 == 0:
                self._protected(message, path)
            elif message.code == coap.POST and uri_path(message) == "k":
                self._handshake(message, path)
            elif 0 < message.code < 32 or not self._bridge.settles(message, path):
                self._plain(message, datagram, path)
        except Malformed:
            self.counts["malformed"] += 1
        except StoreError as error:  # nothing was stored, so nothing is answered: devices repeat
            self.counts["store failed"] += 1
            if time.monotonic() >= self._next_complaint:
                self._next_complaint = time.monotonic() + COMPLAIN_EVERY_S
                log.error("%s", error)

    def _handshake(self, message: coap.Message, path: Path) -> None:
        message_2 = self._handshakes.answer(message.payload)
        if message_2 is not None:
            path.send(self._reply(message, coap.CHANGED, message_2))

    def _protected(self, outer: coap.Message, path: Path) -> None:
        _, _, kid = oscore.decode_option(outer.option(coap.OSCORE) or b"")
        candidates = self._sessions.find(kid or b"")
        if not candidates:
            self.counts["unknown session"] += 1
            if outer.type == coap.CON:  # RFC 8613 section 8.2: the device makes a new session
                path.send(self._reply(outer, coap.UNAUTHORIZED, b""))
            return
        opened = open_any(candidates, outer)
        if opened is None:
            self._poke_worn(candidates)
            self._answer_duplicate(candidates, outer, path)
            return
        live, inner, exchange = opened
        if not live.confirmed and not self._confirm(live):
            return
        live.heard(path, exchange.binding)
        self._poke_worn([live])
        self.counts["requests"] += 1
        if _too_large(inner):
            inner = coap.Message(TOO_LARGE, [], b"", coap.ACK, inner.mid, inner.token)
            path.send(live.seal(inner, exchange))
            return
        self._bridge.receive(coap.encode(inner), Remote(path, live, exchange))

    def _answer_duplicate(self, candidates: list[Live], outer: coap.Message, path: Path) -> None:
        """Send the answer again, byte for byte, if this request was answered; else stay silent."""
        exchange = duplicate_of(candidates, outer)
        if exchange is None:
            self.counts["rejected"] += 1
        elif exchange.datagram is not None:
            self.counts["duplicates"] += 1
            path.send(exchange.datagram)

    def _poke_worn(self, seen: list[Live]) -> None:
        """Have sessions replaced that are worn out; they stay in use until they are."""
        for live in seen:
            if live.worn and live.confirmed:
                self._sessions.listener.worn(live)

    def _confirm(self, live: Live) -> bool:
        """Erase the epoch's key for good, then make the session current."""
        era, step = live.epoch
        fingerprint = live.session.fingerprint
        try:
            confirmed = self._store.confirm(
                live.device, live.pid, fingerprint, era, step, time.time()
            )
        except StoreError:
            live.forget_requests()
            raise
        if not confirmed:
            self.counts["overtaken"] += 1
            self._sessions.drop(live.device)
            return False
        self._sessions.promote(live)
        self.counts["confirmed"] += 1
        log.info("%s: session %s in epoch %d.%d", live.name, fingerprint, era, step)
        return True

    def _plain(self, message: coap.Message, datagram: bytes, path: Path) -> None:
        if message.option(BLOCK1) is not None:  # aiocoap would put anybody's blocks together
            if message.type == coap.CON:
                path.send(self._reply(message, coap.UNAUTHORIZED, b""))
            return
        now = time.monotonic()
        self._plain_allowed = min(
            PLAIN_RATE, self._plain_allowed + (now - self._plain_at) * PLAIN_RATE
        )
        self._plain_at = now
        if self._plain_allowed < 1:
            self.counts["plain dropped"] += 1
            return
        self._plain_allowed -= 1
        self._bridge.receive(datagram, Remote(path))

    def _reply(self, message: coap.Message, code: int, payload: bytes) -> bytes:
        """Return the datagram of an answer, in the acknowledgement if one is due."""
        if message.type == coap.CON:
            kind, mid = coap.ACK, message.mid
        else:
            self._next_mid = (self._next_mid + 1) & 0xFFFF
            kind, mid = coap.NON, self._next_mid
        return coap.encode(coap.Message(code, [], payload, kind, mid, message.token))


def _too_large(request: coap.Message) -> bool:
    """Tell whether a block of a request lies beyond what is put together."""
    value = int.from_bytes(request.option(BLOCK1) or b"", "big")
    return (value >> 4) << (value & 7) + 4 >= MAX_BODY
