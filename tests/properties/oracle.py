"""The whole protocol again as one straight line, on other primitives than the code's own.

HMAC, SHA-256 and AES-CCM are pycryptodome's, HKDF-Expand and the keys of OSCORE are spelled out.
Nothing is imported from skerry. `python tests/properties/oracle.py` prints
tests/vectors/handshake_v1.json.
"""

import json
from typing import Any

from Crypto.Cipher import AES
from Crypto.Hash import HMAC, SHA256


def hmac(key: bytes, message: bytes) -> bytes:
    return HMAC.new(key, message, SHA256).digest()


def expand(key: bytes, info: bytes, length: int) -> bytes:
    first = hmac(key, info + b"\x01")
    second = hmac(key, first + info + b"\x02")
    return (first + second)[:length]


def ccm(key: bytes, nonce: bytes, plaintext: bytes, aad: bytes, tag_length: int) -> bytes:
    cipher = AES.new(key, AES.MODE_CCM, nonce=nonce, mac_len=tag_length)
    cipher.update(aad)
    ciphertext, tag = cipher.encrypt_and_digest(plaintext)
    return ciphertext + tag


def oscore_get(secrets: bytes, algorithm: int, tag_length: int) -> bytes:
    """The device's first protected request, NON GET /a, mid 0x1234, token 77, from 27 bytes."""
    master_secret, master_salt, kid = secrets[:16], secrets[16:24], secrets[24:27]
    prk = hmac(master_salt, master_secret)
    alg = bytes((algorithm,)) if algorithm < 24 else bytes((0x18, algorithm))
    key = expand(prk, b"\x85\x43" + kid + b"\xf6" + alg + b"\x63Key\x10", 16)
    iv = expand(prk, b"\x85\x40\xf6" + alg + b"\x62IV\x0d", 13)
    nonce = bytes(a ^ b for a, b in zip(iv, b"\x03" + bytes(4) + kid + bytes(5), strict=True))
    external = b"\x85\x01\x81" + alg + b"\x43" + kid + b"\x41\x00\x40"
    aad = b"\x83\x68Encrypt0\x40" + bytes((0x40 | len(external),)) + external
    sealed = ccm(key, nonce, b"\x01\xb1a", aad, tag_length)
    return b"\x51\x02\x12\x34\x77\x95\x09\x00" + kid + b"\xff" + sealed


def handshake(
    suite: int,
    timed: bool,
    master_key: bytes,
    device_id: bytes,
    hub_id: bytes,
    era: int,
    step: int,
    n_d: bytes,
    n_h: bytes,
    time: int,
) -> dict[str, bytes]:
    """Every value of one handshake, in the order in which they are computed."""
    tag_length, algorithm = ((8, 10), (16, 30))[suite]
    named = b"SKX1" + bytes([suite, len(device_id)]) + device_id + bytes([len(hub_id)]) + hub_id
    ctx = SHA256.new(named).digest()[:16]
    root = hmac(master_key, ctx)
    for _ in range(era):
        root = hmac(root, b"\x02")
    chain_key, next_root = hmac(root, b"\x01"), hmac(root, b"\x02")
    for _ in range(step):
        chain_key = hmac(chain_key, b"\x02")
    ek = hmac(chain_key, b"\x01")
    pid = hmac(chain_key, b"\x03")[:6]
    body_1 = bytes([0x10 + 2 * suite + timed]) + pid + n_d
    header_2 = bytes([0x20 + 2 * suite + timed])
    body_2 = header_2 + n_h + (time.to_bytes(5, "big") if timed else b"")
    ms = hmac(ek, b"\x12" + ctx + body_1 + header_2 + n_h)
    secrets = expand(ms, b"\x00\x06oscore", 27)
    next_ck = hmac(chain_key, b"\x02")
    position = era.to_bytes(4, "big") + (step + 1).to_bytes(4, "big")
    return {
        "ctx": ctx,
        "chain_key": chain_key,
        "next_root": next_root,
        "epoch_key": ek,
        "pid": pid,
        "message_1": body_1 + hmac(ek, b"\x10" + ctx + body_1)[:tag_length],
        "message_2": body_2 + hmac(ek, b"\x11" + ctx + body_1 + body_2)[:tag_length],
        "session_secret": ms,
        "record": position + next_ck + next_root,
        "oscore_master_secret": secrets[:16],
        "oscore_master_salt": secrets[16:24],
        "oscore_kid": secrets[24:],
        "fingerprint": expand(ms, b"\x00\x0bfingerprint", 4),
        "first_get": oscore_get(secrets, algorithm, tag_length),
    }


def inputs() -> list[dict[str, Any]]:
    """What the frozen vectors are made of: both suites, with and without time, four epochs."""
    fixed = {
        "master_key": bytes(range(32)).hex(),
        "device_id": b"lamp-7".hex(),
        "hub_id": b"hub".hex(),
        "n_d": bytes(range(0xD0, 0xD8)).hex(),
        "n_h": bytes(range(0xE0, 0xE8)).hex(),
        "time": 0x6A5B4C3D2E,
    }
    epochs = ((0, 0), (0, 1), (3, 0), (2, 5))
    return [
        {"suite": suite, "timed": timed, "era": era, "step": step, **fixed}
        for suite in (0, 1)
        for timed in (False, True)
        for era, step in epochs
    ]


def solve(given: dict[str, Any]) -> dict[str, str]:
    """Return `handshake` of inputs in hexadecimal, in hexadecimal."""
    arguments = {k: bytes.fromhex(v) if isinstance(v, str) else v for k, v in given.items()}
    return {name: value.hex() for name, value in handshake(**arguments).items()}


if __name__ == "__main__":
    print(json.dumps([{"given": g, "expected": solve(g)} for g in inputs()], indent=1))
