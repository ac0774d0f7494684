"""A copy of the database while the hub runs: skerry backup. restoring.py puts one back.

A SQLite file, whichever database the hub has. It holds what the database holds: chains and pending
epochs, sealed, and the row key under the key-encryption key of today. There are no sessions in it;
they are in no database.
"""

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from skerry_hub import audit
from skerry_hub.errors import HubError
from skerry_hub.files import beside, synced, write_private
from skerry_hub.store import Store
from skerry_hub.store.database import edge

MADE_AT = "backup_at"  # a value of the hub itself, in the copy alone


@dataclass(frozen=True)
class Backup:
    """What was written; `head` is the audit log's, to be kept beside it."""

    file: str
    devices: int
    bytes: int
    head: str


def backup(store: Store, file: Path) -> Backup:
    """Write a consistent copy to a new file, as a whole or not at all.

    Raises HubError if the file is there, OSError or StoreError.
    """
    if file.exists():
        raise HubError(f"{file} is there: name a new file")
    part = beside(file, ".part")
    part.unlink(missing_ok=True)
    write_private(part, b"")
    try:
        head = audit.head_of(store.last_audit())
        store.copy_to(part)
        devices = _finished(part)
        os.link(part, file)  # unlike a rename, it never replaces anything
    finally:
        part.unlink(missing_ok=True)
    synced(file.parent)
    store.note("backup", "", {"file": file.name, "devices": devices})
    return Backup(str(file), devices, file.stat().st_size, head)


def _finished(copy: Path) -> int:
    """Say in a copy when it was made, check it, sync it; return how many devices there are."""
    with edge(copy), closing(sqlite3.connect(copy, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it
        made_at = repr(time.time()).encode()
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (MADE_AT, made_at))
        if db.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
            raise HubError("the database is damaged, and so would be its backup: skerry restore")
        devices = int(db.execute("SELECT count(*) FROM device").fetchone()[0])
    with copy.open("rb") as opened:
        os.fsync(opened.fileno())
    return devices
