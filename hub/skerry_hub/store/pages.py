"""Pieces of what the store holds, for people: each read looks at a bounded number of rows."""

# ruff: noqa: D102 - what the methods do is said once, in `Store`.

from collections.abc import Mapping

from skerry_hub.store import Device, Page, Wanted
from skerry_hub.store.ledger import Entry
from skerry_hub.store.lifecycle import DEVICES_OF
from skerry_hub.store.portable import Portable

LOOKED_AT = 2000  # rows of devices, for one page

_LAST_LOOKED_AT = "SELECT id FROM device WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?"
_ENTRIES = "SELECT id, at, who, action, subject, detail, hash FROM audit WHERE id < ? "
_HIGHEST = (1 << 63) - 1


class Pages(Portable):
    """Part of a `Store`: see there for what the methods do."""

    def population(self) -> Mapping[str, int]:
        return dict(self._read("SELECT state, devices FROM population"))

    def page(self, after: int, limit: int, wanted: Wanted) -> Page:
        with self._snapshot():
            where, values = self._conditions(wanted)
            looked_at = "(SELECT * FROM device WHERE id > ? ORDER BY id LIMIT ?) AS looked_at"
            rows = self._read(
                f"{DEVICES_OF}{looked_at} WHERE {where} ORDER BY id LIMIT ?",
                after, LOOKED_AT, *values, limit,
            )  # fmt: skip
            found = [Device(*row) for row in rows]
            if len(found) == limit:
                return Page(found, found[-1].id)
            last = self._read(_LAST_LOOKED_AT, after, LOOKED_AT - 1)
            return Page(found, last[0][0] if last else None)

    def _conditions(self, wanted: Wanted) -> tuple[str, list[str]]:
        """Return SQL and its values."""
        said = {
            "state = ?": wanted.state,
            f"{self._POSITION}(' ' || tags || ' ', ' ' || ? || ' ') > 0": wanted.tag,
            f"{self._POSITION}(lower(name || ' ' || label || ' ' || fingerprint), lower(?)) > 0":
                wanted.text,
        }  # fmt: skip
        asked = {sql: value for sql, value in said.items() if value}
        return " AND ".join(asked) or "TRUE", [*asked.values()]

    def audit_before(
        self, before: int | None, limit: int, subject: str | None = None
    ) -> list[Entry]:
        before = _HIGHEST if before is None else before
        about = () if subject is None else (subject,)
        where = "AND subject = ? " if about else ""  # so that its index is used
        sql = f"{_ENTRIES}{where}ORDER BY id DESC LIMIT ?"
        return [Entry(*row) for row in self._read(sql, before, *about, limit)]
