"""Making a hub, opening it, and enrolling devices.

    enrol   K0 -> chain -> bundle in a temporary folder, synced
                        -> row in the database, committed
                        -> bundle in its place             a crash before this step is made good
                                                           by the next enrolment
The master key K0 exists in the memory of one call. What is stored, here and in the bundle, are its
one-way images: the chain at its first epoch.
"""

import os
import re
import secrets
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from skerry import provisioning, responder, schedule
from skerry.chain import MAX_ERA, Chain
from skerry.primitives import hmac_sha256
from skerry_hub import bundles
from skerry_hub.bundles import Bundle
from skerry_hub.config import Config
from skerry_hub.endpoints import Endpoint
from skerry_hub.errors import (
    AlreadyInitialised,
    BadName,
    BundleError,
    HubError,
    NotInitialised,
    StoreError,
)
from skerry_hub.files import keep_from_git, locked, synced
from skerry_hub.keysource import KeySource
from skerry_hub.store import Device, NewDevice, Store, duplicate, named, replacement
from skerry_hub.store.places import create, open_store, shown
from skerry_hub.vault import Vault, new_row_key, present_kek

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_UNAMBIGUOUS = "23456789abcdefghjkmnpqrstvwxyz"
_KEY_LENGTH = 32  # bytes
_UNFINISHED = ".new."  # no device's id begins with a dot


@dataclass(frozen=True)
class Hub:
    """A hub as opened: its id, its parts, and the folder of its bundles."""

    id: str
    store: Store
    vault: Vault
    bundles: Path
    kek: KeySource

    def load_keys(self, kek: bytes) -> None:
        """Take the row keys that the store has now; raise VaultError or StoreError."""
        self.vault.load(kek, *row_keys(self.store))

    def lacks_keys(self) -> bool:
        """Tell whether the store has a row key that the vault has not; forget those of before."""
        numbers = {each[0] for each in row_keys(self.store)}
        self.vault.keep(numbers)
        return not numbers <= self.vault.numbers

    def close(self) -> None:
        """Close the store."""
        self.store.close()


@dataclass(frozen=True)
class Enrolled:
    """What people may know of an enrolment."""

    name: str
    label: str
    fingerprint: str
    bundle_path: Path


def init(config: Config, hub: str | None = None) -> str:
    """Make a hub and return its id, given or new. An init that was cut off is finished.

    Raises AlreadyInitialised, BadName or VaultError.
    """
    hub = _checked(hub) if hub else _random_name("h-")
    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(config.data):
        _refuse_what_is_there(config)
        config.data.chmod(0o700)
        keep_from_git(config.data)
        kek = present_kek(config.kek.path) if config.kek.path else config.kek.read()
        create(config, {"hub": hub.encode(), "row_key": new_row_key(kek, hub)})
        synced(config.data)
    return hub


def _refuse_what_is_there(config: Config) -> None:
    """Accept an empty folder and what an init that was cut off leaves; else AlreadyInitialised."""
    try:
        open_store(config).close()
    except NotInitialised:
        # An empty database is one, and SQLite puts files beside it.
        kek = [config.kek.path.name] if config.kek.path else []
        ours = (*kek, config.database.name, ".gitignore")
        if not all(path.name.startswith(ours) for path in config.data.iterdir()):
            raise AlreadyInitialised(
                f"{config.data} is not empty: choose another --data for the hub"
            ) from None
    else:
        if config.server is not None:
            raise AlreadyInitialised(
                f"{shown(config)} holds a hub: to join it, copy its key-encryption key and run"
                " skerry run; for a new hub, name an empty database"
            )
        raise AlreadyInitialised(f"{config.data} holds a hub: choose another --data for a new one")


def open_hub(config: Config) -> Hub:
    """Open the hub of a data folder; raise NotInitialised, VaultError or StoreError."""
    store = open_store(config)
    try:
        hub, wrapped = store.get("hub"), row_keys(store)
        if hub is None or not wrapped:
            raise StoreError(f"{shown(config)} does not say whose it is: restore a backup")
        vault = Vault(config.kek.read(), hub.decode(), *wrapped)
        check_key = store.get("check_key")
        if check_key is None:
            check_key = store.put_first("check_key", vault.new_check_key())
        vault.check_with(check_key)
    except HubError:
        store.close()
        raise
    return Hub(hub.decode(), store, vault, config.bundles, config.kek)


def row_keys(store: Store) -> list[bytes]:
    """Return all row keys of a store, wrapped, the one in force first."""
    found = [store.get(key) for key in ("row_key", "next_row_key", "turned_row_key")]
    return [each for each in found if each is not None]


@contextmanager
def opened(config: Config) -> Iterator[Hub]:
    """Open the hub of a data folder for a while; raises what `open_hub` does."""
    hub = open_hub(config)
    try:
        yield hub
    finally:
        hub.close()


def enroll(
    hub: Hub,
    name: str | None,
    *,
    label: str = "",
    address: Endpoint,
    suite: int = 0,
    tags: str = "",
) -> Enrolled:
    """Enrol a device under an id, given or new, and write its bundle. `tags` are words by spaces.

    Raises BadName, DuplicateDevice, or BundleError if something is in the bundle's place.
    """
    name = device_id(name)
    check_label(label)
    with bundles_of(hub) as finished:
        if name in finished:
            return finished[name]
        holder = hub.store.device(name)
        if holder is not None:
            raise duplicate(holder)
        place = hub.bundles / name
        if place.exists():
            raise BundleError(f"{place} is of no device enrolled here: move it away first")
        device, chain = new_device(hub, name, new_master_key(), label=label, suite=suite)
        unfinished = _unfinished(hub, device, chain, address)
        hub.store.enroll(replace(device, tags=tags), coming(chain))
        return _finished(unfinished, place, device)


