"""What an operator's work does in the database, inside a transaction of the owner's."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from skerry_hub.errors import StaleKey
from skerry_hub.store import Sealed
from skerry_hub.store.ledger import Entry, following

_ENTRIES = "SELECT id, at, who, action, subject, detail, hash FROM audit "
_BEFORE = """
    SELECT 'chain', id, name, '', chain FROM device WHERE chain <> ? AND substr(chain, 1, 1) <> ?
    UNION ALL
    SELECT 'pending_key', id, name, '', pending_key FROM device
        WHERE substr(pending_key, 1, 1) <> ?
    UNION ALL
    SELECT 'config', c.device, d.name, c.path, c.payload
        FROM config AS c JOIN device AS d ON d.id = c.device WHERE substr(c.payload, 1, 1) <> ?
    LIMIT ?
"""
_RESEAL = {
    "chain": "UPDATE device SET chain = ? WHERE id = ? AND chain = ?",
    "pending_key": "UPDATE device SET pending_key = ? WHERE id = ? AND pending_key = ?",
    "config": "UPDATE config SET payload = ? WHERE device = ? AND payload = ? AND path = ?",
}


class Connection(Protocol):
    """A connection to a database, as sqlite3 has it."""

    def execute(self, sql: str, values: Sequence[Any] = ..., /) -> Any:
        """Do a statement and return a cursor."""

    def executemany(self, sql: str, values: Iterable[Sequence[Any]], /) -> Any:
        """Do a statement for each."""


class Ledger:
    """The audit log."""

    def __init__(self, db: Connection) -> None:
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
        about = () if subject is None else (subject,)
        where = "WHERE id > ? AND subject = ?" if about else "WHERE id > ?"
        sql = f"{_ENTRIES}{where} ORDER BY id LIMIT ?"
        return [Entry(*row) for row in self._db.execute(sql, (number, *about, limit)).fetchall()]


class Seals:
    """What is sealed, under which row key: its number is the first byte of what is sealed."""

    def __init__(self, db: Connection) -> None:
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
        mark = bytes((number,))
        rows = self._db.execute(_BEFORE, (b"", mark, mark, mark, limit)).fetchall()
        return [Sealed(*row) for row in rows]

    def reseal(self, values: Sequence[tuple[Sealed, bytes]]) -> None:
        """Put new values in the place of old ones: see `Store`."""
        for column, sql in _RESEAL.items():
            rows = [(new, old.device, old.value, old.path) for old, new in values
                    if old.column == column]  # fmt: skip
            self._db.executemany(sql, [row[: sql.count("?")] for row in rows])
