"""The audit log: who did what, each entry hashed together with the one before it.

    hash = SHA-256(hash before | JSON of [id, at, who, action, subject, detail])

A change, a gap or another order breaks the chain. It has no key: who may write the database may
hash it all anew, or cut off its end. That shows only beside a head that was kept elsewhere.
"""

import hashlib
import json
import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

BEFORE_ALL = bytes(32)

_acting: ContextVar[str | None] = ContextVar("acting", default=None)


class Entry(NamedTuple):
    """One entry; `detail` is JSON, `hash` has 32 bytes, `at` is in seconds since 1970."""

    id: int
    at: float
    who: str
    action: str
    subject: str
    detail: str
    hash: bytes

    @property
    def said(self) -> Mapping[str, object]:
        """The detail as values by name."""
        return json.loads(self.detail)  # type: ignore[no-any-return]


def digest(before: bytes, entry: Entry) -> bytes:
    """Return the hash that an entry has to have behind an entry with the hash `before`."""
    text = json.dumps(list(entry[:-1]), separators=(",", ":"))
    return hashlib.sha256(before + text.encode()).digest()


def following(
    last: Entry | None, at: float, action: str, subject: str, detail: Mapping[str, object]
) -> Entry:
    """Return the entry behind `last`, of whoever acts."""
    said = json.dumps(detail, sort_keys=True)
    number = last.id + 1 if last else 1
    entry = Entry(number, at, acting(), action, subject, said, b"")
    return entry._replace(hash=digest(last.hash if last else BEFORE_ALL, entry))


def acting() -> str:
    """Return who acts: whoever `acting_as` says, or else this process's user."""
    who = _acting.get()
    if who is not None:
        return who
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


@contextmanager
def acting_as(who: str) -> Iterator[None]:
    """Let the audit log name somebody else, here and in tasks that begin here."""
    token = _acting.set(who)
    try:
        yield
    finally:
        _acting.reset(token)
