"""All that a hub remembers, from SQLite to PostgreSQL and back, row by row.

A copy is a whole or it is not there: PostgreSQL's is one transaction, SQLite's a new file.
"""

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from skerry_hub.errors import StoreError
from skerry_hub.store import database
from skerry_hub.store.server import make_tables

_ROWS = 1000  # in memory at once
# In an order in which what is referred to comes first. What each database has for itself, the
# chains of readings, the list of moves, how many devices there are, is not among the columns.
TABLES = {
    "meta": "key value",
    "device": "id name label state suite era step pid chain pending_pid pending_key fingerprint"
              " session_fingerprint session_era session_step enrolled_at seen_at readings chip"
              " board tags key_check",
    "revocation": "id device",
    "coming": "pid device era",
    "reading": "id device at path format payload",
    "address": "device peer",
    "config": "id device path format payload",
    "audit": "id at who action subject detail hash",
    "token": "name hash scopes created_at expires_at used_at",
}  # fmt: skip
_NUMBERED = ("device", "reading", "config")
_CHAIN_READINGS = """
    UPDATE reading SET previous = w.previous FROM (
        SELECT id, lag(id) OVER (PARTITION BY device ORDER BY id) AS previous FROM reading
    ) AS w WHERE w.id = reading.id
"""
_LAST_READINGS = """
    UPDATE device SET last_reading = w.last
    FROM (SELECT device, max(id) AS last FROM reading GROUP BY device) AS w
    WHERE w.device = device.id
"""


def _select(table: str) -> str:
    return f"SELECT {', '.join(TABLES[table].split())} FROM {table}"  # noqa: S608 - ours


def to_postgres(source: sqlite3.Connection, target: psycopg.Connection, make: bool) -> None:
    """Put all of a SQLite database in the place of what is in PostgreSQL, in its transaction.

    With `make` there are no tables yet. Raises StoreError if it is not all there afterwards.
    """
    if make:
        make_tables(target)
    else:
        target.execute(f"TRUNCATE {', '.join(TABLES)} RESTART IDENTITY")
        target.execute("UPDATE population SET devices = 0")
    for table, columns in TABLES.items():
        names = sql.SQL(", ").join(map(sql.Identifier, columns.split()))
        into = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)
        with target.cursor() as cursor, cursor.copy(into) as copy:
            for row in source.execute(_select(table)):
                copy.write_row(row)
    for table in _NUMBERED:
        target.execute(
            f"SELECT setval('{table}_id_seq', max(id)) FROM {table} HAVING max(id) > 0"  # noqa: S608 - ours
        )
    compare(_counts(source.execute), _counts(target.execute))


def to_sqlite(source: psycopg.Connection, target: Path) -> None:
    """Write a SQLite database with all that is in PostgreSQL, as its transaction sees it.

    The file is new or empty. Raises StoreError.
    """
    database.create(target, {})
    with database.edge(target), closing(database.opened(target)) as db:
        db.execute("PRAGMA foreign_keys = OFF")  # sound where they come from
        db.execute("BEGIN IMMEDIATE")
        for table, columns in TABLES.items():
            marks = ", ".join("?" * len(columns.split()))
            into = f"INSERT INTO {table} ({', '.join(columns.split())}) VALUES ({marks})"  # noqa: S608 - ours
            with source.cursor(f"copy_{table}", binary=True) as cursor:
                cursor.itersize = _ROWS
                db.executemany(into, cursor.execute(_select(table)))
        db.execute(_CHAIN_READINGS)
        db.execute(_LAST_READINGS)
        compare(_counts(source.execute), _counts(db.execute))
        db.execute("COMMIT")
        database.alone(db)


def _counts(execute: Callable[[Any], Iterable[Any]]) -> dict[str, int]:
    found = {}
    for table in TABLES:
        for (count,) in execute(f"SELECT count(*) FROM {table}"):  # noqa: S608 - ours
            found[table] = int(count)
    return found


def compare(source: dict[str, int], target: dict[str, int]) -> None:
    """Raise StoreError unless both have as many rows in each table."""
    for table, count in source.items():
        if target[table] != count:
            raise StoreError(f"{target[table]} of {count} rows of {table} arrived: try again")
