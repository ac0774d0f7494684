"""Health and metrics over HTTP, on an address of their own: for machines that watch the hub.

GET /health    200 {"status": "ok", ...}, or 503 with what is wrong. Destinations that are away are
               "warnings": no reason to restart a hub. Of several processes on one store one
               "delivers"
GET /metrics   Prometheus' text format; no device's name and no secret is in it
"""

from collections.abc import Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from skerry_hub.endpoints import Endpoint, show
from skerry_hub.errors import HubError, StoreError
from skerry_hub.listening import Site
from skerry_hub.running import Running

_MAX_CONNECTIONS = 32


class _Collector:
    """Reads the hub's own counters when somebody asks."""

    def __init__(self, running: Running) -> None:
        self._running = running

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics (prometheus_client's collector interface)."""
        running = self._running
        handshakes = CounterMetricFamily(
            "skerry_handshakes", "Messages 1 by what became of them.", labels=["outcome"]
        )
        for outcome, count in sorted(running.handshakes.counts.items()):
            handshakes.add_metric([outcome], count)
        yield handshakes
        datagrams = CounterMetricFamily(
            "skerry_messages", "All other messages by what became of them.", labels=["outcome"]
        )
        for outcome, count in sorted(running.front.counts.items()):
            datagrams.add_metric([outcome], count)
        yield datagrams
        yield from self._outgoing()
        yield GaugeMetricFamily(
            "skerry_sessions", "Confirmed sessions that are alive.", len(running.sessions)
        )
        yield GaugeMetricFamily(
            "skerry_start_time_seconds", "When the hub started.", running.started
        )

    def _outgoing(self) -> Iterator[Metric]:
        told = {
            "delivered": "Readings and events that a destination accepted.",
            "failed": "Attempts to deliver that failed.",
        }
        behind = GaugeMetricFamily(
            "skerry_outgoing_behind", "Readings and events that wait.", labels=["destination"]
        )
        outgoing = self._running.outgoing
        followers = outgoing.followers
        for what, help in told.items():
            counted = CounterMetricFamily(f"skerry_outgoing_{what}", help, labels=["destination"])
            for each in followers:
                counted.add_metric([each.name], each.counts[what])
            yield counted
        for each in followers if outgoing.delivers else ():  # others do not know
            behind.add_metric([each.name], each.behind)
        yield behind
        yield GaugeMetricFamily(
            "skerry_outgoing_delivers", "Whether this process delivers.", outgoing.delivers
        )


async def _health(request: web.Request) -> web.Response:
    running: Running = request.app[_RUNNING]
    outgoing = running.outgoing
    said = {"status": "ok", "hub": running.id, "sessions": len(running.sessions),
            "delivers": outgoing.delivers, "warnings": outgoing.warnings}  # fmt: skip
    try:
        running.check()
    except StoreError as error:
        return web.json_response({**said, "status": "failed", "error": str(error)}, status=503)
    return web.json_response(said)


async def _metrics(request: web.Request) -> web.Response:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(request.app[_RUNNING]))
    return web.Response(
        body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
    )


_RUNNING: web.AppKey[Running] = web.AppKey("running")


async def serve(endpoint: Endpoint, running: Running) -> Site:
    """Serve until the site's `stop`; raise HubError if the address cannot be had."""
    app = web.Application()
    app[_RUNNING] = running
    app.router.add_get("/health", _health)
    app.router.add_get("/metrics", _metrics)
    site = Site("monitoring", app, _MAX_CONNECTIONS)
    try:
        await site.start(endpoint)
    except OSError as error:
        raise HubError(
            f"cannot serve monitoring on {show(endpoint)}: {error.strerror or error};"
            " choose another address in the settings"
        ) from None
    return site
