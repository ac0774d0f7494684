"""The hub's requests to a device, under OSCORE (RFC 8613 section 8.2 and 8.3).

    hub.serve("led", get=state, put=switch)      handler(request) -> payload, (code, payload), None

Only a session that the hub has confirmed is served. What does not verify, or was there before, is
answered with silence; a retransmission with the very bytes of its answer.
"""

import sys

from skerry import coap, oscore_server
from skerry.coap_server import uri_path
from skerry.errors import BadTag, SkerryError
from skerry.primitives import const
from skerry.replay import ReplayWindow
from skerry_device.client import Response, encoded

_RECENT = const(4)  # answers kept for retransmissions
_BLOCK2 = const(23)  # RFC 7959 section 2.1
_BLOCK1 = const(27)
_BLOCK = const(256)  # bytes of an answer in one piece
_NOT_FOUND = const(0x84)
_NOT_ALLOWED = const(0x85)
_FAILED = const(0xA0)
_NO_TOKEN = b""
METHODS = {"get": 1, "post": 2, "put": 3, "delete": 4}  # RFC 7252 section 12.1.1


class Server:
    """The resources of a device, and what it remembers of the hub's requests."""

    def __init__(self, hub) -> None:
        self.hub = hub
        self.resources = {}  # path -> {code: handler}
        self._session = None

    def take(self, outer: coap.Message) -> bool:
        """Answer a request, or leave it unanswered; False if it is to be rejected."""
        session = self.hub.session
        if not session or not self.hub.confirmed:
            return False
        if self._session is not session:
            self._session = session
            self._recent = []
            self._parts = None
            if not hasattr(session, "window"):
                session.window = ReplayWindow()
        identity = (outer.mid, outer.token, outer.payload[-8:])
        for known, datagram in self._recent:
            if known == identity:
                self.hub.link.send(datagram)
                return True
        try:
            inner, binding = oscore_server.unprotect_request(session.oscore, session.window, outer)
        except BadTag:
            self.hub.failures += 1
            return True
        except SkerryError:
            if hasattr(session, "deaf"):  # the next session answers (keeping.py)
                self.hub.replace()
            return True
        answer = self._answer(inner)
        answer.token = outer.token
        answer.type, answer.mid = coap.ACK, outer.mid
        if outer.type != coap.CON:
            answer.type = coap.NON
            answer.mid = self.hub.exchange.mid = self.hub.exchange.mid + 1 & 0xFFFF
        datagram = coap.encode(oscore_server.protect_response(session.oscore, answer, binding))
        session.answered = getattr(session, "answered", 0) + 1
        self._recent = self._recent[1 - _RECENT :] + [(identity, datagram)]
        self.hub.link.send(datagram)
        return True

    def _blocks(self):
        """Return what puts blocks together and takes answers apart, in this session."""
        if not self._parts:
            from skerry_device.parts import Parts

            self._parts = Parts(getattr(self.hub, "limit", 4096))
        return self._parts

    def _answer(self, request: coap.Message) -> coap.Message:
        """Answer a block, or call the handler."""
        block1 = request.option(_BLOCK1)
        asked = request.option(_BLOCK2)
        answer = self._blocks().later(request) if asked else None
        if not answer and block1:
            answer = self._blocks().collect(request)
        if answer:
            return answer
        answer = self._handled(request)
        if block1:
            answer.options.append((_BLOCK1, block1))
        if asked or len(answer.payload) > _BLOCK:
            answer = self._blocks().first(request, answer)
        return answer

    def _handled(self, request: coap.Message) -> coap.Message:
        """Call the handler and make a message of what it returns."""
        try:
            handlers = self.resources[uri_path(request)]
        except (KeyError, SkerryError):
            return coap.Message(_NOT_FOUND, [])
        handler = handlers.get(request.code)
        if not handler:
            return coap.Message(_NOT_ALLOWED, [])
        try:
            code = coap.CONTENT if request.code == coap.GET else coap.CHANGED
            payload = handler(Response(request))
            if isinstance(payload, tuple):
                code, payload = payload
            if payload is None:
                return coap.Message(code, [])
            payload, format = encoded(payload, None)
        except Exception as error:
            sys.print_exception(error)
            return coap.Message(_FAILED, [])
        options = [] if format is None else [(coap.CONTENT_FORMAT, coap.uint(format))]
        return coap.Message(code, options, payload)


def serve(hub, path: str, handler=None, **handlers) -> None:
    """Answer the hub's requests to a path: `handler` all, or get=, post=, put=, delete= each one.

    A handler is given the request, with `code`, `payload`, text() and json(), and returns a
    payload as `post` takes it, None, or (code, payload). It runs while the device waits for
    something else: it must be short, and must not use the hub itself.
    """
    if not hasattr(hub, "server"):
        hub.server = Server(hub)
    given = {METHODS[name]: each for name, each in handlers.items()}
    if handler:
        for code in METHODS.values():
            given.setdefault(code, handler)
    hub.server.resources[path.strip("/")] = given
