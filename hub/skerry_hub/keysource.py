"""Where the key-encryption key (KEK) comes from. It is read at start, and held in memory alone.

kek_file       a file, 64 hexadecimal digits
kek_command    what a program prints: the same 64 digits
kek_pkcs11     HMAC-SHA-256 of "skerry kek" under a secret key that stays in its token
"""

import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from skerry_hub.errors import VaultError
from skerry_hub.vault import parse_kek, read_kek

KINDS = ("file", "command", "pkcs11")

_WITHIN_S = 60.0  # somebody may have to type a passphrase
_INPUT = b"skerry kek"
_PKCS11 = re.compile(r"pkcs11:([^?]*)(?:\?(.*))?")


@dataclass(frozen=True)
class KeySource:
    """One of the three: a file, a command, or an RFC 7512 URI of a secret key."""

    kind: str
    said: str

    def __str__(self) -> str:
        return self.said if self.kind == "file" else f"{self.kind} {self.said}"

    @property
    def path(self) -> Path | None:
        """The file, if it is one."""
        return Path(self.said) if self.kind == "file" else None

    def read(self) -> bytes:
        """Return the KEK, 32 bytes; raise VaultError."""
        if self.kind == "command":
            return _from_command(self.said)
        if self.kind == "pkcs11":
            return _from_token(self.said)
        return read_kek(Path(self.said))


def _from_command(command: str) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - it is the operator's own, from the settings
            shlex.split(command), stdout=subprocess.PIPE, timeout=_WITHIN_S, check=False
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise VaultError(f"kek_command {command!r} does not run: {reason}") from None
    kek = parse_kek(done.stdout) if done.returncode == 0 else None
    if kek is None:
        raise VaultError(
            f"kek_command {command!r} ended with {done.returncode} and did not print 64"
            " hexadecimal digits: run it by hand and see why"
        )
    return kek


def _from_token(uri: str) -> bytes:
    try:
        import pkcs11
    except ModuleNotFoundError:
        raise VaultError("no pkcs11 found: pip install 'skerry[pkcs11]'") from None
    token, label, module, pin = _parsed(uri)
    try:
        library = pkcs11.lib(module)
        with library.get_token(token_label=token).open(user_pin=pin) as session:
            key: Any = session.get_key(object_class=pkcs11.ObjectClass.SECRET_KEY, label=label)
            return bytes(key.sign(_INPUT, mechanism=pkcs11.Mechanism.SHA256_HMAC))
    except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:
        raise VaultError(
            f"the token {token!r} gives no key {label!r}: {type(error).__name__}; check the token,"
            " its PIN and kek_pkcs11"
        ) from None


def _parsed(uri: str) -> tuple[str, str, str, str]:
    """Return token, label, module and PIN of a URI; raise VaultError."""
    found = _PKCS11.fullmatch(uri)
    attributes = dict(each.partition("=")[::2] for each in found[1].split(";")) if found else {}
    query = {name: values[0] for name, values in parse_qs(found[2] or "").items()} if found else {}
    try:
        pin = Path(query["pin-source"].removeprefix("file:")).read_text().strip()
        return (
            unquote(attributes["token"]),
            unquote(attributes["object"]),
            query["module-path"],
            pin,
        )
    except KeyError as error:
        raise VaultError(
            f"kek_pkcs11 lacks {error.args[0]}: write pkcs11:token=T;object=O"
            "?module-path=/usr/lib/...so&pin-source=file:/etc/skerry/pin"
        ) from None
    except OSError as error:
        raise VaultError(f"cannot read the PIN {error.filename}: {error.strerror}") from None
