"""What the hub serves over CoAP: the readings that devices post, and its own description."""

import logging
import time

import aiocoap
from aiocoap import resource

from skerry_hub.store import Store

MAX_READING = 1024  # bytes

log = logging.getLogger(__name__)


class Readings(resource.Resource):  # type: ignore[misc]
    """POST or PUT stores a reading of the device; GET returns its last one."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    async def render_post(self, request: aiocoap.Message) -> aiocoap.Message:
        """Store the payload under the device that sent it."""
        live = request.remote.live
        if live is None:
            return aiocoap.Message(code=aiocoap.UNAUTHORIZED)
        if len(request.payload) > MAX_READING:
            return aiocoap.Message(code=aiocoap.REQUEST_ENTITY_TOO_LARGE)
        content_format = request.opt.content_format
        number = None if content_format is None else int(content_format)
        self._store.add_reading(live.device, time.time(), "readings", number, request.payload)
        return aiocoap.Message(code=aiocoap.CHANGED)

    render_put = render_post

    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        """Return the device's last reading."""
        live = request.remote.live
        if live is None:
            return aiocoap.Message(code=aiocoap.UNAUTHORIZED)
        last = self._store.last_reading(live.device)
        if last is None:
            return aiocoap.Message(code=aiocoap.NOT_FOUND)
        return aiocoap.Message(
            code=aiocoap.CONTENT, payload=last.payload, content_format=last.format
        )


class Weak(resource.Resource):  # type: ignore[misc]
    """POST: a device says that its random number generator is broken."""

    async def render_post(self, request: aiocoap.Message) -> aiocoap.Message:
        """Say so; the request confirms its session, as any first one does."""
        live = request.remote.live
        if live is None:
            return aiocoap.Message(code=aiocoap.UNAUTHORIZED)
        log.warning("%s: its random number generator is broken: replace this board", live.name)
        return aiocoap.Message(code=aiocoap.CHANGED)


def site(store: Store) -> resource.Site:
    """Return all resources, by path."""
    root = resource.Site()
    root.add_resource(
        [".well-known", "core"],
        resource.WKCResource(root.get_resources_as_linkheader, impl_info=None),
    )
    root.add_resource(["readings"], Readings(store))
    root.add_resource(["weak"], Weak())
    return root
