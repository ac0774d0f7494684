"""The store in one SQLite file. schema.sql is the truth; all SQL of the hub is in this folder.

Every write is one BEGIN IMMEDIATE transaction, synced to the disk before it returns.
"""

# ruff: noqa: D102 - what the methods do is said once, in `Store`.

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from skerry_hub.errors import DuplicateDevice, NotInitialised, StoreError
from skerry_hub.store import (
    Candidate,
    ConfigValue,
    Device,
    NewDevice,
    Reading,
    duplicate,
    named,
    replaces,
)
from skerry_hub.store.migrations import migrate

SCHEMA_VERSION = 3
_BUSY_S = 5.0  # how long to wait for another process's transaction

_REMEDIES = {
    sqlite3.SQLITE_BUSY: "another process holds it: end that one or try again",
    sqlite3.SQLITE_FULL: "the disk is full: make room and try again",
    sqlite3.SQLITE_READONLY: "it cannot be written: check who owns it and its folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: check who owns it and its folder",
    sqlite3.SQLITE_IOERR: "the disk fails: check it, then restore a backup if need be",
    sqlite3.SQLITE_CORRUPT: "it is damaged: restore it from a backup",
    sqlite3.SQLITE_NOTADB: "it is no database: restore it from a backup",
}

_CANDIDATES = """
    SELECT d.id, d.name, d.suite, d.era, d.step, d.chain, d.pending_pid, d.pending_key, p.era
    FROM pseudonym AS p JOIN device AS d ON d.id = p.device
    WHERE p.pid = ? AND d.state = 'active'
"""
_KEYS = """
    SELECT id, name, suite, era, step, chain, pending_pid, pending_key, era
    FROM device WHERE name = ?
"""
_DEVICES = """
    SELECT id, name, label, state, suite, era, step, fingerprint, session_fingerprint,
           session_era, session_step, enrolled_at, seen_at,
           (SELECT count(*) FROM reading WHERE reading.device = device.id), chip, board, tags
    FROM device
"""
_READINGS = """
    SELECT r.id, r.device, d.name, r.at, r.path, r.format, r.payload
    FROM reading AS r JOIN device AS d ON d.id = r.device
"""


@contextmanager
def _edge(path: Path) -> Iterator[None]:
    """Turn sqlite3's errors into StoreError, with a remedy."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        raise StoreError(f"database {path}: {_REMEDIES.get(code, error)}") from error


def _connect(path: Path) -> sqlite3.Connection:
    # mode=rw: a database that is not there is an error, not a new one.
    db = sqlite3.connect(f"{path.as_uri()}?mode=rw", _BUSY_S, isolation_level=None, uri=True)
    for setting in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON",
                    "foreign_keys = ON"):  # fmt: skip
        db.execute(f"PRAGMA {setting}")
    return db


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def create(path: Path, values: dict[str, bytes]) -> None:
    """Make a database with the hub's own values, as a whole or not at all; raise StoreError."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with _edge(path):
        db = _connect(path)
        try:
            schema = Path(__file__).with_name("schema.sql").read_text()
            db.executescript("BEGIN IMMEDIATE;" + schema)
            db.executemany("INSERT INTO meta VALUES (?, ?)", values.items())
            db.execute("COMMIT")
        finally:
            db.close()


