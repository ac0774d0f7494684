"""aiocoap's message and token layers, one pair for each session that needs them.

A pair of its own means that whatever aiocoap goes through in a list is of one device, and that a
session's observations, requests and retransmissions end with it. All plain peers share one pair.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import aiocoap
from aiocoap import error, interfaces
from aiocoap.messagemanager import MessageManager
from aiocoap.pipe import Pipe
from aiocoap.tokenmanager import TokenManager

from skerry_hub.bounds import LONG_RESPONSES, cache_key
from skerry_hub.sessions import Live

_LARGEST_EXP = 6  # blocks of 1,024 bytes, if the device asks for them
_BLOCK_EXP = 5  # 512 bytes, if it does not say: every device has room for a datagram with them


class SessionEnded(error.NetworkError):  # type: ignore[misc]
    """The session that a request was sent in is gone, here or at the device."""

    def __str__(self) -> str:
        return "the device's session ended before it answered"


class Undivided(error.NetworkError):  # type: ignore[misc]
    """The device takes no requests of several blocks; it may have acted on the first one."""

    def __str__(self) -> str:
        return "the device took the first block for the whole: send at most 256 bytes"


class TooLong(error.NetworkError):  # type: ignore[misc]
    """The device's response goes on beyond what the hub puts together."""

    def __str__(self) -> str:
        return "the device's response is too long"


class Messages(MessageManager):  # type: ignore[misc]
    """aiocoap's message layer; `live` is the session, or None for plain peers.

    Duplicates of a session's requests are answered before they come here (front.py), so aiocoap's
    deduplication, which keeps every request for 247 s, is left to plain peers.
    """

    def __init__(self, tokens: TokenManager, live: Live | None) -> None:
        super().__init__(tokens)
        self._live = live
        self._long: OrderedDict[Any, aiocoap.Message] = OrderedDict()  # responses, by request

    def _deduplicate_message(self, message: aiocoap.Message) -> bool:
        if self._live is not None:
            return False
        return bool(super()._deduplicate_message(message))

    def _next_message_id(self) -> int:
        if self._live is not None:
            return self._live.next_mid()
        return int(super()._next_message_id())

    def send_message(self, message: aiocoap.Message, monitor: Callable[[], None]) -> None:
        """Send (TokenInterface). Notifications are confirmable, and only the newest one waits."""
        if self._live is not None and message.code.is_response():
            at_once = (message.remote, message.token) in self._piggyback_opportunities
            if message.opt.observe is not None and not at_once:
                message.mtype = aiocoap.CON
                self._forget_older(message)
            message = self._first_block(message)
        super().send_message(message, monitor)

    def _forget_older(self, message: aiocoap.Message) -> None:
        """Drop what this notification replaces, if it still waits (RFC 7641 section 4.5.2)."""
        waiting = self._backlogs.get(message.remote, [])
        waiting[:] = [
            (each, monitor)
            for each, monitor in waiting
            if each.code.is_request() or each.token != message.token
        ]

    def _first_block(self, message: aiocoap.Message) -> aiocoap.Message:
        """Cut a response that is too long and keep it until the rest is fetched (RFC 7959).

        aiocoap does that for as many as are asked for, and not for notifications.
        """
        asked = message.request.opt.block2
        exponent = min(_LARGEST_EXP, asked.size_exponent) if asked is not None else _BLOCK_EXP
        if len(message.payload) <= 16 << exponent or message.opt.block2 is not None:
            return message
        if message.opt.etag is None:  # blocks of two versions must not be put together
            message.opt.etag = hashlib.sha256(message.payload).digest()[:8]
        key = cache_key(message.request)
        self._long[key] = message
        self._long.move_to_end(key)
        if len(self._long) > LONG_RESPONSES:
            self._long.popitem(last=False)
        first = message._extract_block(0, exponent, 0)
        first.request = message.request
        return first

    def later_block(self, request: aiocoap.Message) -> aiocoap.Message | None:
        """Return a block of the last long response to such a request, if it is still there."""
        block = request.opt.block2
        whole = self._long.get(cache_key(request)) if block and block.block_number else None
        if whole is None:
            return None
        exponent = min(_LARGEST_EXP, block.size_exponent)
        found: aiocoap.Message = whole._extract_block(block.block_number, exponent, 0)
        found.opt.observe = None
        found.token, found.remote, found.mtype = b"", None, None
        return found

    @property
    def waiting(self) -> int:
        """How many messages wait for an acknowledgement before they are sent (NSTART 1)."""
        return sum(map(len, self._backlogs.values()))

    def withdraw(self, message: aiocoap.Message) -> None:
        """Send a request no more, whether it waits or is repeated: nobody wants its answer."""
        waiting = self._backlogs.get(message.remote, [])
        waiting[:] = [each for each in waiting if each[0] is not message]
        exchange = (self._active_exchanges or {}).pop((message.remote, message.mid), None)
        if exchange is not None:
            exchange[1].cancel()
            self._continue_backlog(message.remote)


class Tokens(TokenManager):  # type: ignore[misc]
    """aiocoap's token layer. Tokens are drawn by the bridge, which finds responses by them."""

    def request(self, pipe: Pipe) -> None:
        """Send a request under the token that it has (RequestInterface)."""
        self.next_token = lambda: pipe.request.token
        super().request(pipe)


class Endpoint:
    """One such pair."""

    def __init__(
        self,
        context: aiocoap.Context,
        transport: interfaces.MessageInterface,
        live: Live | None = None,
    ) -> None:
        """`transport` sends what they have to say."""
        self.tokens = Tokens(context)
        self.messages = Messages(self.tokens, live)
        self.messages.message_interface = transport
        self.tokens.token_interface = self.messages
        self.awaits: Any = None  # (peer, message id) of the confirmable message that is out
