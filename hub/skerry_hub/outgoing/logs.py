"""The hub's two append-only logs, readings and events, read as one from a position on.

Each log keeps its own order. Between the two, what happened first comes first.
"""

import json
from collections.abc import Iterator, Sequence
from heapq import merge
from typing import NamedTuple

from skerry_hub.outgoing import EVENTS, READINGS
from skerry_hub.outgoing.items import Item, of_entry, of_reading
from skerry_hub.store import RESTORED_AT, Store

MAX_ITEMS = 100  # of a batch
_KEY = "outgoing "  # and the destination's name
MAX_BYTES = 256 * 1024  # of its items, unless a single one has more


class Position(NamedTuple):
    """The numbers of the last reading and the last event that are done with."""

    reading: int = 0
    event: int = 0

    def past(self, item: Item) -> "Position":
        """Return the position behind an item."""
        return self._replace(**{item.type: item.number})

    def behind(self, end: "Position", send: Sequence[str]) -> int:
        """Return how many items of these logs come until `end`."""
        readings = end.reading - self.reading if READINGS in send else 0
        events = end.event - self.event if EVENTS in send else 0
        return max(0, readings) + max(0, events)


class Batch(NamedTuple):
    """Items in their order, and the positions before and behind them."""

    items: list[Item]
    before: Position
    behind: Position


def end(store: Store) -> Position:
    """Return the position behind everything; raise StoreError."""
    last = store.last_audit()
    return Position(store.last_reading_id(), last.id if last else 0)


def name(store: Store) -> str:
    """Return what tells these logs from those before a restore, when numbers came again."""
    return str(int(float(store.get(RESTORED_AT) or 0)))


def batch(store: Store, after: Position, end: Position, send: Sequence[str]) -> Batch:
    """Return the next items of the logs in `send`, as many as a batch holds; raise StoreError.

    `end` is what is known to be there: a log that has nothing new is not asked.
    """
    found: list[Iterator[Item]] = []
    if READINGS in send and after.reading < end.reading:
        found.append(map(of_reading, store.readings_after(after.reading, limit=MAX_ITEMS)))
    if EVENTS in send and after.event < end.event:
        found.append(map(of_entry, store.audit_after(after.event, MAX_ITEMS)))
    items: list[Item] = []
    size, behind = 0, after
    for item in merge(*found, key=lambda each: each.at):
        size += len(item.json)
        if items and (size > MAX_BYTES or len(items) == MAX_ITEMS):
            break
        items.append(item)
        behind = behind.past(item)
    return Batch(items, after, behind)


class Bookmark:
    """Where the position of one destination is kept: a value of the hub itself, in its store.

    It may be up to a second behind what was accepted, so that a busy log costs no commit a batch.
    """

    def __init__(self, store: Store, destination: str) -> None:
        self._store = store
        self._key = _KEY + destination

    def read(self) -> Position | None:
        """Return the position, None for a new destination; raise StoreError."""
        kept = self._store.get(self._key)
        return None if kept is None else Position(*json.loads(kept))

    def first(self, position: Position) -> Position:
        """Keep a position unless one is kept; return the one that stands, or raise StoreError."""
        stands = self._store.put_first(self._key, json.dumps(position).encode())
        return Position(*json.loads(stands))

    def write(self, position: Position) -> None:
        """Keep a position; raise StoreError."""
        self._store.put(self._key, json.dumps(position).encode())


def carried_over(now: Store, copy: Store) -> None:
    """Let a backup know the destinations that are newer than it; raise StoreError.

    They begin behind what is in it, so that they get what is done to it from now on, or where
    they were if that is before.
    """
    there = end(copy)
    for key in now.known(_KEY):
        name = key.removeprefix(_KEY)
        position, kept = Bookmark(now, name).read(), Bookmark(copy, name)
        if position is not None and kept.read() is None:
            kept.write(Position(*map(min, position, there)))