class SqliteStore:
    """A `Store`: see there for what the methods do. Use one a process."""

    def __init__(self, path: Path) -> None:
        """Open the database; raise NotInitialised or StoreError."""
        self._path = path
        if not path.exists():
            raise NotInitialised(f"no hub in {path.parent}: run skerry init, or name its --data")
        with _edge(path):
            self._db = _connect(path)
            version = _version(self._db)
            if 0 < version < SCHEMA_VERSION:
                migrate(self._db, SCHEMA_VERSION)
                version = SCHEMA_VERSION
        if version == SCHEMA_VERSION:
            return
        self._db.close()
        if version == 0:
            raise NotInitialised(f"skerry init did not finish in {path.parent}: run it again")
        raise StoreError(f"database {path}: made by a newer skerry: upgrade this one")

    def __repr__(self) -> str:
        return f"<SqliteStore {self._path}>"

    def _read(self, sql: str, *values: Any) -> list[Any]:
        with _edge(self._path):
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed at the end, or as if it never was."""
        with _edge(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def candidates(self, pid: bytes) -> list[Candidate]:
        return [Candidate(*row) for row in self._read(_CANDIDATES, pid)]

    def advance(
        self,
        candidate: Candidate,
        era: int,
        step: int,
        chain: bytes,
        pending_pid: bytes,
        pending_key: bytes,
        learn: list[tuple[bytes, int]],
    ) -> bool:
        old = candidate
        with self._writing() as db:
            moved = db.execute(
                "UPDATE device SET era = ?, step = ?, chain = ?, pending_pid = ?, pending_key = ?"
                " WHERE id = ? AND state = 'active'"
                " AND era = ? AND step = ? AND pending_pid IS ?",
                (era, step, chain, pending_pid, pending_key,
                 old.id, old.era, old.step, old.pending_pid),
            )  # fmt: skip
            if not moved.rowcount:
                return False
            # The pending epoch stays known even if it was the last one of its era.
            db.execute(
                "DELETE FROM pseudonym WHERE device = ? AND pid <> ? AND (pid IS ? OR era < ?)",
                (old.id, pending_pid, old.pending_pid, era),
            )
            self._learn(old.id, learn)
        return True

    def _learn(self, device: int, pseudonyms: Iterable[tuple[bytes, int]]) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO pseudonym (pid, device, era) VALUES (?, ?, ?)",
            [(pid, device, era) for pid, era in pseudonyms],
        )

    def confirm(
        self, device: int, pid: bytes, fingerprint: str, era: int, step: int, at: float
    ) -> bool:
        with self._writing() as db:
            confirmed = db.execute(
                "UPDATE device SET pending_pid = NULL, pending_key = NULL, seen_at = ?,"
                " session_fingerprint = ?, session_era = ?, session_step = ?"
                " WHERE id = ? AND state = 'active' AND pending_pid = ?",
                (at, fingerprint, era, step, device, pid),
            )
            if not confirmed.rowcount:
                return False
            db.execute("DELETE FROM pseudonym WHERE pid = ? AND device = ?", (pid, device))
        return True

    def enroll(self, device: NewDevice, pseudonyms: Iterable[tuple[bytes, int]]) -> int:
        with self._writing() as db:
            holder = self.device(device.name)
            if holder is not None:
                raise duplicate(holder)
            if device.key_check and self.of_key(device.key_check):
                raise DuplicateDevice("another device has this very key: every one needs its own")
            number = db.execute(
                "INSERT INTO device (name, label, state, suite, era, step, chain, fingerprint,"
                " enrolled_at, chip, board, tags, key_check)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (device.name, device.label, device.state, device.suite, device.era, device.step,
                 device.chain, device.fingerprint, device.enrolled_at, device.chip, device.board,
                 device.tags, device.key_check),
            ).lastrowid  # fmt: skip
            self._learn(number or 0, pseudonyms)
        return number or 0

    def keys(self, name: str) -> Candidate | None:
        return next((Candidate(*row) for row in self._read(_KEYS, name)), None)

    def of_chip(self, chip: str) -> list[Device]:
        return [
            Device(*row)
            for state in ("pending", "active")
            for row in self._read(_DEVICES + f"WHERE state = '{state}' AND chip = ?", chip)
        ]

    def of_key(self, key_check: bytes) -> str | None:
        rows = self._read("SELECT name FROM device WHERE key_check = ?", key_check)
        return rows[0][0] if rows else None

    def describe(self, name: str, chip: str, board: str) -> None:
        with self._writing() as db:
            device = named(self, name)
            for holder in self.of_chip(chip):
                if holder.state == "active" and holder.id != device.id:
                    raise DuplicateDevice(f"chip {chip} is {holder.name} already")
            db.execute(
                "UPDATE device SET chip = ?, board = ? WHERE id = ?", (chip, board, device.id)
            )

    def activate(self, name: str) -> bool:
        with self._writing() as db:
            device = named(self, name)
            if device.state != "pending":
                return False
            final = replaces(name) or name
            if final != name:
                former = named(self, final)
                moved = device.id, former.id
                db.execute("UPDATE reading SET device = ? WHERE device = ?", moved)
                db.execute("UPDATE config SET device = ? WHERE device = ?", moved)
                self._revoke(former.id)
                db.execute(
                    "UPDATE device SET name = ? WHERE id = ?", (f"{final}~{former.id}", former.id)
                )
            for holder in self.of_chip(device.chip or ""):
                if holder.state == "active":  # its board is another device now
                    self._revoke(holder.id)
            db.execute(
                "UPDATE device SET state = 'active', name = ? WHERE id = ?", (final, device.id)
            )
        self.scrub()
        return True

    def discard(self, name: str) -> None:
        with self._writing() as db:
            device = named(self, name)
            if device.state == "pending":
                db.execute("DELETE FROM pseudonym WHERE device = ?", (device.id,))
                db.execute("DELETE FROM device WHERE id = ?", (device.id,))
        self.scrub()

    def device(self, name: str) -> Device | None:
        return next((Device(*row) for row in self._read(_DEVICES + "WHERE name = ?", name)), None)

    def devices(self) -> list[Device]:
        return [Device(*row) for row in self._read(_DEVICES + "ORDER BY id")]

    def revoke(self, name: str) -> bool:
        with self._writing():
            device = named(self, name)
            if device.state == "revoked":
                return False
            self._revoke(device.id)
        self.scrub()
        return True

    def _revoke(self, device: int) -> None:
        self._db.execute(
            "UPDATE device SET state = 'revoked', chain = x'', pending_pid = NULL,"
            " pending_key = NULL WHERE id = ?",
            (device,),
        )
        self._db.execute("DELETE FROM pseudonym WHERE device = ?", (device,))
        self._db.execute("DELETE FROM address WHERE device = ?", (device,))
        self._db.execute("DELETE FROM config WHERE device = ?", (device,))

    def revoked(self) -> list[int]:
        return [row[0] for row in self._read("SELECT id FROM device WHERE state = 'revoked'")]

    def changes(self) -> int:
        return int(self._read("PRAGMA data_version")[0][0])

    def add_reading(
        self, device: int, at: float, path: str, format: int | None, payload: bytes
    ) -> int:
        with self._writing() as db:
            number = db.execute(
                "INSERT INTO reading (device, at, path, format, payload) VALUES (?, ?, ?, ?, ?)",
                (device, at, path, format, payload),
            ).lastrowid
        return number or 0

    def readings_after(
        self, reading: int, device: int | None = None, limit: int = 1000
    ) -> list[Reading]:
        if device is None:
            rows = self._read(_READINGS + "WHERE r.id > ? ORDER BY r.id LIMIT ?", reading, limit)
        else:
            only = "WHERE r.device = ? AND r.id > ? ORDER BY r.id LIMIT ?"
            rows = self._read(_READINGS + only, device, reading, limit)
        return [Reading(*row) for row in rows]

    def last_reading(self, device: int) -> Reading | None:
        last = "WHERE r.device = ? ORDER BY r.id DESC LIMIT 1"
        return next((Reading(*row) for row in self._read(_READINGS + last, device)), None)

    def last_reading_id(self) -> int:
        return int(self._read("SELECT coalesce(max(id), 0) FROM reading")[0][0])

    def note_addresses(self, peers: dict[int, str]) -> None:
        with self._writing() as db:
            db.executemany(
                "INSERT OR REPLACE INTO address"
                " SELECT id, ? FROM device WHERE id = ? AND state = 'active'",
                [(peer, device) for device, peer in peers.items()],
            )

    def address(self, device: int) -> str | None:
        rows = self._read("SELECT peer FROM address WHERE device = ?", device)
        return rows[0][0] if rows else None

    def set_config(
        self, device: int, path: str, format: int | None, payload: bytes | None
    ) -> None:
        with self._writing() as db:
            db.execute(
                "INSERT OR REPLACE INTO config (device, path, format, payload)"
                " SELECT id, ?, ?, ? FROM device WHERE id = ? AND state = 'active'",
                (path, format, payload, device),
            )

    def config(self, device: int, path: str | None = None) -> list[ConfigValue]:
        rows = self._read(
            "SELECT path, format, payload FROM config WHERE device = ? AND payload NOT NULL"
            " AND coalesce(path = ?, TRUE) ORDER BY path",
            device, path,
        )  # fmt: skip
        return [ConfigValue(*row) for row in rows]

    def config_after(self, number: int) -> list[tuple[int, int, str]]:
        return self._read("SELECT id, device, path FROM config WHERE id > ? ORDER BY id", number)

    def last_config_id(self) -> int:
        return int(self._read("SELECT coalesce(max(id), 0) FROM config")[0][0])

    def next_start(self) -> int:
        with self._writing():
            starts = int.from_bytes(self.get("starts") or b"", "big") + 1
            self._put("starts", starts.to_bytes(8, "big"))
        return starts

    def get(self, key: str) -> bytes | None:
        rows = self._read("SELECT value FROM meta WHERE key = ?", key)
        return rows[0][0] if rows else None

    def put(self, key: str, value: bytes) -> None:
        with self._writing():
            self._put(key, value)

    def _put(self, key: str, value: bytes) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def check(self) -> str:
        found = self._read("PRAGMA integrity_check(1)")[0][0]
        if found != "ok":
            raise StoreError(f"database {self._path}: it is damaged: restore it from a backup")
        return "sound"

    def scrub(self) -> bool:
        with _edge(self._path):
            self._db.execute("PRAGMA busy_timeout = 0")  # it can as well be done the next time
            busy = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            self._db.execute(f"PRAGMA busy_timeout = {int(_BUSY_S * 1000)}")
        return not busy

    def close(self) -> None:
        with suppress(StoreError):
            self.scrub()
        self._db.close()
