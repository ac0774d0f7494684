"""The sessions that are alive, and those that a handshake offered. They exist in memory only.

    offered (at most 4 a device, one for each attempt of its pending epoch)
        --first valid request, confirmed in the store--> current, and all others of it are gone

A request is found by its kid: one dictionary look-up, whatever the number of devices.
"""

import time
from collections import OrderedDict
from collections.abc import Iterator
from itertools import count

from skerry import coap
from skerry.errors import SkerryError
from skerry.oscore import Binding
from skerry.replay import ReplayWindow
from skerry.responder import HubSession

CANDIDATES = 4  # attempts of one epoch that can still be confirmed
RECENT_REQUESTS = 4  # answers kept for duplicates of a session's last requests

# The expected era and step, and whether nothing is pending any more: it only ever rises.
Standing = tuple[int, int, bool]

_numbers = count()  # of all sessions of this process: unlike an object's id, never used again


class Exchange:
    """One request of a session: what its answer is bound to and, once sent, the answer."""

    def __init__(self, binding: Binding) -> None:
        self.binding = binding
        self.answered = False
        self.datagram: bytes | None = None


class Live:
    """One session at the hub, offered or current."""

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
        self.confirmed = False
        self.opened = time.monotonic()
        self.recent: OrderedDict[tuple[int, bytes, bytes], Exchange] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Live {self.name} epoch {self.epoch[0]}.{self.epoch[1]}>"

    def open(self, outer: coap.Message) -> tuple[coap.Message, Exchange]:
        """Verify a request and return it with its exchange; raise SkerryError."""
        inner, binding = self.session.oscore.unprotect_request(outer)
        exchange = self.recent[_identity(outer)] = Exchange(binding)
        if len(self.recent) > RECENT_REQUESTS:
            self.recent.popitem(last=False)
        return inner, exchange

    def forget_requests(self) -> None:
        """Take back what `open` noted: the request was not acted upon and may come again."""
        self.session.oscore.window = ReplayWindow()
        self.recent.clear()

    def seal(self, inner: coap.Message, exchange: Exchange) -> bytes:
        """Return the datagram of a response; from the second one on with a Partial IV."""
        outer = self.session.oscore.protect_response(inner, exchange.binding, exchange.answered)
        datagram = coap.encode(outer)
        if not exchange.answered:
            exchange.answered, exchange.datagram = True, datagram
        return datagram


class _Device:
    """What memory holds of one device."""

    def __init__(self) -> None:
        self.seen: Standing = (-1, -1, False)  # the furthest that the store ever showed
        self.offered: OrderedDict[bytes, Live] = OrderedDict()  # by what message 1 signed
        self.current: Live | None = None


class Sessions:
    """All sessions, by kid and by device."""

    def __init__(self) -> None:
        self._by_kid: dict[bytes, list[Live]] = {}
        self._devices: dict[int, _Device] = {}

    def __len__(self) -> int:
        return sum(1 for each in self._devices.values() if each.current is not None)

    def current(self) -> Iterator[Live]:
        """Iterate over the confirmed sessions."""
        return (each.current for each in self._devices.values() if each.current is not None)

    def note(self, device: int, standing: Standing) -> bool:
        """Remember where the store shows a device; False if it was further before."""
        known = self._devices.setdefault(device, _Device())
        if standing < known.seen:
            return False
        known.seen = standing
        return True

    def offered(self, device: int, attempt: bytes) -> bool:
        """Tell whether the session of this very attempt was offered and still waits."""
        known = self._devices.get(device)
        return known is not None and attempt in known.offered

    def offer(self, live: Live, attempt: bytes) -> None:
        """Add the session of one attempt; offers of earlier epochs and the oldest are dropped."""
        known = self._devices.setdefault(live.device, _Device())
        for key, old in list(known.offered.items()):
            if old.pid != live.pid:
                self._forget(known.offered.pop(key))
        if len(known.offered) == CANDIDATES:
            self._forget(known.offered.popitem(last=False)[1])
        known.offered[attempt] = live
        self._by_kid.setdefault(live.session.kid, []).append(live)

    def find(self, kid: bytes) -> list[Live]:
        """Return all sessions with this kid; two only by chance."""
        return self._by_kid.get(kid, [])

    def promote(self, live: Live) -> None:
        """Make an offered session the device's current one; all its others end."""
        known = self._devices[live.device]
        others = [each for each in known.offered.values() if each is not live]
        if known.current is not None:
            others.append(known.current)
        for each in others:
            self._forget(each)
        known.offered.clear()
        known.current = live
        known.seen = (*known.seen[:2], True)
        live.confirmed = True

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
        self._by_kid.clear()
        self._devices.clear()

    def _forget(self, live: Live) -> None:
        same = self._by_kid[live.session.kid]
        same.remove(live)
        if not same:
            del self._by_kid[live.session.kid]


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
