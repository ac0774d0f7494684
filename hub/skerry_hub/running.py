"""A running hub: all parts made and connected, and what is done now and then."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from skerry.chain import Chain
from skerry_hub import enrolment, supervised
from skerry_hub.bridge import Bridge
from skerry_hub.devices import Devices
from skerry_hub.endpoints import Endpoint
from skerry_hub.errors import HubError, StoreError, StoreReplaced
from skerry_hub.front import Front
from skerry_hub.handshakes import Handshakes
from skerry_hub.outgoing.destination import Destination
from skerry_hub.outgoing.running import LOOK_S, Outgoing
from skerry_hub.pokes import Pokes
from skerry_hub.resources import Configured, site
from skerry_hub.sessions import Sessions
from skerry_hub.store import named
from skerry_hub.udp import Datagram, Sockets

_WATCH_S = 0.5  # how often other processes' writes are looked for
_SCRUB_S = 10.0  # how often addresses are written, and overwritten keys erased from the journal

log = logging.getLogger(__name__)


class Running:
    """A running hub: `async with Running(hub, listen) as running`."""

    def __init__(
        self,
        hub: enrolment.Hub,
        listen: list[Endpoint],
        to: Sequence[Destination] = (),
        share: bool = False,
    ) -> None:
        """Bind the sockets, with `share` beside other hubs; raise HubError if that cannot be.

        `to` get readings and events.
        """
        self.id = hub.id
        self._hub = hub
        self.started = time.time()
        self._store = hub.store
        self.sessions = Sessions()
        self.handshakes = Handshakes(hub.id, hub.store, hub.vault, self.sessions)
        self._configured = Configured(hub.store, hub.vault)
        self.site = site(hub.store, self._configured)
        self._sockets = Sockets(listen, self._receive, share)
        self._pokes = Pokes(hub.store, hub.vault, self.sessions, self._sockets.path_to)
        self.outgoing = Outgoing(hub.store, to)
        self._tasks: list[asyncio.Task[Any]] = []
        self._loading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Running":
        self._bridge = Bridge(self.site)
        self.devices = Devices(self.sessions, self._bridge, self._pokes)
        self.front = Front(self.handshakes, self.sessions, self._store, self._bridge)
        self._sockets.start()
        self._seen = self._store.changes()
        self._revocation = self._store.last_revocation()
        self.outgoing.start()
        steps = [(_WATCH_S, self._watch), (_SCRUB_S, self._scrub), (LOOK_S, self.outgoing.look)]
        watchdog = supervised.watchdog_s()
        if watchdog is not None:
            steps.append((watchdog, self._alive))
        for pause, step in steps:
            self._tasks.append(asyncio.create_task(self._every(pause, step)))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in [*self._tasks, *([self._loading] if self._loading else [])]:
            task.cancel()
        self._sockets.stop()
        self.sessions.clear()
        await self.outgoing.stop()
        with suppress(StoreError):  # they are hints
            self._pokes.write_down()
        await self._bridge.close()
        self._sockets.close()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens."""
        return self._sockets.addresses

    async def until(self, stop: asyncio.Event) -> None:
        """Run until then. Raises StoreReplaced."""
        stopped = asyncio.create_task(stop.wait())
        self._tasks.append(stopped)
        ended, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in ended:
            each.result()

    def check(self) -> None:
        """Raise StoreError if the store does not answer."""
        self._store.get("hub")

    def _receive(self, batch: list[Datagram]) -> None:
        self.front.receive(batch)

    async def seen(self, said: dict[str, Any]) -> dict[str, Any]:
        """Return what explain.py asks about a device; raise UnknownDevice or VaultError."""
        name = str(said["device"])
        known = self._store.keys(name)
        failures = []
        if known is not None and known.chain:
            chain = self._hub.vault.open(b"chain", name.encode(), known.chain)
            failures = self.handshakes.failures.about(known, Chain.unpack(chain))
        noted = self._store.address(named(self._store, name).id)
        address = json.loads(noted)[0] if noted else None
        return {"session": self.session(name), "failures": failures, "address": address}

    def session(self, name: str) -> dict[str, Any] | None:
        """Return what people may know of a device's session, if it is in one."""
        live = self.devices.live(name)
        if live is None or live.path is None:
            return None
        return {
            "fingerprint": live.session.fingerprint,
            "heard_s": time.monotonic() - live.heard_at,
            "address": str(live.path.address[0]),
        }

    async def _every(self, pause: float, step: Callable[[], object]) -> None:
        """Do something now and then, also after the store failed at it."""
        while True:
            await asyncio.sleep(pause)
            try:
                step()
            except StoreReplaced:
                raise  # nothing that is in memory holds any more
            except StoreError as error:
                log.error("%s", error)

    def _watch(self) -> None:
        """See what other processes wrote: end sessions of revoked devices, tell of new values."""
        changes = self._store.changes()
        if changes == self._seen:
            return
        for number, device in self._store.revoked_after(self._revocation):
            self._revocation = number
            self.handshakes.sieve.clear()
            self._pokes.forget(device)
            if self.sessions.drop(device):
                log.info("device %d was revoked or quarantined: its session ended", device)
        self._configured.look()
        if self._hub.lacks_keys() and (self._loading is None or self._loading.done()):
            self._loading = asyncio.create_task(self._load_keys())
        self._seen = changes

    async def _load_keys(self) -> None:
        try:
            await self.take_keys()
        except HubError as error:
            log.error("%s", error)
            await asyncio.sleep(_SCRUB_S)
            self._seen = -1  # try again

    async def take_keys(self, _: object = None) -> None:
        """Take the row key of a rotation; where it comes from may be slow, and holds nobody up."""
        self._hub.load_keys(await asyncio.to_thread(self._hub.kek.read))

    def _alive(self) -> None:
        """Tell the watchdog: the loop turns, and the store answers."""
        self.check()
        supervised.tell("WATCHDOG=1")

    def _scrub(self) -> None:
        self.handshakes.sieve.expire()
        self._pokes.write_down()
        self._store.scrub()
