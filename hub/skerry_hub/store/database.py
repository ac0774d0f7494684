"""SQLite itself: how the hub's database is made and opened, and what to do about its errors."""

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from skerry_hub.errors import NotInitialised, StoreDamaged, StoreError
from skerry_hub.files import beside, write_private
from skerry_hub.store.migrations import migrate

SCHEMA_VERSION = 6
BUSY_S = 5.0  # how long to wait for another process's transaction
MOVED = "moved"  # a value of the hub itself, JSON: to where, and the number of the move
_CACHE_KIB = 32 * 1024  # of database pages
_CHECKPOINT_PAGES = 4000  # of the journal, until they are copied into the database

_REMEDIES = {
    sqlite3.SQLITE_BUSY: "another process holds it: end that one or try again",
    sqlite3.SQLITE_FULL: "the disk is full: make room and try again",
    sqlite3.SQLITE_READONLY: "it cannot be written: check who owns it and its folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: check who owns it and its folder",
    sqlite3.SQLITE_IOERR: "the disk fails or is full: check it; to restore a backup, move it away",
    sqlite3.SQLITE_CORRUPT: "it is damaged: restore it from a backup",
    sqlite3.SQLITE_NOTADB: "it is no database: restore it from a backup",
}
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@contextmanager
def edge(path: Path) -> Iterator[None]:
    """Turn sqlite3's errors into StoreError, with a remedy, those of damage into StoreDamaged."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        kind = StoreDamaged if code in _DAMAGED else StoreError
        raise kind(f"database {path}: {_REMEDIES.get(code, error)}") from error


def _connect(path: Path) -> sqlite3.Connection:
    # mode=rw: a database that is not there is an error, not a new one.
    db = sqlite3.connect(f"{path.as_uri()}?mode=rw", BUSY_S, isolation_level=None, uri=True)
    _journal(db)
    for setting in ("synchronous = FULL", "secure_delete = ON",
                    "foreign_keys = ON", f"cache_size = -{_CACHE_KIB}",
                    f"wal_autocheckpoint = {_CHECKPOINT_PAGES}"):  # fmt: skip
        db.execute(f"PRAGMA {setting}")
    return db


def _journal(db: sqlite3.Connection) -> None:
    """Set the mode; SQLite itself does not wait for another process that does the same."""
    end = time.monotonic() + BUSY_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.02)


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from all others, None if there is none; raise StoreError."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"database {path}: {error.strerror}: check the disk") from None
    return found.st_dev, found.st_ino


def alone(db: sqlite3.Connection) -> None:
    """Bring all of a database into its one file; raise sqlite3.Error if somebody has it open."""
    db.execute("PRAGMA journal_mode = DELETE")


def remove(path: Path) -> None:
    """Remove a database that nobody has opened, if there is one."""
    for end in ("", "-wal", "-shm", "-journal"):
        beside(path, end).unlink(missing_ok=True)


def moved_to(db: sqlite3.Connection) -> str | None:
    """Return the place that all this was moved to, if it was."""
    for (value,) in db.execute("SELECT value FROM meta WHERE key = ?", (MOVED,)):
        return str(json.loads(value)["to"])
    return None


def mark_moved(db: sqlite3.Connection, mark: bytes) -> None:
    """Say in a transaction that all was moved, and let nobody write from then on.

    The triggers also stop a process that has had the database open for long.
    """
    db.execute("INSERT INTO meta (key, value) VALUES (?, ?)", (MOVED, mark))
    for table in ("meta", "device", "reading", "config", "audit"):
        for what in ("INSERT", "UPDATE", "DELETE"):
            db.execute(
                f"CREATE TRIGGER moved_{table}_{what} BEFORE {what} ON {table} BEGIN"
                " SELECT raise(ABORT, 'this hub was moved to another database'); END"
            )


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def create(path: Path, values: dict[str, bytes]) -> None:
    """Make a database with the hub's own values, as a whole or not at all; raise StoreError."""
    with suppress(FileExistsError):
        write_private(path, b"")
    with edge(path):
        db = _connect(path)
        try:
            schema = Path(__file__).with_name("schema.sql").read_text()
            db.executescript("BEGIN IMMEDIATE;" + schema)
            db.executemany("INSERT INTO meta VALUES (?, ?)", values.items())
            db.execute("COMMIT")
        finally:
            db.close()


def opened(path: Path) -> sqlite3.Connection:
    """Open a database and bring it to the schema of today; raise NotInitialised or StoreError."""
    db = opened_anyway(path)
    try:
        with edge(path):
            check_not_moved(db, path)
    except StoreError:
        db.close()
        raise
    return db


def check_not_moved(db: sqlite3.Connection, path: Path) -> None:
    """Raise StoreError if all was moved to another database, or sqlite3.Error."""
    moved = moved_to(db)
    if moved is not None:
        raise StoreError(
            f"database {path}: it was moved to {moved}: name that one in the setting database"
        )


def refuse_moved(path: Path) -> None:
    """Raise StoreError if the database was moved: nothing may take its place here."""
    if not path.exists():
        return
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db,
    ):
        check_not_moved(db, path)


def opened_anyway(path: Path) -> sqlite3.Connection:
    """Do what `opened` does, also if the hub was moved to another database."""
    if not path.exists():
        raise NotInitialised(f"no hub in {path.parent}: run skerry init, or name its --data")
    with edge(path):
        db = _connect(path)
        version = _version(db)
        if 0 < version < SCHEMA_VERSION:
            migrate(db, SCHEMA_VERSION)
            version = SCHEMA_VERSION
    if version == SCHEMA_VERSION:
        return db
    db.close()
    if version == 0:
        raise NotInitialised(f"skerry init did not finish in {path.parent}: run it again")
    raise StoreError(f"database {path}: made by a newer skerry: upgrade this one")
