"""What is told to a store and what it tells: records, each a value. Keys in them are sealed."""

from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True)
class NewDevice:
    """A device to enrol. `fingerprint` is of its provisioned key, `key_check` a keyed hash of it.

    It is "pending" while its board is being flashed; `chip` is that board's unique id.
    """

    name: str
    label: str
    suite: int
    era: int
    step: int
    pid: bytes
    chain: bytes = field(repr=False)
    fingerprint: str
    enrolled_at: float
    state: str = "active"
    chip: str | None = None
    board: str = ""
    tags: str = ""
    key_check: bytes | None = field(default=None, repr=False)


class Candidate(NamedTuple):
    """An active device that a pseudonym may stand for, as of `pid_era`; `pid` is the expected one.

    Keys are sealed.
    """

    id: int
    name: str
    suite: int
    era: int
    step: int
    pid: bytes
    chain: bytes
    pending_pid: bytes | None
    pending_key: bytes | None
    pid_era: int

    def __repr__(self) -> str:
        return f"<Candidate {self.name} epoch {self.era}.{self.step}>"


class Advance(NamedTuple):
    """Move a device to its next epoch, if it still stands where `candidate` says.

    The epoch that was pending is forgotten, and so are the eras before `era`; `coming` are the
    pseudonyms (pid, era) that come into reach. It fails if the device has moved on or was revoked.
    """

    candidate: Candidate
    era: int
    step: int
    pid: bytes
    chain: bytes
    pending_pid: bytes
    pending_key: bytes
    coming: list[tuple[bytes, int]]

    def __repr__(self) -> str:
        return f"<Advance {self.candidate.name} to {self.era}.{self.step}>"


class NewReading(NamedTuple):
    """Add a reading of an active device; `device` is its number."""

    device: int
    at: float
    path: str
    format: int | None
    payload: bytes


class Confirmation(NamedTuple):
    """Erase the pending epoch and note its session, if `pid` is what is pending.

    Only then its first request's reading is added, if there is one.
    """

    device: int
    pid: bytes
    fingerprint: str
    era: int
    step: int
    at: float
    reading: NewReading | None = None


Write = Advance | Confirmation | NewReading


@dataclass(frozen=True)
class Device:
    """What people may know of a device. `session_*` are of its last confirmed session."""

    id: int
    name: str
    label: str
    state: str
    suite: int
    era: int
    step: int
    fingerprint: str
    session_fingerprint: str | None
    session_era: int | None
    session_step: int | None
    enrolled_at: float
    seen_at: float | None
    readings: int
    chip: str | None
    board: str
    tags: str


@dataclass(frozen=True)
class Reading:
    """What a device posted; `device` is its number, `name` its id, `format` CoAP's, if any."""

    id: int
    device: int
    name: str
    at: float
    path: str
    format: int | None
    payload: bytes


@dataclass(frozen=True)
class ConfigValue:
    """What the operator set for a device, sealed; `format` is CoAP's, if any."""

    path: str
    format: int | None
    payload: bytes = field(repr=False)


@dataclass(frozen=True)
class Token:
    """Who may use the web interface. `hash` is SHA-256 of the secret, `scopes` words by spaces."""

    name: str
    hash: bytes = field(repr=False)
    scopes: str
    created_at: float
    expires_at: float | None = None
    used_at: float | None = None


@dataclass(frozen=True)
class Wanted:
    """Which devices a page is to have; what is empty asks for nothing.

    `tag` is one of its tags, `text` stands somewhere in id, label or fingerprint.
    """

    state: str = ""
    tag: str = ""
    text: str = ""


class Page(NamedTuple):
    """Some devices; `next` is what to go on behind, None at the end."""

    devices: list[Device]
    next: int | None


class Sealed(NamedTuple):
    """A sealed value and where it stands: in `column` chain or pending_key, or config at `path`.

    `device` is the number of its device, `name` what the device's id was when it was sealed.
    """

    column: str
    device: int
    name: str
    path: str
    value: bytes

    def __repr__(self) -> str:
        return f"<Sealed {self.column} of {self.name}>"
