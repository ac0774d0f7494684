"""CPython's primitives: SHA-256 from the standard library, AES-CCM from `cryptography`."""

from hashlib import sha256
from hmac import compare_digest as equal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from skerry.errors import BadTag

__all__ = ["AesCcm", "const", "equal", "hmac_sha256"]


def const(value: int) -> int:
    """Mark a constant; MicroPython's compiler folds it, CPython just passes it through."""
    return value


_BLOCK = 64  # bytes
_INNER = bytes(each ^ 0x36 for each in range(256))
_OUTER = bytes(each ^ 0x5C for each in range(256))


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA-256 (RFC 2104): 32 bytes. Two hashes cost less than one call of hmac.digest."""
    if len(key) > _BLOCK:
        key = sha256(key).digest()
    key = key.ljust(_BLOCK, b"\0")
    inner = sha256(key.translate(_INNER) + message).digest()
    return sha256(key.translate(_OUTER) + inner).digest()


class AesCcm:
    """AES-128-CCM (RFC 3610) with nonces of 13 bytes."""

    def __init__(self, key: bytes, tag_length: int) -> None:
        """Take a key of 16 bytes and a tag length of 8 or 16 bytes."""
        self._cipher = AESCCM(key, tag_length)

    def seal(self, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """Return ciphertext and tag."""
        return self._cipher.encrypt(nonce, plaintext, aad)

    def open(self, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        """Return the plaintext; raise BadTag."""
        try:
            return self._cipher.decrypt(nonce, ciphertext, aad)
        except InvalidTag:
            raise BadTag("decryption failed") from None
