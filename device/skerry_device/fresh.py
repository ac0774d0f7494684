"""When a session is replaced although it works: by age, by what its keys have seen, or by a poke.

The limits are those of docs/device.md. What is due is tried at most once a minute (client.py), and
the session goes on until a handshake has succeeded.
"""

from time import ticks_add, ticks_diff, ticks_ms, time

from skerry.primitives import const

_DAY = const(86_400)
_LONG_AGO_MS = const(120_000)
MESSAGES = const(1 << 20)  # q and v of draft-ietf-core-oscore-key-limits for 8-byte tags:
FAILURES = const(1 << 14)  # the advantage of an attacker stays below 2^-50


def due(hub) -> bool:
    """Tell whether the session shall be replaced.

    Two clocks tell its age, as each can mislead: ticks wrap after days, and who sets the time
    moves `time`. A clock that went back counts as one day.
    """
    _, _, opened, seconds = hub.clock
    age = ticks_diff(ticks_ms(), opened)
    return (
        hasattr(hub.session, "unwanted")
        or not 0 <= age < _DAY * 1000
        or not 0 <= time() - seconds < _DAY
        or hub.session.oscore.sequence + getattr(hub.session, "answered", 0) >= MESSAGES
        or hub.failures >= FAILURES
    )


def replace(hub) -> None:
    """Let the next request, or whoever tends, start with a handshake."""
    hub.session.unwanted = True
    hub.checked = ticks_add(ticks_ms(), -_LONG_AGO_MS)
