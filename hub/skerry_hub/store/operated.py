"""What an operator's work does in the database, inside a transaction of the owner's."""

import sqlite3
import time
from collections.abc import Mapping, Sequence

from skerry_hub.errors import StaleKey
from skerry_hub.store import Sealed
from skerry_hub.store.ledger import Entry, following

_ENTRIES = "SELECT id, at, who, action, subject, detail, hash FROM audit "
_BEFORE = """
    SELECT 'chain', id, name, '', chain FROM device
        WHERE chain <> x'' AND substr(chain, 1, 1) <> ?1
    UNION ALL
    SELECT 'pending_key', id, name, '', pending_key FROM device
        WHERE substr(pending_key, 1, 1) <> ?1
    UNION ALL
    SELECT 'config', c.device, d.name, c.path, c.payload
        FROM config AS c JOIN device AS d ON d.id = c.device WHERE substr(c.payload, 1, 1) <> ?1
    LIMIT ?2
"""
_RESEAL = {
    "chain": "UPDATE device SET chain = ?1 WHERE id = ?2 AND chain = ?4",
    "pending_key": "UPDATE device SET pending_key = ?1 WHERE id = ?2 AND pending_key = ?4",
    "config": "UPDATE config SET payload = ?1 WHERE device = ?2 AND path = ?3 AND payload = ?4",
}


class Ledger:
    """The audit log."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def note(self, action: str, subject: str, detail: Mapping[str, object]) -> None:
        """Add an entry."""
        entry = following(self.last(), time.time(), action, subject, detail)
        self._db.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", entry)

    def last(self) -> Entry | None:
        """Return the last entry."""
        row = self._db.execute(_ENTRIES + "ORDER BY id DESC LIMIT 1").fetchone()
        return None if row is None else Entry(*row)

    def after(self, number: int, limit: int, subject: str | None) -> list[Entry]:
        """Return entries: see `Store`."""
        # Which subject is said in SQL, so that its index is used.
        about, values = ("", ()) if subject is None else ("AND subject = ? ", (subject,))
        rows = self._db.execute(
            _ENTRIES + f"WHERE id > ? {about}ORDER BY id LIMIT ?", (number, *values, limit)
        )
        return [Entry(*row) for row in rows]


class Seals:
    """What is sealed, under which row key: its number is the first byte of what is sealed."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def check(self, values: Sequence[bytes]) -> None:
        """Raise StaleKey if the row key of one of these is about to be no more."""
        if not values:
            return
        rows = self._db.execute(
            "SELECT substr(value, 1, 1) FROM meta WHERE key IN ('row_key', 'next_row_key')"
        ).fetchall()
        known = {number for (number,) in rows}
        if known and any(value[:1] not in known for value in values):
            raise StaleKey("the hub's keys were changed meanwhile: try again")

    def before(self, number: int, limit: int) -> list[Sealed]:
        """Return values sealed under another key: see `Store`."""
        rows = self._db.execute(_BEFORE, (bytes((number,)), limit))
        return [Sealed(*row) for row in rows]

    def reseal(self, values: Sequence[tuple[Sealed, bytes]]) -> None:
        """Put new values in the place of old ones: see `Store`."""
        for old, new in values:
            self._db.execute(_RESEAL[old.column], (new, old.device, old.path, old.value))
