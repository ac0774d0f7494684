"""The store in a thread of its own, with a connection of its own: the hub's loop waits for none.

What happens here is to the hub as if another process had done it, a command for example.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from typing import TypeVar

from skerry_hub.config import Config
from skerry_hub.enrolment import Hub
from skerry_hub.errors import Overloaded
from skerry_hub.store.places import open_store

MAX_WAITING = 64

T = TypeVar("T")


class Worker:
    """Does one thing after the other: `await worker.do(lambda hub: hub.store.tokens())`."""

    def __init__(self, hub: Hub, config: Config) -> None:
        self._shared = hub
        self._config = config
        self._thread = ThreadPoolExecutor(1, "web")
        self._own: Hub | None = None
        self._waiting = 0

    async def do(self, call: Callable[[Hub], T]) -> T:
        """Return what `call` does; raise what it raises, or Overloaded if too much waits."""
        if self._waiting >= MAX_WAITING:
            raise Overloaded("too many requests wait as it is: try again in a moment")
        self._waiting += 1
        try:
            context = copy_context()  # who acts
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, context.run, self._call, call)
        finally:
            self._waiting -= 1

    def _call(self, call: Callable[[Hub], T]) -> T:
        if self._own is None:  # a connection belongs to the thread that opens it
            self._own = replace(self._shared, store=open_store(self._config))
        return call(self._own)

    async def close(self) -> None:
        """End what is under way, then close the store."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _close(self) -> None:
        if self._own is not None:
            self._own.close()
