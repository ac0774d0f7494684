"""All destinations of a running hub.

Of several processes on one store one delivers, as long as it lives (`Store.lead`). The others look
as often as it whether they are to take over.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial

from skerry_hub.config import Config
from skerry_hub.errors import ConfigError, HubError, StoreError
from skerry_hub.outgoing import logs
from skerry_hub.outgoing.destination import Destination
from skerry_hub.outgoing.follower import Follower
from skerry_hub.outgoing.logs import Bookmark
from skerry_hub.outgoing.mqtt_settings import MqttSettings
from skerry_hub.outgoing.webhook import Webhook
from skerry_hub.store import Store
from skerry_hub.tools import load

LOOK_S = 0.2  # how often new items are looked for: so many as come meanwhile make one batch
_END_WITHIN_S = 3.0

log = logging.getLogger(__name__)


class Outgoing:
    """Followers of the logs, one for each destination; they run while this process `delivers`."""

    def __init__(self, store: Store, destinations: Sequence[Destination]) -> None:
        """Find where each destination is; raise StoreError."""
        self._store = store
        self.followers = [Follower(store, each) for each in destinations]
        self.delivers = False
        self._tasks: list[asyncio.Task[None]] = []
        self._problem = ""

    def start(self) -> None:
        """Begin to deliver, if no other process does."""
        self.look()

    def look(self) -> None:
        """Begin or end to deliver, and wake the followers that have something to do."""
        if not self.followers:
            return
        leads = self._leads()
        if self.delivers and not leads:
            self._leave()
        if leads:
            with suppress(StoreError):  # others say so
                if not self.delivers:
                    self._begin()
                end = logs.end(self._store)
                for each in self.followers:
                    each.see(end)

    def _leads(self) -> bool:
        problem = ""
        try:
            return self._store.lead()
        except StoreError as error:
            problem = str(error)
            if problem != self._problem:
                log.error("nothing is delivered: %s", error)
            return False
        finally:
            self._problem = problem

    def _begin(self) -> None:
        if not all(each.done() for each in self._tasks):
            return  # they say goodbye: the next time
        for each in self.followers:
            each.resume()
        self._tasks = [asyncio.create_task(each.run()) for each in self.followers]
        self.delivers = True
        log.info("this process delivers")

    def _leave(self) -> None:
        log.warning("this process delivers no more: it lost its place at the store")
        for each in self.followers:
            each.leave()
        for task in self._tasks:
            task.cancel()
        self.delivers = False

    @property
    def warnings(self) -> list[str]:
        """What is wrong with destinations, a line each, as far as this process delivers."""
        if self._problem:
            return [f"nothing is delivered: {self._problem}"]
        return [each.warning for each in self.followers if self.delivers and each.warning]

    async def stop(self) -> None:
        """End; what was accepted is remembered."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_END_WITHIN_S)


def destinations(config: Config, hub: str, log: str) -> list[Destination]:
    """Make all destinations of the settings; raise ConfigError. `hub` and `log` name the logs."""
    made = []
    for name, make in _makers(config).items():
        try:
            made.append(make(hub, log))
        except HubError as error:
            raise ConfigError(f"{name}: {error}") from None
    return made


def standing(config: Config, store: Store) -> Iterator[tuple[str, HubError | None, int]]:
    """Yield for each destination its name, what is wrong with its settings, and how much waits.

    Raises StoreError.
    """
    end = logs.end(store)
    for name, make in _makers(config).items():
        try:
            destination = make("", "")
        except HubError as error:
            yield name, error, 0
            continue
        position = Bookmark(store, destination.name).read()
        yield name, None, position.behind(end, destination.send) if position else 0


def _makers(config: Config) -> dict[str, Callable[[str, str], Destination]]:
    """Return what makes each destination, by what people call it."""
    makers: dict[str, Callable[[str, str], Destination]] = {
        f"webhook {each.name}": partial(Webhook, each) for each in config.webhooks
    }
    if config.mqtt is not None:
        makers["mqtt"] = partial(_mqtt, config.mqtt)
    return makers


def _mqtt(said: MqttSettings, hub: str, log: str) -> Destination:
    made: Destination = load("outgoing.mqtt").Mqtt(said, hub, log)
    return made
