"""Verify the audit log: is it whole, and does it still hold what was printed before.

What it cannot tell by itself is whether its end was cut off, or all of it hashed anew: for that,
keep the head (NUMBER:HASH) somewhere else and give it to `verified`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from skerry_hub.errors import AuditError, HubError
from skerry_hub.store import Store
from skerry_hub.store.ledger import BEFORE_ALL, Entry, digest

_HEAD = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


@dataclass(frozen=True)
class Verified:
    """How many entries there are, and the head to keep elsewhere: NUMBER:HASH."""

    entries: int
    head: str


def head_of(entry: Entry | None) -> str:
    """Return what stands for the log up to an entry."""
    return f"{entry.id}:{entry.hash.hex()}" if entry else f"0:{BEFORE_ALL.hex()}"


def entries(store: Store, after: int = 0, subject: str | None = None) -> Iterator[Entry]:
    """Iterate over the entries behind a number, of one subject or all; raise StoreError."""
    while found := store.audit_after(after, subject=subject):
        yield from found
        after = found[-1].id


def verified(store: Store, kept: str | None = None) -> Verified:
    """Read the whole log; raise AuditError with the number of the entry that is wrong.

    `kept` is a head of before, which the log has to hold: HubError if it is none.
    """
    number, wanted = _parsed(kept) if kept else (0, BEFORE_ALL)
    last: Entry | None = None
    for entry in entries(store):
        _check(last, entry)
        if entry.id == number and entry.hash != wanted:
            raise AuditError(
                f"audit entry {number} is another one than the head that you kept: the log"
                " was written anew; compare it with a backup"
            )
        last = entry
    if number > (last.id if last else 0):
        raise AuditError(
            f"the audit log ends with entry {last.id if last else 0}, and you kept the head of"
            f" {number}: its end was cut off, or an older database put in place"
        )
    return Verified(last.id if last else 0, head_of(last))


def _check(before: Entry | None, entry: Entry) -> None:
    number = before.id + 1 if before else 1
    if entry.id != number:
        raise AuditError(f"audit entry {number} is missing: compare the log with a backup")
    if digest(before.hash if before else BEFORE_ALL, entry) != entry.hash:
        raise AuditError(
            f"audit entry {number} was changed, or the one before it: compare with a backup"
        )


def _parsed(head: str) -> tuple[int, bytes]:
    match = _HEAD.fullmatch(head)
    if match is None:
        raise HubError(f"{head!r} is no head: write it as skerry audit --verify printed it")
    return int(match[1]), bytes.fromhex(match[2])
