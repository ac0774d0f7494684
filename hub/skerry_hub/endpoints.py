"""Addresses as people write them: HOST:PORT, [IPv6]:PORT or :PORT."""

import re
import socket
from ipaddress import ip_address

from skerry_hub.errors import ConfigError

Endpoint = tuple[str, int]

PORT = 5683  # CoAP (RFC 7252 section 12.6)
WILDCARDS = ("::", "0.0.0.0")  # noqa: S104 - compared with, not bound
_ENDPOINT = re.compile(r"(?:\[([^\[\]\s]+)\]|([^\[\]:\s]*))(?::(\d{1,5}))?")


def parse_endpoint(text: str, port: int = PORT) -> Endpoint:
    """Read host:port, [v6]:port or :port, which means every address; raise ConfigError.

    A host alone means `port`, CoAP's own if it is not said.
    """
    match = _ENDPOINT.fullmatch(text)
    if not text or match is None or int(match[3] or 0) > 0xFFFF:
        raise ConfigError(f"{text!r} is no address: write HOST:PORT, [IPv6]:PORT or :PORT")
    return match[1] or match[2] or "::", port if match[3] is None else int(match[3])


def parse_reachable(text: str) -> Endpoint:
    """Read an address that others can send to; raise ConfigError."""
    host, port = parse_endpoint(text)
    if host in WILDCARDS or port == 0:
        raise ConfigError(f"devices cannot find a hub at {text!r}: name its host and port")
    return host, port


def show(endpoint: Endpoint) -> str:
    """Write an address so that it can be read again."""
    host, port = endpoint
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def own_address() -> str:
    """Return the address that this machine reaches others from; loopback if it reaches none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: UDP only looks the route up
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, without asking anybody."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
