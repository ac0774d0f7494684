"""The same for programs with asyncio: what takes time is awaited, all else is as in client.py.

    hub = await aio.connect()          requests of several tasks wait for each other (NSTART 1)
    await hub.post("readings", {"c": 21.5})
    async for message in hub.observe("cmd"):

Notifications and the hub's requests are taken, and what is due is done, while anything else runs.
"""

import asyncio
from asyncio import core
from time import ticks_add, ticks_ms

from skerry.primitives import const
from skerry_device import client, observing
from skerry_device.errors import HubSilent
from skerry_device.tending import LOOK_MS, tend

_WAITING = const(8)  # datagrams, while a request is busy
_POLL_MS = const(20)  # a link that select.poll does not know


class Hub(client.Hub):
    """A client.Hub whose get, post, put, delete, rekey and so on return what has to be awaited."""

    def start(self) -> None:
        """Do nothing yet: `connect` has to wait."""
        self._lock = asyncio.Lock()
        self._came = asyncio.Event()
        self._datagrams = []
        self._busy = False
        self._tasks = []

    async def open(self) -> None:
        """Make the first session, or raise HubSilent."""
        self._tasks.append(asyncio.create_task(self._receive()))
        try:
            if not await self.run(self.handshake()):
                raise HubSilent("no hub: check network, address, enrolment")
        except Exception:
            self.close()
            raise
        self._tasks.append(asyncio.create_task(self._tend()))

    async def run(self, steps):
        """Drive a generator to its end, one at a time; return its result."""
        async with self._lock:
            datagram = None
            self._busy = True
            try:
                while True:
                    wait = steps.send(datagram)
                    datagram = await self._next(min(wait, 500))
            except StopIteration as end:
                return end.value
            finally:
                self._busy = False
                while self._datagrams:
                    self._unasked(self._datagrams.pop(0))

    async def _next(self, wait: int) -> bytes | None:
        if self.wdt:
            self.wdt.feed()
        if not self._datagrams:
            self._came.clear()
            try:
                await asyncio.wait_for_ms(self._came.wait(), wait)
            except asyncio.TimeoutError:
                return None
        return self._datagrams.pop(0)

    async def _receive(self) -> None:
        """Hand each datagram to the request that waits, or to whom it is for."""
        while True:
            datagram = self.link.receive(0)
            if not datagram:
                await self._readable()
                continue
            if self._busy:
                if len(self._datagrams) < _WAITING:
                    self._datagrams.append(datagram)
                self._came.set()
            else:
                self._unasked(datagram)
            await asyncio.sleep_ms(0)

    def _unasked(self, datagram: bytes) -> None:
        steps = self.exchange.receive(ticks_add(ticks_ms(), LOOK_MS), None)
        steps.send(None)
        try:
            steps.send(datagram)
        except StopIteration:
            pass

    async def _readable(self) -> None:
        socket = getattr(self.link, "socket", None)
        if not socket:
            await asyncio.sleep_ms(_POLL_MS)
            return
        try:
            await asyncio.wait_for_ms(_ready(socket), LOOK_MS)
        except asyncio.TimeoutError:
            pass

    async def _tend(self) -> None:
        """Do what is due."""
        while True:
            await asyncio.sleep_ms(LOOK_MS)
            await self.run(tend(self))

    def observe(self, path: str, timeout_ms: int | None = None) -> "Observation":
        """See observing.observe: `async for message in hub.observe(path)`."""
        return Observation(self, path, timeout_ms)

    async def listen(self, ms: int) -> None:
        """Wait: the hub is listened to anyway."""
        await asyncio.sleep_ms(ms)

    def close(self) -> None:
        """End the session, the tasks and the link."""
        super().close()
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()


class Observation(observing.Observation):
    """To be iterated over by `async for`."""

    def __init__(self, hub: Hub, path: str, timeout_ms: int | None) -> None:
        self._changed = asyncio.Event()
        super().__init__(hub, path, timeout_ms)

    def changed(self) -> None:
        """Wake who waits."""
        self._changed.set()

    def __aiter__(self):
        return self

    async def __anext__(self) -> client.Response:
        await self.hub.run(tend(self.hub))
        while not self.newest:
            if self.ended:
                raise StopAsyncIteration
            self._changed.clear()
            try:
                if self.timeout_ms is None:
                    await self._changed.wait()
                else:
                    await asyncio.wait_for_ms(self._changed.wait(), self.timeout_ms)
            except asyncio.TimeoutError:
                raise StopAsyncIteration
        return await self.hub.run(self.whole())


def _ready(socket):
    """Wait until a socket can be read; MicroPython awaits generators."""
    yield core._io_queue.queue_read(socket)


async def connect(*given, **named) -> Hub:
    """Connect as skerry_device.connect does, with the same arguments and errors."""
    hub = Hub(*given, **named)
    await hub.open()
    return hub
