"""What the hub does of its own accord: requests to devices, and the sessions that they need.

    answer = await devices.request("kitchen", aiocoap.Message(code=aiocoap.GET, uri_path=["temp"]))

A device without a session is asked for one, with a poke. aiocoap's own way leads here as well:
`site_context.request(aiocoap.Message(code=aiocoap.GET, uri="coap://kitchen/temp"))`.
"""

import asyncio
import logging
import time
from collections.abc import Iterator

import aiocoap
from aiocoap import error, interfaces
from aiocoap.message import UndecidedRemote
from aiocoap.pipe import Pipe

from skerry_hub import policy
from skerry_hub.bounds import ASKED
from skerry_hub.bridge import Bridge
from skerry_hub.endpoint import SessionEnded
from skerry_hub.errors import DeviceBusy, DeviceError, DeviceSilent, HubError
from skerry_hub.pokes import Pokes
from skerry_hub.remote import Remote
from skerry_hub.sessions import Live, Sessions
from skerry_hub.store import Store

TIMEOUT_S = 60.0
_POKE_AGAIN_S = 2.0  # doubled each time: a poke is not acknowledged
_POKE_EVERY_S = 60.0  # of sessions that are worn out: a device takes no more
_IDEMPOTENT = (aiocoap.GET, aiocoap.FETCH, aiocoap.PUT, aiocoap.DELETE, aiocoap.iPATCH)

log = logging.getLogger(__name__)


