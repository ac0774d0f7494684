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
from typing import BinaryIO, Protocol, TypeVar

from skerry_hub.errors import NotInitialised, StoreDamaged, StoreError
from skerry_hub.files import beside, synced
from skerry_hub.store import Store
from skerry_hub.store.database import BUSY_S
from skerry_hub.store.sqlite import SqliteStore

_JOURNAL = ("-wal", "-shm")
# The pending byte and the shared range: sqlite.org/fileformat2.html#the_lock_byte_page, lockingv3.
_LOCKS = ((0x40000000, 1), (0x40000002, 510))
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
        part = beside(before, ".part")
        if part.exists():  # another restore was cut off: before its rename, or behind it
            part.unlink() if _same(part, self._path) else part.rename(before)
        with _nobody_has(self._path):
            if self._path.exists():
                os.link(self._path, part)
            self._rename(copy, part)
        for end in _JOURNAL:
            beside(before, end).unlink(missing_ok=True)
            if self.now is None and beside(part, end).exists():  # it may have what is not in it
                beside(part, end).rename(beside(before, end))
            beside(part, end).unlink(missing_ok=True)
        if part.exists():
            part.rename(before)
        synced(self._path.parent)

    def _rename(self, copy: Path, part: Path) -> None:
        """Put the copy in place, and the journal of what is there beside `part`; both or none."""
        moved = [end for end in _JOURNAL if beside(self._path, end).exists()]
        try:
            for end in moved:
                beside(self._path, end).rename(beside(part, end))
            copy.rename(self._path)
        except OSError:
            for end in moved:
                with suppress(FileNotFoundError):
                    beside(part, end).rename(beside(self._path, end))
            part.unlink(missing_ok=True)
            raise


@contextmanager
def _nobody_has(path: Path) -> Iterator[None]:
    """Wait until nobody else has a database open, and let nobody open it.

    Or who opens it meanwhile would have the former file with the journal of the copy. SQLite locks
    a byte for a moment to open a file, then others as long as it is open. Raises StoreError.
    """
    if not path.exists():
        yield
        return
    end = time.monotonic() + 2 * BUSY_S  # who waits for us to end gives up after the half of it
    try:
        with path.open("r+b") as file:  # closed, it lets go of all this process's locks of it
            for start, length in _LOCKS:
                while not _locked(file, start, length):
                    if time.monotonic() > end:
                        raise StoreError(
                            f"database {path}: another process has it open: end that one, skerry"
                            " tail for example, or try again"
                        )
                    time.sleep(0.001)
            yield
    except OSError as error:
        raise StoreError(f"database {path}: {error.strerror}: nothing was replaced") from None


def _locked(file: BinaryIO, start: int, length: int) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
    except (BlockingIOError, PermissionError):  # POSIX has both
        return False
    return True


def _same(one: Path, other: Path) -> bool:
    return other.exists() and one.samefile(other)
