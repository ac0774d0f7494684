"""The sessions that are alive, and those that a handshake offered. They exist in memory only.

    offered (at most 4 a device, one for each attempt of its pending epoch)
        --first valid request, confirmed in the store--> current, and all others of it are gone

A request is found by its kid: one dictionary look-up, whatever the number of devices. Whoever has
to know of a session that begins, ends or is worn out sets `Sessions.listener`.
"""

import os
import time
from collections.abc import Iterator
from itertools import count
from typing import Any, Protocol

from skerry import coap, observe, oscore_server
from skerry.errors import BadTag, SkerryError
from skerry.oscore import Binding
from skerry_hub.oscore_bytes import HubSession
from skerry_hub.udp import Path

CANDIDATES = 4  # attempts of one epoch that can still be confirmed
RECENT_REQUESTS = 4  # answers kept for duplicates of a session's last requests

# When a session is to be replaced: q and v of draft-ietf-core-oscore-key-limits, for tags of 8
# bytes: at most one message in 2^50 could be forged, or told from noise.
MAX_MESSAGES = 1 << 20
MAX_FAILED = 1 << 14  # verifications
MAX_AGE_S = 25 * 3600.0  # the device's own limit, 24 h, comes first

# The expected era and step, and whether nothing is pending any more: it only ever rises.
Standing = tuple[int, int, bool]

_numbers = count()  # of all sessions of this process: unlike an object's id, never used again


class Exchange:
    """One request of a session: what its answer is bound to and, once sent, the answer.

    `identity` is what it shares with its retransmissions: message id, token and ciphertext.
    """

    __slots__ = ("answered", "binding", "datagram", "identity")

    def __init__(self, binding: Binding, identity: tuple[int, bytes, bytes]) -> None:
        self.binding = binding
        self.identity = identity
        self.answered = False
        self.datagram: bytes | None = None

    def keep(self, datagram: bytes) -> bytes:
        """Keep the first answer for duplicates of the request; return it."""
        self.answered, self.datagram = True, datagram
        return datagram


