"""Which devices a pseudonym stands for: an index in memory, one or two entries a device.

Every handshake replaces a pseudonym by a random one. An index on disk would write two pages for
it, anywhere in the file: with a million devices, that is most of what a handshake costs. So the
table `moved` lists whose pseudonyms changed, a row a transaction, and every process keeps up.
"""

import sqlite3
import struct
from collections.abc import Sequence

_KEPT = 1000  # rows of `moved`; who is further behind loads everything anew
_STALE = 1000  # moves of others, beside half of all entries, until everything is loaded anew

_ALL = "SELECT id, pid, pending_pid FROM device WHERE state = 'active'"
_SOME = """
    SELECT id, pid, pending_pid FROM device
    WHERE id IN (SELECT value FROM json_each(?)) AND state = 'active'
"""

Move = tuple[int, bytes]  # a row of `moved`: its number and its mark


def numbers(devices: Sequence[int]) -> str:
    """Return numbers of devices as SQL's json_each takes them."""
    return f"[{','.join(map(str, devices))}]"


def _pack(devices: Sequence[int]) -> bytes:
    return struct.pack(f">{len(devices)}q", *devices)


def _unpack(packed: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(packed) // 8}q", packed)


class Pseudonyms:
    """Devices by the pseudonyms of their pending and expected epochs.

    One that has moved on may still be named: its row tells. Nothing is loaded before `keep_up`.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        # Nearly always one device, so no container: 150 bytes an entry, all in all.
        self._devices: dict[bytes, int | tuple[int, ...]] = {}
        self._stale = 0
        self._version = 0
        self._seen: Move | None = None

    def find(self, pid: bytes) -> tuple[int, ...]:
        """Return the numbers of all devices that may have this pseudonym."""
        held = self._devices.get(pid)
        if held is None:
            return ()
        return held if isinstance(held, tuple) else (held,)

    def add(self, pid: bytes, device: int) -> None:
        """Let a pseudonym stand for a device, too."""
        if self._devices.setdefault(pid, device) == device:
            return
        held = self.find(pid)
        if device not in held:
            self._devices[pid] = (*held, device)

    def remove(self, pid: bytes, device: int) -> None:
        """Let it no longer stand for this device, if it did."""
        held = self._devices.get(pid)
        if held == device:
            del self._devices[pid]
        elif isinstance(held, tuple):
            left = tuple(each for each in held if each != device)
            self._devices[pid] = left[0] if len(left) == 1 else left

    def keep_up(self) -> None:
        """Take in what other processes wrote, if they did; call it inside a transaction."""
        version = int(self._db.execute("PRAGMA data_version").fetchone()[0])
        if version == self._version and self._seen is not None:
            return
        last = self._seen or (0, b"")
        moved = self._db.execute(
            "SELECT id, mark, devices FROM moved WHERE id >= ? ORDER BY id", last[:1]
        ).fetchall()
        fresh = [device for _, _, packed in moved[1:] for device in _unpack(packed)]
        self._stale += len(fresh)
        if not moved or moved[0][:2] != last or self._stale > _STALE + len(self._devices) // 2:
            self.load()  # the first time, too far behind, or the database was put back
        else:
            self._read(_SOME, numbers(fresh))
            self._seen = moved[-1][:2]
        self._version = version

    def load(self) -> None:
        """Load everything anew."""
        self._seen = None  # until all of it is here
        self._devices = {}
        self._stale = 0
        self._read(_ALL)
        self._seen = self._db.execute("SELECT max(id), mark FROM moved").fetchone()

    def _read(self, sql: str, *values: str) -> None:
        for device, *pids in self._db.execute(sql, values):
            for pid in pids:
                if pid is not None:
                    self.add(pid, device)

    def announce(self, devices: Sequence[int]) -> Move:
        """Tell the other processes, inside a transaction; `committed` has to follow it."""
        ((number, mark),) = self._db.execute(
            "INSERT INTO moved (mark, devices) VALUES (randomblob(8), ?) RETURNING id, mark",
            (_pack(devices),),
        ).fetchall()
        self._db.execute("DELETE FROM moved WHERE id <= ?", (number - _KEPT,))
        return number, mark

    def committed(self, announced: Move) -> None:
        """Note that a move is in the database; its pseudonyms are to be added by who made it."""
        if self._seen is not None and announced[0] == self._seen[0] + 1:
            self._seen = announced
        # Else another process wrote in between: `keep_up` reads its moves, and this one again.
