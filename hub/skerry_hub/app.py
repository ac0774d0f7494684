"""The hub as a process: the only file that makes all parts and connects them."""

import asyncio
import json
import logging
import signal
import time
from types import TracebackType

from skerry_hub import enrolment, logs, monitoring
from skerry_hub.bridge import Bridge
from skerry_hub.config import Config
from skerry_hub.devices import Devices
from skerry_hub.endpoints import Endpoint
from skerry_hub.front import Front
from skerry_hub.handshakes import Handshakes
from skerry_hub.pokes import Pokes
from skerry_hub.resources import Configured, site
from skerry_hub.sessions import Sessions
from skerry_hub.udp import Path, Sockets

_WATCH_S = 0.5  # how often other processes' writes are looked for
_SCRUB_S = 10.0  # how often overwritten keys are erased from the database's journal

log = logging.getLogger(__name__)


class Running:
    """A running hub: `async with Running(hub, listen) as running`."""

    def __init__(self, hub: enrolment.Hub, listen: list[Endpoint]) -> None:
        """Bind the sockets; raise HubError if that cannot be."""
        self.id = hub.id
        self.started = time.time()
        self._store = hub.store
        self.sessions = Sessions()
        self.handshakes = Handshakes(hub.id, hub.store, hub.vault, self.sessions)
        self._configured = Configured(hub.store, hub.vault)
        self.site = site(hub.store, self._configured)
        self._sockets = Sockets(listen, self._receive)
        self._pokes = Pokes(hub.store, hub.vault, self.sessions, self._sockets.path_to)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Running":
        self._bridge = Bridge(self.site)
        self.devices = Devices(self.sessions, self._bridge, self._pokes)
        self.front = Front(self.handshakes, self.sessions, self._store, self._bridge)
        self._sockets.start()
        self._tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._scrub())]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        self._sockets.stop()
        self.sessions.clear()
        self._pokes.write_down()
        await self._bridge.close()
        self._sockets.close()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens."""
        return self._sockets.addresses

    def check(self) -> None:
        """Raise StoreError if the store does not answer."""
        self._store.get("hub")

    def _receive(self, datagram: bytes, path: Path) -> None:
        self.front.receive(datagram, path)

    async def _watch(self) -> None:
        """See what other processes wrote: end sessions of revoked devices, tell of new values."""
        seen = self._store.changes()
        while True:
            await asyncio.sleep(_WATCH_S)
            changes = self._store.changes()
            if changes == seen:
                continue
            seen = changes
            for device in self._store.revoked():
                if self.sessions.drop(device):
                    log.info("device %d was revoked: its session ended", device)
            self._configured.look()

    async def _scrub(self) -> None:
        while True:
            await asyncio.sleep(_SCRUB_S)
            self._pokes.write_down()
            self._store.scrub()


async def _serve(config: Config, hub: enrolment.Hub) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Running(hub, config.listen) as running:
        watched = config.monitoring and await monitoring.serve(config.monitoring, running)
        if config.json:
            print(json.dumps({"hub": hub.id, "listening": running.addresses}), flush=True)
        else:
            where = ", ".join(f"{host} port {port}" for host, port in running.addresses)
            print(f"hub {hub.id} listens on {where}; Ctrl-C ends it", flush=True)
        await stop.wait()
        if watched:
            await watched.cleanup()


def serve(config: Config) -> int:
    """Run until SIGINT or SIGTERM; return the exit status."""
    logs.start(config.log_format, config.log_level)
    with enrolment.opened(config) as hub:
        asyncio.run(_serve(config, hub))
    return 0
