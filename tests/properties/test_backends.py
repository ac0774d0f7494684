"""Both backends in one process, against each other and against pycryptodome.

MicroPython's backend runs here on a cryptolib made of pycryptodome, so that its arithmetic is
searched too, and on its own AES; tests/dual and tests/checks run it on the real interpreter.
"""

import hmac
import importlib
import sys
from collections.abc import Iterator
from hashlib import sha256
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from Crypto.Cipher import AES
from dual.test_primitives import ALL_LENGTHS
from dual.tools import pattern
from hypothesis import given
from hypothesis import strategies as st
from properties import oracle

from skerry import aes as own
from skerry import backend_cpython
from skerry.errors import BadTag

tag_lengths = st.sampled_from([8, 16])
keys, nonces = st.binary(min_size=16, max_size=16), st.binary(min_size=13, max_size=13)
texts = st.binary(max_size=100)


def aes(key: bytes, mode: int, iv: bytes = b"") -> Any:
    return AES.new(key, AES.MODE_ECB) if mode == 1 else AES.new(key, AES.MODE_CBC, iv=iv)


@pytest.fixture(scope="module", params=[SimpleNamespace(aes=aes), None], ids=["cryptolib", "own"])
def backend(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cryptolib", request.param)  # None: it cannot be imported
        patch.setitem(sys.modules, "micropython", SimpleNamespace(const=int))
        module = importlib.import_module("skerry.backend_micropython")
        assert (module.aes is own.aes) == (request.param is None)
        yield module
        del sys.modules["skerry.backend_micropython"]


@given(key=keys, data=st.binary(max_size=6), iv=keys)
def test_own_aes(key: bytes, data: bytes, iv: bytes) -> None:
    blocks = sha256(data).digest() * len(data)
    assert own.aes(key, 1).encrypt(blocks) == aes(key, 1).encrypt(blocks)
    chained, expected = own.aes(key, 2, iv), aes(key, 2, iv)
    for _ in range(2):  # the second call goes on where the first one ended
        assert chained.encrypt(blocks) == expected.encrypt(blocks)


@given(key=st.binary(max_size=64), message=st.binary(max_size=300))
def test_hmac(backend: ModuleType, key: bytes, message: bytes) -> None:
    expected = oracle.hmac(key, message)
    assert backend.hmac_sha256(key, message) == expected
    assert backend_cpython.hmac_sha256(key, message) == expected
    assert hmac.digest(key, message, "sha256") == expected


@given(key=keys, nonce=nonces, plaintext=texts, aad=texts, tag_length=tag_lengths)
def test_ccm(
    backend: ModuleType, key: bytes, nonce: bytes, plaintext: bytes, aad: bytes, tag_length: int
) -> None:
    expected = oracle.ccm(key, nonce, plaintext, aad, tag_length)
    for module in (backend, backend_cpython):
        cipher = module.AesCcm(key, tag_length)
        assert cipher.seal(nonce, plaintext, aad) == expected
        assert cipher.open(nonce, expected, aad) == plaintext


@given(key=keys, nonce=nonces, sealed=texts, aad=texts, tag_length=tag_lengths)
def test_garbage_does_not_open(
    backend: ModuleType, key: bytes, nonce: bytes, sealed: bytes, aad: bytes, tag_length: int
) -> None:
    for module in (backend, backend_cpython):
        with pytest.raises(BadTag):
            module.AesCcm(key, tag_length).open(nonce, sealed, aad)


@pytest.mark.parametrize("size", [4079, 4080, 4081, 4096, 4112, 65535])
def test_long_messages(backend: ModuleType, size: int) -> None:
    """Block counters that carry, up to the longest message that a length of 2 bytes allows."""
    key, nonce, plaintext, aad = pattern(16), pattern(13), pattern(size), pattern(300)
    expected = oracle.ccm(key, nonce, plaintext, aad, 8)
    for module in (backend, backend_cpython):
        assert module.AesCcm(key, 8).seal(nonce, plaintext, aad) == expected
        assert module.AesCcm(key, 8).open(nonce, expected, aad) == plaintext


@pytest.mark.parametrize("tag_length", [8, 16])
def test_the_frozen_digest_of_all_lengths(backend: ModuleType, tag_length: int) -> None:
    digest = sha256()
    for n in range(34):
        for a in range(34):
            arguments = (pattern(16, 1), pattern(13, n), pattern(n, 2), pattern(a, 3))
            sealed = oracle.ccm(*arguments, tag_length)
            digest.update(sealed)
            key, *rest = arguments
            assert backend.AesCcm(key, tag_length).seal(*rest) == sealed
    assert digest.hexdigest() == ALL_LENGTHS[tag_length]
