"""What every handshake and every reading does in the database, inside one transaction for many.

A device that moves is written in one page of the file, its own row's: what else changes is in
memory (pseudonyms.py) or appended. With a million devices that is what a handshake costs.
"""

import sqlite3
from collections.abc import Collection, Iterable, Sequence

from skerry_hub.store import Advance, Candidate, Confirmation, NewReading, Write
from skerry_hub.store.portable import ADD_COMING
from skerry_hub.store.pseudonyms import Move, Pseudonyms, numbers

BY_NUMBER = """
    SELECT id, name, suite, era, step, pid, chain, pending_pid, pending_key, era
    FROM device WHERE id IN (SELECT value FROM json_each(?)) AND state = 'active'
"""
BY_COMING = """
    SELECT d.id, d.name, d.suite, d.era, d.step, d.pid, d.chain, d.pending_pid, d.pending_key,
           c.era, c.pid
    FROM coming AS c JOIN device AS d ON d.id = c.device
    WHERE c.pid IN ({}) AND d.state = 'active'
"""
ADVANCE = """
    UPDATE device SET era = ?, step = ?, pid = ?, chain = ?, pending_pid = ?, pending_key = ?
    WHERE id = ? AND state = 'active' AND era = ? AND step = ? AND pending_pid IS ?
"""
CONFIRM = """
    UPDATE device SET pending_pid = NULL, pending_key = NULL, seen_at = ?,
                      session_fingerprint = ?, session_era = ?, session_step = ?,
                      last_reading = coalesce(?, last_reading), readings = readings + ?
    WHERE id = ? AND state = 'active' AND pending_pid = ?
"""
ADD_READING = """
    INSERT INTO reading (device, at, path, format, payload, previous)
    SELECT id, ?2, ?3, ?4, ?5, last_reading FROM device WHERE id = ?1 AND state = 'active'
"""
LAST_IS = "UPDATE device SET last_reading = ?, readings = readings + 1 WHERE id = ?"
FORGET_COMING = "DELETE FROM coming WHERE device = ? AND era <= ?"


class Moves:
    """Devices that are looked up and moved; transactions are begun and ended by the owner."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._hot = db.cursor()  # one for all writes costs less than one for each
        self.pseudonyms = Pseudonyms(db)
        self._announced: Move | None = None
        self._old: list[tuple[bytes, int]] = []  # what is no more once the transaction is done
        self._new: list[tuple[bytes, int]] = []

    def candidates(self, pids: Collection[bytes]) -> dict[bytes, list[Candidate]]:
        """Return who stands at an epoch with these pseudonyms: see `Store`."""
        found: dict[bytes | None, list[Candidate]] = {pid: [] for pid in pids}
        self.pseudonyms.keep_up()
        devices = [device for pid in pids for device in self.pseudonyms.find(pid)]
        for row in self._db.execute(BY_NUMBER, (numbers(devices),)) if devices else ():
            candidate = Candidate(*row)
            for pid in (candidate.pid, candidate.pending_pid):  # it may have moved on
                if pid in found:
                    found[pid].append(candidate)
        return found  # type: ignore[return-value]  # no pseudonym that is asked for is None

    def coming(self, pids: Collection[bytes]) -> dict[bytes, list[Candidate]]:
        """Return who may come to an epoch with these pseudonyms: see `Store`."""
        found: dict[bytes, list[Candidate]] = {pid: [] for pid in pids}
        places = 1 << (len(found) - 1).bit_length()  # a power of two: few statements to prepare
        asked = [*found, *[b""] * (places - len(found))]
        sql = BY_COMING.format(",".join("?" * places))
        for *row, pid in self._db.execute(sql, asked) if found else ():
            found[pid].append(Candidate(*row))
        return found

    def write(self, batch: Sequence[Write]) -> list[bool]:
        """Do a batch and return what was done; `committed` has to follow."""
        self._old, self._new = [], []
        done = [self._do(each) for each in batch]
        moved = [device for _, device in self._new[1::2]]
        self._announced = self.pseudonyms.announce(moved) if self._old or moved else None
        return done

    def found_by(self, rows: Sequence[tuple[bytes, int]]) -> None:
        """Let devices be found by pseudonyms of their rows; `committed` has to follow."""
        self._old, self._new = [], list(rows)
        self._announced = self.pseudonyms.announce(sorted({device for _, device in rows}))

    def committed(self) -> None:
        """Do to the pseudonyms in memory what was done to those in the database."""
        if self._announced is not None:
            self.pseudonyms.committed(self._announced)
        for pid, device in self._old:
            self.pseudonyms.remove(pid, device)
        for pid, device in self._new:
            self.pseudonyms.add(pid, device)

    def _do(self, write: Write) -> bool:
        if isinstance(write, Advance):
            return self._advance(write)
        if isinstance(write, Confirmation):
            return self._confirm(write)
        return self.add_reading(write) != 0

    def _advance(self, to: Advance) -> bool:
        old = to.candidate
        self._hot.execute(
            ADVANCE,
            (to.era, to.step, to.pid, to.chain, to.pending_pid, to.pending_key,
             old.id, old.era, old.step, old.pending_pid),
        )  # fmt: skip
        if self._hot.rowcount != 1:
            return False
        if to.era != old.era:
            self._hot.execute(FORGET_COMING, (old.id, to.era))
            self.add_coming(old.id, to.coming)
        self._old.append((old.pid, old.id))
        if old.pending_pid is not None:
            self._old.append((old.pending_pid, old.id))
        self._new += (to.pending_pid, old.id), (to.pid, old.id)
        return True

    def _confirm(self, of: Confirmation) -> bool:
        added = self._add(of.reading) if of.reading else 0
        session = (of.at, of.fingerprint, of.era, of.step)
        self._hot.execute(CONFIRM, (*session, added or None, bool(added), of.device, of.pid))
        if self._hot.rowcount != 1:
            if added:
                self._hot.execute("DELETE FROM reading WHERE id = ?", (added,))
            return False
        self._old.append((of.pid, of.device))
        return True

    def add_reading(self, reading: NewReading) -> int:
        """Add a reading behind the device's last one; return its number, 0 if it is not active."""
        number = self._add(reading)
        if number:
            self._hot.execute(LAST_IS, (number, reading.device))
        return number

    def _add(self, reading: NewReading) -> int:
        self._hot.execute(ADD_READING, reading)
        return (self._hot.lastrowid or 0) if self._hot.rowcount == 1 else 0

    def add_coming(self, device: int, pseudonyms: Iterable[tuple[bytes, int]]) -> None:
        """Add pseudonyms (pid, era) of coming eras."""
        self._hot.executemany(ADD_COMING, [(pid, device, era) for pid, era in pseudonyms])
