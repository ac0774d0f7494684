"""A table of devices that redraws itself on a terminal, or is printed once at its end."""

import sys
from typing import Any

_HEAD = ("device", "epoch", "key at device", "key at hub", "sent", "received", "readings", "now")
_WIDTHS = (12, 7, 13, 11, 7, 9, 9, 0)


def _line(cells: tuple[Any, ...]) -> str:
    return " ".join(str(cell).ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True))


class Table:
    """Rows by device name; `keys` are session fingerprints, which reveal nothing."""

    def __init__(self) -> None:
        self._drawn = 0

    def lines(self, rows: list[dict[str, Any]]) -> list[str]:
        """Return the table's lines."""
        head = _line(_HEAD)
        cells = [
            (
                row["device"], row.get("epoch", "-"), row.get("fingerprint", "-"),
                row.get("hub", "-"), row.get("sent", 0), row.get("received", 0),
                row.get("readings", 0), row.get("now", ""),
            )
            for row in rows
        ]  # fmt: skip
        return [head, "-" * len(head), *(_line(each).rstrip() for each in cells)]

    def draw(self, rows: list[dict[str, Any]], last: bool = False) -> None:
        """Draw in place on a terminal; elsewhere only the last state is printed."""
        if not sys.stdout.isatty():
            if last:
                print("\n".join(self.lines(rows)), flush=True)
            return
        back = f"\x1b[{self._drawn}F" if self._drawn else ""
        lines = self.lines(rows)
        print(back + "\n".join("\x1b[K" + line for line in lines), flush=True)
        self._drawn = 0 if last else len(lines)
