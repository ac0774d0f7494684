"""Where HTTP is listened: so many connections at once, and none that keeps its place for nothing.

Nobody needs a token to hold a connection. So whoever has not sent a whole request in time is cut
off, and so is whoever takes nothing of what is sent; TLS has the same time to be agreed on. The
servers of asyncio accept without a bound, and log a traceback at each try without a descriptor.
"""

import asyncio
import fcntl
import logging
import resource
import socket
import ssl
import sys
import termios
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from aiohttp import web

from skerry_hub.endpoints import Endpoint

WITHIN_S = 10.0  # for the head of a request, for TLS, and for anything of what is sent to be taken
_KEPT_S = 75.0  # between requests: more than reverse proxies keep a connection themselves
_END_WITHIN_S = 0.5  # for requests under way, when the hub ends; as much once more for their ends
_LOOK_S = 1.0
_SAY_S = 60.0  # at most one line in the log
_BACKLOG = 128

log = logging.getLogger(__name__)


class Site:
    """An application that is served from `start` to `stop`, to `most` connections at once."""

    def __init__(
        self, name: str, app: web.Application, most: int, tls: ssl.SSLContext | None = None
    ) -> None:
        self._name = name
        self._most = min(most, _room())
        self._tls = tls
        app.middlewares.insert(0, self._mark)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=_END_WITHIN_S, keepalive_timeout=_KEPT_S
        )
        self._listening: list[socket.socket] = []
        self._open: dict[asyncio.Protocol, _Connection] = {}  # those that agree on TLS, too
        self._tasks: set[asyncio.Task[None]] = set()
        self._silent_until = 0.0

    async def start(self, endpoint: Endpoint) -> Endpoint:
        """Listen; return where. Raises OSError."""
        await self._runner.setup()
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                *endpoint, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            for family, _, _, _, address in dict.fromkeys(found):
                listening = socket.create_server(address, family=family, backlog=_BACKLOG)
                listening.setblocking(False)
                self._listening.append(listening)
        except OSError:
            await self.stop()
            raise
        for each in self._listening:
            self._begin(self._accept(each))
        self._begin(self._look())
        host, port, *_ = self._listening[0].getsockname()
        return host, port

    async def stop(self) -> None:
        """Listen no more, and end all connections within twice _END_WITHIN_S."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for each in self._listening:
            each.close()
        await self._runner.cleanup()
        for connection in list(self._open.values()):
            connection.abort()

    def _begin(self, what: Any) -> None:
        task = asyncio.create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                caller, _ = await loop.sock_accept(listening)
            except OSError as error:
                self._say(f"cannot accept connections: {error.strerror or error}")
                await asyncio.sleep(_LOOK_S)
                continue
            if len(self._open) < self._most:
                self._begin(self._connect(caller))
                await asyncio.sleep(0)  # sock_accept does not wait while there are any
            else:
                caller.close()
                self._say(f"{self._most} connections are open: further ones are refused")
                await asyncio.sleep(0.001)  # nor is all the time spent on refusing

    async def _connect(self, caller: socket.socket) -> None:
        assert self._runner.server is not None  # noqa: S101 - for the type checker
        handler = self._runner.server()
        connection = _Connection(handler, caller, partial(self._open.pop, handler, None))
        self._open[handler] = connection
        within = WITHIN_S if self._tls else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection, caller, ssl=self._tls,
                ssl_handshake_timeout=within, ssl_shutdown_timeout=within,
            )  # fmt: skip
        except OSError:  # what it said was no TLS, or came too late
            self._open.pop(handler, None)

    @web.middleware
    async def _mark(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Mark the connection of a request as one that waits for the hub, not the hub for it."""
        connection = self._open.get(request.protocol)
        if connection is None:  # it went away
            return await handler(request)
        connection.asked(True)
        try:
            return await handler(request)
        finally:
            connection.asked(False)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            now = time.monotonic()
            for connection in list(self._open.values()):
                if connection.overdue(now):
                    connection.abort()

    def _say(self, what: str) -> None:
        now = time.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + _SAY_S
            log.warning("%s: %s", self._name, what)


class _Connection(asyncio.Protocol):
    """Passes all on to aiohttp's part, and knows since when nothing goes on."""

    def __init__(
        self, handler: web.RequestHandler, caller: socket.socket, ended: Callable[[], object]
    ) -> None:
        self._handler = handler
        self._caller = caller
        self._ended = ended
        self._transport: asyncio.Transport | None = None  # none while TLS is agreed on
        self._busy = False
        self._began: float | None = None  # to send a request that is not whole yet
        self._unsent = 0
        self._moved = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        self._began = time.monotonic()
        self._handler.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._began is None and not self._busy:
            self._began = time.monotonic()
        self._handler.data_received(data)

    def eof_received(self) -> None:
        self._handler.eof_received()

    def pause_writing(self) -> None:
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        self._handler.resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._ended()
        self._handler.connection_lost(exc)

    def asked(self, busy: bool) -> None:
        """Take note that a request is whole but for its body, or that it was answered."""
        self._busy = busy
        self._began = None

    def overdue(self, now: float) -> bool:
        """Tell whether the rest of a request, or the taking of an answer, is too late."""
        unsent = self._unsent_bytes()
        if unsent == 0 or unsent != self._unsent:
            self._unsent, self._moved = unsent, now
        late = self._began is not None and now - self._began > WITHIN_S
        return late or now - self._moved > WITHIN_S

    def _unsent_bytes(self) -> int:
        """Ask the kernel, as TLS has buffers of its own: if nothing is left here, all is sent."""
        if self._transport is None or self._caller.fileno() < 0:
            return 0
        try:
            left = fcntl.ioctl(self._caller, termios.TIOCOUTQ, bytes(4))
        except OSError:  # not every system tells that of a socket
            return 0
        return int.from_bytes(left, sys.byteorder)

    def abort(self) -> None:
        """End at once, whatever is still to be sent."""
        if self._transport is not None:
            with suppress(AttributeError):  # of TLS closed twice, which ends by itself in time
                self._transport.abort()


def _room() -> int:
    """Return how many descriptors connections may have: most are for other things."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft // 4 if soft != resource.RLIM_INFINITY else 1 << 20
