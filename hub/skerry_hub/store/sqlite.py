"""The store in one SQLite file. schema.sql is the truth; all SQL of the hub is in this folder.

Every write is one BEGIN IMMEDIATE transaction, synced to the disk before it returns.
"""

# ruff: noqa: D102 - what the methods do is said once, in `Store`.

import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from skerry_hub.errors import DuplicateDevice, DuplicateToken, StoreError
from skerry_hub.store import (
    Advance,
    Candidate,
    ConfigValue,
    Device,
    NewDevice,
    NewReading,
    Page,
    Reading,
    Sealed,
    Token,
    Wanted,
    Write,
    duplicate,
    named,
    replaces,
)
from skerry_hub.store.database import BUSY_S, edge, opened
from skerry_hub.store.ledger import Entry
from skerry_hub.store.moves import Moves
from skerry_hub.store.operated import Ledger, Seals
from skerry_hub.store.pages import Pages
from skerry_hub.store.tokens import Tokens

_KEYS = """
    SELECT id, name, suite, era, step, pid, chain, pending_pid, pending_key, era
    FROM device WHERE name = ?
"""
_DEVICES = """
    SELECT id, name, label, state, suite, era, step, fingerprint, session_fingerprint,
           session_era, session_step, enrolled_at, seen_at, readings, chip, board, tags
    FROM device
"""
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
_NOTE_REVOCATION = """
    INSERT INTO revocation SELECT max(?, coalesce(max(id), 0) + 1), ? FROM revocation
"""


