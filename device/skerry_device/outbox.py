"""A queue for what has to wait until the hub is back: bounded, the oldest is dropped for new.

It is in RAM: what is in it when the power goes is lost.
"""

from skerry import coap
from skerry.primitives import const
from skerry_device.client import encoded
from skerry_device.tending import backoff, tend

_ENTRIES = const(16)
_BYTES = const(2048)
_MAX_AGE = const(14)
_UNAVAILABLE = const(0xA3)  # 5.03
_RETRY_S = const(60)


class Outbox:
    """What waits; `dropped` counts what found no place, `refused` what the hub did not take."""

    def __init__(self, hub) -> None:
        self.hub = hub
        self.dropped = self.refused = 0
        self._entries = []

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, path: str, payload: bytes, format: int | None) -> None:
        """Take a message; drop the oldest ones if they are too many or too long."""
        self._entries.append((path, payload, format))
        while len(self._entries) > _ENTRIES or sum([len(e[1]) for e in self._entries]) > _BYTES:
            self._entries.pop(0)
            self.dropped += 1

    def flush(self):
        """Send all, the oldest first. A generator; raises HubSilent."""
        while self._entries:
            entry = self._entries[0]
            path, payload, format = entry
            response = yield from self.hub.request(coap.POST, path, payload, format)
            if response.code == _UNAVAILABLE:  # RFC 7252 section 5.9.3.4
                age = response.message.option(_MAX_AGE)
                seconds = _RETRY_S if age is None else int.from_bytes(age, "big")
                backoff(self.hub).pause(seconds * 1000)
                return
            self.refused += not response.ok
            if self._entries and self._entries[0] is entry:  # or it was dropped meanwhile
                self._entries.pop(0)


def queue(hub, path: str, payload=b"", format: int | None = None) -> int:
    """Post now or, while the hub is silent, as soon as it is back; return how many still wait.

    At most 16 messages and 2,048 bytes wait; then the oldest are dropped and counted
    (`hub.status()`). Sent at the next `queue`, `flush`, `listen` or observation. A message whose
    answers were lost may arrive twice. Raises StoreFailed.
    """
    payload, format = encoded(payload, format)
    if len(payload) > _BYTES:
        raise ValueError("more than the queue holds")
    if not hasattr(hub, "waiting"):
        hub.waiting = Outbox(hub)
    hub.waiting.add(path, payload, format)
    return flush(hub)


def flush(hub) -> int:
    """Try to send what waits, unless the last try was just before; return how many still wait."""
    return hub.run(_flush(hub))


def _flush(hub):
    yield from tend(hub)
    return len(getattr(hub, "waiting", ()))
