"""Pieces of what the store holds, for people: each read looks at a bounded number of rows."""

import sqlite3
from collections.abc import Mapping

from skerry_hub.store import Device, Page, Reading, Wanted
from skerry_hub.store.ledger import Entry

LOOKED_AT = 2000  # rows of devices, for one page

_DEVICES = """
    SELECT id, name, label, state, suite, era, step, fingerprint, session_fingerprint,
           session_era, session_step, enrolled_at, seen_at, readings, chip, board, tags
    FROM (SELECT * FROM device WHERE id > ?1 ORDER BY id LIMIT ?2)
    WHERE (?3 = '' OR state = ?3)
      AND (?4 = '' OR instr(' ' || tags || ' ', ' ' || ?4 || ' ') > 0)
      AND (?5 = '' OR instr(lower(name || ' ' || label || ' ' || fingerprint), lower(?5)) > 0)
    ORDER BY id LIMIT ?6
"""
_LAST_LOOKED_AT = "SELECT id FROM device WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?"
_READINGS = """
    WITH RECURSIVE chain (id, n) AS (
        SELECT last_reading, 1 FROM device WHERE id = ?1 AND ?2 IS NULL
        UNION ALL
        SELECT previous, 1 FROM reading WHERE id = ?2 AND device = ?1
        UNION ALL
        SELECT previous, n + 1 FROM chain JOIN reading USING (id)
        WHERE n < ?3 AND previous NOT NULL
    )
    SELECT r.id, r.device, d.name, r.at, r.path, r.format, r.payload
    FROM chain JOIN reading AS r USING (id) JOIN device AS d ON d.id = r.device
    ORDER BY r.id DESC
"""
_ENTRIES = "SELECT id, at, who, action, subject, detail, hash FROM audit WHERE id < ? "


class Pages:
    """Reads for pages: see `Store`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def population(self) -> Mapping[str, int]:
        """Return how many devices are in each state."""
        return dict(self._db.execute("SELECT state, devices FROM population").fetchall())

    def devices(self, after: int, limit: int, wanted: Wanted) -> Page:
        """Return a page of devices."""
        sought = (after, LOOKED_AT, wanted.state, wanted.tag, wanted.text, limit)
        found = [Device(*row) for row in self._db.execute(_DEVICES, sought)]
        if len(found) == limit:
            return Page(found, found[-1].id)
        last = self._db.execute(_LAST_LOOKED_AT, (after, LOOKED_AT - 1)).fetchone()
        return Page(found, None if last is None else last[0])

    def readings(self, device: int, before: int | None, limit: int) -> list[Reading]:
        """Return readings of a device, newest first."""
        return [Reading(*row) for row in self._db.execute(_READINGS, (device, before, limit))]

    def entries(self, before: int | None, limit: int, subject: str | None) -> list[Entry]:
        """Return entries of the audit log, newest first."""
        values: list[object] = [before if before is not None else (1 << 63) - 1]
        about = ""
        if subject is not None:  # said in SQL, so that its index is used
            about = "AND subject = ? "
            values.append(subject)
        rows = self._db.execute(_ENTRIES + about + "ORDER BY id DESC LIMIT ?", (*values, limit))
        return [Entry(*row) for row in rows]
