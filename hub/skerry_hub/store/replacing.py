"""A backup in the place of a store: who does that holds the place, and nobody else writes there.

What was committed before it is held can be compared; who writes or starts a hub later finds out
that the store was replaced.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeVar

from skerry_hub.errors import NotInitialised, StoreDamaged, StoreError
from skerry_hub.files import synced
from skerry_hub.store import Store
from skerry_hub.store.database import BUSY_S, remove
from skerry_hub.store.sqlite import SqliteStore

_PENDING_BYTE = 0x40000000  # sqlite.org/fileformat2.html#the_lock_byte_page
AnyStore = TypeVar("AnyStore", bound=Store)


class Held(Protocol):
    """A place that is held."""

    @property
    def now(self) -> Store | None:
        """The store that is there, None if there is none that can be read."""

    def replace(self, copy: Path, before: Path) -> None:
        """Put a SQLite file in its place and leave at `before`, another, what was there.

        `copy` is one file, and nobody has it open. Raises StoreError, and then all is as it was.
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
        part = before.with_name(before.name + ".part")
        remove(part)
        remove(before)
        with _none_opens(self._path):
            journal = [_moved(self._path, part, end) for end in ("-wal", "-shm")]
            if self._path.exists():
                os.link(self._path, part)
            copy.rename(self._path)
        if self.now is None:  # the journal may have what the damaged file has not
            for each, end in zip(journal, ("-wal", "-shm"), strict=True):
                if each.exists():
                    each.rename(_beside(before, end))
        else:  # it is empty
            for each in journal:
                each.unlink(missing_ok=True)
        if part.exists():
            part.rename(before)
        synced(self._path.parent)


@contextmanager
def _none_opens(path: Path) -> Iterator[None]:
    """Let nobody begin to read a database, or it would meet a journal that is not its own.

    Who wants to takes a lock of SQLite's pending byte for a moment, and waits for BUSY_S.
    """
    if not path.exists():
        yield
        return
    end = time.monotonic() + BUSY_S
    with path.open("r+b") as file:  # to close it lets go of all this process's locks of the file
        while True:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _PENDING_BYTE)
                break
            except OSError:
                if time.monotonic() > end:
                    raise StoreError(f"database {path}: others open it all the time") from None
                time.sleep(0.001)
        yield


def _moved(path: Path, to: Path, end: str) -> Path:
    """Rename what is beside a database, if it is there; return its new name."""
    new = _beside(to, end)
    with suppress(FileNotFoundError):
        _beside(path, end).rename(new)
    return new


def _beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)
