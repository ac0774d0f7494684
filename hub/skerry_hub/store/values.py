"""What an operator sets, the hub's own values, its log and its keys, in SQL for both databases."""

# ruff: noqa: D102 - what the methods do is said once, in `Store`.

from collections.abc import Mapping, Sequence

from skerry_hub.errors import StoreError
from skerry_hub.store import ConfigValue, Sealed
from skerry_hub.store.ledger import Entry
from skerry_hub.store.portable import Portable

_NOTE_ADDRESS = """
    INSERT INTO address (device, peer) SELECT id, ? FROM device WHERE id = ? AND state = 'active'
    ON CONFLICT (device) DO UPDATE SET peer = excluded.peer
"""
_CONFIG = "SELECT path, format, payload FROM config WHERE device = ? AND payload IS NOT NULL"


class Values(Portable):
    """Part of a `Store`: see there for what the methods do."""

    def note_addresses(self, peers: dict[int, str]) -> None:
        with self._writing() as db:
            db.executemany(_NOTE_ADDRESS, [(peer, device) for device, peer in peers.items()])

    def address(self, device: int) -> str | None:
        rows = self._read("SELECT peer FROM address WHERE device = ?", device)
        return rows[0][0] if rows else None

    def set_config(
        self, device: int, path: str, format: int | None, payload: bytes | None
    ) -> None:
        with self._writing() as db:
            self._seals.check([payload] if payload is not None else [])
            sql = "SELECT name FROM device WHERE id = ? AND state = 'active'"
            for (name,) in self._read(sql, device):
                db.execute("DELETE FROM config WHERE device = ? AND path = ?", (device, path))
                db.execute(
                    "INSERT INTO config (device, path, format, payload) VALUES (?, ?, ?, ?)",
                    (device, path, format, payload),
                )
                self._ledger.note("set" if payload is not None else "unset", name, {"path": path})

    def config(self, device: int, path: str | None = None) -> list[ConfigValue]:
        if path is None:
            rows = self._read(_CONFIG + " ORDER BY path", device)
        else:
            rows = self._read(_CONFIG + " AND path = ?", device, path)
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

    def known(self, prefix: str) -> list[str]:
        query = "SELECT key FROM meta WHERE substr(key, 1, ?) = ? ORDER BY key"
        return [key for (key,) in self._read(query, len(prefix), prefix)]

    def put(
        self, key: str, value: bytes, action: str = "", detail: Mapping[str, object] = {}
    ) -> None:
        with self._writing():
            self._put(key, value)
            if action:
                self._ledger.note(action, "", detail)

    def put_first(self, key: str, value: bytes) -> bytes:
        found = self.get(key)
        if found is None:
            with self._writing():
                found = self.get(key)  # another process may have been faster
                if found is None:
                    self._put(key, value)
        return value if found is None else found

    def _put(self, key: str, value: bytes | None) -> None:
        self._db.execute("DELETE FROM meta WHERE key = ?", (key,))
        if value is not None:
            self._db.execute("INSERT INTO meta (key, value) VALUES (?, ?)", (key, value))

    def note(self, action: str, subject: str = "", detail: Mapping[str, object] = {}) -> None:
        with self._writing():
            self._ledger.note(action, subject, detail)

    def audit_after(
        self, number: int, limit: int = 1000, subject: str | None = None
    ) -> list[Entry]:
        with self._edge():
            return self._ledger.after(number, limit, subject)

    def last_audit(self) -> Entry | None:
        with self._edge():
            return self._ledger.last()

    def sealed_before(self, number: int, limit: int) -> list[Sealed]:
        with self._edge():
            return self._seals.before(number, limit)

    def reseal(self, values: Sequence[tuple[Sealed, bytes]]) -> None:
        with self._writing():
            self._lock({old.device for old, _ in values})
            self._seals.reseal(values)

    def change_keys(
        self, seen: Mapping[str, bytes | None], values: Mapping[str, bytes | None], detail: str
    ) -> bool:
        with self._writing():
            self._lock_keys()
            if any(self.get(key) != value for key, value in seen.items()):
                raise StoreError(
                    "the hub's keys were changed meanwhile, by another skerry rotate-key or a"
                    " restore: see skerry audit, then try again"
                )
            row_key = values.get("row_key") or self.get("row_key") or b""
            ends = values.get("next_row_key", b"") is None
            if ends and self._seals.before(row_key[0], 1):
                return False
            for key, value in values.items():
                self._put(key, value)
            self._ledger.note("keys", "", {"step": detail})
        self.scrub()
        return True
