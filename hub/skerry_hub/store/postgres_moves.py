"""What every handshake and every reading does in PostgreSQL: a batch in two round trips.

    first     lock the rows, in the order of their numbers; compare and swap each
    second    readings and coming pseudonyms of those that were done; COMMIT

Rows are compared as in moves.py: a device moves from where its candidate was read, or not at all.
All processes lock rows in one order, so none waits for another one that waits for it.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import psycopg

from skerry_hub.errors import StaleKey
from skerry_hub.store import Advance, Confirmation, NewReading, Write
from skerry_hub.store.server import KEYS, ORDER

Cursor = psycopg.Cursor[Any]

SHARE_KEYS = f"SELECT pg_advisory_xact_lock_shared({KEYS})"
# Told to readings_after: numbers above this one may be given and not committed.
SHARE_ORDER = f"""
    SELECT pg_advisory_xact_lock_shared({ORDER} + last_value - (NOT is_called)::int)
    FROM reading_id_seq
"""  # noqa: S608 - a number of our own
KNOWN_KEYS = "SELECT substr(value, 1, 1) FROM meta WHERE key IN ('row_key', 'next_row_key')"
LOCK = "SELECT id FROM device WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE"
ADVANCE = """
    UPDATE device AS d
    SET era = v.era, step = v.step, pid = v.pid, chain = v.chain,
        pending_pid = v.pending_pid, pending_key = v.pending_key
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bytea[], %s::bytea[], %s::bytea[],
                %s::bytea[], %s::bigint[], %s::bigint[], %s::bytea[])
         AS v (id, era, step, pid, chain, pending_pid, pending_key, old_era, old_step, old_pending)
    WHERE d.id = v.id AND d.state = 'active' AND d.era = v.old_era AND d.step = v.old_step
          AND d.pending_pid IS NOT DISTINCT FROM v.old_pending
    RETURNING d.id
"""
CONFIRM = """
    UPDATE device AS d
    SET pending_pid = NULL, pending_key = NULL, seen_at = v.at, session_fingerprint = v.session,
        session_era = v.era, session_step = v.step, readings = d.readings + v.readings
    FROM unnest(%s::bigint[], %s::bytea[], %s::text[], %s::bigint[], %s::bigint[], %s::float8[],
                %s::bigint[]) AS v (id, pid, session, era, step, at, readings)
    WHERE d.id = v.id AND d.state = 'active' AND d.pending_pid = v.pid
    RETURNING d.id
"""
COUNT_READINGS = """
    UPDATE device AS d SET readings = d.readings + v.readings
    FROM unnest(%s::bigint[], %s::bigint[]) AS v (id, readings)
    WHERE d.id = v.id AND d.state = 'active'
    RETURNING d.id
"""
ADD_READINGS = """
    INSERT INTO reading (device, at, path, format, payload)
    SELECT device, at, path, format, payload
    FROM unnest(%s::bigint[], %s::float8[], %s::text[], %s::integer[], %s::bytea[])
         WITH ORDINALITY AS v (device, at, path, format, payload, number)
    ORDER BY number
    RETURNING id
"""
FORGET_COMING = """
    DELETE FROM coming AS c USING unnest(%s::bigint[], %s::bigint[]) AS v (device, era)
    WHERE c.device = v.device AND c.era <= v.era
"""
ADD_COMING = """
    INSERT INTO coming (pid, device, era)
    SELECT * FROM unnest(%s::bytea[], %s::bigint[], %s::bigint[])
    ON CONFLICT (pid, device) DO UPDATE SET era = excluded.era
"""


class Batch:
    """One batch, and what became of it: `done` for each write, `readings` the numbers given."""

    def __init__(self, batch: Sequence[Write]) -> None:
        self.done: list[bool] = []
        self.readings: list[int] = []
        self._batch = batch
        self._advances = [each for each in batch if isinstance(each, Advance)]
        self._confirmations = [each for each in batch if isinstance(each, Confirmation)]
        self._counts = Counter(each.device for each in batch if isinstance(each, NewReading))

    def write(self, db: psycopg.Connection) -> None:
        """Do all in one transaction, in an open pipeline; raise psycopg.Error or StaleKey."""
        self._settle(*self._first(db))
        self._second(db)

    def _first(self, db: psycopg.Connection) -> tuple[Cursor | None, list[Cursor]]:
        """Lock and compare; return the row keys' numbers and who was moved or is active."""
        db.execute("BEGIN", prepare=False)
        db.execute(SHARE_KEYS)
        keys = db.execute(KNOWN_KEYS, binary=True) if self._advances else None
        if self._counts or any(each.reading for each in self._confirmations):
            db.execute(SHARE_ORDER)
        ids = [each.candidate.id for each in self._advances]
        ids += [each.device for each in self._confirmations] + list(self._counts)
        if len(ids) > 1:
            db.execute(LOCK, (ids,))
        moved = []
        if self._advances:
            moved.append(db.execute(ADVANCE, _columns([_moved(each) for each in self._advances])))
        if self._confirmations:
            rows = [(each.device, each.pid, each.fingerprint, each.era, each.step, each.at,
                     each.reading is not None) for each in self._confirmations]  # fmt: skip
            moved.append(
                db.execute(CONFIRM, _columns([(*row[:-1], int(row[-1])) for row in rows]))
            )
        if self._counts:
            counted = (list(self._counts), list(self._counts.values()))
            moved.append(db.execute(COUNT_READINGS, counted))
        return keys, moved

    def _settle(self, keys: Cursor | None, moved: list[Cursor]) -> None:
        known = {number for (number,) in keys.fetchall()} if keys else set()
        if known and any(each.chain[:1] not in known for each in self._advances):
            raise StaleKey("the hub's keys were changed meanwhile: try again")
        active = {device for cursor in moved for (device,) in cursor.fetchall()}
        self.done = [
            (each.candidate.id if isinstance(each, Advance) else each.device) in active
            for each in self._batch
        ]

    def _second(self, db: psycopg.Connection) -> None:
        done = [each for each, ok in zip(self._batch, self.done, strict=True) if ok]
        recovered = [each for each in done
                     if isinstance(each, Advance) and each.era != each.candidate.era]  # fmt: skip
        if recovered:
            eras = [(each.candidate.id, each.era) for each in recovered]
            db.execute(FORGET_COMING, _columns(eras))
            coming = {(pid, each.candidate.id): era
                      for each in recovered for pid, era in each.coming}  # fmt: skip
            rows = [(*key, era) for key, era in coming.items()]
            if rows:
                db.execute(ADD_COMING, _columns(rows))
        readings = [_reading_of(each) for each in done]
        added = [each for each in readings if each is not None]
        given = db.execute(ADD_READINGS, _columns(added)) if added else None
        db.execute("COMMIT", prepare=False)
        self.readings = [number for (number,) in given.fetchall()] if given else []


def _columns(rows: Sequence[Sequence[Any]]) -> tuple[list[Any], ...]:
    return tuple(map(list, zip(*rows, strict=True)))


def _moved(to: Advance) -> tuple[Any, ...]:
    old = to.candidate
    return (old.id, to.era, to.step, to.pid, to.chain, to.pending_pid, to.pending_key,
            old.era, old.step, old.pending_pid)  # fmt: skip


def _reading_of(write: Write) -> NewReading | None:
    if isinstance(write, Confirmation):
        return write.reading
    return write if isinstance(write, NewReading) else None
