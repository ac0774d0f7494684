"""Keys at rest: a key-encryption key (KEK) outside the database, and what is sealed under it.

    KEK, 32 bytes, a file of its own
      wraps    row key, 32 bytes, in the database     AES-SIV over ("row key", hub id)
        seals  a column of a device's row             AES-SIV over (purpose, device id)

AES-SIV (RFC 5297) needs no nonce that could repeat, after a restored backup for example. What is
named beside a value is authenticated with it: a value moved to another row does not open.
"""

import os
import re
import stat
from pathlib import Path

from Crypto.Cipher import AES
from Crypto.Cipher._mode_siv import SivMode
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from skerry_hub.errors import VaultError

__all__ = ["Vault", "VaultError", "create_kek", "new_row_key", "read_kek", "write_private"]

_KEY_LENGTH = 32  # bytes
_TAG_LENGTH = 16  # bytes
_KEK_TEXT = re.compile(rb"([0-9a-fA-F]{64})\n?")


class Vault:
    """Seals and opens the values of one hub."""

    def __init__(self, kek: bytes, hub: str, wrapped: bytes) -> None:
        """Unwrap the row key (48 bytes wrapped); raise VaultError if this KEK is another one."""
        self._hub = hub
        cipher = _siv(kek, hub)
        try:
            row_key = cipher.decrypt_and_verify(wrapped[_TAG_LENGTH:], wrapped[:_TAG_LENGTH])
        except ValueError:
            raise VaultError(
                f"the key-encryption key is not the one of hub {hub}: put the right file in place"
                " or name it in SKERRY_KEK_FILE"
            ) from None
        self._cipher = AESSIV(row_key)

    def __repr__(self) -> str:
        return f"<Vault of {self._hub}>"

    def seal(self, purpose: bytes, device_id: bytes, plaintext: bytes) -> bytes:
        """Return the plaintext sealed for one column of one device; 16 bytes longer."""
        return self._cipher.encrypt(plaintext, [purpose, device_id])

    def open(self, purpose: bytes, device_id: bytes, sealed: bytes) -> bytes:
        """Return what `seal` was given for the same purpose and device; raise VaultError."""
        try:
            return self._cipher.decrypt(sealed, [purpose, device_id])
        except (InvalidTag, ValueError):
            raise VaultError(
                f"the stored {purpose.decode()} of {device_id.decode()} does not open:"
                " restore the database from a backup or enrol the device again"
            ) from None

    def key_check(self, master_key: bytes) -> bytes:
        """Return 16 bytes that are the same for the same K0, and tell nothing without the KEK.

        They are the synthetic IV of AES-SIV, a pseudorandom function of what it seals.
        """
        return self._cipher.encrypt(master_key, [b"key check"])[:_TAG_LENGTH]


def new_row_key(kek: bytes, hub: str) -> bytes:
    """Make a row key and return it wrapped, 48 bytes; a Vault unwraps it."""
    ciphertext, tag = _siv(kek, hub).encrypt_and_digest(os.urandom(_KEY_LENGTH))
    return tag + ciphertext


def create_kek(path: Path) -> bytes:
    """Make a KEK that only its owner can read and return it; raise VaultError if there is one."""
    kek = os.urandom(_KEY_LENGTH)
    try:
        write_private(path, kek.hex().encode() + b"\n")
    except OSError as error:
        raise VaultError(f"cannot write the key-encryption key {path}: {error.strerror}") from None
    return kek


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that only its owner can read, synced to the disk; raise OSError."""
    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())


def read_kek(path: Path) -> bytes:
    """Read a KEK; raise VaultError if it is missing, malformed or not its owner's alone."""
    try:
        # Opened before it is looked at: what is checked is what is read. A FIFO must not block.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            text = opened.read(_KEY_LENGTH * 2 + 2) if stat.S_ISREG(mode) else b""
    except FileNotFoundError:
        raise VaultError(
            f"no key-encryption key at {path}: put it back from your backup"
            " or name its file in SKERRY_KEK_FILE"
        ) from None
    except OSError as error:
        raise VaultError(f"cannot read the key-encryption key {path}: {error.strerror}") from None
    if stat.S_ISREG(mode) and mode & 0o077:
        raise VaultError(f"others may read the key-encryption key: run chmod 600 '{path}'")
    match = _KEK_TEXT.fullmatch(text)
    if match is None:
        raise VaultError(
            f"{path} is not 64 hexadecimal digits: put the key-encryption key back from a backup"
        )
    return bytes.fromhex(match[1].decode())


def _siv(kek: bytes, hub: str) -> SivMode:
    cipher = AES.new(kek, AES.MODE_SIV)
    cipher.update(b"row key")
    cipher.update(hub.encode())
    return cipher
