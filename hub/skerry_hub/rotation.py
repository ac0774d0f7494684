"""A new key-encryption key (KEK) and a new row key, while the hub runs: skerry rotate-key.

    begin      next_row_key, under the old KEK; the same as turned_row_key, under the new one
    re-seal    value by value, in batches; a running hub seals under the new row key by now
    commit     row_key := next_row_key, unless a value is left that is sealed under the old one
    place      the new KEK where the old one was, if they are files
    finish     row_key := turned_row_key: the old KEK opens nothing of this database any more
    destroy    the old KEK's file is overwritten

Each step is a transaction or a rename. Cut off anywhere, the KEK in force opens every value, and
the same command goes on. What an older backup holds opens under the old row key alone, and that is
nowhere but under the old KEK.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from skerry_hub.enrolment import Hub
from skerry_hub.errors import StoreError, VaultError
from skerry_hub.files import beside, destroy, locked, synced
from skerry_hub.keysource import KeySource
from skerry_hub.store import Sealed, replaces
from skerry_hub.vault import opens, present_kek, read_kek, wrap_as

_BATCH = 1000  # values in one transaction: some 20 ms in which nobody else writes


@dataclass(frozen=True)
class Rotated:
    """What was done: values sealed anew, and whether the old KEK is out of use."""

    resealed: int
    finished: bool
    kek: str


def nobody() -> None:
    """Tell nobody."""


def rotate(hub: Hub, to: KeySource | None = None, tell: Callable[[], None] = nobody) -> Rotated:
    """Exchange the keys, or go on where a rotation was cut off.

    `tell` has the running hub, if there is one, take the new row key, and returns when it has.

    Without `to`, the KEK is a file and a new one takes its place. Otherwise the new KEK has to be
    named in the settings when this is done; then call it once more without `to`.
    Raises VaultError or StoreError; nothing is lost then.
    """
    with locked(hub.bundles.parent):
        hub.store.claim()  # a restore would take the new keys away
        row_key, turned = hub.store.get("row_key"), hub.store.get("turned_row_key")
        kek = hub.kek.read()
        hub.load_keys(kek)  # the one before it, if it was waited for, has changed them
        if turned is not None and opens(kek, hub.id, turned):
            done = _reseal(hub)
            _finish(hub, kek)
            return Rotated(done, True, str(hub.kek))
        if turned is None and hub.kek.path is not None:
            destroy(_files(hub.kek.path)[0])  # a rotation before was cut off at its very end
        new = to or _beside(hub.kek, make=turned is None)
        if turned is None:
            _begin(hub, row_key, kek, new.read())
        elif not opens(new.read(), hub.id, turned):
            raise VaultError(f"a rotation to another key than {new} began: go on with that one")
        hub.load_keys(kek)
        tell()
        resealed = _reseal(hub)
        if to is not None:
            return Rotated(resealed, False, str(to))
        _place(hub)
        _finish(hub, hub.kek.read())
    return Rotated(resealed, True, str(hub.kek))


def _beside(kek: KeySource, make: bool) -> KeySource:
    """Return the file of the new KEK, beside the old one; make it if it is not there."""
    path = kek.path
    if path is None:
        raise VaultError(
            f"the key comes from a {kek.kind}: name the new one with --to-file, --to-command or"
            " --to-pkcs11; if you did, name it in the settings first"
        )
    _, new = _files(path)
    if make:
        present_kek(new)
    elif not new.exists():
        raise VaultError(
            "a rotation to another key began: name that one with --to-file, --to-command or"
            " --to-pkcs11; if you did, name it in the settings first"
        )
    return KeySource("file", str(new))


def _begin(hub: Hub, row_key: bytes | None, kek: bytes, new: bytes) -> None:
    """Make the next row key; `row_key` is the one before it, which the vault has."""
    if new == kek:
        raise VaultError("the new key-encryption key is the old one: name another one")
    following = hub.vault.following_row_key(kek)
    turned = wrap_as(kek, new, hub.id, following)
    seen = {"row_key": row_key, "next_row_key": None, "turned_row_key": None}
    said = {"next_row_key": following, "turned_row_key": turned}
    hub.store.change_keys(seen, said, "rotation begins")


def _reseal(hub: Hub) -> int:
    """Seal all values anew, until there is none under the old row key; return how many it were."""
    done, store = 0, hub.store
    row_key, following = store.get("row_key"), store.get("next_row_key")
    while following is not None:
        while found := store.sealed_before(following[0], _BATCH):
            store.reseal([(each, _anew(hub, each)) for each in found])
            done += len(found)
        check_key = hub.vault.resealed_check_key(store.get("check_key") or b"")
        seen = {"row_key": row_key, "next_row_key": following}
        said = {"row_key": following, "next_row_key": None, "check_key": check_key}
        if store.change_keys(seen, said, "all is sealed anew"):
            return done
    return done


def _anew(hub: Hub, sealed: Sealed) -> bytes:
    name = (replaces(sealed.name) or sealed.name).encode()
    purpose = {
        "chain": b"chain",
        "pending_key": b"pending",
        "config": b"config " + sealed.path.encode(),
    }[sealed.column]
    return hub.vault.seal(purpose, name, hub.vault.open(purpose, name, sealed.value))


def _place(hub: Hub) -> None:
    """Put the new KEK where the old one is; the latter stays beside it until `_finish`."""
    path = Path(hub.kek.said)
    old, new = _files(path)
    if new.exists():
        turned = hub.store.get("turned_row_key")
        if turned is None or not opens(read_kek(new), hub.id, turned):
            raise VaultError(f"{new} is not the key of the rotation under way: see skerry audit")
        old.unlink(missing_ok=True)  # another name of what is at `path`
        os.link(path, old)
        new.rename(path)
        synced(path.parent)


def _finish(hub: Hub, kek: bytes) -> None:
    turned = hub.store.get("turned_row_key")
    if turned is None or not opens(kek, hub.id, turned):
        raise StoreError("this rotation was ended by another one: see skerry audit")
    seen = {"turned_row_key": turned, "next_row_key": None}
    hub.store.change_keys(seen, {"row_key": turned, "turned_row_key": None}, "rotation ends")
    hub.load_keys(kek)
    if hub.kek.path is not None:
        destroy(_files(hub.kek.path)[0])


def _files(path: Path) -> tuple[Path, Path]:
    return beside(path, ".old"), beside(path, ".new")
