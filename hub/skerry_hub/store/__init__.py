"""What the hub remembers, in its own words. Keys arrive here sealed and leave sealed.

A device has one expected epoch (its chain) and at most one pending epoch, which was answered and
not yet confirmed. It is found by its pseudonyms: `candidates` looks for those of pending and
expected epochs, `coming` for those of the first epochs of coming eras.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from time import localtime, strftime
from typing import Protocol

from skerry_hub.errors import DuplicateDevice, UnknownDevice
from skerry_hub.store.ledger import Entry
from skerry_hub.store.records import (
    Advance,
    Candidate,
    ConfigValue,
    Confirmation,
    Device,
    NewDevice,
    NewReading,
    Page,
    Reading,
    Sealed,
    Token,
    Wanted,
    Write,
)

__all__ = [
    "RESTORED_AT",
    "Advance",
    "Candidate",
    "ConfigValue",
    "Confirmation",
    "Device",
    "NewDevice",
    "NewReading",
    "Page",
    "Reading",
    "Sealed",
    "Store",
    "Token",
    "Wanted",
    "Write",
    "duplicate",
    "named",
    "replacement",
    "replaces",
]  # fmt: skip

RESTORED_AT = "restored_at"  # a value of the hub itself: seconds since 1970, in decimals
_REPLACEMENT = "~new"  # no id has a tilde


def replacement(name: str) -> str:
    """Return the name that what is to replace a device has until it is active."""
    return name + _REPLACEMENT


def replaces(name: str) -> str | None:
    """Return the id that a pending device is to take over, if it is to."""
    return name.removesuffix(_REPLACEMENT) if name.endswith(_REPLACEMENT) else None


def duplicate(holder: Device) -> DuplicateDevice:
    """Say who has an id, so that nobody takes one board for another."""
    label = f" ({holder.label})" if holder.label else ""
    since = strftime("%Y-%m-%d", localtime(holder.enrolled_at))
    return DuplicateDevice(
        f"{holder.name}{label} is enrolled since {since}, {holder.state}, with key"
        f" {holder.fingerprint}: choose another id"
    )


class Named(Protocol):
    """What has devices by their ids."""

    def device(self, name: str) -> Device | None:
        """Return the device with this id."""


def named(store: Named, name: str) -> Device:
    """Return the device with this id; raise UnknownDevice."""
    device = store.device(name)
    if device is None:
        raise UnknownDevice(f"no device {name!r} here: skerry list names all there are")
    return device


class Store(Named, Protocol):
    """What the hub asks of a store. Every write is durable when its method returns.

    Any method raises StoreError if the store fails. What an operator does (all but `write`,
    readings, addresses, starts and uses of tokens) is in the audit log by the same transaction.
    """

    def candidates(self, pids: Collection[bytes]) -> dict[bytes, list[Candidate]]:
        """Return, for each pseudonym of a pending or expected epoch, the devices that have it.

        The time does not depend on how many other devices there are.
        """

    def coming(self, pids: Collection[bytes]) -> dict[bytes, list[Candidate]]:
        """Return the same for pseudonyms of the first epochs of coming eras."""

    def write(self, batch: Sequence[Write]) -> list[bool]:
        """Do all of a batch in one transaction; tell for each whether it was done.

        Of one device a batch has one move or confirmation, or else readings. If it raises,
        nothing was done.
        """

    def enroll(self, device: NewDevice, coming: Iterable[tuple[bytes, int]]) -> int:
        """Add a device with the pseudonyms (pid, era) of its coming eras; return its number.

        Raises DuplicateDevice if another one has its id or its key.
        """

    def enroll_all(
        self, devices: Iterable[tuple[NewDevice, Iterable[tuple[bytes, int]]]]
    ) -> list[int]:
        """Do what `enroll` does for each, in one transaction: all of them or none."""

    def keys(self, name: str) -> Candidate | None:
        """Return what is stored of a device's keys, whatever its state; `pid_era` is its era."""

    def of_chip(self, chip: str) -> list[Device]:
        """Return who lives on a chip: devices being flashed, then the active one."""

    def of_key(self, key_check: bytes) -> str | None:
        """Return the id of the device whose K0 gives this keyed hash."""

    def describe(self, name: str, chip: str, board: str) -> None:
        """Note what a device runs on. Raises UnknownDevice or DuplicateDevice."""

    def activate(self, name: str) -> bool:
        """Make a pending device an active one; False if that was done before.

        A replacement takes the id and the readings of the device that it replaces; that one is
        revoked and becomes ID~number. So is who else was active on its chip. Raises UnknownDevice.
        """

    def discard(self, name: str) -> None:
        """Forget a device that is still pending. Raises UnknownDevice."""

    def devices(self) -> list[Device]:
        """Return all devices, in the order of enrolment."""

    def revoke(self, name: str) -> bool:
        """Erase a device's keys; False if that was done before. Raises UnknownDevice."""

    def quarantine(self, name: str, reason: str) -> bool:
        """Cut an active device off and keep its keys; False if it is not active.

        It counts as a revocation for `revoked_after`. Raises UnknownDevice.
        """

    def release(self, name: str) -> bool:
        """Make a quarantined device an active one; False if it is not quarantined.

        Raises UnknownDevice, or DuplicateDevice if its board is another active device.
        """

    def set_tags(self, name: str, tags: str) -> None:
        """Set the tags of a device, words by spaces. Raises UnknownDevice."""

    def revoked_after(self, number: int) -> list[tuple[int, int]]:
        """Return (number, device) of all revocations with higher numbers, lowest first.

        A new one has the highest number, also after the store was put back.
        """

    def last_revocation(self) -> int:
        """Return the highest number of a revocation, or 0."""

    def changes(self) -> int:
        """Return a number that is another one whenever another process has written."""

    def add_reading(
        self, device: int, at: float, path: str, format: int | None, payload: bytes
    ) -> int:
        """Add a reading of an active device and return its number; 0 if it is not active."""

    def readings_after(
        self, reading: int, device: int | None = None, limit: int = 1000
    ) -> list[Reading]:
        """Return the readings with higher numbers, of one device or of all, lowest first."""

    def last_reading(self, device: int) -> Reading | None:
        """Return the last reading of a device."""

    def last_reading_id(self) -> int:
        """Return the highest number of a reading, or 0."""

    def note_addresses(self, peers: dict[int, str]) -> None:
        """Remember where devices were heard last, by their numbers."""

    def address(self, device: int) -> str | None:
        """Return where a device was heard last."""

    def set_config(
        self, device: int, path: str, format: int | None, payload: bytes | None
    ) -> None:
        """Set a value of an active device, or unset it with None."""

    def config(self, device: int, path: str | None = None) -> list[ConfigValue]:
        """Return what is set for a device, by path, or the one value at `path`."""

    def config_after(self, number: int) -> list[tuple[int, int, str]]:
        """Return (number, device, path) of all values that were set or unset after `number`."""

    def last_config_id(self) -> int:
        """Return the highest number of a value, or 0."""

    def note(self, action: str, subject: str = "", detail: Mapping[str, object] = {}) -> None:
        """Add an entry of whoever acts (ledger.py) to the audit log. No secret may be in it."""

    def audit_after(
        self, number: int, limit: int = 1000, subject: str | None = None
    ) -> list[Entry]:
        """Return the entries with higher numbers, of one subject or all, lowest first."""

    def last_audit(self) -> Entry | None:
        """Return the last entry."""

    def population(self) -> Mapping[str, int]:
        """Return how many devices are in each state; the time does not depend on how many."""

    def page(self, after: int, limit: int, wanted: Wanted) -> Page:
        """Return up to `limit` devices with higher numbers, lowest first.

        It looks at a bounded number of devices: a page may have few, or none, and a `next`.
        """

    def readings_before(self, device: int, before: int | None, limit: int) -> list[Reading]:
        """Return a device's readings before one of its own, or the last ones, newest first."""

    def audit_before(
        self, before: int | None, limit: int, subject: str | None = None
    ) -> list[Entry]:
        """Return the entries with lower numbers, of one subject or all, newest first."""

    def add_token(self, token: Token) -> None:
        """Add a token of the web interface. Raises DuplicateToken."""

    def revoke_token(self, name: str) -> bool:
        """Forget a token; False if there is none."""

    def token(self, name: str) -> Token | None:
        """Return a token."""

    def tokens(self) -> list[Token]:
        """Return all tokens, by name."""

    def note_tokens_used(self, when: Mapping[str, float]) -> None:
        """Note when tokens were used last."""

    def sealed_before(self, number: int, limit: int) -> list[Sealed]:
        """Return values that are sealed under another row key than this one."""

    def reseal(self, values: Sequence[tuple[Sealed, bytes]]) -> None:
        """Put a new value in the place of each that has not changed meanwhile."""

    def change_keys(
        self, seen: Mapping[str, bytes | None], values: Mapping[str, bytes | None], detail: str
    ) -> bool:
        """Set the hub's keys, all or none, and forget those that are None; say so in the log.

        Raises StoreError, and nothing changes, unless those in `seen` are as they were seen.
        `next_row_key` is not forgotten while a value is sealed under another key than `row_key`
        (as set here, if it is): then nothing changes, and it returns False.
        """

    def next_start(self) -> int:
        """Count a start of the hub and return how many there were."""

    def get(self, key: str) -> bytes | None:
        """Return a value of the hub itself."""

    def known(self, prefix: str) -> list[str]:
        """Return the keys of all values of the hub itself that begin so."""

    def put(
        self, key: str, value: bytes, action: str = "", detail: Mapping[str, object] = {}
    ) -> None:
        """Set a value of the hub itself; with an action it is in the audit log."""

    def put_first(self, key: str, value: bytes) -> bytes:
        """Set a value of the hub itself if there is none; return the one that stands."""

    def copy_to(self, path: Path) -> None:
        """Copy all that is committed to a new SQLite file, while others go on to write."""

    def claim(self) -> None:
        """Say that this process is a running hub, for as long as it is connected.

        Raises StoreReplaced if a backup was put in the store's place since it was opened.
        """

    def lead(self) -> bool:
        """Tell whether this process is the one that delivers, from now on until it ends.

        One is, of all that have the store open. A process that lost it, as with its connection,
        is told so once before it may be the one again: another one may have been it meanwhile.
        """

    def check(self) -> str:
        """Read all pages and indexes; return "sound", or raise StoreError. Takes its time."""

    def scrub(self) -> bool:
        """Erase from the store's journal what was overwritten; False if somebody reads there.

        Until then old keys, still sealed, remain in it. Costs little if nothing was written.
        """

    def close(self) -> None:
        """Close the store."""
