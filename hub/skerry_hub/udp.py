"""UDP sockets that answer from the address they were asked on.

Each address has two of them: what sessions say waits in another queue than messages 1 (lanes.py).

Every datagram comes with its `Path`: the way back, including our own address, which a socket
bound to a wildcard would otherwise choose anew (and so answer from the wrong one).
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from skerry_hub import lanes
from skerry_hub.errors import HubError

MAX_DATAGRAM = 2048  # bytes; a larger one is no message of ours
_BATCH = 256  # datagrams taken from a socket before others get their turn
QUEUE = 4 << 20  # bytes that the kernel is asked to keep of what arrives meanwhile
_TRUNCATED = int(socket.MSG_TRUNC)  # the enum itself is slow to compute with
_IP_PKTINFO = 8  # <linux/in.h>; the socket module does not name it

log = logging.getLogger(__name__)


class Socket(socket.socket):
    """One of the hub's. What is sent while it works at a batch is held, and leaves in one go.

    The code that makes answers stays in the processor's cache then, and so does that which sends
    them; who waits on this machine wakes up once.
    """

    held: "list[tuple[Path, bytes]] | None" = None


class Path(NamedTuple):
    """Where a datagram came from and what an answer to it has to say to the kernel."""

    socket: Socket
    address: tuple[str | int, ...]
    ancillary: tuple[tuple[int, int, bytes], ...]

    @property
    def peer(self) -> tuple[str | int, ...]:
        """The other end's address, the same for all its datagrams."""
        return self.address

    def send(self, datagram: bytes) -> None:
        """Send; a datagram the kernel refuses is lost like any other."""
        held = self.socket.held
        if held is not None:
            held.append((self, datagram))
            return
        try:
            self.socket.sendmsg([datagram], self.ancillary, 0, self.address)
        except OSError as error:
            log.debug("datagram not sent: %s", error)


Datagram = tuple[bytes, Path]


def _opened(family: int) -> Socket:
    """Return a socket that is not bound; one of IPv6 takes IPv4 too, if it is a wildcard's."""
    opened = Socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        opened.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, QUEUE)
    opened.setblocking(False)
    return opened


def queue_granted() -> int:
    """Return how many of the QUEUE bytes the kernel grants a socket."""
    with _opened(socket.AF_INET) as scratch:  # it names the double, its own needs included
        return scratch.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


def _bound(host: str, port: int, share: bool) -> list[Socket]:
    """Bind the sockets of an address: for sessions and, if they can be told, for messages 1."""
    try:
        found = socket.getaddrinfo(
            host or "::", port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise HubError(f"cannot listen on {host!r}: {error.strerror or error}") from None
    family, _, _, _, address = found[0]
    with ExitStack() as unfinished:
        try:
            first = unfinished.enter_context(_opened(family))
            if share:  # the kernel chooses by both addresses and ports
                first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            first.bind(address)
            second = None if share else unfinished.enter_context(_opened(family))
        except OSError as error:
            raise HubError(
                f"cannot listen on {host} port {port}: {error.strerror or error};"
                " choose another with --listen HOST:PORT, or share_port for several hubs"
            ) from None
        unfinished.pop_all()
    if second is None:
        lanes.share(first)
    elif lanes.divide(first, second):
        return [first, second]
    return [first]


class Sockets:
    """All sockets of the hub, read in the running event loop."""

    def __init__(
        self,
        listen: list[tuple[str, int]],
        receive: Callable[[list[Datagram]], None],
        share: bool = False,
    ) -> None:
        """Bind all addresses or raise HubError; `receive` gets what waits at a socket.

        With `share` other processes of the same user may bind them, too, that say so.
        """
        self._receive = receive
        self._sockets: list[list[Socket]] = []  # of each address
        try:
            for host, port in listen:
                self._sockets.append(_bound(host, port, share))
        except HubError:
            self.close()
            raise

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The addresses as bound, with the port that the kernel chose for 0."""
        return [first.getsockname()[:2] for first, *_ in self._sockets]

    def path_to(self, peer: tuple[str | int, ...]) -> Path | None:
        """Return the way to a peer that an earlier run heard, if there is a socket for it."""
        family = socket.AF_INET6 if ":" in str(peer[0]) else socket.AF_INET
        for first, *_ in self._sockets:
            if first.family == family:
                return Path(first, peer, ())
        return None

    def start(self) -> None:
        """Begin to receive."""
        loop = asyncio.get_running_loop()
        for both in self._sockets:
            for each in both:
                loop.add_reader(each.fileno(), self._readable, both)

    def stop(self) -> None:
        """Receive no more; what arrives waits in the kernel or is lost."""
        loop = asyncio.get_running_loop()
        for both in self._sockets:
            for each in both:
                loop.remove_reader(each.fileno())

    def close(self) -> None:
        """Close all sockets."""
        for both in self._sockets:
            for each in both:
                each.close()
        self._sockets.clear()

    def _readable(self, both: list[Socket]) -> None:
        batch: list[Datagram] = []
        for each in both:
            _take(each, batch)
        if not batch:  # the other one's turn took it
            return
        held: list[tuple[Path, bytes]] = []
        for each in both:
            each.held = held
        try:
            self._receive(batch)
        finally:
            for each in both:
                each.held = None
            for path, datagram in held:
                path.send(datagram)


def _take(ready: Socket, into: list[Datagram]) -> None:
    """Take what waits at a socket, up to a batch."""
    for _ in range(_BATCH):
        try:
            datagram, ancillary, flags, address = ready.recvmsg(MAX_DATAGRAM, 64)
        except BlockingIOError:
            return
        except OSError as error:  # an ICMP error of an earlier answer
            log.debug("receive: %s", error)
            continue
        if not flags & _TRUNCATED:
            into.append((datagram, Path(ready, address, tuple(ancillary))))
