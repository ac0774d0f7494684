"""The hub's front: every datagram is sorted here, before aiocoap sees any.

    message 1              POST /k                     handshakes.py answers, or nobody does
    protected request      with an OSCORE option       opened, confirmed if it is the first one
                                                       of a handshake, then readings.py if that
                                                       is all it needs, else bridge.py
    answer to the hub      by its token, or an         bridge.py, if a session waits for it
                           acknowledgement
    anything else          plain CoAP                  bridge.py, at a bounded rate

What arrives together is stored together: verify everything; make all writes durable in one
transaction; only then change what is in memory, and let answers leave.

Handshake messages cannot go through a CoAP message layer: its duplicate cache would answer a
rebooted device with the answer to an older attempt, and it acknowledges what must stay silent.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from skerry import coap, oscore
from skerry.coap_server import uri_path
from skerry.errors import Malformed
from skerry_hub import readings
from skerry_hub.bridge import Bridge
from skerry_hub.bucket import Bucket
from skerry_hub.errors import HubError, StoreError
from skerry_hub.handshakes import Handshakes, Reply
from skerry_hub.remote import Remote
from skerry_hub.rounds import Round, Step
from skerry_hub.sessions import Exchange, Live, Sessions, duplicate_of, open_any
from skerry_hub.store import Confirmation, NewReading, Store
from skerry_hub.udp import Datagram, Path

PLAIN_RATE = 200  # plain messages a second: aiocoap keeps some 2.3 kB of each for 247 s
BLOCK1 = 27  # RFC 7959 section 2.1
MAX_BODY = 16 * 1024  # bytes of a request in blocks: aiocoap puts them together in memory
TOO_LARGE = 0x8D  # 4.13
COMPLAIN_EVERY_S = 10.0  # about a store that fails, whatever arrives meanwhile
HINT_RATE = 5000  # refusals a second, most of them of sessions that nobody knows
REPEAT_RATE = 20_000  # messages 2 a second that were sent before
NEWS_RATE = 10  # new sessions a second that the log names
_TO_K = b"\xb1k\xff"  # Uri-Path "k" and the payload marker

log = logging.getLogger(__name__)


Attempt = tuple[bytes, Datagram]  # a message 1, and how it came


class Sorted(NamedTuple):
    """What came together: messages 1, protected requests, and how to receive each other one."""

    attempts: list[Attempt]
    requests: list[Datagram]
    others: list[Callable[[], None]]


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
        self._plain = Bucket(PLAIN_RATE)
        self._news = Bucket(NEWS_RATE)
        self._hints = Bucket(HINT_RATE)
        self._repeats = Bucket(REPEAT_RATE)
        self._next_complaint = 0.0
        self.counts: Counter[str] = Counter()

    def receive(self, batch: Sequence[Datagram]) -> None:
        """Take the datagrams that came together."""
        found = Sorted([], [], [])
        for received in batch:
            try:
                self._sort(received, found)
            except Malformed:
                self.counts["malformed"] += 1
        self._act(iter([*found.others, partial(self._rounds, found.attempts, found.requests)]))

    def _sort(self, received: Datagram, into: Sorted) -> None:
        """Tell messages 1 and protected requests from others; raise Malformed."""
        datagram = received[0]
        options_at = readings.options_at(datagram)
        if options_at and datagram.startswith(_TO_K, options_at):
            into.attempts.append((datagram[options_at + len(_TO_K) :], received))
        elif options_at and datagram[options_at] >> 4 == coap.OSCORE:
            into.requests.append(received)
        else:
            self._sort_unusual(received, into)

    def _sort_unusual(self, received: Datagram, into: Sorted) -> None:
        datagram, path = received
        message = coap.decode(datagram)
        if message.option(coap.OSCORE) is not None and message.code >> 5 == 0:
            into.requests.append(received)
        elif message.code == coap.POST and uri_path(message) == "k":
            into.attempts.append((message.payload, received))
        else:
            into.others.append(partial(self._receive_other, message, datagram, path))

    def _rounds(self, attempts: list[Attempt], requests: list[Datagram]) -> None:
        while attempts or requests:
            attempts, requests = self._round(attempts, requests)

    def _round(
        self, attempts: list[Attempt], requests: list[Datagram]
    ) -> tuple[list[Attempt], list[Datagram]]:
        """Verify all, store all, act; return the messages that have to wait for that."""
        now = Round()
        late_attempts, late_requests = [], []
        attempts = [each for each in attempts if not self._answer_again(*each)]
        for attempt, reply in zip(attempts, self._verify(attempts), strict=True):
            if reply is None:
                self._unanswered(attempt)
            elif not now.take(self._handshake(reply, attempt[1])):
                late_attempts.append(attempt)
        for request in requests:
            step = self._open_reading(*request) or self._open(*request)
            if step is not None and not now.take(step):
                late_requests.append(request)
        self._commit(now.steps)
        return late_attempts, late_requests

    def _commit(self, steps: list[Step]) -> None:
        """Make all writes durable together, then act. What is not stored is not answered."""
        writes = [step.write for step in steps if step.write is not None]
        try:
            done = iter(self._store.write(writes) if writes else [])
        except StoreError as error:
            self._complain(error, len(writes))
            steps = [step for step in steps if step.write is None]
            done = iter([])
        self._act(
            step.act if step.write is None or next(done) else partial(self._overtaken, step)
            for step in steps
        )

    def _verify(self, attempts: list[Attempt]) -> Sequence[Reply | None]:
        try:
            return self._handshakes.verify([message_1 for message_1, _ in attempts])
        except StoreError as error:
            self._complain(error, len(attempts))
            return [None] * len(attempts)

    def _unanswered(self, attempt: Attempt) -> None:
        message_1, (_, path) = attempt
        try:
            self._handshakes.failures.unanswered(message_1, path)
        except HubError as error:
            self._complain(error, 0)

    def _answer_again(self, message_1: bytes, received: Datagram) -> bool:
        """Send message 2 once more; False if this message 1 has to be looked at."""
        message_2 = self._handshakes.again(message_1)
        if message_2 is None:
            return False
        if self._repeats.take():
            self._send(received, coap.CHANGED, message_2)
        return True

    def _handshake(self, reply: Reply, received: Datagram) -> Step:
        def act() -> None:
            self._send(received, coap.CHANGED, self._handshakes.answer(reply))

        return Step(reply.candidate.id, reply.write, act)

    def _open_reading(self, datagram: bytes, path: Path) -> Step | None:
        """Verify a request that is for readings.py alone; None if it is another one."""
        request = readings.request(datagram, self._sessions)
        if request is None:
            return None
        live, now = request.live, time.time()
        reading = request.reading(now)

        def act() -> None:
            if self._accept(live, request.exchange, path):
                last = self._store.last_reading(live.device) if reading is None else None
                path.send(request.answer(last, self._own_mid()))

        write = reading if live.confirmed else _confirmation(live, now, reading)
        return Step(live.device, write, act, (live.number, request.bound.nonce), (datagram, path))

    def _open(self, datagram: bytes, path: Path) -> Step | None:
        """Verify any other protected request; what does not verify is done with here."""
        try:
            outer = coap.decode(datagram)
            _, _, kid = oscore.decode_option(outer.option(coap.OSCORE) or b"")
        except Malformed:
            self.counts["malformed"] += 1
            return None
        candidates = self._sessions.find(kid or b"")
        if not candidates:
            self.counts["unknown session"] += 1
            self._handshakes.failures.unknown_session(path)
            self._refuse((datagram, path))  # RFC 8613 section 8.2: the device makes a new session
            return None
        opened = open_any(candidates, outer)
        if opened is None:
            self._poke_worn(candidates)
            self._answer_duplicate(candidates, outer, path)
            return None
        live, inner, exchange = opened

        def act() -> None:
            if not self._accept(live, exchange, path):
                return
            if _too_large(inner):
                answer = coap.Message(TOO_LARGE, [], b"", coap.ACK, inner.mid, inner.token)
                path.send(live.seal(answer, exchange))
            else:
                self._bridge.receive(coap.encode(inner), Remote(path, live, exchange))

        write = None if live.confirmed else _confirmation(live, time.time(), None)
        request = live.number, exchange.binding.nonce
        return Step(live.device, write, act, request, (datagram, path))

    def _answer_duplicate(self, candidates: list[Live], outer: coap.Message, path: Path) -> None:
        """Send the answer again, byte for byte, if this request was answered; else stay silent."""
        exchange = duplicate_of(candidates, outer)
        if exchange is None:
            self.counts["rejected"] += 1
        elif exchange.datagram is not None:
            self.counts["duplicates"] += 1
            path.send(exchange.datagram)

    def _accept(self, live: Live, exchange: Exchange, path: Path) -> bool:
        """Take a request as received; the first one makes its session the current one.

        False if the session has just ended: another write showed that its device was revoked.
        """
        if live.ended:
            return False
        live.accept(exchange)
        live.heard(path, exchange.binding)
        if not live.confirmed:
            self._promote(live)
        self._poke_worn([live])
        self.counts["requests"] += 1
        return True

    def _promote(self, live: Live) -> None:
        self._handshakes.confirmed(live)
        self._sessions.promote(live)
        self.counts["confirmed"] += 1
        unnamed = self._news.refused
        if self._news.take():
            log.info(
                "session %s in epoch %d.%d%s",
                live.session.fingerprint,
                *live.epoch,
                f", after {unnamed} others" if unnamed else "",
                extra={"device": live.name},
            )

    def _poke_worn(self, seen: list[Live]) -> None:
        """Have sessions replaced that are worn out; they stay in use until they are."""
        for live in seen:
            if live.worn and live.confirmed:
                self._sessions.listener.worn(live)

    def _act(self, acts: Iterator[Callable[[], None]]) -> None:
        """Do each; one that fails does not keep the others from what is stored for them."""
        for act in acts:
            try:
                act()
            except StoreError as error:
                self._complain(error, 1)
            except BaseException:
                self._act(acts)
                raise

    def _overtaken(self, step: Step) -> None:
        """Another hub moved the device first, or it was revoked: its sessions end."""
        if step.received is None:
            self._handshakes.counts["overtaken"] += 1
        else:
            self.counts["overtaken"] += 1
            self._sessions.drop(step.device)
            self._open(*step.received)  # of no session, now

    def _complain(self, error: HubError, messages: int) -> None:
        self.counts["store failed"] += messages
        if time.monotonic() >= self._next_complaint:
            self._next_complaint = time.monotonic() + COMPLAIN_EVERY_S
            log.error("%s", error)

    def _receive_other(self, message: coap.Message, datagram: bytes, path: Path) -> None:
        if 0 < message.code < 32 or not self._bridge.settles(message, path):
            self._receive_plain(message, datagram, path)

    def _receive_plain(self, message: coap.Message, datagram: bytes, path: Path) -> None:
        if message.option(BLOCK1) is not None:  # aiocoap would put anybody's blocks together
            self._refuse((datagram, path))
        elif self._plain.take():
            self._bridge.receive(datagram, Remote(path))
        else:
            self.counts["plain dropped"] += 1

    def _refuse(self, received: Datagram) -> None:
        """Say 4.01 to a confirmable message."""
        if received[0][0] >> 4 & 3 == coap.CON and self._hints.take():
            self._send(received, coap.UNAUTHORIZED, b"")

    def _send(self, received: Datagram, code: int, payload: bytes) -> None:
        """Send an answer to a message, in the acknowledgement if one is due."""
        datagram, path = received
        confirmable = datagram[0] >> 4 & 3 == coap.CON
        kind, mid = (coap.ACK, datagram[2:4]) if confirmable else (coap.NON, self._own_mid())
        token = datagram[4 : 4 + (datagram[0] & 15)]
        head = bytes((0x40 | kind << 4 | len(token), code)) + mid + token
        path.send(head + b"\xff" + payload if payload else head)

    def _own_mid(self) -> bytes:
        self._next_mid = (self._next_mid + 1) & 0xFFFF
        return self._next_mid.to_bytes(2, "big")


def _confirmation(live: Live, now: float, reading: NewReading | None) -> Confirmation:
    return Confirmation(live.device, live.pid, live.session.fingerprint, *live.epoch, now, reading)


def _too_large(request: coap.Message) -> bool:
    """Tell whether a block of a request lies beyond what is put together."""
    value = int.from_bytes(request.option(BLOCK1) or b"", "big")
    return (value >> 4) << (value & 7) + 4 >= MAX_BODY