def undelete(hub: Hub, name: str, address: Endpoint) -> Enrolled:
    """Give a revoked device a new key under its id, with its label, tags, suite and readings.

    Its old key was erased when it was revoked: the board needs the new bundle. Raises
    UnknownDevice, HubError if it is not revoked, or BundleError.
    """
    with bundles_of(hub):
        former, row = named(hub.store, name), replacement(name)
        if former.state != "revoked" or "~" in name:
            raise HubError(f"{name} is {former.state}: only what was revoked gets a new key so")
        if hub.store.device(row) is not None:  # cut off, or never flashed
            hub.store.discard(row)
        place = hub.bundles / name
        bundles.shred(place)
        device, chain = new_device(
            hub, name, new_master_key(), label=former.label, suite=former.suite
        )
        unfinished = _unfinished(hub, device, chain, address)
        waiting = replace(device, name=row, state="pending", tags=former.tags)
        hub.store.enroll(waiting, coming(chain))
        hub.store.activate(row)
        return _finished(unfinished, place, device)


def new_device(
    hub: Hub, name: str, master_key: bytes, *, label: str = "", suite: int = 0
) -> tuple[NewDevice, Chain]:
    """Return the row of a device with this K0, 32 bytes, and its chain at the first epoch."""
    ctx = schedule.context(suite, name.encode(), hub.id.encode())
    chain = provisioning.first_epoch(master_key, ctx)
    sealed = hub.vault.seal(b"chain", name.encode(), chain.pack())
    fingerprint = hmac_sha256(master_key, b"fingerprint" + ctx)[:4].hex()
    check = hub.vault.key_check(master_key)
    return NewDevice(
        name, label, suite, chain.era, chain.step, schedule.pseudonym(chain.chain_key), sealed,
        fingerprint, time.time(), key_check=check,
    ), chain  # fmt: skip


def new_master_key() -> bytes:
    """Return a new K0 of 32 bytes; raise HubError if the generator is seen to be broken."""
    master_key = os.urandom(_KEY_LENGTH)
    if master_key == os.urandom(_KEY_LENGTH):
        raise HubError("this machine's random number generator repeats itself: no key is made")
    return master_key


def coming(chain: Chain) -> list[tuple[bytes, int]]:
    """Return (pseudonym, era) of the first epochs of the next 16 eras, or until the last.

    A device at this epoch that recovers is found by one of them.
    """
    found = []
    for _ in range(min(responder.RECOVERY_ERAS, MAX_ERA - chain.era)):
        chain = chain.next_era()
        found.append((schedule.pseudonym(chain.chain_key), chain.era))
    return found


@contextmanager
def bundles_of(hub: Hub) -> Iterator[dict[str, Enrolled]]:
    """Hold the folder of bundles for oneself; give what earlier enrolments left to finish."""
    hub.bundles.mkdir(mode=0o700, exist_ok=True)
    with locked(hub.bundles):
        keep_from_git(hub.bundles)
        left = [_finish(hub, each) for each in list(hub.bundles.glob(_UNFINISHED + "*"))]
        yield {each.name: each for each in left if each is not None}


def _finish(hub: Hub, unfinished: Path) -> Enrolled | None:
    """Put a bundle in its place if its device was committed, or else remove it."""
    name = unfinished.name.removeprefix(_UNFINISHED)
    device = hub.store.device(name)
    try:
        bundle = bundles.read(unfinished)
    except BundleError:  # cut off while it was written, so before the commit
        bundle = None
    if device is None or bundle is None or bundle.fingerprint != device.fingerprint:
        shutil.rmtree(unfinished)
        return None
    return _finished(unfinished, hub.bundles / name, device)


def _unfinished(hub: Hub, device: NewDevice, chain: Chain, address: Endpoint) -> Path:
    """Write a device's bundle where nobody takes it for finished."""
    bundle = Bundle(device.name, hub.id, address, device.suite, device.fingerprint)
    return bundles.write(hub.bundles / (_UNFINISHED + device.name), bundle, chain)


def _finished(unfinished: Path, place: Path, device: Device | NewDevice) -> Enrolled:
    bundles.put_in_place(unfinished, place)
    return Enrolled(device.name, device.label, device.fingerprint, place)


def _checked(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise BadName(
            f"{name!r} is no id: 1 to 63 lowercase letters, digits, '.', '_' or '-',"
            " of which the first is a letter or digit"
        )
    return name


def device_id(name: str | None) -> str:
    """Return an id for a device, given or made up; raise BadName."""
    return _checked(name) if name else _random_name("d-")


def check_label(label: str) -> None:
    """Raise BadName unless this can be a label."""
    if not label.isprintable():
        raise BadName("a label is one line of printable characters")


def check_reason(reason: str) -> None:
    """Raise BadName unless this can be a reason in the audit log."""
    if not reason.isprintable():
        raise BadName("a reason is one line of printable characters")


def checked_tags(tags: Collection[str]) -> str:
    """Return tags as the store has them; raise BadName unless each can be one."""
    joined = " ".join(tags)
    if not joined.isprintable() or any(len(each.split()) != 1 for each in tags):
        raise BadName("a tag is one word of printable characters")
    return joined


def _random_name(prefix: str) -> str:
    return prefix + "".join(secrets.choice(_UNAMBIGUOUS) for _ in range(8))
