"""MicroPython's primitives: HMAC on hashlib.sha256, AES-CCM on cryptolib's ECB and CBC.

XOR goes through big integers, one operation a message instead of one a byte: the interpreter
is what costs here, not the arithmetic. A port without cryptolib gets aes.py in its place.
"""

from hashlib import sha256

from micropython import const

try:
    from cryptolib import aes
except ImportError:
    from skerry.aes import aes

from skerry.errors import BadTag

_ECB = const(1)
_CBC = const(2)
_IPAD = int.from_bytes(b"\x36" * 64, "big")
_OPAD = int.from_bytes(b"\x5c" * 64, "big")


def _xor(a: bytes, b: bytes) -> bytes:
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).to_bytes(len(a), "big")


def equal(a: bytes, b: bytes) -> bool:
    """Compare in time that depends on the lengths alone."""
    difference = len(a) ^ len(b)
    for x, y in zip(a, b):
        difference |= x ^ y
    return difference == 0


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA-256 (RFC 2104) with a key of at most 64 bytes: 32 bytes."""
    padded = int.from_bytes(key, "big") << 512 - 8 * len(key)
    inner = sha256((padded ^ _IPAD).to_bytes(64, "big"))
    inner.update(message)
    outer = sha256((padded ^ _OPAD).to_bytes(64, "big"))
    outer.update(inner.digest())
    return outer.digest()


class AesCcm:
    """AES-128-CCM (RFC 3610) with nonces of 13 bytes, so messages below 64 KiB."""

    def __init__(self, key: bytes, tag_length: int) -> None:
        """Take a key of 16 bytes and a tag length of 8 or 16 bytes."""
        self._key = key
        self._tag_length = tag_length

    def _tag(self, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        flags = (0x40 if aad else 0) | (self._tag_length - 2) // 2 << 3 | 1
        size = len(plaintext)
        blocks = bytes((flags,)) + nonce + bytes((size >> 8, size & 255))
        if aad:
            blocks += bytes((len(aad) >> 8, len(aad) & 255)) + aad
            blocks += bytes(-len(blocks) % 16)
        blocks += plaintext + bytes(-size % 16)
        return aes(self._key, _CBC, bytes(16)).encrypt(blocks)[-16:]

    def _key_stream(self, nonce: bytes, size: int) -> bytes:
        counters = b"".join(
            [b"\x01" + nonce + bytes((i >> 8, i & 255)) for i in range((size + 31) // 16)]
        )
        return aes(self._key, _ECB).encrypt(counters)

    def seal(self, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """Return ciphertext and tag."""
        stream = self._key_stream(nonce, len(plaintext))
        tag = _xor(self._tag(nonce, plaintext, aad), stream[:16])
        return _xor(plaintext, stream[16 : 16 + len(plaintext)]) + tag[: self._tag_length]

    def open(self, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        """Return the plaintext; raise BadTag."""
        size = len(ciphertext) - self._tag_length
        if size < 0:
            raise BadTag("decryption failed")
        stream = self._key_stream(nonce, size)
        plaintext = _xor(ciphertext[:size], stream[16 : 16 + size])
        tag = _xor(self._tag(nonce, plaintext, aad), stream[:16])
        if not equal(tag[: self._tag_length], ciphertext[size:]):
            raise BadTag("decryption failed")
        return plaintext
