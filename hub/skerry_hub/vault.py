"""Keys at rest: a key-encryption key (KEK) outside the database, and what is sealed under it.

    KEK, 32 bytes, a file of its own or what keysource.py has
      wraps    row key, 32 bytes, in the database     AES-SIV over ("row key", hub id)
        seals  a column of a device's row             AES-SIV over (purpose, device id)
        seals  check key, 32 bytes, in the database   its synthetic IVs are keyed hashes of K0

AES-SIV (RFC 5297) needs no nonce that could repeat, after a restored backup for example. What is
named beside a value is authenticated with it: a value moved to another row does not open.

Row keys have numbers, one byte, before what is wrapped or sealed: rotation.py says how a new one
takes the place of the old one. The database has `row_key`, meanwhile also `next_row_key`, and
`turned_row_key`, the latter under the new KEK.
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
from skerry_hub.files import synced, write_private

__all__ = [
    "Vault", "VaultError", "create_kek", "new_row_key", "opens", "parse_kek", "present_kek",
    "read_kek", "wrap_as",
]  # fmt: skip

_KEY_LENGTH = 32  # bytes
_TAG_LENGTH = 16  # bytes
_CHECK = b"check key"
_KEK_TEXT = re.compile(rb"([0-9a-fA-F]{64})\n?")


class Vault:
    """Seals and opens the values of one hub."""

    def __init__(self, kek: bytes, hub: str, *wrapped: bytes) -> None:
        """Unwrap row keys (49 bytes wrapped): see `load`."""
        self._hub = hub
        self._ciphers: dict[int, AESSIV] = {}
        self._check: AESSIV | None = None
        self.load(kek, *wrapped)

    def __repr__(self) -> str:
        return f"<Vault of {self._hub}>"

    def load(self, kek: bytes, *wrapped: bytes) -> None:
        """Unwrap those row keys that are wrapped under this KEK; seal under the last of them.

        The number of the first one given has to be among them: VaultError, and nothing changes.
        """
        found = [
            (each[0], AESSIV(key)) for each in wrapped if (key := _unwrap(kek, self._hub, each))
        ]
        if not wrapped or wrapped[0][:1] not in [bytes((number,)) for number, _ in found]:
            raise VaultError(
                f"the key-encryption key is not the one of hub {self._hub}: put the right file in"
                " place or name it in SKERRY_KEK_FILE"
            )
        self._ciphers = dict(found)
        self._mark, self._cipher = bytes((found[-1][0],)), found[-1][1]

    @property
    def numbers(self) -> set[int]:
        """The numbers of the row keys here."""
        return set(self._ciphers)

    def keep(self, numbers: set[int]) -> None:
        """Forget all row keys but these, and what is sealed under."""
        for number in self.numbers - numbers - {self._mark[0]}:
            del self._ciphers[number]

    def seal(self, purpose: bytes, device_id: bytes, plaintext: bytes) -> bytes:
        """Return the plaintext sealed for one column of one device; 17 bytes longer."""
        return self._mark + self._cipher.encrypt(plaintext, [purpose, device_id])

    def open(self, purpose: bytes, device_id: bytes, sealed: bytes) -> bytes:
        """Return what `seal` was given for the same purpose and device; raise VaultError."""
        try:
            return self._ciphers[sealed[0]].decrypt(sealed[1:], [purpose, device_id])
        except (InvalidTag, ValueError, LookupError):
            raise VaultError(
                f"the stored {purpose.decode()} of {device_id.decode()} does not open:"
                " restore the database from a backup or enrol the device again"
            ) from None

    def new_check_key(self) -> bytes:
        """Return a new check key, sealed; `check_with` takes it."""
        return self.seal(_CHECK, self._hub.encode(), os.urandom(_KEY_LENGTH))

    def check_with(self, sealed: bytes) -> None:
        """Take the check key for `key_check`; raise VaultError."""
        self._check = AESSIV(self.open(_CHECK, self._hub.encode(), sealed))

    def resealed_check_key(self, sealed: bytes) -> bytes:
        """Return the check key sealed anew; raise VaultError."""
        name = self._hub.encode()
        return self.seal(_CHECK, name, self.open(_CHECK, name, sealed))

    def key_check(self, master_key: bytes) -> bytes | None:
        """Return 16 bytes that are the same for the same K0, and tell nothing without the KEK.

        They are the synthetic IV of AES-SIV, a pseudorandom function of what it seals. None
        before `check_with`.
        """
        if self._check is None:
            return None
        return self._check.encrypt(master_key, [b"key check"])[:_TAG_LENGTH]

    def following_row_key(self, kek: bytes) -> bytes:
        """Return a new row key under this KEK, with the number behind the newest one here."""
        return new_row_key(kek, self._hub, (self._mark[0] + 1) % 256)


def wrap_as(kek: bytes, other: bytes, hub: str, wrapped: bytes) -> bytes:
    """Return a row key that is wrapped under `kek` wrapped under `other`; raise VaultError."""
    key = _unwrap(kek, hub, wrapped)
    if key is None:
        raise VaultError("the key-encryption key is not the one that this rotation began with")
    return _wrap(other, hub, wrapped[0], key)


def opens(kek: bytes, hub: str, wrapped: bytes) -> bool:
    """Tell whether a row key is wrapped under this KEK."""
    return _unwrap(kek, hub, wrapped) is not None


def _unwrap(kek: bytes, hub: str, wrapped: bytes) -> bytes | None:
    tag, ciphertext = wrapped[1 : 1 + _TAG_LENGTH], wrapped[1 + _TAG_LENGTH :]
    try:
        return _siv(kek, hub).decrypt_and_verify(ciphertext, tag)
    except ValueError:
        return None


def _wrap(kek: bytes, hub: str, number: int, key: bytes) -> bytes:
    ciphertext, tag = _siv(kek, hub).encrypt_and_digest(key)
    return bytes((number,)) + tag + ciphertext


def new_row_key(kek: bytes, hub: str, number: int = 0) -> bytes:
    """Make a row key and return it wrapped, 49 bytes; a Vault unwraps it."""
    return _wrap(kek, hub, number, os.urandom(_KEY_LENGTH))


def create_kek(path: Path) -> bytes:
    """Make a KEK that only its owner can read and return it; raise VaultError if there is one."""
    kek = os.urandom(_KEY_LENGTH)
    try:
        write_private(path, kek.hex().encode() + b"\n")
    except OSError as error:
        raise VaultError(f"cannot write the key-encryption key {path}: {error.strerror}") from None
    return kek


def present_kek(path: Path) -> bytes:
    """Return the KEK that is there, or else a new one, durable; raise VaultError."""
    if path.is_file() and path.stat().st_size == 0:  # who made it was cut off
        path.unlink()
    if path.exists():
        return read_kek(path)
    kek = create_kek(path)
    synced(path.parent)
    return kek


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
    kek = parse_kek(text)
    if kek is None:
        raise VaultError(
            f"{path} is not 64 hexadecimal digits: put the key-encryption key back from a backup"
        )
    return kek


def parse_kek(text: bytes) -> bytes | None:
    """Return the KEK that a text says, 64 hexadecimal digits; None if it is none."""
    match = _KEK_TEXT.fullmatch(text)
    return bytes.fromhex(match[1].decode()) if match else None


def _siv(kek: bytes, hub: str) -> SivMode:
    cipher = AES.new(kek, AES.MODE_SIV)
    cipher.update(b"row key")
    cipher.update(hub.encode())
    return cipher
