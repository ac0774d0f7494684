"""Provisioning bundles: what a board is given, as a folder of two files.

skerry.json    whose it is, which hub it has and where; no key
skerry.0       the chain at its first epoch: the key
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from skerry import record
from skerry.chain import Chain
from skerry_hub.endpoints import Endpoint
from skerry_hub.errors import BundleError
from skerry_hub.files import destroy, synced, write_private

_DESCRIPTION, _KEY = "skerry.json", "skerry.0"


@dataclass(frozen=True)
class Bundle:
    """What `skerry.json` of a bundle says."""

    device: str
    hub: str
    address: Endpoint
    suite: int
    fingerprint: str


def read(folder: Path) -> Bundle:
    """Read a bundle's description; raise BundleError."""
    try:
        said = json.loads((folder / _DESCRIPTION).read_text())
        host, port = said["address"]
        return Bundle(
            str(said["device"]), str(said["hub"]), (str(host), int(port)),
            int(said["suite"]), str(said["fingerprint"]),
        )  # fmt: skip
    except OSError as error:
        raise BundleError(f"no bundle in {folder}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise BundleError(f"{folder}/skerry.json is damaged: enrol the device anew") from None


def check(folder: Path, hub_id: str) -> Bundle:
    """Read a bundle that has to be this hub's; raise BundleError."""
    bundle = read(folder)
    if bundle.hub != hub_id:
        raise BundleError(
            f"the bundle in {folder} is for hub {bundle.hub}, this is {hub_id}:"
            " enrol the device here or use that hub's --data"
        )
    return bundle


def files(bundle: Bundle, chain: Chain) -> dict[str, bytes]:
    """Return what stands in a bundle."""
    return {_DESCRIPTION: description(bundle), _KEY: record.pack(1, chain.pack())}


def description(bundle: Bundle) -> bytes:
    """Return skerry.json: what a device has to know beside its key."""
    said = {
        "device": bundle.device,
        "hub": bundle.hub,
        "address": list(bundle.address),
        "suite": bundle.suite,
        "fingerprint": bundle.fingerprint,
    }
    return json.dumps(said).encode() + b"\n"


def write(folder: Path, bundle: Bundle, chain: Chain) -> Path:
    """Write a bundle, synced to the disk; return its folder."""
    folder.mkdir(mode=0o700)
    for name, content in files(bundle, chain).items():
        write_private(folder / name, content)
    synced(folder)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """Return the files of a bundle by their names; raise OSError."""
    return {name: (folder / name).read_bytes() for name in (_DESCRIPTION, _KEY)}


def put_in_place(unfinished: Path, place: Path) -> None:
    """Give a bundle's folder its name, durably."""
    unfinished.rename(place)
    synced(place.parent)


def shred(place: Path) -> None:
    """Remove a bundle, if it is there; on a disk that overwrites in place, its key for good."""
    if place.is_dir():
        destroy(place / _KEY)
        shutil.rmtree(place)
