"""Connect to the hub, then talk to it: the handshake's two attempts, and requests under OSCORE.

    skerry.json, slots --connect--> Hub --post, put, get--> Response
                                     |  no answer, or 4.01
                                     +--handshake again, and the same request once more

What takes several messages is a generator that never waits itself (exchange.py): `run` drives
one on a link that blocks, aio.py on one that does not. What a node can do without is in modules
of its own, loaded when it is used first (later.py).

Sessions live in RAM. Keys are dropped as soon as the next one exists, and collected after each
handshake; MicroPython frees their memory but does not overwrite it, so who reads the RAM of a
running board may find old keys in it.
"""

import gc
import json
import os
from hashlib import sha256
from time import ticks_diff, ticks_ms, ticks_us, time

from skerry import coap, schedule
from skerry.chain import Chain
from skerry.errors import SkerryError
from skerry.initiator import Start
from skerry.primitives import const
from skerry.session import Session
from skerry_device import entropy, errors, exchange, store

_SILENT = "no hub: check network, address, enrolment"
_CON = const(0)  # types, codes and options of coap.py: as numbers they cost no flash
_ACK = const(2)
_GET = const(1)
_POST = const(2)
_PUT = const(3)
_CHANGED = const(0x44)
_UNAUTHORIZED = const(0x81)
_CONTENT_FORMAT = const(12)
_BLOCK2 = const(23)  # RFC 7959 section 2.1
_BLOCK = const(256)  # bytes; a longer body goes in blocks of this size, both ways
_last = b""


def _nonce() -> bytes:
    """N_D: should the generator fail, what came before and the clock keep it from repeating."""
    global _last  # noqa: PLW0603 - one for all connections since power-on
    _last = sha256(_last + os.urandom(8) + b"%d" % ticks_us()).digest()
    return _last[:8]


def encoded(payload, format: int | None):
    """Return (bytes, content format) of a payload: bytes, str (text), dict or list (JSON)."""
    if isinstance(payload, (dict, list)):
        payload = json.dumps(payload)
        format = format or 50
    if isinstance(payload, str):
        payload = payload.encode()
        format = format or 0
    return payload, format


class Response:
    """What the hub answered: `code` such as 0x44 for 2.04, `ok` for 2.xx, `payload` in bytes.

    `message` is all of it; `asked` and `came` are ticks_ms of the request and of the response.
    """

    def __init__(self, message: coap.Message, asked: int = 0) -> None:
        self.message = message
        self.code = message.code
        self.ok = message.code >> 5 == 2
        self.payload = message.payload
        self.asked = asked
        self.came = ticks_ms()

    def text(self) -> str:
        """Return the payload as text; raise ValueError if it is none."""
        return str(self.payload, "utf-8")

    def json(self):
        """Return the payload as the JSON that it is, else raise ValueError."""
        return json.loads(self.payload)


