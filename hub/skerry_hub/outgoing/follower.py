"""One task a destination: deliver the next batch, then move on; if that fails, later again."""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from skerry_hub.errors import HubError, StoreError
from skerry_hub.outgoing import logs
from skerry_hub.outgoing.destination import Destination, Gone, Undelivered
from skerry_hub.outgoing.items import Item
from skerry_hub.outgoing.logs import Bookmark, Position
from skerry_hub.store import Store

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 60.0
_KEEP_EVERY_S = 1.0  # a position is a commit of its own
_IDLE_S = 5.0  # how often a connection is looked at when there is nothing to deliver

log = logging.getLogger(__name__)


class Follower:
    """Takes the logs to one destination. `counts` tells of delivered items and failed attempts."""

    def __init__(self, store: Store, destination: Destination) -> None:
        """Find its position; a new destination begins where it wants to. Raises StoreError."""
        self._store = store
        self._destination = destination
        self._bookmark = Bookmark(store, destination.name)
        self._end = logs.end(store)
        # Kept at once, whoever delivers: nothing is lost from now on.
        begin = Position() if destination.begin == "start" else self._end
        self._position = self._kept = self._bookmark.first(begin)
        self._keep_at = 0.0
        self._news = asyncio.Event()
        self._failures = 0  # since it last went well
        self._error = ""
        self.counts: Counter[str] = Counter()

    @property
    def name(self) -> str:
        """The destination's name."""
        return self._destination.name

    @property
    def behind(self) -> int:
        """How many items wait."""
        return self._position.behind(self._end, self._destination.send)

    @property
    def warning(self) -> str:
        """What is wrong, or nothing."""
        return f"{self.name}: {self._error}; {self.behind} items wait" if self._error else ""

    def resume(self) -> None:
        """Go on where the destination is, whoever delivered until now; raise StoreError."""
        self._position = self._kept = self._bookmark.read() or self._position
        self._failures, self._error = 0, ""

    def leave(self) -> None:
        """Keep no position any more: another process does from now on."""
        self._kept = self._position

    def see(self, end: Position) -> None:
        """Learn where the logs end."""
        self._end = end
        if self.behind:
            self._news.set()

    async def run(self) -> None:
        """Follow the logs until the destination wants no more, or this task is cancelled."""
        try:
            while await self._step():
                pass
        finally:
            with suppress(StoreError):
                self._keep()
            await self._destination.close()

    async def _step(self) -> bool:
        """Deliver a batch, or wait; False if nothing is to be delivered any more."""
        try:
            await self._destination.open()
            self._news.clear()
            delivered = await self._deliver()
            if time.monotonic() >= self._keep_at:
                self._keep()
        except Gone as gone:
            self._error = str(gone)
            log.error("%s: %s; it gets nothing until the hub starts again", self.name, gone)
            return False
        except Exception as error:
            with suppress(StoreError):  # it may be long until it goes well again
                self._keep()
            await self._pause(error)
            return True
        self._went_well()
        if not delivered:
            await self._wait()
        return True

    async def _deliver(self) -> int:
        """Return how many items the destination accepted, which is all of a batch."""
        batch = logs.batch(self._store, self._position, self._end, self._destination.send)
        if batch.items:
            try:
                await self._destination.deliver(batch)
            except Undelivered as failed:
                self._move(batch.items[: failed.accepted])
                raise
            self._move(batch.items)
        return len(batch.items)

    def _move(self, accepted: Sequence[Item]) -> None:
        for item in accepted:
            self._position = self._position.past(item)
        self.counts["delivered"] += len(accepted)

    def _keep(self) -> None:
        if self._position != self._kept:
            self._bookmark.write(self._position)
            self._kept, self._keep_at = self._position, time.monotonic() + _KEEP_EVERY_S

    async def _wait(self) -> None:
        """Wait for news, until the position has to be kept, or a while."""
        pause = _IDLE_S
        if self._position != self._kept:
            pause = max(0.0, self._keep_at - time.monotonic())
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._news.wait()

    def _went_well(self) -> None:
        if self._failures:
            log.info("%s: delivers again, after %d failures", self.name, self._failures)
        self._failures, self._error = 0, ""

    async def _pause(self, error: Exception) -> None:
        """Say what failed, once, and wait, longer each time; jitter keeps many hubs apart."""
        self.counts["failed"] += 1
        if not isinstance(error, HubError):  # a mistake of ours; still, nothing may be lost
            log.error("%s: failed", self.name, exc_info=error)
        elif not self._failures:
            log.warning("%s: %s; it is tried again, and nothing is lost", self.name, error)
        self._error = str(error) or type(error).__name__
        pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(self._failures, 16))
        self._failures += 1
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - no secret
