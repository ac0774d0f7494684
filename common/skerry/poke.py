"""The poke: what a hub sends to a device that shall make a new session.

    header 1 | HMAC(CK_a,s, 04)[:8]             9 bytes, NON POST coap://device/k, never answered

It belongs to the epoch that both ends expect, so it is good for one handshake and cannot be made
by anybody else; sent again later, it means nothing. A device answers it with message 1.
"""

from skerry import further
from skerry.chain import Chain
from skerry.primitives import const, equal

_TYPE_3 = const(0x30)


def encode(suite: int, chain: Chain) -> bytes:
    """Return the poke of the epoch that a chain stands at."""
    return bytes((_TYPE_3 | suite << 1,)) + further.poke(chain.chain_key)


def accepted(suite: int, chain: Chain, payload: bytes) -> bool:
    """Tell whether a payload is the poke of this epoch."""
    return equal(payload, encode(suite, chain))
