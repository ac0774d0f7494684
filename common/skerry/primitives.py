"""The one door to cryptographic primitives; the only file that asks which interpreter runs.

Behind it stand hashlib and cryptolib, or else aes.py, on MicroPython, hmac and `cryptography` on
CPython. Both give `const`, `equal(a, b)` in constant time, `hmac_sha256(key, message)` and
`AesCcm(key, tag_length)` with seal and open.
"""

# fmt: off - one import each: an __all__, or more imports, cost flash
# ruff: noqa: I001, PLC0414
try:
    from skerry.backend_cpython import (
        AesCcm as AesCcm,
        const as const,
        equal as equal,
        hmac_sha256 as hmac_sha256,
    )
except ImportError:
    from skerry.backend_micropython import (  # type: ignore
        AesCcm as AesCcm,
        const as const,
        equal as equal,
        hmac_sha256 as hmac_sha256,
    )
# fmt: on


def hkdf_extract(salt: bytes, key_material: bytes) -> bytes:
    """HKDF-Extract with SHA-256 (RFC 5869 section 2.2): 32 bytes."""
    return hmac_sha256(salt, key_material)


def hkdf_expand(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand with SHA-256 (RFC 5869 section 2.3): `length` bytes, at most 8,160."""
    block = output = b""
    while len(output) < length:
        block = hmac_sha256(key, block + info + bytes((len(output) // 32 + 1,)))
        output += block
    return output[:length]