class Hub:
    """A session with the hub.

    `device`; `fingerprint`, the session's, as the hub shows it; `era` and `step`, its epoch;
    `link`, whose `sent` and `received` count bytes. The two timeouts may be changed.
    """

    def __init__(
        self,
        folder="",
        timeout_ms=8000,
        wdt=None,
        link=None,
        ack_timeout_ms=2000,
        medium=None,
        bundle=None,
    ):
        """Connect to the hub of the bundle in `folder` ("" or ending in "/").

        Takes at most `timeout_ms`; `wdt.feed()` is called at least twice a second meanwhile,
        but for the look-up of the hub's name. `link`: see links/__init__.py; UDP if None.
        `medium` keeps the chain in place of files in `folder` (store.py, logslots.py), `bundle`
        is what skerry.json says otherwise. Raises NotProvisioned, StoreFailed or HubSilent.
        """
        try:
            if bundle is None:
                with open(folder + "skerry.json") as file:
                    bundle = json.load(file)
            self.device = bundle["device"]
            self.hub = bundle["hub"]
            self.suite = bundle["suite"]
            address = bundle["address"]
            self.ctx = schedule.context(self.suite, self.device.encode(), self.hub.encode())
        except (OSError, ValueError, LookupError, TypeError):
            raise errors.NotProvisioned("provision this board")
        self.folder = folder
        if not hasattr(medium, "load"):
            medium = store.ChainStore(medium or store.FileSlots(folder))
        self.store = medium
        self.timeout_ms = timeout_ms
        self.ack_timeout_ms = ack_timeout_ms
        self.wdt = wdt
        if not link:
            from skerry_device.links.udp import UdpLink

            link = UdpLink(*address)
        self.link = link
        self.session = None
        try:
            self.weak = entropy.weak()
            self.exchange = exchange.Exchange(link, self)
            self.start()
        except Exception:
            link.close()
            raise

    def start(self) -> None:
        """Make the first session, or raise HubSilent."""
        if not self.run(self.handshake()):
            raise errors.HubSilent(_SILENT)

    def __repr__(self) -> str:
        return "<%s at %s, session %s>" % (self.device, self.hub, self.fingerprint)

    def __getattr__(self, name: str):
        from skerry_device.later import method

        return method(self, name)

    def get(self, path: str) -> Response:
        """Read a resource, such as "readings"."""
        return self.run(self.request(_GET, path))

    def post(self, path: str, payload=b"", format: int | None = None) -> Response:
        """Send bytes, a str (as text) or a dict or list (as JSON). Raises as `connect` does.

        Blocks until the answer, up to 47 `ack_timeout_ms`, then connects and sends it once
        again: a request whose answers were lost arrives twice.
        """
        return self.run(self.request(_POST, path, payload, format))

    def put(self, path: str, payload=b"", format: int | None = None) -> Response:
        """Like `post`."""
        return self.run(self.request(_PUT, path, payload, format))

    def close(self) -> None:
        """End the session and close the link."""
        self.session = None
        self.link.close()

    def run(self, steps):
        """Drive a generator to its end, blocking; return its result."""
        datagram = None
        try:
            while True:
                if self.wdt:
                    self.wdt.feed()
                wait = steps.send(datagram)
                datagram = self.link.receive(min(wait, 500))  # a watchdog waits no longer
        except StopIteration as end:
            return end.value

    def handshake(self):
        """Replace the session by a new one; return whether the hub answered. A generator.

        Makes two attempts (docs/decisions/0001). Raises NotProvisioned or StoreFailed.
        """
        self.checked = ticks_ms()
        chain = Chain.unpack(self.store.load())
        done = yield from self._attempt(chain, 3)
        if not done:
            done = yield from self._attempt(chain.next_era(), 1)
        del chain
        gc.collect()
        return done

    def _attempt(self, chain: Chain, transmissions: int):
        """Send message 1 a quarter of the timeout apart; return True if there is a session."""
        message_1, wait = Start(self.ctx, self.suite, chain).send(_nonce())
        request = coap.Message(_POST, coap.path_options("k"), message_1)
        asked = ticks_ms()

        def accept(answer):
            if answer.code != _CHANGED:
                return None
            try:
                accepted = wait.receive(answer.payload)
            except SkerryError:
                return None
            secret = accepted.persisted(self.store.save(accepted.record))
            self.session = Session(secret, self.suite)
            self.fingerprint = self.session.fingerprint
            self.era = chain.era
            self.step = chain.step
            self.clock = accepted.time, asked, ticks_ms(), time()
            self.confirmed = False
            self.failures = 0
            return True

        return self.exchange.ask(request, self.timeout_ms // 4, transmissions, accept)

    def request(self, code: int, path: str, payload=b"", format=None):
        """Return the Response to a request. A generator."""
        payload, format = encoded(payload, format)
        options = coap.path_options(path)
        if format is not None:
            options.append((_CONTENT_FORMAT, coap.uint(format)))
        if code == _GET:
            options.append((_BLOCK2, b"\x04"))
        request = coap.Message(code, options, payload, _CON)
        response = None
        if len(payload) <= _BLOCK:
            response = yield from self.in_session(request)
            if not (response.message.option(_BLOCK2) or b"\0")[-1] & 8:
                return response
        return (yield from self.transfer(request, response))

    def in_session(self, request: coap.Message, oscore=None):
        """Return the Response to a request (see `ask`), or raise HubSilent. A generator.

        A handshake comes before it if one is due, and after silence or a 4.01 in clear another
        one, and the same once more.
        """
        for again in (False, True):
            # A minute after the last handshake, a longer look at whether one is due.
            late = ticks_diff(ticks_ms(), self.checked) >> 16
            if again or not self.session or (late and self.due()):
                if not (yield from self.handshake()) and (again or not self.session):
                    break
            # Should N_D repeat, so does this session's first nonce: it covers the same text then.
            if self.weak and not self.session.oscore.sequence:
                yield from self.ask(self.weak)
            if self.confirmed or not self.session.oscore.sequence:
                response = yield from self.ask(request, oscore)
                if response:
                    return response
            if not self.confirmed:  # nothing more may be sent in this session
                self.session = None
        raise errors.HubSilent(_SILENT)

    def ask(self, request: coap.Message, oscore=None):
        """Return the Response, False after a 4.01 in clear, None after silence. A generator.

        `oscore`: what protects the request and opens its responses, if not the session itself.
        """
        oscore = oscore or self.session.oscore
        outer, binding = oscore.protect_request(request)
        asked = ticks_ms()

        def accept(answer):
            try:
                inner = oscore.unprotect_response(answer, binding)
            except SkerryError:
                self.failures += 1
                return False if answer.code == _UNAUTHORIZED and answer.type == _ACK else None
            self.confirmed = True
            return Response(inner, asked)

        return self.exchange.ask(outer, self.ack_timeout_ms, 5, accept)


connect = Hub
