"""A backup in the place of a store: who does that holds the place, and nobody else writes there.

What was committed before it is held can be compared; who writes or starts a hub later finds out
that the store was replaced.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeVar

from skerry_hub.errors import NotInitialised, StoreDamaged
from skerry_hub.files import synced
from skerry_hub.store import Store
from skerry_hub.store.database import remove
from skerry_hub.store.sqlite import SqliteStore

AnyStore = TypeVar("AnyStore", bound=Store)


class Held(Protocol):
    """A place that is held."""

    @property
    def now(self) -> Store | None:
        """The store that is there, None if there is none that can be read."""

    def replace(self, copy: Path, before: Path) -> None:
        """Put a SQLite file in its place and leave at `before`, another, what was there.

        Nobody has `copy` open. Raises StoreError, and then all is as it was.
        """


@contextmanager
def present(opening: Callable[[], AnyStore]) -> Iterator[AnyStore | None]:
    """Open a store as it is now; None if there is none that can be read. Raises StoreError.

    What fails for another reason is no damage: what was revoked since would be forgotten.
    """
    with ExitStack() as opened:
        store = None
        with suppress(NotInitialised, StoreDamaged):
            found = opening()
            opened.callback(found.close)
            found.check()
            store = found
        yield store


@contextmanager
def held(path: Path) -> Iterator[Held]:
    """Hold the place of a SQLite file; raise StoreError."""
    with present(lambda: SqliteStore(path)) as now, ExitStack() as kept:
        if now is not None:
            kept.enter_context(now.held())
        yield _File(path, now)


class _File:
    def __init__(self, path: Path, now: SqliteStore | None) -> None:
        self._path = path
        self.now = now

    def replace(self, copy: Path, before: Path) -> None:
        """See `Held`. A journal of what was there must never meet the copy."""
        with copy.open("rb") as opened:
            os.fsync(opened.fileno())
        remove(before)
        journal = [_beside(before, end) for end in ("-wal", "-shm")]
        for new, end in zip(journal, ("-wal", "-shm"), strict=True):
            with suppress(FileNotFoundError):
                _beside(self._path, end).rename(new)
        if self._path.exists():
            os.link(self._path, before)
        copy.rename(self._path)
        synced(self._path.parent)
        if self.now is not None:  # and so it is empty
            for each in journal:
                each.unlink(missing_ok=True)


def _beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)
