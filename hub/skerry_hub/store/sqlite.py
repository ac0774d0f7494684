"""The store in one SQLite file. schema.sql is the truth; all SQL of the hub is in this folder.

Every write is one BEGIN IMMEDIATE transaction, synced to the disk before it returns.
"""

# ruff: noqa: D102 - what the methods do is said once, in `Store`.

import os
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from skerry_hub.errors import StoreDamaged, StoreError, StoreReplaced
from skerry_hub.files import beside, hold
from skerry_hub.store import Advance, Candidate, NewReading, Reading, Write
from skerry_hub.store.database import BUSY_S, alone, check_not_moved, edge, identity, opened
from skerry_hub.store.lifecycle import Lifecycle
from skerry_hub.store.moves import Moves
from skerry_hub.store.operated import Ledger, Seals
from skerry_hub.store.pages import Pages
from skerry_hub.store.tokens import Tokens
from skerry_hub.store.values import Values

_READINGS = """
    SELECT r.id, r.device, d.name, r.at, r.path, r.format, r.payload
    FROM reading AS r JOIN device AS d ON d.id = r.device
"""
_LAST_READING = """
    SELECT r.id, d.id, d.name, r.at, r.path, r.format, r.payload
    FROM device AS d JOIN reading AS r ON r.id = d.last_reading WHERE d.id = ?
"""
_READINGS_OF_DEVICE = """
    WITH RECURSIVE chain (id) AS (
        SELECT last_reading FROM device WHERE id = ?1
        UNION ALL
        SELECT previous FROM chain JOIN reading USING (id) WHERE previous > ?2
    )
    SELECT r.id, r.device, d.name, r.at, r.path, r.format, r.payload
    FROM chain JOIN reading AS r USING (id) JOIN device AS d ON d.id = r.device
    WHERE r.id > ?2 ORDER BY r.id LIMIT ?3
"""
_HAND_OVER = """
    WITH RECURSIVE chain (id) AS (
        SELECT last_reading FROM device WHERE id = ?2
        UNION ALL
        SELECT previous FROM chain JOIN reading USING (id) WHERE previous NOT NULL
    )
    UPDATE reading SET device = ?1 WHERE id IN (SELECT id FROM chain)
"""
_READINGS_BEFORE = """
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


class SqliteStore(Lifecycle, Values, Tokens, Pages):
    """A `Store`: see there for what the methods do. Use one a process."""

    _db: sqlite3.Connection
    _POSITION = "instr"
    _lead: int | None = None  # the descriptor by which this process leads

    def __init__(self, path: Path) -> None:
        """Open the database; raise NotInitialised or StoreError."""
        self._path = path
        while True:
            self._file, self._db = identity(path), opened(path)
            if identity(path) in (self._file, None):
                break
            self._db.close()  # a backup was put in its place this very moment
        self._moves = Moves(self._db)
        self._ledger = Ledger(self._db)
        self._seals = Seals(self._db)

    def _edge(self) -> AbstractContextManager[None]:
        return edge(self._path)

    def __repr__(self) -> str:
        return f"<SqliteStore {self._path}>"

    def _read(self, sql: str, *values: Any) -> list[Any]:
        with self._edge():
            return self._db.execute(sql, values).fetchall()

    def _in_place(self) -> None:
        """Raise StoreReplaced if what is open is no more what is at its path."""
        if identity(self._path) not in (self._file, None):
            raise StoreReplaced(self._path)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._edge():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._in_place()
                yield self._db
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        with self._edge():
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("ROLLBACK")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else writes meanwhile, and nothing is in the journal; raise StoreError."""
        journal = beside(self._path, "-wal")
        end = time.monotonic() + BUSY_S
        while True:
            self.scrub()
            with self._writing():
                if not journal.exists() or journal.stat().st_size == 0:
                    yield
                    return
            if time.monotonic() > end:
                raise StoreError(
                    f"database {self._path}: another process reads it: end that one or try again"
                )
            time.sleep(0.1)

    # One process writes at a time, and so nothing has to be locked beside that.

    def _lock(self, devices: Iterable[int]) -> None: ...

    def _lock_keys(self) -> None: ...

    def _found_by(self, rows: Sequence[tuple[bytes, int]]) -> None:
        self._moves.found_by(rows)

    def _committed(self) -> None:
        self._moves.committed()

    def _hand_over_readings(self, device: int, former: int) -> None:
        self._db.execute(_HAND_OVER, (device, former))
        self._db.execute(
            "UPDATE device SET (last_reading, readings) ="
            " (SELECT last_reading, readings FROM device WHERE id = ?) WHERE id = ?",
            (former, device),
        )
        self._db.execute(
            "UPDATE device SET last_reading = NULL, readings = 0 WHERE id = ?", (former,)
        )

    def candidates(self, pids: Collection[bytes]) -> dict[bytes, list[Candidate]]:
        with self._snapshot():
            return self._moves.candidates(pids)

    def coming(self, pids: Collection[bytes]) -> dict[bytes, list[Candidate]]:
        with self._snapshot():
            return self._moves.coming(pids)

    def write(self, batch: Sequence[Write]) -> list[bool]:
        with self._writing():
            self._seals.check([each.chain for each in batch if isinstance(each, Advance)])
            done = self._moves.write(batch)
        self._moves.committed()
        return done

    def changes(self) -> int:
        self._in_place()
        return int(self._read("PRAGMA data_version")[0][0])

    def add_reading(
        self, device: int, at: float, path: str, format: int | None, payload: bytes
    ) -> int:
        with self._writing():
            return self._moves.add_reading(NewReading(device, at, path, format, payload))

    def readings_after(
        self, reading: int, device: int | None = None, limit: int = 1000
    ) -> list[Reading]:
        if device is None:
            rows = self._read(_READINGS + "WHERE r.id > ? ORDER BY r.id LIMIT ?", reading, limit)
        else:
            rows = self._read(_READINGS_OF_DEVICE, device, reading, limit)
        return [Reading(*row) for row in rows]

    def last_reading(self, device: int) -> Reading | None:
        return next((Reading(*row) for row in self._read(_LAST_READING, device)), None)

    def last_reading_id(self) -> int:
        return int(self._read("SELECT coalesce(max(id), 0) FROM reading")[0][0])

    def readings_before(self, device: int, before: int | None, limit: int) -> list[Reading]:
        rows = self._read(_READINGS_BEFORE, device, before, limit)
        return [Reading(*row) for row in rows]

    def copy_to(self, path: Path) -> None:
        with self._edge(), closing(sqlite3.connect(path)) as copy:
            self._db.backup(copy)

    def claim(self) -> None:
        self._in_place()  # beside that, its control socket says so
        with self._edge():
            check_not_moved(self._db, self._path)

    def lead(self) -> bool:
        # A file of its own: the folder is locked by whoever works in it (files.locked), and with
        # a descriptor of the database SQLite's locks of it would be closed too.
        path = beside(self._path, ".lead")
        try:
            self._lead = hold(path) if self._lead is None else self._lead
        except OSError as error:
            raise StoreError(
                f"{path}: {error.strerror}: check who owns it, its folder and the disk"
            ) from None
        return self._lead is not None

    def check(self) -> str:
        found = self._read("PRAGMA integrity_check(1)")[0][0]
        if found != "ok":
            raise StoreDamaged(f"database {self._path}: it is damaged: restore it from a backup")
        return "sound"

    def scrub(self) -> bool:
        self._in_place()
        with self._edge():
            self._db.execute("PRAGMA busy_timeout = 0")  # it can as well be done the next time
            try:
                busy = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            finally:
                self._db.execute(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")
        return not busy

    def close_alone(self) -> None:
        """Close it with all that it holds in its one file; raise StoreError if that cannot be."""
        with self._edge(), closing(self._db):
            alone(self._db)

    def close(self) -> None:
        with suppress(StoreError):
            self.scrub()
        self._db.close()
        if self._lead is not None:
            os.close(self._lead)
            self._lead = None
