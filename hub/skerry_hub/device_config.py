"""What the operator sets for a device, which fetches or observes it: sealed at rest."""

import json
import re
from dataclasses import replace

from skerry_hub.errors import BadName, HubError
from skerry_hub.store import ConfigValue, Device, Store, named
from skerry_hub.vault import Vault

MAX_VALUE = 1024  # bytes: one block, and a notification holds it
MAX_VALUES = 64  # of a device
FORMATS = {"text": 0, "bytes": 42, "json": 50, "cbor": 60}  # CoAP Content-Formats

_WORD = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}"
_PATH = re.compile(rf"{_WORD}(/{_WORD}){{0,3}}")


def set_value(
    store: Store, vault: Vault, name: str, path: str, format: str, payload: bytes | None
) -> None:
    """Set a value of a device, or unset it with None.

    Raises UnknownDevice, BadName for the path, HubError if the value is not what its format says,
    too long, or one too many.
    """
    device = _active(store, name)
    if _PATH.fullmatch(path) is None:
        raise BadName(f"{path!r} is no path: up to four words of letters, digits, '.', '_' or '-'")
    if payload is None:
        store.set_config(device.id, path, None, None)
        return
    _check(format, payload)
    others = [each for each in store.config(device.id) if each.path != path]
    if len(others) >= MAX_VALUES:
        raise HubError(f"{name} has {MAX_VALUES} values: unset one with skerry set --remove")
    sealed = vault.seal(_purpose(path), name.encode(), payload)
    store.set_config(device.id, path, FORMATS[format], sealed)


def values(store: Store, vault: Vault, name: str) -> list[ConfigValue]:
    """Return what is set for a device, opened, by path; raise UnknownDevice or VaultError."""
    return [_opened(vault, name, each) for each in store.config(named(store, name).id)]


def value(store: Store, vault: Vault, device: int, name: str, path: str) -> ConfigValue:
    """Return one value of a device, opened; an empty one if it is not set. Or VaultError."""
    found = store.config(device, path)
    return _opened(vault, name, found[0]) if found else ConfigValue(path, None, b"")


def _active(store: Store, name: str) -> Device:
    device = named(store, name)
    if device.state != "active":
        raise HubError(f"{name} is {device.state}: it fetches nothing")
    return device


def _check(format: str, payload: bytes) -> None:
    if len(payload) > MAX_VALUE:
        raise HubError(f"the value has {len(payload)} bytes: {MAX_VALUE} are the most")
    try:
        if format == "json":
            json.loads(payload)
        elif format == "text":
            payload.decode()
    except ValueError as error:
        raise HubError(f"the value is no {format}: {error}") from None


def _opened(vault: Vault, name: str, sealed: ConfigValue) -> ConfigValue:
    payload = vault.open(_purpose(sealed.path), name.encode(), sealed.payload)
    return replace(sealed, payload=payload)


def _purpose(path: str) -> bytes:
    return b"config " + path.encode()
