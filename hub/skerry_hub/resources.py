"""What the hub serves over CoAP: readings that devices post, and what is set for each of them.

    POST, PUT, GET readings    a device's readings
    GET config/PATH            what the operator set for the device at PATH; may be observed
    POST weak                  its random number generator is broken
    GET .well-known/core       this list

Only devices in a session get here (bounds.py), and each one to what is its own.
"""

import logging
import time
from typing import Any

import aiocoap
from aiocoap import resource

from skerry_hub import device_config
from skerry_hub.store import Store
from skerry_hub.vault import Vault

MAX_READING = 1024  # bytes

log = logging.getLogger(__name__)


class Readings(resource.Resource):  # type: ignore[misc]
    """POST or PUT stores a reading of the device; GET returns its last one."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    async def render_post(self, request: aiocoap.Message) -> aiocoap.Message:
        """Store the payload under the device that sent it."""
        if len(request.payload) > MAX_READING:
            return aiocoap.Message(code=aiocoap.REQUEST_ENTITY_TOO_LARGE)
        content_format = request.opt.content_format
        number = None if content_format is None else int(content_format)
        device = request.remote.live.device
        self._store.add_reading(device, time.time(), "readings", number, request.payload)
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
        name = request.remote.device
        log.warning("%s: its random number generator is broken: replace this board", name)
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


def site(store: Store, configured: Configured) -> resource.Site:
    """Return all resources, by path."""
    root = resource.Site()
    root.add_resource(
        [".well-known", "core"],
        resource.WKCResource(root.get_resources_as_linkheader, impl_info=None),
    )
    root.add_resource(["readings"], Readings(store))
    root.add_resource(["config"], configured)
    root.add_resource(["weak"], Weak())
    return root
