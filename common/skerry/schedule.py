"""Every key, tag and label of the protocol.

Nothing else calls HMAC, but OSCORE's HKDF, provisioning.py for RK_0, and further.py for what a
handshake does without: poke, proof and exported.

HMAC is HMAC-SHA-256, | joins bytes, all keys have 32 bytes.

    RK_0        = HMAC(K0, CTX)                   root of era 0; K0 is the pre-placed master key
    CK_a,0      = HMAC(RK_a, 01)                  first chain key of era a
    RK_a+1      = HMAC(RK_a, 02)                  root of the next era; then RK_a is erased
    EK_a,s      = HMAC(CK_a,s, 01)                epoch key: authenticates one handshake
    CK_a,s+1    = HMAC(CK_a,s, 02)                next chain key; then CK_a,s is erased
    PID_a,s     = HMAC(CK_a,s, 03)[:6]            pseudonym, shown once
    poke_a,s    = HMAC(CK_a,s, 04)[:8]            the hub asks for a handshake, once an epoch
    tag_1       = HMAC(EK, 10 | CTX | header_1 | PID | N_D)[:t]
    tag_2       = HMAC(EK, 11 | CTX | header_1 | PID | N_D | header_2 | N_H | T)[:t]
    MS          = HMAC(EK, 12 | CTX | header_1 | PID | N_D | header_2 | N_H)
    proof       = HMAC(EK, 13 | CTX | challenge)  the device's answer while it is provisioned
    exported    = HKDF-Expand(MS, 00 or 01 | len(label) | label | context, length)

CTX names the protocol, the suite and both ends, so no key or tag of one pair means anything to
another. T is not in MS: an answer that is made again carries a new time and gives the same key.
"""

from hashlib import sha256

from skerry.primitives import hkdf_expand, hmac_sha256


def context(suite: int, device_id: bytes, hub_id: bytes) -> bytes:
    """CTX, 16 bytes: who speaks to whom, and in which suite. Ids have 1 to 255 bytes."""
    named = b"SKX1" + bytes((suite, len(device_id))) + device_id + bytes((len(hub_id),)) + hub_id
    return sha256(named).digest()[:16]


def first_chain_key(root: bytes) -> bytes:
    """CK_a,0 from RK_a."""
    return hmac_sha256(root, b"\x01")


def next_root_key(root: bytes) -> bytes:
    """RK_a+1 from RK_a."""
    return hmac_sha256(root, b"\x02")


def epoch_key(chain_key: bytes) -> bytes:
    """EK_a,s from CK_a,s."""
    return hmac_sha256(chain_key, b"\x01")


def next_chain_key(chain_key: bytes) -> bytes:
    """CK_a,s+1 from CK_a,s."""
    return hmac_sha256(chain_key, b"\x02")


def pseudonym(chain_key: bytes) -> bytes:
    """PID_a,s, 6 bytes, from CK_a,s."""
    return hmac_sha256(chain_key, b"\x03")[:6]


def tag_1(ek: bytes, ctx: bytes, signed: bytes, length: int) -> bytes:
    """tag_1 over `signed`, all of message 1 before the tag."""
    return hmac_sha256(ek, b"\x10" + ctx + signed)[:length]


def tag_2(ek: bytes, ctx: bytes, signed_1: bytes, signed_2: bytes, length: int) -> bytes:
    """tag_2 over all of both messages before their tags."""
    return hmac_sha256(ek, b"\x11" + ctx + signed_1 + signed_2)[:length]


def session_secret(ek: bytes, ctx: bytes, signed_1: bytes, header_2: int, n_h: bytes) -> bytes:
    """MS, 32 bytes: what both ends share after the handshake."""
    return hmac_sha256(ek, b"\x12" + ctx + signed_1 + bytes((header_2,)) + n_h)


def oscore_secrets(secret: bytes) -> tuple[bytes, bytes, bytes]:
    """OSCORE's Master Secret (16), Master Salt (8) and the device's Sender ID (3) from MS."""
    out = hkdf_expand(secret, b"\x00\x06oscore", 27)
    return out[:16], out[16:24], out[24:]


def fingerprint(secret: bytes) -> str:
    """Eight hexadecimal digits that both ends can show of a session; they reveal nothing of it."""
    return hkdf_expand(secret, b"\x00\x0bfingerprint", 4).hex()
