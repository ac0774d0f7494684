"""From enrolment to revocation: what operators do with devices, in SQL for both databases."""

# ruff: noqa: D102 - what the methods do is said once, in `Store`.

import time
from collections.abc import Iterable

from skerry_hub.errors import DuplicateDevice
from skerry_hub.store import Candidate, Device, NewDevice, duplicate, named, replaces
from skerry_hub.store.portable import ADD_COMING, Portable

_KEYS = """
    SELECT id, name, suite, era, step, pid, chain, pending_pid, pending_key, era
    FROM device WHERE name = ?
"""
DEVICES_OF = """
    SELECT id, name, label, state, suite, era, step, fingerprint, session_fingerprint,
           session_era, session_step, enrolled_at, seen_at, readings, chip, board, tags
    FROM """
_DEVICES = DEVICES_OF + "device "
_ENROL = """
    INSERT INTO device (name, label, state, suite, era, step, pid, chain, fingerprint, enrolled_at,
                        chip, board, tags, key_check)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id
"""
_REVOKE = """
    UPDATE device SET state = 'revoked', pid = ?, chain = ?, pending_pid = NULL, pending_key = NULL
    WHERE id = ?
"""


class Lifecycle(Portable):
    """Part of a `Store`: see there for what the methods do."""

    def enroll(self, device: NewDevice, coming: Iterable[tuple[bytes, int]]) -> int:
        return self.enroll_all([(device, coming)])[0]

    def enroll_all(
        self, devices: Iterable[tuple[NewDevice, Iterable[tuple[bytes, int]]]]
    ) -> list[int]:
        with self._writing():
            found = [(each.pid, self._enroll(each, coming)) for each, coming in devices]
            self._found_by(found)
        self._committed()
        return [number for _, number in found]

    def _enroll(self, device: NewDevice, coming: Iterable[tuple[bytes, int]]) -> int:
        holder = self.device(device.name)
        if holder is not None:
            raise duplicate(holder)
        if device.key_check and self.of_key(device.key_check):
            raise DuplicateDevice("another device has this very key: every one needs its own")
        self._seals.check([device.chain])
        row = (device.name, device.label, device.state, device.suite, device.era, device.step,
               device.pid, device.chain, device.fingerprint, device.enrolled_at, device.chip,
               device.board, device.tags, device.key_check)  # fmt: skip
        number = int(self._db.execute(_ENROL, row).fetchall()[0][0])
        self._db.executemany(ADD_COMING, [(pid, number, era) for pid, era in coming])
        said = {"fingerprint": device.fingerprint, "state": device.state}
        self._ledger.note("enrol", device.name, said)
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
            former = named(self, final) if final != name else None
            holders = self._holders(device.chip)  # its board is another device now
            self._lock(each.id for each in (device, former, *holders) if each)
            if former is not None:
                self._replace(former, device)
            for holder in holders:
                if holder != former:
                    self._revoke(holder, replaced_by=device.fingerprint)
            db.execute(
                "UPDATE device SET state = 'active', name = ? WHERE id = ?", (final, device.id)
            )
            self._is_found(device.id)
            self._ledger.note("activate", final, {"fingerprint": device.fingerprint})
        self._committed()
        self.scrub()
        return True

    def _replace(self, former: Device, device: Device) -> None:
        """Give what a device has to the one that takes its id, and revoke it."""
        self._hand_over_readings(device.id, former.id)
        self._db.execute("UPDATE config SET device = ? WHERE device = ?", (device.id, former.id))
        if former.state != "revoked":
            self._revoke(former, replaced_by=device.fingerprint)
        self._db.execute(
            "UPDATE device SET name = ? WHERE id = ?", (f"{former.name}~{former.id}", former.id)
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
        self._db.execute(_REVOKE, (b"", b"", device.id))
        for table in ("coming", "address", "config"):
            self._db.execute(f"DELETE FROM {table} WHERE device = ?", (device.id,))  # noqa: S608 - one of these
        self._cut_off(device.id)
        self._ledger.note("revoke", device.name, {"fingerprint": device.fingerprint, **why})

    def _cut_off(self, device: int) -> None:
        """Have running hubs end a device's sessions."""
        number = max(time.time_ns() // 1000, self.last_revocation() + 1)
        self._db.execute("INSERT INTO revocation VALUES (?, ?)", (number, device))

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
        self._committed()
        return True

    def _is_found(self, device: int) -> None:
        """Let a device be found by the pseudonyms of its row."""
        (pids,) = self._read("SELECT pid, pending_pid FROM device WHERE id = ?", device)
        self._found_by([(pid, device) for pid in pids if pid is not None])

    def set_tags(self, name: str, tags: str) -> None:
        with self._writing() as db:
            device = named(self, name)
            db.execute("UPDATE device SET tags = ? WHERE id = ?", (tags, device.id))
            self._ledger.note("tag", name, {"before": device.tags, "after": tags})

    def revoked_after(self, number: int) -> list[tuple[int, int]]:
        return self._read("SELECT id, device FROM revocation WHERE id > ? ORDER BY id", number)

    def last_revocation(self) -> int:
        return int(self._read("SELECT coalesce(max(id), 0) FROM revocation")[0][0])
