"""What is derived beyond a handshake and its session; schedule.py has the table of all labels."""

from skerry.primitives import hkdf_expand, hmac_sha256


def poke(chain_key: bytes) -> bytes:
    """Poke of epoch (a, s), 8 bytes, from CK_a,s: asks the device for a handshake."""
    return hmac_sha256(chain_key, b"\x04")[:8]


def proof(ek: bytes, ctx: bytes, challenge: bytes) -> bytes:
    """Return what shows that a device holds its epoch's key: 32 bytes for 16 of a challenge."""
    return hmac_sha256(ek, b"\x13" + ctx + challenge)


def exported(secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
    """Return a key for another protocol from MS: `length` bytes, at most 8,160.

    A label has at most 255 bytes; other labels and contexts give unrelated keys.
    """
    return hkdf_expand(secret, b"\x01" + bytes((len(label),)) + label + context, length)
