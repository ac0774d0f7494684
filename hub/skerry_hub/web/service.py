"""What the routes work on: the running hub, the store's thread, and whoever asks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiohttp import web

from skerry_hub.config import Config
from skerry_hub.control import Handler
from skerry_hub.running import Running
from skerry_hub.store import Token
from skerry_hub.web.auth import Auth
from skerry_hub.web.rates import Rates
from skerry_hub.web.worker import Worker

_WENT_WELL = {"answered", "answered again", "recovered", "requests", "confirmed", "duplicates"}


@dataclass
class Service:
    """The parts; `orders` are what the control socket does too, by name."""

    running: Running
    config: Config
    orders: Mapping[str, Handler]
    worker: Worker
    auth: Auth
    handing_over: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Begin to count."""
        self.rates = Rates(self.totals, lambda: {"sessions": len(self.running.sessions)})

    def failures(self) -> dict[str, int]:
        """Return how often something went wrong since the start, by cause."""
        found: dict[str, int] = {}
        for counts in (self.running.handshakes.counts, self.running.front.counts):
            for cause, count in counts.items():
                if cause not in _WENT_WELL:
                    found[cause] = found.get(cause, 0) + count
        return found

    def totals(self) -> dict[str, int]:
        """Return what rates are taken of."""
        handshakes, messages = self.running.handshakes.counts, self.running.front.counts
        failures = {f"failures: {cause}": count for cause, count in self.failures().items()}
        return {
            "handshakes": handshakes["answered"],
            "recoveries": handshakes["recovered"],
            "requests": messages["requests"],
            **failures,
        }


class Call(NamedTuple):
    """One request: `id` and `path` are from its address, `query` and `body` as its route says."""

    request: web.Request
    token: Token | None
    id: str
    path: str
    query: Any
    body: Any

    @property
    def who(self) -> Token:
        """The token of whoever asks, on a route that has a scope."""
        assert self.token is not None  # noqa: S101 - for the type checker
        return self.token
