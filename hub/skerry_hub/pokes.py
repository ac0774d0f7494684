"""Where devices are, and the poke that asks one of them for a new session (docs/protocol.md 7.1).

Addresses are hints: whoever answers proves in the handshake who it is. They live in memory and are
written down now and then, all in one transaction, so that a hub that starts anew has them.
"""

import json
import os
from collections.abc import Callable

from skerry import coap, poke
from skerry.chain import Chain
from skerry_hub.errors import DeviceError, NoAddress
from skerry_hub.sessions import Live, Sessions
from skerry_hub.store import Store, named
from skerry_hub.udp import Path
from skerry_hub.vault import Vault

FindPath = Callable[[tuple[str | int, ...]], Path | None]


class Pokes:
    """Sends pokes, to where a device was heard last."""

    def __init__(
        self, store: Store, vault: Vault, sessions: Sessions, find_path: FindPath
    ) -> None:
        """`find_path` gives the way to an address that an earlier run has noted."""
        self._store = store
        self._vault = vault
        self._sessions = sessions
        self._find_path = find_path
        self._moved: dict[int, Path] = {}  # not written down yet
        self._written: dict[int, tuple[str | int, ...]] = {}  # by this run: mostly still true

    def heard(self, live: Live) -> None:
        """Remember where the device of a session is."""
        if live.path is None:
            return
        if self._written.get(live.device) != live.path.peer:
            self._moved[live.device] = live.path
        else:
            self._moved.pop(live.device, None)

    def forget(self, device: int) -> None:
        """Rely no more on where a device was: it was cut off, or is with another hub."""
        self._moved.pop(device, None)
        self._written.pop(device, None)

    def write_down(self) -> None:
        """Make durable where devices are; raise StoreError."""
        if self._moved:
            self._store.note_addresses(
                {device: json.dumps(path.peer) for device, path in self._moved.items()}
            )
            self._written.update((device, path.peer) for device, path in self._moved.items())
            self._moved.clear()

    def is_current(self, live: Live) -> bool:
        """Tell whether the store knows of no later session of a device, with another hub."""
        device = self._store.device(live.name)
        return device is not None and device.session_fingerprint == live.session.fingerprint

    def send(self, name: str) -> str:
        """Ask a device for a new session and return where; it answers with a handshake, or never.

        Raises UnknownDevice, NoAddress or DeviceError if the device is revoked.
        """
        known = self._store.keys(name)
        if known is None or not known.chain:
            raise DeviceError(f"{name} is {named(self._store, name).state}: enrol it again")
        path = self._path(known.id, name)
        if path is None:
            raise NoAddress(f"nobody knows where {name} is: it has to connect once by itself")
        chain = Chain.unpack(self._vault.open(b"chain", name.encode(), known.chain))
        mid = int.from_bytes(os.urandom(2), "big")
        payload = poke.encode(known.suite, chain)
        message = coap.Message(coap.POST, coap.path_options("k"), payload, coap.NON, mid)
        path.send(coap.encode(message))
        host, port = path.address[:2]
        return f"{host} port {port}"

    def _path(self, device: int, name: str) -> Path | None:
        live = self._sessions.of(name)
        if live is not None and live.path is not None:
            return live.path
        if device in self._moved:
            return self._moved[device]
        noted = self._store.address(device)
        return None if noted is None else self._find_path(tuple(json.loads(noted)))
