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

from skerry_hub.bounds import Transfers, cache_key
from skerry_hub.sessions import Live

_LONG = 4  # notifications of several blocks that are kept until their rest was fetched
_BLOCK_EXP = 6  # blocks of 1,024 bytes, unless the device asked for less


class SessionEnded(error.NetworkError):  # type: ignore[misc]
    """The session that a request was sent in is gone, here or at the device."""

    def __str__(self) -> str:
        return "the device's session ended before it answered"


class Messages(MessageManager):  # type: ignore[misc]
    """aiocoap's message layer; `live` is the session, or None for plain peers.

    Duplicates of a session's requests are answered before they come here (front.py), so aiocoap's
    deduplication, which keeps every request for 247 s, is left to plain peers.
    """

    def __init__(self, tokens: TokenManager, live: Live | None) -> None:
        super().__init__(tokens)
        self._live = live
        self._notified: OrderedDict[Any, aiocoap.Message] = OrderedDict()

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
        notifies = message.code.is_response() and message.opt.observe is not None
        if notifies and self._live is not None:
            if (message.remote, message.token) not in self._piggyback_opportunities:
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
        """Cut a notification that is too long; the rest is fetched (RFC 7959 section 2.6)."""
        asked = message.request.opt.block2
        exponent = min(_BLOCK_EXP, asked.size_exponent) if asked is not None else _BLOCK_EXP
        if len(message.payload) <= 16 << exponent:
            return message
        if message.opt.etag is None:  # blocks of two notifications must not be put together
            message.opt.etag = hashlib.sha256(message.payload).digest()[:8]
        key = cache_key(message.request)
        self._notified[key] = message
        self._notified.move_to_end(key)
        if len(self._notified) > _LONG:
            self._notified.popitem(last=False)
        first = message._extract_block(0, exponent, 0)
        first.request = message.request
        return first

    def later_block(self, request: aiocoap.Message) -> aiocoap.Message | None:
        """Return a block of the last notification that such a request was answered with."""
        block = request.opt.block2
        whole = self._notified.get(cache_key(request)) if block and block.block_number else None
        if whole is None:
            return None
        exponent = min(_BLOCK_EXP, block.size_exponent)
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
    """One such pair, and what a session may have open."""

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
        self.transfers = Transfers()
        self.awaits: Any = None  # (peer, message id) of the confirmable message that is out
