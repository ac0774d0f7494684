"""What the hub is told by flags and by the environment; flags win.

--data     SKERRY_DATA      the data folder             ~/.local/share/skerry
           SKERRY_KEK_FILE  the key-encryption key      DATA/kek
--listen   SKERRY_LISTEN    addresses, by commas        [::]:5683, which takes IPv4 too
--address  SKERRY_ADDRESS   where devices find the hub  this machine's address
"""

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from skerry_hub.errors import ConfigError

Endpoint = tuple[str, int]

PORT = 5683  # CoAP (RFC 7252 section 12.6)
_WILDCARDS = ("::", "0.0.0.0")  # noqa: S104 - compared with, not bound
_ENDPOINT = re.compile(r"(?:\[([^\[\]\s]+)\]|([^\[\]:\s]*))(?::(\d{1,5}))?")


@dataclass(frozen=True)
class Config:
    """Where everything is. `address` is None unless somebody said it; `json` is for programs."""

    data: Path
    kek: Path
    listen: list[Endpoint]
    address: Endpoint | None = None
    json: bool = False

    @staticmethod
    def of(
        data: str | None = None,
        listen: list[str] | None = None,
        address: str | None = None,
        json: bool = False,
        environ: Mapping[str, str] = os.environ,
    ) -> "Config":
        """Read flags, then the environment; raise ConfigError."""
        folder = _absolute(Path(data or environ.get("SKERRY_DATA") or "~/.local/share/skerry"))
        kek = environ.get("SKERRY_KEK_FILE")
        listening = listen or (environ.get("SKERRY_LISTEN") or f"[::]:{PORT}").split(",")
        address = address or environ.get("SKERRY_ADDRESS")
        return Config(
            folder,
            _absolute(Path(kek)) if kek else folder / "kek",
            [parse_endpoint(each.strip()) for each in listening],
            _parse_address(address) if address else None,
            json,
        )

    @property
    def database(self) -> Path:
        """The store's file."""
        return self.data / "skerry.db"

    @property
    def bundles(self) -> Path:
        """The folder of provisioning bundles."""
        return self.data / "bundles"

    @property
    def advertised(self) -> Endpoint:
        """Where devices find the hub: as said, or else this machine's own address."""
        if self.address is not None:
            return self.address
        host, port = self.listen[0]
        return (_own_address() if host in _WILDCARDS else host), port

    @property
    def reachable(self) -> Endpoint:
        """Where programs on this machine find the hub."""
        host, port = self.listen[0]
        return ("127.0.0.1" if host in _WILDCARDS else host), port


def parse_endpoint(text: str) -> Endpoint:
    """Read host:port, [v6]:port or :port, which means every address; raise ConfigError.

    A host alone means CoAP's own port.
    """
    match = _ENDPOINT.fullmatch(text)
    if not text or match is None or int(match[3] or 0) > 0xFFFF:
        raise ConfigError(f"{text!r} is no address: write HOST:PORT, [IPv6]:PORT or :PORT")
    return match[1] or match[2] or "::", PORT if match[3] is None else int(match[3])


def _parse_address(text: str) -> Endpoint:
    host, port = parse_endpoint(text)
    if host in _WILDCARDS or port == 0:
        raise ConfigError(f"devices cannot find a hub at {text!r}: name its host and port")
    return host, port


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise ConfigError(
            f"{path}: no home folder is known; name the folder with --data"
        ) from None


def _own_address() -> str:
    """Return the address that this machine reaches others from; loopback if it reaches none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: UDP only looks the route up
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
