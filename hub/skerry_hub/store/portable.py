"""What both stores have in common: the transaction around a piece of work, and what it may call.

All SQL in lifecycle.py, values.py and operated.py is understood by SQLite and PostgreSQL alike;
`?` stands for a value. What is not alike is a method here.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from skerry_hub.store.operated import Connection, Ledger, Seals

ADD_COMING = """
    INSERT INTO coming (pid, device, era) VALUES (?, ?, ?)
    ON CONFLICT (pid, device) DO UPDATE SET era = excluded.era
"""


class Portable(ABC):
    """A store's database."""

    _db: Connection
    _ledger: Ledger
    _seals: Seals
    _POSITION: str  # SQL's function of (text, piece): where the piece begins, from 1, or 0

    @abstractmethod
    def _edge(self) -> AbstractContextManager[None]:
        """Turn the database's errors into StoreError, with a remedy."""

    @abstractmethod
    def _read(self, sql: str, *values: Any) -> list[Any]:
        """Return all rows of a query, outside a transaction or in the one that is open."""

    @abstractmethod
    def _snapshot(self) -> AbstractContextManager[None]:
        """Several reads that see the same."""

    @abstractmethod
    def _writing(self) -> AbstractContextManager[Connection]:
        """One transaction: committed at the end, or as if it never was.

        Those of all processes take turns here, and the row keys stay what they are meanwhile.
        """

    @abstractmethod
    def _lock(self, devices: Iterable[int]) -> None:
        """Keep `write` of any process from these devices until the transaction ends."""

    @abstractmethod
    def _lock_keys(self) -> None:
        """Keep `write` of any process from sealed values until the transaction ends."""

    @abstractmethod
    def _found_by(self, rows: Sequence[tuple[bytes, int]]) -> None:
        """Let devices be found by pseudonyms of their rows; `_committed` has to follow.

        Once in a transaction.
        """

    @abstractmethod
    def _committed(self) -> None:
        """Take note that the transaction is done."""

    @abstractmethod
    def _hand_over_readings(self, device: int, former: int) -> None:
        """Give all readings of a device to one that has none."""

    @abstractmethod
    def scrub(self) -> bool:
        """Erase what was overwritten: see `Store`."""
