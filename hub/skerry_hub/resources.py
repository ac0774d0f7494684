"""What the hub serves over CoAP: readings that devices post, and what is set for each of them.

    POST, PUT, GET readings    a device's readings
    GET config/PATH            what the operator set for the device at PATH; may be observed
    POST weak                  its random number generator is broken
    GET .well-known/core       this list

Only devices in a session get here (bounds.py), and each one to what is its own.
"""

import logging
import time
from collections.abc import Sequence
from typing import Any

import aiocoap
from aiocoap import resource

from skerry_hub import device_config, readings
from skerry_hub.errors import ConfigError
from skerry_hub.store import Store
from skerry_hub.vault import Vault

log = logging.getLogger(__name__)


class Readings(resource.Resource):  # type: ignore[misc]
    """POST or PUT stores a reading of the device; GET returns its last one.

    readings.py does the same for requests that need nothing more.
    """

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    async def render_post(self, request: aiocoap.Message) -> aiocoap.Message:
        """Store the payload under the device that sent it."""
        if len(request.payload) > readings.MAX_READING:
            return aiocoap.Message(code=aiocoap.REQUEST_ENTITY_TOO_LARGE)
        content_format = request.opt.content_format
        number = None if content_format is None else int(content_format)
        added = request.remote.live.device, time.time(), readings.PATH, number, request.payload
        if not self._store.add_reading(*added):  # it was revoked just now
            return aiocoap.Message(code=aiocoap.UNAUTHORIZED)
        return aiocoap.Message(code=aiocoap.CHANGED)

    render_put = render_post

    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        """Return the device's last reading."""
        last = self._store.last_reading(request.remote.live.device)
        if last is None:
            return aiocoap.Message(code=aiocoap.NOT_FOUND)
        return aiocoap.Message(
            code=aiocoap.CONTENT, payload=last.payload, content_format=last.format
        )


class Weak(resource.Resource):  # type: ignore[misc]
    """POST: a device says that its random number generator is broken."""

    async def render_post(self, request: aiocoap.Message) -> aiocoap.Message:
        """Say so; the request confirms its session, as any first one does."""
        log.warning(
            "its random number generator is broken: replace this board",
            extra={"device": request.remote.device},
        )
        return aiocoap.Message(code=aiocoap.CHANGED)


class Configured(resource.ObservableResource, resource.PathCapable):  # type: ignore[misc]
    """GET returns what is set for the device at the path below this one, or an empty payload."""

    def __init__(self, store: Store, vault: Vault) -> None:
        super().__init__()
        self._store = store
        self._vault = vault
        self._seen = store.last_config_id()
        self._observers: dict[tuple[int, str], set[Any]] = {}  # by device and path

    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        """Return the value."""
        live, path = request.remote.live, "/".join(request.opt.uri_path)
        found = device_config.value(self._store, self._vault, live.device, live.name, path)
        return aiocoap.Message(
            code=aiocoap.CONTENT, payload=found.payload, content_format=found.format
        )

    async def add_observation(self, request: aiocoap.Message, observation: Any) -> None:
        """Tell the device of changes from now on (ObservableResource)."""
        key = request.remote.live.device, "/".join(request.opt.uri_path)
        observers = self._observers.setdefault(key, set())
        observers.add(observation)

        def cancelled() -> None:
            observers.discard(observation)
            if not observers and self._observers.get(key) is observers:
                del self._observers[key]

        observation.accept(cancelled)

    def look(self) -> None:
        """Tell the devices whose values were set by whichever process; raise StoreError."""
        for number, device, path in self._store.config_after(self._seen):
            self._seen = number
            for observation in self._observers.get((device, path), ()):
                observation.trigger()


class HubSite(resource.Site):  # type: ignore[misc]
    """A site that keeps its place for readings: the front answers there before aiocoap could."""

    def add_resource(self, path: Sequence[str], added: Any) -> None:
        """Add a resource; raise ConfigError for another one where readings are."""
        if tuple(path) == (readings.PATH,) and not isinstance(added, Readings):
            raise ConfigError(f"{readings.PATH} is the hub's own: choose another path")
        super().add_resource(path, added)


def site(store: Store, configured: Configured) -> HubSite:
    """Return all resources, by path."""
    root = HubSite()
    root.add_resource(
        [".well-known", "core"],
        resource.WKCResource(root.get_resources_as_linkheader, impl_info=None),
    )
    root.add_resource([readings.PATH], Readings(store))
    root.add_resource(["config"], configured)
    root.add_resource(["weak"], Weak())
    return root
