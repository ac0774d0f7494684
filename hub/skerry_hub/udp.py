"""UDP sockets that answer from the address they were asked on.

Every datagram comes with its `Path`: the way back, including our own address, which a socket
bound to a wildcard would otherwise choose anew (and so answer from the wrong one).
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import NamedTuple

from skerry_hub.errors import HubError

MAX_DATAGRAM = 2048  # bytes; a larger one is no message of ours
_BATCH = 256  # datagrams taken from a socket before others get their turn
_BUFFER = 4 << 20  # bytes that the kernel keeps of what arrives meanwhile, if it may
_IP_PKTINFO = 8  # <linux/in.h>; the socket module does not name it

log = logging.getLogger(__name__)


class Path(NamedTuple):
    """Where a datagram came from and what an answer to it has to say to the kernel."""

    socket: socket.socket
    address: tuple[str | int, ...]
    ancillary: tuple[tuple[int, int, bytes], ...]

    @property
    def peer(self) -> tuple[str | int, ...]:
        """The other end's address, the same for all its datagrams."""
        return self.address

    def send(self, datagram: bytes) -> None:
        """Send; a datagram the kernel refuses is lost like any other."""
        try:
            self.socket.sendmsg([datagram], self.ancillary, 0, self.address)
        except OSError as error:
            log.debug("datagram not sent: %s", error)


Datagram = tuple[bytes, Path]


def _open(host: str, port: int, share: bool) -> socket.socket:
    """Bind one socket; an IPv6 wildcard takes IPv4 too."""
    try:
        found = socket.getaddrinfo(
            host or "::", port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise HubError(f"cannot listen on {host!r}: {error.strerror or error}") from None
    family, kind, proto, _, address = found[0]
    opened = socket.socket(family, kind, proto)
    try:
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            opened.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        if share:  # the kernel chooses by both addresses and ports
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.setblocking(False)
        opened.bind(address)
    except OSError as error:
        opened.close()
        raise HubError(
            f"cannot listen on {host} port {port}: {error.strerror or error};"
            " choose another with --listen HOST:PORT, or share_port for several hubs"
        ) from None
    return opened


class Sockets:
    """All sockets of the hub, read in the running event loop."""

    def __init__(
        self,
        listen: list[tuple[str, int]],
        receive: Callable[[list[Datagram]], None],
        share: bool = False,
    ) -> None:
        """Bind all addresses or raise HubError; `receive` gets what waits at a socket.

        With `share` other processes of the same user may bind them, too, if they all say so.
        """
        self._receive = receive
        self._sockets: list[socket.socket] = []
        try:
            for host, port in listen:
                self._sockets.append(_open(host, port, share))
        except HubError:
            self.close()
            raise

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The addresses as bound, with the port that the kernel chose for 0."""
        return [each.getsockname()[:2] for each in self._sockets]

    def path_to(self, peer: tuple[str | int, ...]) -> Path | None:
        """Return the way to a peer that an earlier run heard, if there is a socket for it."""
        family = socket.AF_INET6 if ":" in str(peer[0]) else socket.AF_INET
        for each in self._sockets:
            if each.family == family:
                return Path(each, peer, ())
        return None

    def start(self) -> None:
        """Begin to receive."""
        loop = asyncio.get_running_loop()
        for each in self._sockets:
            loop.add_reader(each.fileno(), self._readable, each)

    def stop(self) -> None:
        """Receive no more; what arrives waits in the kernel or is lost."""
        loop = asyncio.get_running_loop()
        for each in self._sockets:
            loop.remove_reader(each.fileno())

    def close(self) -> None:
        """Close all sockets."""
        for each in self._sockets:
            each.close()
        self._sockets.clear()

    def _readable(self, ready: socket.socket) -> None:
        batch: list[Datagram] = []
        for _ in range(_BATCH):
            try:
                datagram, ancillary, flags, address = ready.recvmsg(MAX_DATAGRAM, 64)
            except BlockingIOError:
                break
            except OSError as error:  # an ICMP error of an earlier answer
                log.debug("receive: %s", error)
                continue
            if not flags & socket.MSG_TRUNC:
                batch.append((datagram, Path(ready, address, tuple(ancillary))))
        self._receive(batch)
