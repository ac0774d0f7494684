"""Connect to the hub, then talk to it: the handshake's two attempts, and requests under OSCORE.

    skerry.json, slots --connect--> Hub --post, put, get--> Response
                                     |  no answer, or 4.01
                                     +--handshake again, and the same request once more

Sessions live in RAM. Keys are dropped as soon as the next one exists, and collected after each
handshake; MicroPython frees their memory but does not overwrite it, so who reads the RAM of a
running board may find old keys in it.
"""

import gc
import json
import os
from hashlib import sha256
from time import ticks_us

from skerry import coap, schedule
from skerry.chain import Chain
from skerry.errors import SkerryError
from skerry.initiator import Start
from skerry.session import Session
from skerry_device.entropy import weak
from skerry_device.errors import HubSilent, NotProvisioned
from skerry_device.exchange import Exchange
from skerry_device.store import ChainStore, FileSlots

_SILENT = "no hub: check network, address, enrolment"
_last = b""


def _nonce() -> bytes:
    """N_D: should the generator fail, what came before and the clock keep it from repeating."""
    global _last  # noqa: PLW0603 - one for all connections since power-on
    _last = sha256(_last + os.urandom(8) + b"%d" % ticks_us()).digest()
    return _last[:8]


class Response:
    """What the hub answered: `code` such as 0x44 for 2.04, `ok` for 2.xx, `payload` in bytes."""

    def __init__(self, message: coap.Message) -> None:
        self.code = message.code
        self.ok = message.code >> 5 == 2
        self.payload = message.payload

    def text(self) -> str:
        """Return the payload as text; raise ValueError if it is none."""
        return str(self.payload, "utf-8")

    def json(self):
        """Return the payload as the JSON that it is, else raise ValueError."""
        return json.loads(self.payload)


class Hub:
    """A session with the hub.

    `device`; `fingerprint`, the session's, as the hub shows it; `era` and `step`, its epoch;
    `time`, the hub's at the handshake in 1/256 s since 1970, 0 if the hub does not know it;
    `link`, whose `sent` and `received` count bytes. The two timeouts may be changed.
    """

    def __init__(self, folder="", timeout_ms=8000, wdt=None, link=None, ack_timeout_ms=2000):
        """Connect to the hub of the bundle in `folder` ("" or ending in "/").

        Takes at most `timeout_ms`; `wdt.feed()` is called at least twice a second meanwhile,
        but for the look-up of the hub's name. `link`: see links/__init__.py; UDP if None.
        Raises NotProvisioned, StoreFailed or HubSilent.
        """
        try:
            with open(folder + "skerry.json") as file:
                bundle = json.load(file)
            self.device = bundle["device"]
            self._hub = bundle["hub"]
            self.suite = bundle["suite"]
            address = bundle["address"]
            self._ctx = schedule.context(self.suite, self.device.encode(), self._hub.encode())
        except (OSError, ValueError, LookupError, TypeError):
            raise NotProvisioned("provision this board")
        self._store = ChainStore(FileSlots(folder))
        self.timeout_ms = timeout_ms
        self.ack_timeout_ms = ack_timeout_ms
        if not link:
            from skerry_device.links.udp import UdpLink

            try:
                link = UdpLink(*address)
            except OSError:
                raise HubSilent(_SILENT)
        self.link = link
        try:
            self.weak = weak()
            self._exchange = Exchange(link, wdt)
            self._handshake()
        except Exception:
            link.close()
            raise

    def __repr__(self) -> str:
        return "<%s at %s, session %s>" % (self.device, self._hub, self.fingerprint)

    def get(self, path: str) -> Response:
        """Read a resource, such as "readings"."""
        return self._request(coap.GET, path)

    def post(self, path: str, payload=b"", format: int | None = None) -> Response:
        """Send bytes, a str (as text) or a dict or list (as JSON). Raises as `connect` does.

        Blocks until the answer, up to 47 `ack_timeout_ms`, then connects and sends it once
        again: a request whose answers were lost arrives twice.
        """
        return self._request(coap.POST, path, payload, format)

    def put(self, path: str, payload=b"", format: int | None = None) -> Response:
        """Like `post`."""
        return self._request(coap.PUT, path, payload, format)

    def close(self) -> None:
        """End the session and close the link."""
        self._oscore = None
        self.link.close()

    def _handshake(self) -> None:
        """Replace the session by a new one: two attempts (docs/decisions/0001)."""
        chain = Chain.unpack(self._store.load())
        if not self._attempt(chain, 3) and not self._attempt(chain.next_era(), 1):
            raise HubSilent(_SILENT)
        del chain
        gc.collect()

    def _attempt(self, chain: Chain, transmissions: int) -> bool:
        """Send message 1 a quarter of the timeout apart; tell whether there is a session."""
        message_1, wait = Start(self._ctx, self.suite, chain).send(_nonce())
        request = coap.Message(coap.POST, coap.path_options("k"), message_1)
        for answer in self._exchange.answers(request, self.timeout_ms // 4, transmissions):
            if answer.code != coap.CHANGED:
                continue
            try:
                accepted = wait.receive(answer.payload)
            except SkerryError:
                continue
            secret = accepted.persisted(self._store.save(accepted.record))
            session = Session(secret, self.suite)
            self._oscore = session.oscore
            self.fingerprint = session.fingerprint
            self.era = chain.era
            self.step = chain.step
            self.time = accepted.time
            return True
        return False

    def _request(self, code: int, path: str, payload=b"", format: int | None = None) -> Response:
        """Ask; after silence or an unprotected 4.01, connect and ask once more."""
        if isinstance(payload, (dict, list)):
            payload = json.dumps(payload)
            format = format or 50
        if isinstance(payload, str):
            payload = payload.encode()
            format = format or 0
        options = coap.path_options(path)
        if format is not None:
            options.append((coap.CONTENT_FORMAT, coap.uint(format)))
        request = coap.Message(code, options, payload, coap.CON)
        for again in (False, True):
            if again or not self._oscore:
                self._handshake()
            # Should N_D repeat, so does this session's first nonce: it then covers the same text.
            if self.weak and not self._oscore.sequence and path != "weak":
                self._request(coap.POST, "weak")
            oscore = self._oscore
            outer, binding = oscore.protect_request(request)
            for answer in self._exchange.answers(outer, self.ack_timeout_ms, 5):
                try:
                    return Response(oscore.unprotect_response(answer, binding))
                except SkerryError:
                    if answer.code == coap.UNAUTHORIZED and answer.type == coap.ACK:
                        break
            if oscore.sequence == 1:  # not confirmed: nothing more may be sent in this session
                self._oscore = None
        raise HubSilent(_SILENT)


connect = Hub
