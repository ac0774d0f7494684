"""Bring an older database to the schema of today: NNNN.sql leads from version NNNN - 1 to NNNN.

The files are only ever added to. A new database is made by schema.sql, which says where they end.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path


def migrate(db: sqlite3.Connection, wanted: int) -> None:
    """Migrate a database of an older version, as a whole or not at all; raise sqlite3.Error."""
    db.execute("PRAGMA foreign_keys = OFF")  # a table that others refer to may be made anew
    db.execute("BEGIN IMMEDIATE")
    try:
        # Asked for under the lock: another process may have been faster.
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        for number in range(version + 1, wanted + 1):
            script = Path(__file__).with_name(f"{number:04}.sql").read_text()
            for statement in _statements(script):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number}")
        if db.execute("PRAGMA foreign_key_check").fetchone() is not None:
            raise sqlite3.IntegrityError("a migration leaves rows that belong to no device")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
        db.execute("PRAGMA foreign_keys = ON")


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
