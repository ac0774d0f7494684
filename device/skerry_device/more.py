"""What a session gives beyond requests: keys, time, and what can be told of it."""

import gc
import os
from time import ticks_diff, ticks_ms
from time import time as seconds

from skerry import further
from skerry.primitives import const
from skerry_device.client import Response
from skerry_device.errors import HubSilent
from skerry_device.tending import hello

_DELETE = const(4)
_DRIFT = const(1000)  # a clock of a device is off by one part of this at most
_JUMP_MS = const(5000)


def delete(hub, path: str) -> Response:
    """Delete a resource. Raises as `connect` does."""
    return hub.run(hub.request(_DELETE, path))


def rekey(hub) -> None:
    """Replace the session now, and confirm the new one.

    Raises HubSilent, and then the session before goes on, or StoreFailed.
    """
    return hub.run(_rekey(hub))


def _rekey(hub):
    if not (yield from hub.handshake()):
        raise HubSilent("no hub: the session before goes on")
    yield from hello(hub)


def export_key(hub, label: str | bytes, context: bytes = b"", length: int = 32) -> bytes:
    """Return a key for another protocol, the same that the hub exports in this session.

    `label` has 1 to 255 bytes, `length` is 1 to 8,160. The key stays the same until the session
    is replaced: `hub.fingerprint` tells. Confirms the session first; raises as `connect` does,
    and ValueError.
    """
    if isinstance(label, str):
        label = label.encode()
    if not 0 < len(label) < 256 or not 0 < length <= 8160:
        raise ValueError("a label has 1 to 255 bytes, a key 1 to 8160")
    return hub.run(_export(hub, label, context, length))


def _export(hub, label: bytes, context: bytes, length: int):
    if not hub.session or not hub.confirmed:
        yield from hello(hub)
    return further.exported(hub.session.secret, label, context, length)


def time(hub) -> tuple[int, int] | None:
    """Return the hub's time now: (earliest, latest) in seconds since 1970.

    It was in message 2 and goes on by this board's ticks, which may be off by 0.1 %. None if the
    hub does not know it, or if this board's clock jumped: `rekey` asks again.
    """
    now = ticks_ms()
    return _between(hub, now, now)


def window(hub, response: Response) -> tuple[int, int] | None:
    """Return when the hub made a response: (earliest, latest) in seconds since 1970, or None."""
    return _between(hub, response.asked, response.came)


def _between(hub, first: int, last: int) -> tuple[int, int] | None:
    """Return the earliest time of one moment and the latest of another, both in ticks_ms."""
    then, asked, opened, clock = hub.clock
    age = ticks_diff(ticks_ms(), opened)
    if not then or age < 0 or (seconds() - clock) * 1000 - age > _JUMP_MS:
        return None
    then = then * 1000 >> 8
    early, late = ticks_diff(first, opened), ticks_diff(last, asked)
    early -= abs(early) // _DRIFT
    late += abs(late) // _DRIFT
    return (then + early) // 1000, (then + late + 999) // 1000


def status(hub) -> dict:
    """Return what may be shown to anybody: no key, and nothing that leads to one.

    `age`: of the session in s; `requests`: messages protected in it; `failures`: messages in it
    that did not verify; `records`: chain records ever written; `randomness`: "broken", or that
    no fault was seen; `waiting`, `dropped`: in the queue.
    """
    session = hub.session
    waiting = getattr(hub, "waiting", None)
    return {
        "device": hub.device,
        "hub": hub.hub,
        "suite": hub.suite,
        "epoch": "%d.%d" % (hub.era, hub.step) if session else None,
        "fingerprint": hub.fingerprint if session else None,
        "confirmed": bool(session and hub.confirmed),
        "age": ticks_diff(ticks_ms(), hub.clock[2]) // 1000 if session else None,
        "requests": session.oscore.sequence if session else 0,
        "failures": hub.failures if session else 0,
        "records": hub.store.sequence,
        "randomness": "broken" if hub.weak else "no fault seen",
        "sent": hub.link.sent,
        "received": hub.link.received,
        "waiting": len(waiting) if waiting else 0,
        "dropped": waiting.dropped if waiting else 0,
    }


def factory_reset(hub) -> None:
    """Erase the chain, the session and skerry.json, then close: this board is nobody's.

    The hub keeps the device until it is revoked there. Raises StoreFailed if flash keeps the
    chain after all.
    """
    hub.close()
    if hasattr(hub, "memory"):
        hub.memory.forget()
    hub.store.wipe()
    try:
        os.remove(hub.folder + "skerry.json")
    except OSError:  # it was not in a file
        pass
    gc.collect()
