"""What comes to a device unasked: notifications, the hub's requests, and pokes.

A poke (docs/protocol.md section 7.1) marks the session, and the next request starts with a
handshake. To look at one takes the chain from flash: once a second, whoever sends how many.
"""

from time import ticks_add, ticks_diff, ticks_ms

from skerry import coap, poke
from skerry.chain import Chain
from skerry.coap_server import uri_path
from skerry.primitives import const
from skerry_device.errors import DeviceError

_COMPARE_MS = const(1000)
_AGAIN_MS = const(60_000)


def unasked(hub, message: coap.Message) -> bool:
    """Take a message that answers no request; tell whether all is done that is to be done."""
    if message.option(coap.OSCORE) is None:
        if message.code == coap.POST and uri_path(message) == "k":
            _poke(hub, message.payload)
        return False
    taker = getattr(hub, "observing" if message.code > 31 else "server", None)
    return bool(taker and taker.take(message))


def _poke(hub, payload: bytes) -> None:
    now = ticks_ms()
    if not hub.session or 0 < ticks_diff(getattr(hub, "poke_at", now), now) <= _AGAIN_MS:
        return
    hub.poke_at = ticks_add(now, _COMPARE_MS)
    try:
        chain = Chain.unpack(hub.store.load())
    except DeviceError:
        return
    if poke.accepted(hub.suite, chain, payload):
        hub.replace()
        hub.poke_at = ticks_add(now, _AGAIN_MS)
