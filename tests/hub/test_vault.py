"""Key wrapping: what opens, what does not, and what is refused with which words."""

import os
import re

import pytest
from Crypto.Cipher import AES

from skerry_hub.vault import Vault, VaultError, create_kek, new_row_key, read_kek

HUB = "h-test"
CHAIN = bytes(range(72))


@pytest.fixture
def kek():
    return os.urandom(32)


@pytest.fixture
def vault(kek):
    return Vault(kek, HUB, new_row_key(kek, HUB))


def unwrap(kek, wrapped):
    """The row key, by pycryptodome alone."""
    cipher = AES.new(kek, AES.MODE_SIV)
    cipher.update(b"row key")
    cipher.update(HUB.encode())
    return cipher.decrypt_and_verify(wrapped[17:], wrapped[1:17])


def test_what_is_sealed_opens(vault):
    sealed = vault.seal(b"chain", b"lamp", CHAIN)
    assert len(sealed) == len(CHAIN) + 17
    assert vault.open(b"chain", b"lamp", sealed) == CHAIN


def test_rows_are_rfc_5297_as_pycryptodome_reads_it(kek):
    wrapped = new_row_key(kek, HUB)
    row = AES.new(unwrap(kek, wrapped), AES.MODE_SIV)
    row.update(b"chain")
    row.update(b"lamp")
    ciphertext, tag = row.encrypt_and_digest(CHAIN)
    assert Vault(kek, HUB, wrapped).seal(b"chain", b"lamp", CHAIN) == b"\0" + tag + ciphertext


def test_rfc_5297_vector_of_appendix_a_1():
    key = bytes.fromhex("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
    aad = bytes.fromhex("101112131415161718191a1b1c1d1e1f2021222324252627")
    cipher = AES.new(key, AES.MODE_SIV)
    cipher.update(aad)
    ciphertext, tag = cipher.encrypt_and_digest(bytes.fromhex("112233445566778899aabbccddee"))
    assert tag.hex() == "85632d07c6e8f37f950acd320a2ecc93"
    assert ciphertext.hex() == "40c02b9690c4dc04daef7f6afe5c"


@pytest.mark.parametrize(
    ("purpose", "device"),
    [(b"chain", b"door"), (b"pending", b"lamp"), (b"chai", b"nlamp"), (b"chain", b"")],
)
def test_a_value_moved_elsewhere_does_not_open(vault, purpose, device):
    sealed = vault.seal(b"chain", b"lamp", CHAIN)
    with pytest.raises(VaultError):
        vault.open(purpose, device, sealed)


def test_no_bit_can_be_flipped(vault):
    sealed = vault.seal(b"chain", b"lamp", CHAIN)
    for bit in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(VaultError):
            vault.open(b"chain", b"lamp", bytes(changed))


@pytest.mark.parametrize("length", [0, 1, 15, 16, 87])
def test_a_value_of_another_length_does_not_open(vault, length):
    with pytest.raises(VaultError):
        vault.open(b"chain", b"lamp", vault.seal(b"chain", b"lamp", CHAIN)[:length])


def test_another_kek_or_hub_does_not_unwrap(kek):
    wrapped = new_row_key(kek, HUB)
    for other, hub in ((os.urandom(32), HUB), (kek, "h-other")):
        with pytest.raises(VaultError, match="SKERRY_KEK_FILE"):
            Vault(other, hub, wrapped)
    with pytest.raises(VaultError):
        Vault(kek, HUB, b"")


def test_repr_and_errors_show_no_key(kek):
    wrapped = new_row_key(kek, HUB)
    vault = Vault(kek, HUB, wrapped)
    with pytest.raises(VaultError) as caught:
        vault.open(b"chain", b"lamp", CHAIN)
    shown = repr(vault) + repr(caught.value) + str(caught.value)
    assert kek.hex() not in shown
    assert unwrap(kek, wrapped).hex() not in shown
    assert CHAIN.hex() not in shown
    assert "\n" not in str(caught.value)


def test_a_new_kek_is_its_owners_alone(tmp_path):
    path = tmp_path / "kek"
    kek = create_kek(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert re.fullmatch(r"[0-9a-f]{64}\n", path.read_text())
    assert read_kek(path) == kek
    with pytest.raises(VaultError, match="File exists"):
        create_kek(path)
    assert read_kek(path) == kek


@pytest.mark.parametrize(
    "text", ["", "\n", "0" * 63, "0" * 65, "g" * 64, "0" * 64 + "\n\n", " " + "0" * 64, "é" * 32]
)
def test_a_malformed_kek_is_refused(tmp_path, text):
    path = tmp_path / "kek"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(VaultError, match="64 hexadecimal digits"):
        read_kek(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o666])
def test_a_kek_that_others_may_use_is_refused(tmp_path, mode):
    path = tmp_path / "kek"
    create_kek(path)
    path.chmod(mode)
    with pytest.raises(VaultError, match="chmod 600"):
        read_kek(path)


def test_a_kek_that_is_no_file_is_refused(tmp_path):
    with pytest.raises(VaultError, match="no key-encryption key at"):
        read_kek(tmp_path / "kek")
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(VaultError, match="64 hexadecimal digits"):
        read_kek(tmp_path / "fifo")
    with pytest.raises(VaultError):
        read_kek(tmp_path)
