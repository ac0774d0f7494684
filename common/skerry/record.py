"""One slot of a device's chain store, written by the hub's enrolment and by the device.

magic "SK" 2 | layout version 1 | sequence number 4 | chain 72 | SHA-256 of all that, cut to 8
"""

from hashlib import sha256

from skerry.chain import PACKED_LENGTH

_MAGIC = b"SK\x01"
LENGTH = len(_MAGIC) + 4 + PACKED_LENGTH + 8


def pack(sequence: int, chain: bytes) -> bytes:
    """Return the slot's 87 bytes for a packed chain of 72 bytes."""
    body = _MAGIC + sequence.to_bytes(4, "big") + chain
    return body + sha256(body).digest()[:8]


def unpack(slot: bytes) -> tuple[int, bytes] | None:
    """Return (sequence number, packed chain), or None if the slot is empty, torn or foreign."""
    body = slot[: LENGTH - 8]
    if slot[:3] != _MAGIC or len(slot) != LENGTH or sha256(body).digest()[:8] != slot[-8:]:
        return None
    return int.from_bytes(body[3:7], "big"), body[7:]
