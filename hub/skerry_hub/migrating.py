"""A hub moved from its SQLite file into PostgreSQL: skerry migrate.

    copy      all rows in one transaction, compared, the audit chain verified; the new place has a
              mark, "arriving", and no hub starts there
    leave     the file has a mark, "moved", from now on: nothing opens it, nobody writes in it
    arrive    the first mark is taken away

At no time do hubs start on both. Cut off anywhere, the same command goes on: before `leave` the
hub is still in its file and the copy is made anew, after it only `arrive` is left.
"""

import json
import secrets
import sqlite3
from contextlib import closing
from dataclasses import dataclass

from skerry_hub import audit
from skerry_hub.config import Config
from skerry_hub.control import alive
from skerry_hub.errors import HubError, NotInitialised, StoreError
from skerry_hub.files import locked
from skerry_hub.store import copying, database, places, server
from skerry_hub.store.postgres import PostgresStore, claim_alone

CAME = "came"  # a value of the hub itself: the number of the move that brought it


@dataclass(frozen=True)
class Migrated:
    """What was moved, or had been before; `head` is the audit log's."""

    hub: str
    to: str
    devices: int
    readings: int
    head: str


def migrate(config: Config, to: str) -> Migrated:
    """Move the hub of the data folder's file into the PostgreSQL at `to`, an empty database.

    Raises ConfigError, NotInitialised, StoreError, AuditError, or HubError if a hub runs.
    """
    places.check_conninfo(to)
    if not config.database.exists():
        raise NotInitialised(f"no hub in {config.data}: for a new one, run skerry init")
    session = server.Session(to)
    try:
        with locked(config.data), database.edge(config.database), server.edge(session.place):
            if alive(config.control):  # none starts meanwhile: it waits for the folder
                raise HubError(f"a hub runs on {config.data}: end it first")
            with closing(database.opened_anyway(config.database)) as source:
                source.execute("BEGIN IMMEDIATE")  # and nobody else writes meanwhile
                number = _left(source) or _copy(source, session)
                if source.in_transaction:
                    source.execute("COMMIT")
            _arrive(session, number)
    finally:
        session.close()
    return _told(to, session.place)


def _left(source: sqlite3.Connection) -> str | None:
    """Return the number of the move that the file was left with."""
    for (mark,) in source.execute("SELECT value FROM meta WHERE key = ?", (database.MOVED,)):
        return str(json.loads(mark)["number"])
    return None


def _copy(source: sqlite3.Connection, target: server.Session) -> str:
    """Copy all, mark both sides, and return the number of this move."""
    number = secrets.token_hex(8)
    make = server.version_of(target) == 0
    ((hub,),) = source.execute("SELECT value FROM meta WHERE key = 'hub'")
    ours = make or (_value(target, server.ARRIVING) and _value(target, "hub") == hub.decode())
    if not ours:
        raise StoreError(f"database {target.place}: it holds a hub: name an empty database")
    with target.transaction() as db:
        claim_alone(target)
        copying.to_postgres(source, db, make)
        sql = "INSERT INTO meta VALUES (?, ?)"
        target.execute(sql, (server.ARRIVING, number.encode()))
        store = PostgresStore.on(target)
        store.note_in("migrate", {"to": target.place})
        audit.verified(store)
    mark = {"to": target.place, "number": number}
    database.mark_moved(source, json.dumps(mark).encode())
    return number


def _value(session: server.Session, key: str) -> str | None:
    rows = session.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchall()
    return rows[0][0].decode() if rows else None


def _arrive(target: server.Session, number: str) -> None:
    """Let hubs start at the new place; once."""
    if server.version_of(target) and _value(target, CAME) == number:
        return
    if not server.version_of(target) or _value(target, server.ARRIVING) != number:
        raise StoreError(
            f"database {target.place}: this hub was moved to another one before: name that one"
        )
    with target.transaction():
        target.execute("DELETE FROM meta WHERE key IN (?, ?)", (server.ARRIVING, CAME))
        target.execute("INSERT INTO meta VALUES (?, ?)", (CAME, number.encode()))


def _told(to: str, place: str) -> Migrated:
    with closing(PostgresStore(to)) as store:
        hub, head = (store.get("hub") or b"").decode(), audit.verified(store).head
        return Migrated(hub, place, store.count("device"), store.count("reading"), head)
