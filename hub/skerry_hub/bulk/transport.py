"""Keys on the way between two machines: wrapped under a transport key, never in clear.

    siv1.k.BASE64URL    K0, 32 bytes     AES-SIV (RFC 5297) over ("skerry key", id)
    siv1.c.BASE64URL    chain, 72 bytes  AES-SIV over ("skerry chain", hub id, id)

The transport key is 64 hexadecimal digits in a file that only its owner reads, as the KEK is. A
value in another row, or under another key, does not open.
"""

import base64
import binascii
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from skerry_hub.errors import BadKey, VaultError
from skerry_hub.vault import read_kek

_KEY, _CHAIN = "siv1.k.", "siv1.c."


class Transport:
    """Wraps and unwraps under one transport key."""

    def __init__(self, path: Path, hub: str) -> None:
        """Read the key's file; raise VaultError."""
        try:
            self.key = read_kek(path)
        except VaultError as error:
            text = str(error).replace("key-encryption key", "transport key")
            raise VaultError(text.replace(" or name its file in SKERRY_KEK_FILE", "")) from None
        self._hub = hub.encode()
        self._cipher = AESSIV(self.key)

    def __repr__(self) -> str:
        return "<Transport>"

    def _named(self, kind: str, name: str) -> list[bytes]:
        if kind == _KEY:
            return [b"skerry key", name.encode()]
        return [b"skerry chain", self._hub, name.encode()]

    def wrap_chain(self, name: str, chain: bytes) -> str:
        """Return a packed chain, wrapped for the row of a device."""
        return self._wrap(_CHAIN, name, chain)

    def wrap_key(self, name: str, key: bytes) -> str:
        """Return a K0, wrapped for the row of a device."""
        return self._wrap(_KEY, name, key)

    def _wrap(self, kind: str, name: str, key: bytes) -> str:
        wrapped = self._cipher.encrypt(key, self._named(kind, name))
        return kind + base64.urlsafe_b64encode(wrapped).decode()

    def unwrap(self, name: str, wrapped: str) -> tuple[bool, bytes]:
        """Return (whether it is a chain, the key) of a device's row; raise BadKey."""
        kind = wrapped[: len(_KEY)]
        if kind not in (_KEY, _CHAIN):
            raise BadKey("not a wrapped key: it begins with siv1.k. or siv1.c.")
        try:
            content = base64.b64decode(wrapped[len(kind) :], b"-_", validate=True)
            return kind == _CHAIN, self._cipher.decrypt(content, self._named(kind, name))
        except (binascii.Error, ValueError):
            raise BadKey("not a wrapped key: something of it is missing or changed") from None
        except InvalidTag:
            raise BadKey(
                "does not open: another transport key, another device's row, or another hub's"
            ) from None