class Devices:
    """Requests to devices; also the listener of the sessions."""

    def __init__(self, sessions: Sessions, bridge: Bridge, pokes: Pokes) -> None:
        """Connect the parts."""
        self._sessions = sessions
        self._bridge = bridge
        self._pokes = pokes
        self._waiting: dict[str, set[asyncio.Future[Live]]] = {}
        self.guard: Store | None = None  # whose policy aiocoap's own way is under
        sessions.listener = self
        bridge.context.request_interfaces.insert(0, _Route(self, bridge))

    async def request(
        self, name: str, message: aiocoap.Message, within: float = TIMEOUT_S
    ) -> aiocoap.Message:
        """Send a request to a device and return its response, whatever its code.

        Bodies in several blocks are taken apart and put together. If the session ends meanwhile,
        the request is sent again in the next one, unless doing it twice would matter (POST).
        Raises UnknownDevice, NoAddress, DeviceBusy, DeviceSilent after `within` seconds,
        DeviceError for a response that makes no sense, or an error of aiocoap.
        """
        try:
            async with asyncio.timeout(within):
                return await self._request(name, message)
        except (TimeoutError, error.TimeoutError):
            raise DeviceSilent(
                f"{name} does not answer: try again when it is awake and in reach"
            ) from None

    async def _request(self, name: str, message: aiocoap.Message) -> aiocoap.Message:
        lost = None
        while True:
            live = await self.session(name, other_than=lost)
            try:
                copy = message.copy(remote=_remote(live))
                return await self._bridge.context.request(copy).response
            except (SessionEnded, error.MessageError):  # the device knows the session no more
                if message.code not in _IDEMPOTENT:
                    raise
                lost = live
            except (AssertionError, ValueError):  # aiocoap's way to complain of blocks
                raise DeviceError(f"{name} answers in blocks that do not fit together") from None

    async def session(self, name: str, other_than: Live | None = None) -> Live:
        """Return the device's session; if there is none but `other_than`, ask for one and wait.

        Raises UnknownDevice, NoAddress or DeviceBusy.
        """
        live = self.live(name)
        if live is not None and live is not other_than:
            return live
        waiting = self._waiting.setdefault(name, set())
        if len(waiting) >= ASKED:
            raise DeviceBusy(f"{len(waiting)} requests wait for {name} as it is: let it connect")
        future: asyncio.Future[Live] = asyncio.get_running_loop().create_future()
        waiting.add(future)
        try:
            return await self._poked(name, future)
        finally:
            waiting.discard(future)
            if not waiting and self._waiting.get(name) is waiting:
                del self._waiting[name]

    def live(self, name: str) -> Live | None:
        """Return the device's session, if it is here and the last one; raise StoreError."""
        live = self._sessions.of(name)
        if live is not None and not self._pokes.is_current(live):
            self._sessions.drop(live.device)  # another hub has confirmed a later one
            self._pokes.forget(live.device)
            return None
        return live

    async def _poked(self, name: str, future: asyncio.Future[Live]) -> Live:
        pause = _POKE_AGAIN_S
        while True:
            self._pokes.send(name)
            done, _ = await asyncio.wait([future], timeout=pause)
            if done:
                return future.result()
            pause *= 2

    def poke(self, name: str) -> str:
        """Ask a device for a new session and return where it was heard last.

        Raises UnknownDevice, NoAddress or DeviceError if it is revoked.
        """
        return self._pokes.send(name)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the ids of the devices in a session."""
        return iter([live.name for live in self._sessions.current()])

    # The listener of the sessions.

    def confirmed(self, live: Live) -> None:
        """Let those go on who wait for it (Listener)."""
        self._pokes.heard(live)
        for future in self._waiting.pop(live.name, ()):
            if not future.done():
                future.set_result(live)

    def ended(self, live: Live) -> None:
        """End what is open in it (Listener)."""
        self._pokes.heard(live)
        self._bridge.end(live)

    def worn(self, live: Live) -> None:
        """Ask for another session, now and then (Listener)."""
        now = time.monotonic()
        if live.poked and now - live.poked < _POKE_EVERY_S:
            return
        live.poked = now
        try:
            self._pokes.send(live.name)
        except HubError as problem:
            log.error(
                "its session is due to be replaced: %s", problem, extra={"device": live.name}
            )


class Guarded:
    """The devices as an application sees them: it reaches those that the policy lets it."""

    def __init__(self, devices: Devices, store: Store) -> None:
        self._devices = devices
        self._store = store

    async def request(
        self, name: str, message: aiocoap.Message, within: float = TIMEOUT_S
    ) -> aiocoap.Message:
        """Do what `Devices.request` does; raise NotAllowed as well."""
        policy.check(self._store, [policy.APP], name)
        return await self._devices.request(name, message, within)

    def poke(self, name: str) -> str:
        """Do what `Devices.poke` does; raise NotAllowed as well."""
        policy.check(self._store, [policy.APP], name)
        return self._devices.poke(name)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the ids of the devices in a session."""
        return iter(self._devices)


class _Route(interfaces.RequestInterface):  # type: ignore[misc]
    """Where aiocoap's requests to coap://NAME go."""

    def __init__(self, devices: Devices, bridge: Bridge) -> None:
        self._devices = devices
        self._bridge = bridge

    async def fill_or_recognize_remote(self, message: aiocoap.Message) -> bool:
        """Find the device that a message is for (RequestInterface)."""
        remote = message.remote
        if isinstance(remote, UndecidedRemote) and remote.scheme == "coap":
            if self._devices.guard is not None:
                policy.check(self._devices.guard, [policy.APP], remote.hostinfo)
            async with asyncio.timeout(TIMEOUT_S):
                message.remote = _remote(await self._devices.session(remote.hostinfo))
        return isinstance(message.remote, Remote) and message.remote.live is not None

    def request(self, pipe: Pipe) -> None:
        """Send a request (RequestInterface)."""
        try:
            self._bridge.request(pipe.request.remote.live, pipe)
        except DeviceBusy as problem:
            pipe.add_exception(problem)

    async def shutdown(self) -> None:
        """Nothing to do: requests end with their sessions (RequestInterface)."""


def _remote(live: Live) -> Remote:
    assert live.path is not None  # noqa: S101 - for the type checker; it was heard
    return Remote(live.path, live)
