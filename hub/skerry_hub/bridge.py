"""aiocoap on the hub's own socket: plain messages as they are, those of sessions protected.

    device's request   front.py --receive--> aiocoap --send--> protected response, notification
    hub's request      devices.py --request--> aiocoap --send--> protected request
    its answer         front.py --settles--> found by its token, opened --> aiocoap

aiocoap sees a device as one remote, whatever address it comes from, and a plain peer as another.
What it sends to a device is protected here, once: a retransmission is the same datagram again.
"""

import os
from typing import Any

import aiocoap
from aiocoap import error, interfaces
from aiocoap.pipe import Pipe

from skerry import coap, observe
from skerry.errors import SkerryError
from skerry.oscore import Binding
from skerry_hub.bounds import ASKED, MAX_ANSWER, Bounded, Transfers
from skerry_hub.endpoint import Endpoint, SessionEnded, TooLong, Undivided
from skerry_hub.errors import DeviceBusy
from skerry_hub.remote import Remote
from skerry_hub.sessions import Live
from skerry_hub.udp import Path

_BLOCK1, _BLOCK2 = 27, 23  # RFC 7959 section 2.1
_TOKEN = 4  # bytes: nobody guesses one who does not see it (RFC 7252 section 5.3.1)


class _Asked:
    """A request of the hub that waits for its answer, or for notifications."""

    def __init__(self, live: Live, pipe: Pipe) -> None:
        self.live = live
        self.pipe = pipe
        self.binding: Binding | None = None  # None until it is sent
        self.newest = -2  # number of the last notification; -2 before the first response


