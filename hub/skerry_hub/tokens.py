"""Tokens of the web interface: skerry token.

    skerry.NAME.SECRET      SECRET: 32 random bytes, base64url, 43 characters

The store has SHA-256 of the secret. A slow hash protects what people make up; nobody guesses 256
random bits, and a hash of them tells nothing. A token is shown once, when it is made.
"""

import base64
import hashlib
import hmac
import os
import re
import time
from collections.abc import Collection

from skerry_hub.errors import BadName, HubError
from skerry_hub.store import Store, Token

SCOPES = {
    "read": "see devices, readings, the audit log and the figures",
    "operate": "revoke, quarantine, release, tag, set values and the policy, poke",
    "enrol": "enrol devices and take the bundles of those, once",
}
_PREFIX = "skerry"
_SECRET_LENGTH = 32  # bytes
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_UNKNOWN = bytes(_SECRET_LENGTH)  # compared with where no token has the name


def new(
    store: Store, name: str, scopes: Collection[str], valid_s: float | None = None
) -> tuple[Token, str]:
    """Make a token and return it with its text, which nobody can tell again.

    `valid_s` is in seconds, from now on. Raises BadName, HubError for the scopes, DuplicateToken.
    """
    if _NAME.fullmatch(name) is None:
        raise BadName(
            f"{name!r} is no name of a token: 1 to 63 lowercase letters, digits, '.', '_' or '-'"
        )
    if not scopes or not set(scopes) <= set(SCOPES):
        raise HubError(f"what may it do? name at least one --scope of {', '.join(SCOPES)}")
    secret = os.urandom(_SECRET_LENGTH)
    now = time.time()
    said = " ".join(each for each in SCOPES if each in scopes)
    expires_at = None if valid_s is None else now + valid_s
    token = Token(name, hashlib.sha256(secret).digest(), said, now, expires_at)
    store.add_token(token)
    return token, f"{_PREFIX}.{name}.{base64.urlsafe_b64encode(secret).decode().rstrip('=')}"


def check(store: Store, text: str) -> Token | None:
    """Return the token that a text is, if it is one and has not expired; raise StoreError."""
    head, _, secret = text.rpartition(".")
    prefix, _, name = head.partition(".")
    token = store.token(name) if prefix == _PREFIX else None
    try:
        said = base64.b64decode(secret + "=", b"-_", validate=True)
    except ValueError:
        return None
    same = hmac.compare_digest(hashlib.sha256(said).digest(), token.hash if token else _UNKNOWN)
    return token if token is not None and same and not expired(token) else None


def expired(token: Token) -> bool:
    """Tell whether a token is no more valid."""
    return token.expires_at is not None and token.expires_at <= time.time()
