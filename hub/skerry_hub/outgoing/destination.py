"""What a destination is to a follower."""

from typing import Protocol

from skerry_hub.errors import HubError
from skerry_hub.outgoing.logs import Batch


class Undelivered(HubError):
    """A destination did not accept a batch; the text says why, and it is tried again.

    `accepted` of its items, the first ones, were accepted all the same, and are not.
    """

    def __init__(self, reason: str, accepted: int = 0) -> None:
        super().__init__(reason)
        self.accepted = accepted


class Gone(Undelivered):
    """A destination wants no more, ever."""


class Destination(Protocol):
    """Where a follower takes the logs named in `send`; `begin`: "now", or from the "start"."""

    @property
    def name(self) -> str:
        """Its name in the settings, under which its position is kept."""

    @property
    def send(self) -> tuple[str, ...]:
        """Which logs it gets."""

    @property
    def begin(self) -> str:
        """Where it begins when it is new."""

    async def open(self) -> None:
        """Connect, if that is needed and not done; raise Undelivered."""

    async def deliver(self, batch: Batch) -> None:
        """Return when the whole batch was accepted; raise Undelivered or Gone."""

    async def close(self) -> None:
        """Disconnect, within a moment."""
