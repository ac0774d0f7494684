"""The hub as a process: its parts, what serves people beside them, and the signal that ends it."""

import asyncio
import gc
import json
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from skerry_hub import apps, enrolment, logs, monitoring, supervised
from skerry_hub.config import Config
from skerry_hub.control import Control, Handler
from skerry_hub.devices import Guarded
from skerry_hub.orders import Orders
from skerry_hub.outgoing import logs as outgoing_logs
from skerry_hub.outgoing.running import destinations
from skerry_hub.running import Running
from skerry_hub.store.ledger import acting_as

if TYPE_CHECKING:
    from skerry_hub.web.server import Server


async def _serve(config: Config, hub: enrolment.Hub) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    to = destinations(config, hub.id, outgoing_logs.name(hub.store))
    handlers: dict[str, Handler] = {}
    async with AsyncExitStack() as parts:
        control = Control(config.control, handlers, config.share_port)
        parts.push_async_callback(control.stop)  # last: by it others know that a hub runs
        running = await parts.enter_async_context(
            Running(hub, config.listen, to, config.share_port)
        )
        running.handshakes.failures.quarantine = config.clones == "quarantine"
        orders = Orders(running.devices).handlers
        handlers.update(orders, keys=running.take_keys, explain=running.seen)
        await control.start()
        hub.store.claim()
        if config.monitoring:
            watched = await monitoring.serve(config.monitoring, running)
            parts.push_async_callback(watched.stop)
        site = await _web(running, hub, config, orders) if config.web else None
        if site:
            parts.push_async_callback(site.stop)
        running.devices.guard = hub.store
        await apps.begin(config.app, running.site, Guarded(running.devices, hub.store))
        _settle()
        _say_where(config, running, site.url if site else "")
        supervised.tell("READY=1")
        try:
            await running.until(stop)
        finally:
            supervised.tell("STOPPING=1")


def _settle() -> None:
    """Look for cycles among what is made from now on, and less often: sessions have none."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


async def _web(
    running: Running, hub: enrolment.Hub, config: Config, orders: dict[str, Handler]
) -> "Server":
    from skerry_hub.web.server import Server  # what it needs takes long to import

    server = Server(running, hub, config, orders)
    await server.start()
    return server


def _say_where(config: Config, running: Running, url: str) -> None:
    if config.json:
        said = {"hub": running.id, "listening": running.addresses, **({"web": url} if url else {})}
        print(json.dumps(said), flush=True)
        return
    where = ", ".join(f"{host} port {port}" for host, port in running.addresses)
    print(f"hub {running.id} listens on {where}; Ctrl-C ends it", flush=True)
    if url:
        print(f"web interface: {url}", flush=True)


def serve(config: Config) -> int:
    """Run until SIGINT or SIGTERM; return the exit status."""
    logs.start(config.log_format, config.log_level)
    with acting_as("hub"), enrolment.opened(config) as hub:
        asyncio.run(_serve(config, hub))
    return 0
