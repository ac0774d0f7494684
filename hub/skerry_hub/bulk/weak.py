"""Keys that no device may have: guessable, known, or not its own.

A random key is refused once in 2^32.
"""

import hashlib
import hmac
from collections.abc import Collection
from itertools import pairwise

from skerry_hub.errors import BadKey

KEY_LENGTH = 32  # bytes
_FEWEST = 20  # different bytes among 32, as in the device's test of its generator

# The AES-256 key of NIST SP 800-38A: the example that does not count up or down.
_EXAMPLE = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"


def refuse(key: bytes, name: str, others: dict[str, bytes]) -> None:
    """Raise BadKey unless a key of 32 bytes may be a device's own. `others` names known keys."""
    if len(key) != KEY_LENGTH:
        raise BadKey(f"a key has {KEY_LENGTH} bytes, this one {len(key)}")
    for whose, other in others.items():
        if hmac.compare_digest(key, other):
            raise BadKey(f"this is {whose}: a device needs a key of its own")
    if len(set(key)) < _FEWEST or key.isascii():
        raise BadKey("this key is a text or a pattern: make 32 random bytes")
    steps = {(after - before) % 256 for before, after in pairwise(key)}
    if len(steps) < 4:
        raise BadKey("this key counts: make 32 random bytes")
    if key.hex() == _EXAMPLE:
        raise BadKey("this key is a standard's example: make 32 random bytes")
    if any(hmac.compare_digest(key, each) for each in _derived(name, others.values())):
        raise BadKey("this key follows from the device's id: make 32 random bytes")


def _derived(name: str, keys: Collection[bytes]) -> list[bytes]:
    """Return what careless tools make of an id, alone or with a fleet's key."""
    made = []
    for text in (name, name.upper(), name.split("-", 1)[-1]):
        data = text.encode()
        made += [hashlib.sha256(data).digest(), hashlib.sha3_256(data).digest()]
        made += [hashlib.sha256(data * 2).digest(), hmac.digest(data, b"", "sha256")]
        made += [hmac.digest(bytes(KEY_LENGTH), data, "sha256")]
        for key in keys:
            made += [hmac.digest(key, data, "sha256"), hashlib.sha256(key + data).digest()]
    return made
