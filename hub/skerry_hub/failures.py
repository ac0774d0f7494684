"""What nobody was answered to, lately: for skerry explain, and to tell copies of a device.

Memory of a bounded size, whatever arrives: the last message 1 of each address and pseudonym, the
addresses whose session nobody knows, and the pseudonyms that devices skipped by recovering.

A device that recovered, and confirmed that, never again shows the pseudonym of the epoch that it
skipped. Who does, stands where the device was: a copy of it, or the device while a copy took over.
Somebody who recorded an attempt that the hub never heard can do it too, so it is a suspicion.
"""

import logging
import time
from collections import OrderedDict
from typing import Any, NamedTuple

from skerry import schedule
from skerry.chain import Chain
from skerry.errors import Exhausted
from skerry.responder import RECOVERY_ERAS
from skerry_hub.bucket import Bucket
from skerry_hub.sessions import Sessions
from skerry_hub.store import Candidate, Store
from skerry_hub.udp import Path

KEPT = 1024  # of each kind
NOTES_RATE = 100  # a second: a flood takes ten seconds to push out what is older
SUSPECT_EVERY_S = 3600.0  # in the audit log, for a device
_PID = slice(1, 7)  # of message 1
_AHEAD = 64  # steps and eras that are looked for beyond what the hub answers

log = logging.getLogger(__name__)


class Attempt(NamedTuple):
    """The last message 1 with a pseudonym from an address that was not answered."""

    at: float
    address: str
    pid: bytes


class Skipped(NamedTuple):
    """Whose pseudonym it was, in which era, and where that device was then."""

    device: int
    name: str
    era: int
    address: str


class Failures:
    """Notes what fails. With `quarantine` a suspected clone is cut off, else it is reported."""

    def __init__(self, store: Store, sessions: Sessions) -> None:
        self.quarantine = False
        self._store = store
        self._sessions = sessions
        self._notes = Bucket(NOTES_RATE)
        self._attempts: OrderedDict[tuple[str, bytes], Attempt] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()  # address -> when
        self._skipped: OrderedDict[bytes, Skipped] = OrderedDict()
        self._suspected: OrderedDict[int, float] = OrderedDict()  # device -> when

    def recovered(self, candidate: Candidate) -> None:
        """Note that a device left the epoch where `candidate` stands for another era."""
        live = self._sessions.of(candidate.name)
        where = _address(live.path) if live and live.path else "unknown"
        skipped = Skipped(candidate.id, candidate.name, candidate.era, where)
        _keep(self._skipped, candidate.pid, skipped)

    def unanswered(self, message_1: bytes, path: Path) -> None:
        """Note a message 1 that leads to nothing; raise StoreError."""
        pid = message_1[_PID]
        skipped = self._skipped.get(pid)
        if skipped is None and not self._notes.take():
            return
        address = _address(path)
        _keep(self._attempts, (address, pid), Attempt(time.time(), address, pid))
        if skipped is not None:
            live = self._sessions.of(skipped.name)
            if live is not None and live.epoch[0] > skipped.era:
                self._suspect(skipped, address, _address(live.path) if live.path else "unknown")

    def unknown_session(self, path: Path) -> None:
        """Note a request in a session that nobody knows."""
        if self._notes.take():
            _keep(self._unknown, _address(path), time.time())

    def _suspect(self, skipped: Skipped, left_behind: str, current: str) -> None:
        now = time.monotonic()
        if now - self._suspected.get(skipped.device, -SUSPECT_EVERY_S) < SUSPECT_EVERY_S:
            return
        log.warning(
            "a copy of it is suspected: it is at %s, and somebody at %s stands where it was",
            current, left_behind, extra={"device": skipped.name},
        )  # fmt: skip
        said = {"current": current, "left_behind": left_behind, "before": skipped.address}
        self._store.note("clone suspected", skipped.name, said)
        if self.quarantine:
            self._store.quarantine(skipped.name, "clone suspected")
            self._sessions.drop(skipped.device)
        _keep(self._suspected, skipped.device, now)

    def about(self, known: Candidate, chain: Chain) -> list[dict[str, Any]]:
        """Return what failed that this device may have sent: cause, time and address of each."""
        answered, ahead = _pseudonyms(known, chain)
        found = []
        for attempt in self._attempts.values():
            skipped = self._skipped.get(attempt.pid)
            if attempt.pid in answered:
                cause = "bad tag"
            elif attempt.pid in ahead:
                cause = "ahead"
            elif skipped is not None and skipped.device == known.id:
                cause = "left behind"
            else:
                cause = "unknown pseudonym"
            found.append({"cause": cause, "at": attempt.at, "address": attempt.address})
        found += [
            {"cause": "unknown session", "at": at, "address": address}
            for address, at in self._unknown.items()
        ]
        return found


def _keep(kept: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > KEPT:
        kept.popitem(last=False)


def _address(path: Path) -> str:
    return str(path.address[0])


def _pseudonyms(known: Candidate, chain: Chain) -> tuple[set[bytes], set[bytes]]:
    """Return the pseudonyms that the hub answers, and those further on."""
    answered, ahead = {known.pid, known.pending_pid or b""}, set()
    step = era = chain
    try:
        for number in range(1, _AHEAD + 1):
            step, era = step.next_step(), era.next_era()
            ahead.add(schedule.pseudonym(step.chain_key))
            (answered if number <= RECOVERY_ERAS else ahead).add(schedule.pseudonym(era.chain_key))
    except Exhausted:
        pass
    return answered, ahead
