"""Observe under OSCORE at a client (RFC 7641; RFC 8613 sections 4.1.3.5 and 7.4.1).

    for message in hub.observe("cmd"):      a registration, then whatever the hub sends

The registration is made again by itself: in a new session, and when Max-Age has passed without a
notification. If the hub does not observe the resource, that makes it a poll.
"""

import os
from time import ticks_add, ticks_diff, ticks_ms

from skerry import coap
from skerry import observe as protection
from skerry.errors import BadTag, SkerryError
from skerry.primitives import const
from skerry_device.client import Response
from skerry_device.tending import LOOK_MS, tend

_MAX_AGE = const(14)  # RFC 7252 section 5.10.5
_BLOCK2 = const(23)
_DEFAULT_S = const(60)
_LONGEST_S = const(86_400)
_REGISTER = const(0)
_CANCEL = const(1)


class Observing:
    """All observations of a hub."""

    def __init__(self, hub) -> None:
        self.hub = hub
        self.observations = []
        self._number = 0

    def token(self) -> bytes:
        """Return a token of two bytes; other requests have one."""
        self._number = self._number + 1 & 0xFFFF
        return self._number.to_bytes(2, "big")

    def take(self, message: coap.Message) -> bool:
        """Hand a notification on and acknowledge it; reject one that nobody waits for."""
        for each in self.observations:
            if each.token == message.token:
                each.notified(message)
                kind = b"\x60\0" if message.type == coap.CON else b""
                break
        else:
            kind = b"\x70\0" if message.option(protection.OBSERVE) is not None else b""
            if message.type == coap.CON or not kind:
                return False
        if kind:
            self.hub.link.send(kind + message.mid.to_bytes(2, "big"))
        return True

    def renew(self):
        """Register all that is due. A generator."""
        for each in list(self.observations):
            if each.due():
                yield from each.register()


class Observation:
    """Iterate over it for the representations of one resource, each a Response.

    Of several that came meanwhile, the newest counts. A response of 4.xx is the last one.
    """

    def __init__(self, hub, path: str, timeout_ms: int | None) -> None:
        self.hub = hub
        self.path = path
        self.timeout_ms = timeout_ms
        self.ended = False
        self.newest = None
        self._session = None  # the one that it is registered in
        self._until = 0
        if not hasattr(hub, "observing"):
            hub.observing = Observing(hub)
        self.token = hub.observing.token()
        hub.observing.observations.append(self)

    # What Hub.ask needs of a security context.

    def protect_request(self, inner: coap.Message):
        """Protect a registration."""
        self._session = self.hub.session
        self._last = -2
        outer, self._binding = protection.protect_registration(self._session.oscore, inner)
        return outer, self._binding

    def unprotect_response(self, outer: coap.Message, binding) -> coap.Message:
        """Open a response or a notification; raise SkerryError, also if it is not newer."""
        inner, self._last = protection.unprotect_notification(
            self._session.oscore, outer, binding, self._last
        )
        return inner

    def _request(self, action: int | None) -> coap.Message:
        options = coap.path_options(self.path)
        options.append((_BLOCK2, b"\x04"))
        if action is not None:
            options.append((protection.OBSERVE, coap.uint(action)))
        return coap.Message(coap.GET, options, b"", coap.CON, 0, self.token)

    def due(self) -> bool:
        """Tell whether it has to be registered, or registered again."""
        left = ticks_diff(self._until, ticks_ms())
        return self._session is not self.hub.session or not 0 < left <= 1000 * (_LONGEST_S + 15)

    def register(self):
        """Register, and keep what the response brings. A generator."""
        request = self._request(_REGISTER)
        self._asked = ticks_ms()
        self._keep((yield from self.hub.in_session(request, self)))

    def notified(self, message: coap.Message) -> None:
        """Take a notification; one that does not verify or is not newer changes nothing."""
        if not self._session or self._session is not self.hub.session:
            return
        try:
            self._keep(Response(self.unprotect_response(message, self._binding), self._asked))
        except BadTag:
            self.hub.failures += 1
        except SkerryError:
            pass

    def _keep(self, response: Response) -> None:
        age = response.message.option(_MAX_AGE)
        age = _DEFAULT_S if age is None else min(int.from_bytes(age, "big"), _LONGEST_S)
        # Section 3.3.1: 5 to 15 s later, or all devices would come back at once.
        self._until = ticks_add(ticks_ms(), age * 1000 + 5000 + os.urandom(1)[0] * 39)
        self.newest = response
        if response.code >> 5 == 4:
            self.stop()
        self.changed()

    def changed(self) -> None:
        """Do nothing: aio.py wakes who waits."""

    def stop(self) -> None:
        """Take no more notifications; the hub hears of it when it sends the next one."""
        if not self.ended:
            self.ended = True
            self.hub.observing.observations.remove(self)

    def cancel(self) -> None:
        """Tell the hub to send no more. Raises as `connect` does."""
        return self.hub.run(self._cancel())

    def _cancel(self):
        self.stop()
        if self._session is self.hub.session:
            request = self._request(_CANCEL)
            yield from self.hub.in_session(request, self)

    def whole(self):
        """Return the newest response with all its blocks (RFC 7959 section 2.6). A generator."""
        response, self.newest = self.newest, None
        if (response.message.option(_BLOCK2) or b"\0")[-1] & 8:
            request = self._request(None)
            request.token = b""
            response = yield from self.hub.transfer(request, response)
        return response

    def next(self):
        """Return the next response, None after `timeout_ms` or the last one. A generator."""
        end = ticks_add(ticks_ms(), self.timeout_ms or 0)
        while True:
            yield from tend(self.hub)
            if self.newest:
                return (yield from self.whole())
            now = ticks_ms()
            left = LOOK_MS if self.timeout_ms is None else ticks_diff(end, now)
            if self.ended or left <= 0:
                return None
            yield from self.hub.exchange.receive(ticks_add(now, min(left, LOOK_MS)), None)

    def __iter__(self):
        return self

    def __next__(self) -> Response:
        response = self.hub.run(self.next())
        if not response:
            raise StopIteration
        return response


def observe(hub, path: str, timeout_ms: int | None = None) -> Observation:
    """Observe a resource: iterate over the result.

    The loop ends after `timeout_ms` of silence, never if None, and may then be started again; or
    with a response of 4.xx.
    """
    return Observation(hub, path, timeout_ms)