class Bridge(interfaces.MessageInterface):  # type: ignore[misc]
    """The transport between aiocoap and the hub's socket."""

    def __init__(self, site: interfaces.Resource) -> None:
        """Serve `site`; call inside a running event loop."""
        self.context = aiocoap.Context(serversite=Bounded(site))
        self._asked: dict[bytes, _Asked] = {}  # by token
        self._awaited: dict[tuple[Any, int], Live] = {}  # by peer and message id
        self._plain = Endpoint(self.context, self)
        self.context.request_interfaces.append(self._plain.tokens)

    # What comes in.

    def receive(self, datagram: bytes, remote: Remote) -> None:
        """Hand a message to aiocoap; what it cannot read is dropped."""
        try:
            message = aiocoap.Message.decode(datagram, remote)
        except (error.UnparsableMessage, ValueError):  # such as a path that is not UTF-8
            return
        endpoint = self._plain if remote.live is None else self._endpoint(remote.live)
        endpoint.messages.dispatch_message(message)

    def settles(self, message: coap.Message, path: Path) -> bool:
        """Take what answers a message of the hub to a device; False if it does not.

        An acknowledgement or a reset is known by peer and message id, a response by its token.
        """
        if message.code == coap.EMPTY:
            live = self._awaited.get((path.peer, message.mid))
            if live is None or message.type == coap.CON:  # a ping
                return False
            self.receive(coap.encode(message), Remote(path, live))
            return True
        asked = self._asked.get(message.token)
        if asked is None or asked.binding is None:
            return False
        if message.option(coap.OSCORE) is not None:
            self._answer(asked, asked.binding, message, path)
        elif message.code == coap.UNAUTHORIZED and asked.live.is_at(path):
            asked.pipe.add_exception(SessionEnded())  # a hint, not to be relied on
        return True

    def _answer(self, asked: _Asked, binding: Binding, outer: coap.Message, path: Path) -> None:
        """Open a response and hand it to aiocoap."""
        context = asked.live.session.oscore
        try:
            if outer.option(observe.OBSERVE) is not None:
                inner, asked.newest = observe.unprotect_notification(
                    context, outer, binding, asked.newest
                )
                _number(inner, asked.newest)
            else:
                inner = context.unprotect_response(outer, binding)
        except SkerryError:
            if outer.type == coap.CON:  # RFC 8613 section 8.4, step 8
                path.send(coap.encode(coap.Message(coap.EMPTY, [], b"", coap.ACK, outer.mid)))
            return
        refusal = _refused(asked.pipe.request, inner)
        if refusal is not None:
            asked.pipe.add_exception(refusal)
            return
        self.receive(coap.encode(inner), Remote(path, asked.live))

    # What goes out.

    def request(self, live: Live, pipe: Pipe) -> None:
        """Send the request of a pipe in a session, and forget it when nobody waits any more.

        Raises DeviceBusy if too many wait already.
        """
        if live.ended:
            pipe.add_exception(SessionEnded())
            return
        endpoint = self._endpoint(live)
        if len(endpoint.tokens.outgoing_requests) >= ASKED:
            raise DeviceBusy(f"{ASKED} requests wait for {live.name} as it is: wait for one")
        message = pipe.request

        message.token = self._draw_token()

        def done() -> None:
            self._asked.pop(message.token, None)
            endpoint.messages.withdraw(message)

        pipe.on_interest_end(done)
        self._asked[message.token] = _Asked(live, pipe)
        endpoint.tokens.request(pipe)

    def send(self, message: aiocoap.Message) -> None:
        """Send what aiocoap has to say (MessageInterface)."""
        remote: Remote = message.remote
        live = remote.live
        if live is None or message.code == coap.EMPTY:
            remote.path.send(message.encode())
            return
        if live.ended:
            return
        datagram = getattr(message, "skerry_datagram", None)
        if datagram is None:
            datagram = message.skerry_datagram = self._protected(message, remote, live)
        # What is not in the acknowledgement goes to where the device is now.
        path = live.path if live.path is not None and message.mtype != coap.ACK else remote.path
        if message.mtype == coap.CON:
            self._await(live, (path.peer, message.mid))
        path.send(datagram)

    def _protected(self, message: aiocoap.Message, remote: Remote, live: Live) -> bytes:
        inner = coap.decode(message.encode())
        if remote.exchange is not None and message.code.is_response():
            return live.seal(inner, remote.exchange)
        # They would stay outside, and name the device.
        hidden = (coap.URI_HOST, coap.URI_PORT)
        inner.options = [each for each in inner.options if each[0] not in hidden]
        if inner.option(observe.OBSERVE) is not None:
            outer, binding = observe.protect_registration(live.session.oscore, inner)
        else:
            outer, binding = live.session.oscore.protect_request(inner)
        self._asked[message.token].binding = binding
        return coap.encode(outer)

    def _await(self, live: Live, key: tuple[Any, int]) -> None:
        """Expect an acknowledgement; a session has one confirmable message out (NSTART 1)."""
        endpoint = live.endpoint
        self._awaited.pop(endpoint.awaits, None)
        self._awaited[key] = live
        endpoint.awaits = key

    def _draw_token(self) -> bytes:
        while (token := os.urandom(_TOKEN)) in self._asked:
            pass
        return token

    # Beginning and end.

    def _endpoint(self, live: Live) -> Endpoint:
        if live.endpoint is None:
            live.endpoint = Endpoint(self.context, self, live)
            live.transfers = live.transfers or Transfers()
        endpoint: Endpoint = live.endpoint
        return endpoint

    def end(self, live: Live) -> None:
        """End a session's observations, requests and retransmissions."""
        endpoint: Endpoint | None = live.endpoint
        if endpoint is None:
            return
        live.endpoint = None
        self._awaited.pop(endpoint.awaits, None)
        if live.path is not None:
            endpoint.messages.dispatch_error(SessionEnded(), Remote(live.path, live))

    async def recognize_remote(self, remote: Any) -> bool:
        """No request goes to a plain peer (MessageInterface)."""
        return False

    async def determine_remote(self, message: aiocoap.Message) -> Remote | None:
        """Devices are found by devices.py (MessageInterface)."""
        return None

    async def shutdown(self) -> None:
        """Nothing to do: the sockets belong to the front (MessageInterface)."""

    async def close(self) -> None:
        """Stop aiocoap."""
        await self.context.shutdown()


def _refused(request: aiocoap.Message, response: coap.Message) -> error.Error | None:
    """Return what is wrong with the blocks of a response, if aiocoap would take it."""
    block = request.opt.block1
    divided = block is not None and block.more
    if divided and response.code >> 5 == 2 and response.option(_BLOCK1) is None:
        return Undivided()
    value = int.from_bytes(response.option(_BLOCK2) or b"", "big")
    return TooLong() if (value >> 4) << (value & 7) + 4 >= MAX_ANSWER else None


def _number(notification: coap.Message, number: int) -> None:
    """Give a notification the number that aiocoap orders by; -1 came without a Partial IV."""
    if notification.option(observe.OBSERVE) is not None:
        options = [each for each in notification.options if each[0] != observe.OBSERVE]
        notification.options = [*options, (observe.OBSERVE, coap.uint(number + 1 & 0xFFFFFF))]
