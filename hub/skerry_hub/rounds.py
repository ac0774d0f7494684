"""Which of the messages that came together can be done at once."""

from collections.abc import Callable
from typing import NamedTuple

from skerry_hub.store import NewReading, Write
from skerry_hub.udp import Datagram


class Step(NamedTuple):
    """What a verified message leads to: `act`, once `write` is done, if there is one."""

    device: int
    write: Write | None
    act: Callable[[], None]
    request: tuple[int, bytes] | None = None  # number of its session, and its nonce there
    received: Datagram | None = None  # the request itself


class Round:
    """Steps that do not depend on each other."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._devices: set[int] = set()
        self._moving: set[int] = set()
        self._requests: set[tuple[int, bytes]] = set()

    def take(self, step: Step) -> bool:
        """Add a step, or tell that it has to wait until the others are done.

        A device that moves on to another epoch does nothing else meanwhile, and no request comes
        twice.
        """
        moves = step.write is not None and not isinstance(step.write, NewReading)
        if step.device in (self._devices if moves else self._moving):
            return False
        if step.request is not None:
            if step.request in self._requests:
                return False
            self._requests.add(step.request)
        if moves:
            self._moving.add(step.device)
        self._devices.add(step.device)
        self.steps.append(step)
        return True
