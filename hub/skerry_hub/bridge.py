"""aiocoap on the hub's own socket: plain messages as they are, those of sessions protected.

aiocoap sees a device as one remote, whatever address it comes from, and a plain peer as another.
What it sends to a device is protected here, on the way out. Duplicates of a session's requests
are answered before aiocoap sees them (front.py), so its own deduplication, which keeps every
request for 247 s, is left to plain peers.
"""

from typing import Any

import aiocoap
from aiocoap import error, interfaces
from aiocoap.messagemanager import MessageManager
from aiocoap.tokenmanager import TokenManager

from skerry import coap
from skerry_hub.sessions import Exchange, Live
from skerry_hub.udp import Path


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
    maximum_block_size_exp = 6

    def __init__(self, path: Path, live: Live | None = None, exchange: Exchange | None = None):
        self.path = path
        self.live = live
        self.exchange = exchange

    def __repr__(self) -> str:
        return f"<Remote {self.hostinfo}>"

    def __hash__(self) -> int:
        return hash(self.blockwise_key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and self.blockwise_key == other.blockwise_key

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


class _Messages(MessageManager):  # type: ignore[misc]
    """aiocoap's message layer without deduplication for sessions."""

    def _deduplicate_message(self, message: aiocoap.Message) -> bool:
        if message.remote.live is not None:
            return False
        return bool(super()._deduplicate_message(message))


class Bridge(interfaces.MessageInterface):  # type: ignore[misc]
    """The transport between aiocoap and the hub's socket."""

    def __init__(self, site: interfaces.Resource) -> None:
        """Serve `site`; call inside a running event loop."""
        self.context = aiocoap.Context(serversite=site)
        tokens = TokenManager(self.context)
        self._messages = _Messages(tokens)
        self._messages.message_interface = self
        tokens.token_interface = self._messages
        self.context.request_interfaces.append(tokens)

    def receive(self, datagram: bytes, remote: Remote) -> None:
        """Hand a message to aiocoap; what it cannot read is dropped."""
        try:
            message = aiocoap.Message.decode(datagram, remote)
        except (error.UnparsableMessage, ValueError):  # such as a path that is not UTF-8
            return
        self._messages.dispatch_message(message)

    def send(self, message: aiocoap.Message) -> None:
        """Send what aiocoap has to say (MessageInterface)."""
        remote: Remote = message.remote
        datagram: bytes = message.encode()
        if remote.live is not None and remote.exchange is not None and datagram[1] != coap.EMPTY:
            datagram = self._protected(message, datagram, remote.live, remote.exchange)
        remote.path.send(datagram)

    @staticmethod
    def _protected(
        message: aiocoap.Message, datagram: bytes, live: Live, exchange: Exchange
    ) -> bytes:
        """Protect once: a retransmission is the same datagram again."""
        protected: bytes | None = getattr(message, "skerry_datagram", None)
        if protected is None:
            protected = live.seal(coap.decode(datagram), exchange)
            message.skerry_datagram = protected
        return protected

    async def determine_remote(self, message: aiocoap.Message) -> Remote | None:
        """Outgoing requests name a Remote themselves (MessageInterface)."""
        return None

    async def shutdown(self) -> None:
        """Nothing to do: the sockets belong to the front (MessageInterface)."""

    async def close(self) -> None:
        """Stop aiocoap."""
        await self.context.shutdown()
