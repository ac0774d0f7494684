"""The store in PostgreSQL, for several hubs: postgres.sql is the truth.

Whoever writes into the audit log takes turns, whichever process it is; handshakes and readings
do not, they lock the rows of their devices alone (postgres_moves.py).
"""

# ruff: noqa: D102 - what the methods do is said once, in `Store`.

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from psycopg import errors

from skerry_hub.errors import StoreError
from skerry_hub.files import beside, synced
from skerry_hub.store import Candidate, NewReading, Reading, Write, copying
from skerry_hub.store.database import opened as opened_file
from skerry_hub.store.database import remove
from skerry_hub.store.lifecycle import Lifecycle
from skerry_hub.store.operated import Ledger, Seals
from skerry_hub.store.pages import Pages
from skerry_hub.store.postgres_moves import LOCK, Batch
from skerry_hub.store.server import (
    HUB,
    KEYS,
    LEAD,
    ORDER,
    ORDER_END,
    WRITING,
    Session,
    edge,
    opened,
    version_of,
)
from skerry_hub.store.tokens import Tokens
from skerry_hub.store.values import Values

_ATTEMPTS = 5  # at a batch that others get in the way of
CANDIDATES = """
    SELECT id, name, suite, era, step, pid, chain, pending_pid, pending_key, era
    FROM device WHERE state = 'active' AND (pid = ANY(?) OR pending_pid = ANY(?)) ORDER BY id
"""
COMING = """
    SELECT c.pid, d.id, d.name, d.suite, d.era, d.step, d.pid, d.chain, d.pending_pid,
           d.pending_key, c.era
    FROM coming AS c JOIN device AS d ON d.id = c.device
    WHERE c.pid = ANY(?) AND d.state = 'active' ORDER BY d.id
"""
READINGS = """
    SELECT r.id, r.device, d.name, r.at, r.path, r.format, r.payload
    FROM reading AS r JOIN device AS d ON d.id = r.device
"""
_IS_ITS_OWN = "SELECT 1 FROM reading WHERE id = ? AND device = ?"
# Not yet given, and then: given, but perhaps not committed. In this order, and before the rows.
_GIVEN = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM reading_id_seq"
_OPEN = f"""
    SELECT min(((classid::bigint << 32) | objid::bigint) - {ORDER}) FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND ((classid::bigint << 32) | objid::bigint) BETWEEN {ORDER} AND {ORDER_END}
"""  # noqa: S608 - numbers of our own

T = TypeVar("T")
# While the file is worked at, nothing is asked of the server.
_TAKE_YOUR_TIME = "SET LOCAL idle_in_transaction_session_timeout = 0"