class Live:
    """One session at the hub, offered or current."""

    __slots__ = (
        "answered", "answered_at", "asked", "confirmed", "device", "ended", "endpoint", "epoch",
        "failed", "heard_at", "mid", "name", "newest", "number", "opened", "path", "pid", "poked",
        "recent", "session", "transfers",
    )  # fmt: skip

    def __init__(
        self,
        device: int,
        name: str,
        pid: bytes,
        epoch: tuple[int, int],
        session: HubSession,
    ) -> None:
        """`device` is its number in the store, `pid` and `epoch` are the handshake's."""
        self.number = next(_numbers)
        self.session = session
        self.device = device
        self.name = name
        self.pid = pid
        self.epoch = epoch
        self.asked = self.answered = b""  # messages 1 and 2, while it is only offered
        self.answered_at = 0.0
        self.confirmed = False
        self.ended = False
        self.opened = time.monotonic()
        self.recent: dict[tuple[int, bytes, bytes], Exchange] = {}  # the oldest first
        self.path: Path | None = None  # of the newest request: where the device is
        self.heard_at = 0.0  # when that came
        self.newest = -1  # Partial IV of that request
        self.failed = 0  # verifications
        self.poked = 0.0  # when it was last asked to make a new session
        self.endpoint: Any = None  # what the bridge keeps of it
        self.transfers: Any = None  # what it counts of the device, in this session and before
        self.mid: int | None = None  # the last message id of what the hub sent by itself

    def __repr__(self) -> str:
        return f"<Live {self.name} epoch {self.epoch[0]}.{self.epoch[1]}>"

    def answer(self, message_2: bytes) -> None:
        """Note what message 1 is answered with, now that the store has it."""
        self.answered, self.answered_at = message_2, time.monotonic()

    def open(self, outer: coap.Message) -> tuple[coap.Message, Exchange]:
        """Verify a request and return it with its exchange; raise SkerryError.

        It may be opened again until `accept`. Its Observe option counts only if there is one
        outside as well (RFC 8613 section 4.1.3.5).
        """
        try:
            inner, binding = self.session.oscore.verify_request(outer)
        except BadTag:
            self.failed += 1
            raise
        if observe.requested(outer, inner) is None:
            inner.options = [each for each in inner.options if each[0] != observe.OBSERVE]
        return inner, Exchange(binding, _identity(outer))

    def accept(self, exchange: Exchange) -> None:
        """Take an opened request as received: it opens no more, but may be answered again."""
        self.session.oscore.accept(exchange.binding)
        self.recent[exchange.identity] = exchange
        if len(self.recent) > RECENT_REQUESTS:
            del self.recent[next(iter(self.recent))]

    def heard(self, path: Path, binding: Binding) -> None:
        """Note where a request came from, if it is the newest: an old one may have been held up.

        That is where the device is now, whatever its address was before.
        """
        number = int.from_bytes(binding.partial_iv, "big")
        if number > self.newest:
            self.newest = number
            self.path = path
            self.heard_at = time.monotonic()

    def is_at(self, path: Path) -> bool:
        """Tell whether that is where the device is."""
        return self.path is not None and self.path.peer == path.peer

    @property
    def worn(self) -> bool:
        """Whether the session is due to be replaced, by age or by what its keys have seen."""
        # A key protects its own end's Partial IVs, and responses to the other end's.
        return (
            self.newest + self.session.oscore.sequence >= MAX_MESSAGES
            or self.failed >= MAX_FAILED
            or time.monotonic() - self.opened > MAX_AGE_S
        )

    def next_mid(self) -> int:
        """Return a fresh message id for what the hub sends by itself."""
        if self.mid is None:
            self.mid = int.from_bytes(os.urandom(2), "big")
        self.mid = (self.mid + 1) & 0xFFFF
        return self.mid

    def forget_keys(self) -> None:
        """Drop the keys of a session that ended, whoever may hold on to this object."""
        self.recent.clear()
        del self.session

    def seal(self, inner: coap.Message, exchange: Exchange) -> bytes:
        """Return the datagram of a response; from the second one on with a Partial IV."""
        context, notifies = self.session.oscore, inner.option(observe.OBSERVE) is not None
        protect = observe.protect_notification if notifies else oscore_server.protect_response
        outer = protect(context, inner, exchange.binding, exchange.answered)
        datagram = coap.encode(outer)
        return datagram if exchange.answered else exchange.keep(datagram)


class Listener(Protocol):
    """Who has to know what becomes of sessions."""

    def confirmed(self, live: Live) -> None:
        """`live` is its device's current session now; what was before has ended."""

    def ended(self, live: Live) -> None:
        """`live` is gone: nothing may be sent in it any more."""

    def worn(self, live: Live) -> None:
        """`live` shall be replaced; said again with every request."""


class Nobody:
    """A listener that needs to know nothing."""

    def confirmed(self, live: Live) -> None:
        """Ignore it."""

    def ended(self, live: Live) -> None:
        """Ignore it."""

    def worn(self, live: Live) -> None:
        """Ignore it."""


class _Device:
    """What memory holds of one device."""

    __slots__ = ("current", "offered", "seen")

    def __init__(self) -> None:
        self.seen: Standing = (-1, -1, False)  # the furthest that the store ever showed
        self.offered: dict[bytes, Live] = {}  # by message 1, the oldest first
        self.current: Live | None = None


