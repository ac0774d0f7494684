"""Recorded and damaged traffic: the hub survives, and acts on nothing that no device made."""

import random

from fuzz.targets.front_noise import check as check_noise
from fuzz.world import World

from skerry import coap
from skerry.errors import Malformed

_world = World()
TRAFFIC = [*_world.spent, *_world.fresh, *_world.answers]
_world.close()
check = check_noise

NUMBERS = (1, 3, 4, 5, 6, 7, 8, 9, 11, 12, 14, 15, 17, 23, 27, 28, 35, 39, 60, 252, 258, 292, 2049)
CODES = (0, 1, 2, 3, 4, 5, 6, 7, 31, 0x44, 0x45, 0x5F, 0x81, 0x84, 0xA0, 0xE1, 255)


def mutate(data, max_size, seed):
    """Take recorded traffic, or what there is, and change it as bytes or as a message."""
    source = random.Random(seed)
    whole = data if source.random() < 0.3 else source.choice(TRAFFIC)
    for _ in range(source.choice((0, 1, 1, 1, 2, 2, 2, 3, 3, 5))):
        whole = source.choice((_bytes, _message, _message))(source, whole)
    return whole[:max_size]


def _bytes(source, whole):
    changed = bytearray(whole)
    kind = source.randrange(5)
    at = source.randrange(len(changed) + 1)
    if kind == 0:
        return bytes(changed[:at])
    if kind == 1:
        return bytes(changed) + source.randbytes(source.randrange(1, 9))
    if kind == 2:
        other = source.choice(TRAFFIC)
        return bytes(changed[:at]) + other[source.randrange(len(other)) :]
    if kind == 3:
        return bytes(changed[:at]) + source.randbytes(source.randrange(4)) + bytes(changed[at:])
    if at < len(changed):
        changed[at] ^= 1 << source.randrange(8)
    return bytes(changed)


def _message(source, whole):
    try:
        message = coap.decode(whole)
    except Malformed:
        return _bytes(source, whole)
    kind = source.randrange(8)
    if kind == 0:
        message.type = source.randrange(4)
    elif kind == 1:
        message.code = source.choice(CODES)
    elif kind == 2:
        message.mid = source.randrange(1 << 16)
    elif kind == 3:
        message.token = source.randbytes(source.randrange(9))
    elif kind == 4:
        other = coap.decode(source.choice(TRAFFIC))
        message.payload = source.choice((b"", other.payload, source.randbytes(23)))
    elif kind == 5 and message.options:
        del message.options[source.randrange(len(message.options))]
    elif kind == 6 and message.options:
        at = source.randrange(len(message.options))
        number, value = message.options[at]
        message.options[at] = number, _bytes(source, value) if value else b"\0"
    else:
        value = source.choice((b"", b"k", b"readings", source.randbytes(source.randrange(12))))
        message.options.append((source.choice(NUMBERS), value))
    return _encoded(message, whole)


def _encoded(message, otherwise):
    try:
        return coap.encode(message)
    except (ValueError, OverflowError):
        return otherwise
