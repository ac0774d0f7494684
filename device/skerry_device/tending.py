"""What a device does between its own requests: it listens, and does what is due.

Due are a handshake (fresh.py), observations to register again, the queue and, for the hub's
requests, a session that is confirmed. While the hub stays silent, they are tried again after
pauses of random length that grow to five minutes.
"""

import os
from time import ticks_add, ticks_diff, ticks_ms

from skerry import coap
from skerry.primitives import const
from skerry_device.errors import HubSilent

_FIRST_MS = const(2000)
_LONGEST_MS = const(300_000)
LOOK_MS = const(1000)  # how often to look whether something is due


class Backoff:
    """Exponential pauses with full jitter; a success makes them start anew."""

    def __init__(self) -> None:
        self._failed = 0
        self._until = ticks_ms()

    def left(self) -> int:
        """Return how many milliseconds to wait; 0 or less if none."""
        left = ticks_diff(self._until, ticks_ms())
        return left if left <= _LONGEST_MS else 0  # ticks wrapped

    def failed(self) -> None:
        """Pause for a random time, below a bound that doubles."""
        bound = min(_FIRST_MS << min(self._failed, 16), _LONGEST_MS)
        self._failed += 1
        self.pause(bound * int.from_bytes(os.urandom(2), "big") >> 16)

    def pause(self, ms: int) -> None:
        """Pause for as long as the hub asked for."""
        self._until = ticks_add(ticks_ms(), min(ms, _LONGEST_MS))

    def succeeded(self) -> None:
        """Start anew."""
        self._failed = 0


def backoff(hub) -> Backoff:
    """Return the hub's only one."""
    if not hasattr(hub, "pauses"):
        hub.pauses = Backoff()
    return hub.pauses


def hello(hub):
    """Confirm the session with a request that asks for nothing. A generator."""
    return hub.in_session(coap.Message(coap.GET, [], b"", coap.CON))


def tend(hub):
    """Do what is due; silence only leads to a pause. A generator."""
    pauses = backoff(hub)
    if pauses.left() > 0:
        return
    try:
        if hasattr(hub, "observing"):
            yield from hub.observing.renew()
        if hasattr(hub, "waiting"):
            yield from hub.waiting.flush()
        usable = hub.session and hub.confirmed
        late = ticks_diff(ticks_ms(), hub.checked) >> 16
        if (not usable and hasattr(hub, "server")) or (usable and late and hub.due()):
            yield from hello(hub)
        pauses.succeeded()
    except HubSilent:
        pauses.failed()


def listening(hub, ms: int | None):
    """Serve, take notifications and do what is due for so long. A generator."""
    end = ticks_add(ticks_ms(), ms or 0)
    while True:
        yield from tend(hub)
        now = ticks_ms()
        left = LOOK_MS if ms is None else ticks_diff(end, now)
        if left <= 0:
            return
        yield from hub.exchange.receive(ticks_add(now, min(left, LOOK_MS)), None)


def listen(hub, ms: int | None = None) -> None:
    """Wait for the hub's requests (serving.py) and notifications (observing.py).

    For `ms` milliseconds, for ever if None. Whatever the network does meanwhile, it is not an
    error. Raises StoreFailed.
    """
    return hub.run(listening(hub, ms))