class Sessions:
    """All sessions, by kid and by device."""

    def __init__(self) -> None:
        self._by_kid: dict[bytes, list[Live]] = {}
        self._devices: dict[int, _Device] = {}
        self._named: dict[str, Live] = {}  # the current ones
        self._offered: dict[bytes, Live] = {}  # by message 1
        self.listener: Listener = Nobody()

    def __len__(self) -> int:
        return len(self._named)

    def current(self) -> Iterator[Live]:
        """Iterate over the confirmed sessions."""
        return iter(self._named.values())

    def note(self, device: int, standing: Standing) -> bool:
        """Remember where the store shows a device; False if it was further before."""
        known = self._devices.get(device)
        if known is None:
            known = self._devices[device] = _Device()
        if standing < known.seen:
            return False
        known.seen = standing
        return True

    def offered(self, message_1: bytes) -> Live | None:
        """Return the session that this very message 1 led to, if it is still only offered."""
        return self._offered.get(message_1)

    def offer(self, live: Live, message_1: bytes, message_2: bytes) -> None:
        """Add the session of one attempt; offers of earlier epochs and the oldest are dropped."""
        known = self._devices.setdefault(live.device, _Device())
        for key, old in list(known.offered.items()):
            if old.pid != live.pid:
                self._forget(known.offered.pop(key))
        if len(known.offered) == CANDIDATES:
            self._forget(known.offered.pop(next(iter(known.offered))))
        live.asked = message_1
        live.answer(message_2)
        known.offered[message_1] = self._offered[message_1] = live
        self._by_kid.setdefault(live.session.kid, []).append(live)

    def find(self, kid: bytes) -> list[Live]:
        """Return all sessions with this kid; two only by chance."""
        return self._by_kid.get(kid, [])

    def of(self, name: str) -> Live | None:
        """Return the current session of a device, by the device's id."""
        return self._named.get(name)

    def promote(self, live: Live) -> None:
        """Make an offered session the device's current one; all its others end."""
        known = self._devices[live.device]
        others = [each for each in known.offered.values() if each is not live]
        if known.current is not None:
            others.append(known.current)
            live.mid = known.current.mid  # both ends' addresses are the same
            live.transfers = known.current.transfers
        for each in others:
            self._forget(each)
        self._withdraw(live)
        known.offered.clear()
        known.current = live
        known.seen = (*known.seen[:2], True)
        live.confirmed = True
        self._named[live.name] = live
        self.listener.confirmed(live)

    def drop(self, device: int) -> bool:
        """End all sessions of a device; tell whether there were any.

        Where it stood stays known: a store that goes back now is noticed all the same.
        """
        known = self._devices.get(device)
        if known is None:
            return False
        ended = [*known.offered.values(), *([known.current] if known.current else [])]
        for each in ended:
            self._forget(each)
        known.offered.clear()
        known.current = None
        return bool(ended)

    def clear(self) -> None:
        """End all sessions, and forget where the devices stood."""
        every = [live for same in self._by_kid.values() for live in same]
        for live in every:
            self._forget(live)
        self._devices.clear()

    def _withdraw(self, live: Live) -> None:
        """Answer its message 1 no more from here."""
        self._offered.pop(live.asked, None)
        live.asked = live.answered = b""

    def _forget(self, live: Live) -> None:
        live.ended = True
        self._withdraw(live)
        if self._named.get(live.name) is live:
            del self._named[live.name]
        self.listener.ended(live)
        same = self._by_kid[live.session.kid]
        same.remove(live)
        if not same:
            del self._by_kid[live.session.kid]
        live.forget_keys()


def _identity(outer: coap.Message) -> tuple[int, bytes, bytes]:
    """Return what a request and its retransmissions share."""
    return outer.mid, outer.token, outer.payload


def duplicate_of(candidates: list[Live], outer: coap.Message) -> Exchange | None:
    """Return the exchange of a request that was opened before, byte for byte the same."""
    for live in candidates:
        exchange = live.recent.get(_identity(outer))
        if exchange is not None:
            return exchange
    return None


def open_any(
    candidates: list[Live], outer: coap.Message
) -> tuple[Live, coap.Message, Exchange] | None:
    """Return (session, inner request, exchange) of the one that verifies, or None."""
    for live in candidates:
        try:
            return live, *live.open(outer)
        except SkerryError:
            continue
    return None
