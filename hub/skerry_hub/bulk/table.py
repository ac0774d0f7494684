"""Rows of devices as CSV or JSON Lines, tolerant of what spreadsheets do to files.

CSV: UTF-8, with or without a byte order mark; "," or ";"; the first row names the columns. JSON
Lines: one object a line. Columns that are none of ours are left alone.
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from skerry_hub.errors import HubError

COLUMNS = ("id", "label", "tags", "state", "suite", "fingerprint", "wrapped_key")
_LONGEST = 4096  # characters of a value
_MANGLED = re.compile(r"\d+([.,]\d+)?[eE]\+?\d+")


@dataclass(frozen=True)
class Problem:
    """What is wrong in a file, and where; lines count from 1."""

    line: int
    column: str
    said: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.column}: {self.said}"


@dataclass(frozen=True)
class Row:
    """One device of a file."""

    line: int
    values: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.values.get(column, "")

    def problem(self, column: str, said: object) -> Problem:
        """Return what is wrong with one of its values."""
        return Problem(self.line, column, str(said))


def read(path: Path) -> tuple[list[Row], list[Problem]]:
    """Read a file; raise HubError if it is no table at all, and OSError."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise HubError(
            f"{path} is not UTF-8 at byte {error.start}: save it as CSV UTF-8"
        ) from None
    first = text.lstrip()[:1]
    if not first:
        raise HubError(f"{path} is empty: its first row names the columns ({', '.join(COLUMNS)})")
    found = list(_json_lines(text) if first == "{" else _csv(path, text))
    rows = [each for each in found if isinstance(each, Row)]
    return rows, [each for each in found if isinstance(each, Problem)]


def _csv(path: Path, text: str) -> Iterator[Row | Problem]:
    head = text.lstrip().splitlines()[0]
    separator = ";" if head.count(";") > head.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    names: list[str] = []
    start = 1  # a quoted value may have line breaks: a row is named by its first line
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                pass
            elif not names:
                names = [cell.strip().lower() for cell in cells]
                if "id" not in names:
                    raise HubError(f"{path}: line {start} names no column id: {', '.join(names)}")
            elif len(cells) > len(names):
                yield Problem(start, "row", f"{len(cells)} values for {len(names)} columns")
            else:
                yield from _checked(start, dict(zip(names, cells, strict=False)))
            start = reader.line_num + 1
    except csv.Error as error:
        yield Problem(start, "row", f"cannot be read: {error}")


def _json_lines(text: str) -> Iterator[Row | Problem]:
    for line, part in enumerate(text.splitlines(), 1):
        if not part.strip():
            continue
        try:
            told = json.loads(part)
        except ValueError as error:
            yield Problem(line, "row", f"is no JSON: {error}")
            continue
        if not isinstance(told, dict):
            yield Problem(line, "row", "is no JSON object")
            continue
        values = {key: "" if value is None else str(value) for key, value in told.items()}
        yield from _checked(line, values)


def _checked(line: int, values: dict[str, str]) -> Iterator[Row | Problem]:
    row = Row(line, {key: value.strip() for key, value in values.items() if key in COLUMNS})
    for column, value in row.values.items():
        if len(value) > _LONGEST or not value.isprintable():
            yield row.problem(column, "too long, or has characters that do not print")
            return
    if not row["id"]:
        yield row.problem("id", "is missing")
    elif _MANGLED.fullmatch(row["id"]):
        yield row.problem("id", f"{row['id']!r}: a spreadsheet made a number of it")
    elif row["suite"] not in ("", "0", "1"):
        yield row.problem("suite", f"{row['suite']!r} is no suite: 0 or 1")
    else:
        yield row
