"""The store that a test runs on: SQLite in a folder, or PostgreSQL with SKERRY_STORE=postgres."""

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from cluster import WANTED, cluster
from psycopg.conninfo import make_conninfo

from skerry_hub.store import NewDevice, Store, database, server
from skerry_hub.store.postgres import PostgresStore
from skerry_hub.store.sqlite import SqliteStore

sqlite_only = pytest.mark.skipif(WANTED, reason="about SQLite's files")
postgres_only = pytest.mark.skipif(not WANTED, reason="make test-postgres")


class Place:
    """A new store. `open` gives what one more process has of it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "skerry.db"
        self.conninfo = cluster().new() if WANTED else None
        if self.conninfo:
            server.create(self.conninfo, {"hub": b"h-test"})
        else:
            database.create(self.path, {"hub": b"h-test"})

    def open(self) -> Store:
        return PostgresStore(self.conninfo) if self.conninfo else SqliteStore(self.path)

    def sql(self, text: str, *values) -> list[tuple]:
        """Do a statement behind the store's back; `?` stands for a value."""
        if self.conninfo is None:
            with closing(sqlite3.connect(self.path, isolation_level=None)) as db:
                return db.execute(text, values).fetchall()
        with psycopg.connect(self.conninfo, autocommit=True) as db:
            done = db.execute(text.replace("?", "%s"), values)
            return done.fetchall() if done.description else []


def enrol(store: Store, name: str = "lamp") -> int:
    """Add a device with made-up keys; return its number."""
    return store.enroll(NewDevice(name, "", 0, 0, 0, b"pid--0", b"chain", "f00d", 1.0), [])


def environ() -> dict[str, str]:
    """Return the environment of a hub on a new store."""
    return {"SKERRY_DATABASE": cluster().new()} if WANTED else {}


def where(store: Store) -> str:
    """Return what `at` opens again, in another process."""
    if isinstance(store, PostgresStore):
        return make_conninfo(**store._db._said)
    return str(store._path)


def at(place: str) -> Store:
    """Open a store in one more process."""
    return SqliteStore(Path(place)) if place.startswith("/") else PostgresStore(place)


def behind(store: Store, text: str, *values) -> list[tuple]:
    """Do a statement as somebody does who can write the database."""
    place = Place.__new__(Place)
    place.path, place.conninfo = Path(where(store)), where(store) if WANTED else None
    return place.sql(text, *values)