class PostgresStore(Lifecycle, Values, Tokens, Pages):
    """A `Store`: see there for what the methods do. Use one a thread."""

    _db: Session
    _POSITION = "strpos"

    def __init__(self, conninfo: str) -> None:
        """Connect; raise NotInitialised or StoreError."""
        self._take(opened(conninfo))

    def _take(self, session: Session) -> None:
        self._db = session
        self._ledger = Ledger(session)
        self._seals = Seals(session)

    @classmethod
    def on(cls, session: Session) -> "PostgresStore":
        """Return the store that a session sees, in a transaction that is open there."""
        store = cls.__new__(cls)
        store._take(session)
        return store

    def __repr__(self) -> str:
        return f"<PostgresStore {self._db.place}>"

    def _edge(self) -> AbstractContextManager[None]:
        return edge(self._db.place)

    def _read(self, sql: str, *values: Any) -> list[Any]:
        with self._edge():
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        with self._edge(), self._db.transaction():
            self._db.execute("SELECT pg_advisory_xact_lock(?)", (WRITING,))
            yield self._db

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        with self._edge(), self._db.transaction() as db:
            db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield

    def _lock(self, devices: Iterable[int]) -> None:
        self._db.execute(LOCK, (list(devices),))

    def _lock_keys(self) -> None:
        self._db.execute("SELECT pg_advisory_xact_lock(?)", (KEYS,))

    # Indexes have what transactions have committed: nobody has to be told.

    def _found_by(self, rows: Sequence[tuple[bytes, int]]) -> None: ...

    def _committed(self) -> None: ...

    def _hand_over_readings(self, device: int, former: int) -> None:
        self._db.execute("UPDATE reading SET device = ? WHERE device = ?", (device, former))
        self._db.execute(
            "UPDATE device SET readings = (SELECT readings FROM device WHERE id = ?) WHERE id = ?",
            (former, device),
        )
        self._db.execute("UPDATE device SET readings = 0 WHERE id = ?", (former,))

    def candidates(self, pids: Collection[bytes]) -> dict[bytes, list[Candidate]]:
        found: dict[bytes | None, list[Candidate]] = {pid: [] for pid in pids}
        for row in self._read(CANDIDATES, list(pids), list(pids)) if pids else ():
            candidate = Candidate(*row)
            for pid in {candidate.pid, candidate.pending_pid}:
                if pid in found:
                    found[pid].append(candidate)
        return found  # type: ignore[return-value]  # no pseudonym that is asked for is None

    def coming(self, pids: Collection[bytes]) -> dict[bytes, list[Candidate]]:
        found: dict[bytes, list[Candidate]] = {pid: [] for pid in pids}
        for pid, *row in self._read(COMING, list(pids)) if pids else ():
            found[pid].append(Candidate(*row))
        return found

    def write(self, batch: Sequence[Write]) -> list[bool]:
        return self._written(batch).done if batch else []

    def add_reading(
        self, device: int, at: float, path: str, format: int | None, payload: bytes
    ) -> int:
        added = self._written([NewReading(device, at, path, format, payload)]).readings
        return added[0] if added else 0

    def _written(self, writes: Sequence[Write]) -> Batch:
        def once() -> Batch:
            batch = Batch(writes)
            with self._db.pipelined() as db:
                batch.write(db)
            return batch

        with self._edge():
            return _again(once)

    def changes(self) -> int:
        # What is visible changes with the transactions that are, and costs nothing to ask.
        seen = self._read("SELECT pg_current_snapshot()::text")[0][0]
        return int.from_bytes(hashlib.sha256(seen.encode()).digest()[:8], "big")

    def _settled(self) -> int:
        """Return a number up to which all readings that there will ever be are visible."""
        given = self._read(_GIVEN)[0][0]
        still_open = self._read(_OPEN)[0][0]
        return int(given if still_open is None else min(given, still_open))

    def readings_after(
        self, reading: int, device: int | None = None, limit: int = 1000
    ) -> list[Reading]:
        about = () if device is None else (device,)
        where = "WHERE r.device = ? AND" if about else "WHERE"
        rows = self._read(
            f"{READINGS} {where} r.id > ? AND r.id <= ? ORDER BY r.id LIMIT ?",
            *about, reading, self._settled(), limit,
        )  # fmt: skip
        return [Reading(*row) for row in rows]

    def last_reading(self, device: int) -> Reading | None:
        rows = self._read(READINGS + "WHERE r.device = ? ORDER BY r.id DESC LIMIT 1", device)
        return next((Reading(*row) for row in rows), None)

    def last_reading_id(self) -> int:
        settled = self._settled()
        return int(
            self._read("SELECT coalesce(max(id), 0) FROM reading WHERE id <= ?", settled)[0][0]
        )

    def readings_before(self, device: int, before: int | None, limit: int) -> list[Reading]:
        about: tuple[int, ...] = (device,)
        where = "WHERE r.device = ?"
        if before is not None:
            about = (device, before, before, device)
            where += f" AND r.id < ? AND EXISTS ({_IS_ITS_OWN})"
        rows = self._read(f"{READINGS} {where} ORDER BY r.id DESC LIMIT ?", *about, limit)
        return [Reading(*row) for row in rows]

    def check(self) -> str:
        for setting in ("fsync", "full_page_writes"):
            if self._read("SELECT current_setting(?)", setting) == [("off",)]:
                raise StoreError(
                    f"database {self._db.place}: {setting} is off at the server, so a power cut"
                    " may bring keys back: switch it on"
                )
        for table in copying.TABLES:
            self._read(f"SELECT count(t::text) FROM {table} AS t")  # noqa: S608 - one of ours
        return "sound"

    def copy_to(self, path: Path) -> None:
        with self._snapshot():
            self._db.execute(_TAKE_YOUR_TIME)
            # Before anything is seen: what TRUNCATE emptied is empty in older snapshots too.
            self._db.execute(f"LOCK TABLE {', '.join(copying.TABLES)} IN ACCESS SHARE MODE")
            copying.to_sqlite(self._db.opened, path)

    def count(self, table: str) -> int:
        """Return how many rows one of our tables has."""
        return int(self._read(f"SELECT count(*) FROM {table}")[0][0])  # noqa: S608 - ours

    def note_in(self, action: str, detail: Mapping[str, object]) -> None:
        """Do what `note` does in a transaction that is open."""
        self._ledger.note(action, "", detail)

    def claim(self) -> None:
        with self._edge():
            self._db.claim(HUB)

    def lead(self) -> bool:
        with self._edge():
            return self._db.lead(LEAD)

    def scrub(self) -> bool:
        return True  # the server's own work: docs/operating.md says what remains until when

    def close(self) -> None:
        self._db.close()