class SqliteStore:
    """A `Store`: see there for what the methods do. Use one a process."""

    def __init__(self, path: Path) -> None:
        """Open the database; raise NotInitialised or StoreError."""
        self._path = path
        self._db = opened(path)
        self._moves = Moves(self._db)
        self._ledger = Ledger(self._db)
        self._seals = Seals(self._db)
        self._pages = Pages(self._db)
        self._tokens = Tokens(self._db)

    def __repr__(self) -> str:
        return f"<SqliteStore {self._path}>"

    def _read(self, sql: str, *values: Any) -> list[Any]:
        with edge(self._path):
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed at the end, or as if it never was."""
        with edge(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """Several reads that see the same."""
        with edge(self._path):
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("ROLLBACK")

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

    def enroll(self, device: NewDevice, coming: Iterable[tuple[bytes, int]]) -> int:
        with self._writing() as db:
            holder = self.device(device.name)
            if holder is not None:
                raise duplicate(holder)
            if device.key_check and self.of_key(device.key_check):
                raise DuplicateDevice("another device has this very key: every one needs its own")
            self._seals.check([device.chain])
            number = db.execute(
                "INSERT INTO device (name, label, state, suite, era, step, pid, chain,"
                " fingerprint, enrolled_at, chip, board, tags, key_check)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (device.name, device.label, device.state, device.suite, device.era, device.step,
                 device.pid, device.chain, device.fingerprint, device.enrolled_at, device.chip,
                 device.board, device.tags, device.key_check),
            ).lastrowid or 0  # fmt: skip
            self._moves.add_coming(number, coming)
            self._moves.found_by([device.pid], number)
            said = {"fingerprint": device.fingerprint, "state": device.state}
            self._ledger.note("enrol", device.name, said)
        self._moves.committed()
        return number

    def keys(self, name: str) -> Candidate | None:
        return next((Candidate(*row) for row in self._read(_KEYS, name)), None)

    def of_chip(self, chip: str) -> list[Device]:
        return [
            Device(*row)
            for state in ("pending", "active")
            for row in self._read(_DEVICES + f"WHERE state = '{state}' AND chip = ?", chip)
        ]

    def _holders(self, chip: str | None) -> list[Device]:
        """Return the active devices on a chip."""
        return [each for each in self.of_chip(chip or "") if each.state == "active"]

    def of_key(self, key_check: bytes) -> str | None:
        rows = self._read("SELECT name FROM device WHERE key_check = ?", key_check)
        return rows[0][0] if rows else None

    def describe(self, name: str, chip: str, board: str) -> None:
        with self._writing() as db:
            device = named(self, name)
            for holder in self._holders(chip):
                if holder.id != device.id:
                    raise DuplicateDevice(f"chip {chip} is {holder.name} already")
            db.execute(
                "UPDATE device SET chip = ?, board = ? WHERE id = ?", (chip, board, device.id)
            )
            self._ledger.note("describe", name, {"chip": chip, "board": board})

    def activate(self, name: str) -> bool:
        with self._writing() as db:
            device = named(self, name)
            if device.state != "pending":
                return False
            final = replaces(name) or name
            if final != name:
                former = named(self, final)
                moved = device.id, former.id
                self._hand_over_readings(*moved)
                db.execute("UPDATE config SET device = ? WHERE device = ?", moved)
                if former.state != "revoked":
                    self._revoke(former, replaced_by=device.fingerprint)
                db.execute(
                    "UPDATE device SET name = ? WHERE id = ?", (f"{final}~{former.id}", former.id)
                )
            for holder in self._holders(device.chip):  # its board is another device now
                self._revoke(holder, replaced_by=device.fingerprint)
            db.execute(
                "UPDATE device SET state = 'active', name = ? WHERE id = ?", (final, device.id)
            )
            self._is_found(device.id)
            self._ledger.note("activate", final, {"fingerprint": device.fingerprint})
        self._moves.committed()
        self.scrub()
        return True

    def _is_found(self, device: int) -> None:
        """Let a device be found by the pseudonyms of its row."""
        sql = "SELECT pid, pending_pid FROM device WHERE id = ?"
        pids = self._db.execute(sql, (device,)).fetchone()
        self._moves.found_by([pid for pid in pids if pid is not None], device)

    def _hand_over_readings(self, device: int, former: int) -> None:
        """Give all readings of a device to one that has none."""
        self._db.execute(_HAND_OVER, (device, former))
        self._db.execute(
            "UPDATE device SET (last_reading, readings) ="
            " (SELECT last_reading, readings FROM device WHERE id = ?) WHERE id = ?",
            (former, device),
        )
        self._db.execute(
            "UPDATE device SET last_reading = NULL, readings = 0 WHERE id = ?", (former,)
        )

    def discard(self, name: str) -> None:
        with self._writing() as db:
            device = named(self, name)
            if device.state == "pending":
                db.execute("DELETE FROM coming WHERE device = ?", (device.id,))
                db.execute("DELETE FROM device WHERE id = ?", (device.id,))
                self._ledger.note("discard", name, {"fingerprint": device.fingerprint})
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
            self._revoke(device)
        self.scrub()
        return True

    def _revoke(self, device: Device, **why: object) -> None:
        self._db.execute(
            "UPDATE device SET state = 'revoked', pid = x'', chain = x'', pending_pid = NULL,"
            " pending_key = NULL WHERE id = ?",
            (device.id,),
        )
        self._db.execute("DELETE FROM coming WHERE device = ?", (device.id,))
        self._db.execute("DELETE FROM address WHERE device = ?", (device.id,))
        self._db.execute("DELETE FROM config WHERE device = ?", (device.id,))
        self._cut_off(device.id)
        self._ledger.note("revoke", device.name, {"fingerprint": device.fingerprint, **why})

    def _cut_off(self, device: int) -> None:
        """Have running hubs end a device's sessions."""
        self._db.execute(_NOTE_REVOCATION, (time.time_ns() // 1000, device))

    def quarantine(self, name: str, reason: str) -> bool:
        with self._writing() as db:
            device = named(self, name)
            if device.state != "active":
                return False
            db.execute("UPDATE device SET state = 'quarantined' WHERE id = ?", (device.id,))
            self._cut_off(device.id)
            self._ledger.note("quarantine", name, {"reason": reason})
        return True

    def release(self, name: str) -> bool:
        with self._writing() as db:
            device = named(self, name)
            if device.state != "quarantined":
                return False
            for holder in self._holders(device.chip):
                raise DuplicateDevice(f"its board is {holder.name} now: revoke one of them")
            db.execute("UPDATE device SET state = 'active' WHERE id = ?", (device.id,))
            self._is_found(device.id)
            self._ledger.note("release", name, {})
        self._moves.committed()
        return True

    def set_tags(self, name: str, tags: str) -> None:
        with self._writing() as db:
            device = named(self, name)
            db.execute("UPDATE device SET tags = ? WHERE id = ?", (tags, device.id))
            self._ledger.note("tag", name, {"before": device.tags, "after": tags})

    def revoked_after(self, number: int) -> list[tuple[int, int]]:
        return self._read("SELECT id, device FROM revocation WHERE id > ? ORDER BY id", number)

    def last_revocation(self) -> int:
        return int(self._read("SELECT coalesce(max(id), 0) FROM revocation")[0][0])

    def changes(self) -> int:
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
            self._seals.check([payload] if payload is not None else [])
            done = db.execute(
                "INSERT OR REPLACE INTO config (device, path, format, payload)"
                " SELECT id, ?, ?, ? FROM device WHERE id = ? AND state = 'active'",
                (path, format, payload, device),
            ).rowcount
            if done:
                ((name,),) = db.execute("SELECT name FROM device WHERE id = ?", (device,))
                self._ledger.note("set" if payload is not None else "unset", name, {"path": path})

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

    def note(self, action: str, subject: str = "", detail: Mapping[str, object] = {}) -> None:
        with self._writing():
            self._ledger.note(action, subject, detail)

    def audit_after(
        self, number: int, limit: int = 1000, subject: str | None = None
    ) -> list[Entry]:
        with edge(self._path):
            return self._ledger.after(number, limit, subject)

    def last_audit(self) -> Entry | None:
        with edge(self._path):
            return self._ledger.last()

    def population(self) -> Mapping[str, int]:
        with edge(self._path):
            return self._pages.population()

    def page(self, after: int, limit: int, wanted: Wanted) -> Page:
        with self._snapshot():
            return self._pages.devices(after, limit, wanted)

    def readings_before(self, device: int, before: int | None, limit: int) -> list[Reading]:
        with edge(self._path):
            return self._pages.readings(device, before, limit)

    def audit_before(
        self, before: int | None, limit: int, subject: str | None = None
    ) -> list[Entry]:
        with edge(self._path):
            return self._pages.entries(before, limit, subject)

    def add_token(self, token: Token) -> None:
        with self._writing():
            if self._tokens.get(token.name) is not None:
                raise DuplicateToken(f"there is a token {token.name}: revoke it, or choose a name")
            self._tokens.add(token)
            said = {"name": token.name, "scopes": token.scopes, "expires_at": token.expires_at}
            self._ledger.note("token", "", said)

    def revoke_token(self, name: str) -> bool:
        with self._writing():
            if not self._tokens.remove(name):
                return False
            self._ledger.note("revoke token", "", {"name": name})
        return True

    def token(self, name: str) -> Token | None:
        with edge(self._path):
            return self._tokens.get(name)

    def tokens(self) -> list[Token]:
        with edge(self._path):
            return self._tokens.all()

    def note_tokens_used(self, when: Mapping[str, float]) -> None:
        with self._writing():
            self._tokens.used(when)

    def sealed_before(self, number: int, limit: int) -> list[Sealed]:
        with edge(self._path):
            return self._seals.before(number, limit)

    def reseal(self, values: Sequence[tuple[Sealed, bytes]]) -> None:
        with self._writing():
            self._seals.reseal(values)

    def change_keys(self, values: Mapping[str, bytes | None], detail: str) -> bool:
        with self._writing() as db:
            row_key = values.get("row_key") or self.get("row_key") or b""
            ends = values.get("next_row_key", b"") is None
            if ends and self._seals.before(row_key[0], 1):
                return False
            for key, value in values.items():
                db.execute("DELETE FROM meta WHERE key = ?", (key,))
                if value is not None:
                    self._put(key, value)
            self._ledger.note("keys", "", {"step": detail})
        self.scrub()
        return True

    def copy_to(self, path: Path) -> None:
        """Copy all that is committed to a database file, while others go on to write."""
        with edge(self._path), closing(sqlite3.connect(path)) as copy:
            self._db.backup(copy)

    def check(self) -> str:
        found = self._read("PRAGMA integrity_check(1)")[0][0]
        if found != "ok":
            raise StoreError(f"database {self._path}: it is damaged: restore it from a backup")
        return "sound"

    def scrub(self) -> bool:
        with edge(self._path):
            self._db.execute("PRAGMA busy_timeout = 0")  # it can as well be done the next time
            busy = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            self._db.execute(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")
        return not busy

    def close(self) -> None:
        with suppress(StoreError):
            self.scrub()
        self._db.close()
