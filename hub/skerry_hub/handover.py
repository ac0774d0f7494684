"""A bundle handed over once, to whoever enrolled the device: by the web interface.

take    says so in the audit log, and returns the files
done    erases the hub's copy, once they are sent
"""

from collections.abc import Callable

from skerry_hub import bundles
from skerry_hub.enrolment import Hub, bundles_of
from skerry_hub.errors import BundleGone, NotAllowed
from skerry_hub.store import named
from skerry_hub.store.ledger import acting

_LOOKED_AT = 50  # entries about a device

Act = Callable[[Hub], bool]


def take(hub: Hub, name: str, since: float) -> dict[str, bytes]:
    """Return the files of a bundle by their names.

    Raises UnknownDevice, NotAllowed unless whoever acts enrolled the device after `since`, or
    BundleGone.
    """
    with bundles_of(hub):
        device, place = named(hub.store, name), hub.bundles / name
        made = [
            each for each in hub.store.audit_before(None, _LOOKED_AT, name)
            if each.action in ("enrol", "activate")
        ]  # fmt: skip
        if not made or made[0].who != acting() or made[0].at < since:
            raise NotAllowed(
                f"{name} was enrolled by somebody else: its bundle is in the hub's data folder"
            )
        if device.state != "active" or not place.is_dir():
            raise BundleGone(
                f"the bundle of {name} is here no more: revoke and undelete give it a new key"
            )
        if bundles.check(place, hub.id).fingerprint != device.fingerprint:
            raise BundleGone(f"the bundle of {name} has another key: it was flashed since")
        files = bundles.content(place)
        hub.store.note("bundle", name, {"fingerprint": device.fingerprint})
        return files


def done(hub: Hub, name: str) -> None:
    """Erase a bundle, if it is there."""
    with bundles_of(hub):
        bundles.shred(hub.bundles / name)