@contextmanager
def held(conninfo: str) -> Iterator["HeldTables"]:
    """Hold the place of all tables, in one transaction; raise StoreError if a hub runs."""
    session = Session(conninfo)
    tables = HeldTables(session)
    try:
        if version_of(session):
            opened(conninfo).close()
        with edge(session.place), session.transaction():
            claim_alone(session)
            if version_of(session):
                tables.now = PostgresStore.on(session)
                tables.now.check()
            yield tables
            tables.settled = True  # if it is lost while it commits, nobody knows
        tables.keep()
    finally:
        tables.forget()
        session.close()


class HeldTables:
    """See `replacing.Held`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.now: PostgresStore | None = None
        self._kept: tuple[Path, Path] | None = None
        self.settled = False

    def replace(self, copy: Path, before: Path) -> None:
        """See `replacing.Held`: what was there stays as it was until the transaction ends."""
        if self.now is not None:
            part = beside(before, ".part")
            remove(part)
            self._kept = part, before
            copying.to_sqlite(self._session.opened, part)
        with closing(opened_file(copy)) as source:
            copying.to_postgres(source, self._session.opened, self.now is None)

    def keep(self) -> None:
        """Put what was there before in its place, if it was replaced."""
        if self._kept is not None:
            part, before = self._kept
            remove(before)
            part.rename(before)
            synced(before.parent)

    def forget(self) -> None:
        """Remove the copy of what is certainly still there."""
        if self._kept is not None and not self.settled:
            remove(self._kept[0])


def claim_alone(session: Session) -> None:
    """Keep hubs and writers away until the transaction ends; raise StoreError if a hub runs."""
    session.execute(_TAKE_YOUR_TIME)
    ((free,),) = session.execute("SELECT pg_try_advisory_xact_lock(?)", (HUB,)).fetchall()
    if not free:
        raise StoreError(
            f"database {session.place}: a hub or skerry rotate-key runs on it: end it first"
        )
    session.execute("SELECT pg_advisory_xact_lock(?)", (WRITING,))


def _again(once: Callable[[], T]) -> T:
    """Do it again if the server chose it to make room for another one; then nothing was done."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return once()
        except (errors.DeadlockDetected, errors.SerializationFailure):
            continue
    return once()
