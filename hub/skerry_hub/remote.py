"""Who a message comes from or goes to: what a resource sees as `request.remote`."""

import time
from typing import Any

from aiocoap import interfaces

from skerry import further
from skerry_hub.handshakes import hub_time
from skerry_hub.sessions import Exchange, Live
from skerry_hub.udp import Path

_DEVICE_EXP = 4  # 256 bytes, in requests: every device has room for them
_MAX_RESPONSE = 1 << 30  # endpoint.py cuts responses itself
_MAX_LABEL = 255  # bytes
_MAX_EXPORT = 8160  # bytes: HKDF-Expand with SHA-256 ends there (RFC 5869 section 2.3)


class Remote(interfaces.EndpointAddress):  # type: ignore[misc]
    """A plain peer (`live` is None) or a device in its session.

    Each request comes with a Remote of its own, which knows the way back and what the response
    is bound to; those of one peer are equal.
    """

    is_multicast = False
    is_multicast_locally = False
    scheme = "coap"
    hostinfo_local = "hub"  # aiocoap builds the request's URI from it; nobody resolves it
    uri_base_local = "coap://hub"
    maximum_block_size_exp = 6  # blocks of 1,024 bytes

    def __init__(self, path: Path, live: Live | None = None, exchange: Exchange | None = None):
        self.path = path
        self.live = live
        self.exchange = exchange
        if live is not None:
            self.maximum_block_size_exp = _DEVICE_EXP
        self._fingerprint = None if live is None or live.ended else live.session.fingerprint
        self._window = _window(live)

    def __repr__(self) -> str:
        return f"<Remote {self.hostinfo}>"

    def __hash__(self) -> int:
        return hash(self.blockwise_key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and self.blockwise_key == other.blockwise_key

    @property
    def maximum_payload_size(self) -> int:
        """Bytes that aiocoap leaves in one piece."""
        return _MAX_RESPONSE if self.live is not None else int(super().maximum_payload_size)

    @property
    def device(self) -> str | None:
        """The device's id, if this is a device in a session."""
        return self.live.name if self.live is not None else None

    @property
    def fingerprint(self) -> str | None:
        """The session's, eight hexadecimal digits: the device shows the same."""
        return self._fingerprint

    @property
    def window(self) -> tuple[float, float] | None:
        """The earliest and the latest moment the message can have been made, in s since 1970.

        Not before the hub offered the session that protects it, not after it came in. None if
        there is no session, or if this machine's clock was not set.
        """
        return self._window

    def export_key(self, label: str | bytes, context: bytes = b"", length: int = 32) -> bytes:
        """Return a key for another protocol, the same that the device exports in this session.

        A label has at most 255 bytes, the length is 1 to 8,160 bytes; ValueError otherwise, or if
        this is no device, or its session ended.
        """
        label = label.encode() if isinstance(label, str) else label
        if self.live is None or self.live.ended:
            raise ValueError("keys are exported from sessions, and this peer is in none")
        if len(label) > _MAX_LABEL or not 1 <= length <= _MAX_EXPORT:
            raise ValueError("a label has at most 255 bytes, a key 1 to 8160")
        return further.exported(self.live.session.secret, label, context, length)

    @property
    def blockwise_key(self) -> Any:
        """What makes two remotes the same: the session, or the address."""
        return self.live.number if self.live is not None else self.path.peer

    @property
    def authenticated_claims(self) -> tuple[str, ...]:
        """The device's id, if this is a device in a session."""
        return (self.live.name,) if self.live is not None else ()

    @property
    def hostinfo(self) -> str:
        """The device's id or the peer's address."""
        return self.live.name if self.live is not None else str(self.path.address[0])

    @property
    def uri_base(self) -> str:
        """A base URI of the peer, for messages to people."""
        return f"coap://{self.hostinfo}"


def _window(live: Live | None) -> tuple[float, float] | None:
    if live is None or not hub_time():
        return None
    now = time.time()
    return now - (time.monotonic() - live.opened), now
