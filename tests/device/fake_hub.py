"""A hub for one device, made of the real responder, and the bundle that goes with it."""

import json
import os
from io import StringIO

from flash import Flash

from skerry import coap, observe, oscore, poke, provisioning, record, responder, schedule
from skerry.coap_server import uri_path
from skerry.errors import SkerryError
from skerry.responder import HubSession
from skerry_device import client, store

MASTER_KEY = bytes(range(32))
DEVICE, HUB = "d-1", "h-1"
FOLDER = "flash/"


class FakeHub:
    """A hub for one device, made of the real responder. `served` are the requests it opened.

    `watched`: token -> what its notifications are bound to, of observations in the last session.
    """

    def __init__(self, suite=0):
        self.ctx = schedule.context(suite, DEVICE.encode(), HUB.encode())
        self.suite = suite
        self.chain = provisioning.first_epoch(MASTER_KEY, self.ctx)
        self.pending = None
        self.sessions = {}
        self.nonce = os.urandom(8)
        self.time = 1_700_000_000 * 256
        self.served = []
        self.watched = {}
        self.mid = 0x4000
        self.answered = 0  # messages 2
        self.observable = True
        self.answer = lambda inner: coap.Message(coap.CHANGED, [])

    def restart(self):
        """Forget what lives in memory."""
        self.sessions = {}
        self.nonce = os.urandom(8)

    def receive(self, datagram):
        """Take a datagram; return the list of answers, all without delay."""
        message = coap.decode(datagram)
        if message.code == coap.POST and uri_path(message) == "k":
            return self._handshake(message)
        if message.option(coap.OSCORE) is None:
            return []
        kid = oscore.decode_option(message.option(coap.OSCORE))[2]
        session = self.sessions.get(kid)
        if session is None:
            return [(0, reply(message, coap.UNAUTHORIZED))]
        try:
            inner, binding = session.oscore.unprotect_request(message)
        except SkerryError:
            return []
        self.pending = None
        self.served.append(inner)
        answer = self.answer(inner)
        outer = session.oscore.protect_response(answer, binding)
        wanted = observe.requested(message, inner)
        if wanted is not None:
            self.watched.pop(message.token, None)
        if wanted == 0 and answer.code >> 5 == 2 and self.observable:
            self.watched[message.token] = binding
            answer.options.append((observe.OBSERVE, b"\x01"))
            outer = observe.protect_notification(session.oscore, answer, binding, False)
        return [(0, reply(message, outer.code, outer.options, outer.payload))]

    def notify(self, token, payload, kind=coap.NON, code=coap.CONTENT, options=()):
        """Return the datagram of a notification."""
        inner = coap.Message(code, list(options), payload, kind, self._next_mid(), token)
        inner.options.append((observe.OBSERVE, b"\x02"))
        binding = self.watched[token]
        return coap.encode(observe.protect_notification(self.last.oscore, inner, binding, True))

    def ask(self, code, path, payload=b"", kind=coap.CON, options=()):
        """Return the datagram of a request of the hub's, and what its response is bound to."""
        options = coap.path_options(path) + list(options)
        inner = coap.Message(code, options, payload, kind, self._next_mid(), b"\x0f\x01\x02")
        outer, binding = self.last.oscore.protect_request(inner)
        return coap.encode(outer), binding

    def poke(self, chain=None):
        """Return the datagram that asks for a handshake."""
        payload = poke.encode(self.suite, chain or self.chain)
        options = coap.path_options("k")
        return coap.encode(coap.Message(coap.POST, options, payload, coap.NON, self._next_mid()))

    def _next_mid(self):
        self.mid += 1
        return self.mid

    def _handshake(self, message):
        hello = responder.identify(message.payload)
        known = responder.Known(self.ctx, self.suite, self.chain, self.pending)
        try:
            verified = known.verify(hello, self._era(hello.pid))
        except SkerryError:
            return []
        if verified.chain is not None:
            self.chain = verified.chain
        self.pending = verified.pending
        message_2, secret = verified.answer(self.nonce, self.time)
        session = HubSession(secret, self.suite)
        self.sessions[session.kid] = session
        self.last = session
        self.watched = {}
        self.answered += 1
        return [(0, reply(message, coap.CHANGED, [], message_2))]

    def _era(self, pid):
        """Look the pseudonym up, as the hub's index does."""
        if schedule.pseudonym(self.chain.chain_key) == pid:
            return self.chain.era
        chain = self.chain
        for _ in range(3):  # the hub goes on to 16
            chain = chain.next_era()
            if schedule.pseudonym(chain.chain_key) == pid:
                return chain.era
        return self.chain.era + 100


def reply(request, code, options=(), payload=b""):
    """Return the datagram of an answer: in the acknowledgement, or non-confirmable."""
    kind = coap.ACK if request.type == coap.CON else coap.NON
    mid = request.mid if request.type == coap.CON else 0x7777
    return coap.encode(coap.Message(code, list(options), payload, kind, mid, request.token))


def provision(suite=0, address=("192.0.2.1", 5683)):
    """Place a bundle in FOLDER, where `connect` finds it; return the Flash that it uses."""
    bundle = {"device": DEVICE, "hub": HUB, "address": address, "suite": suite}
    place_text(json.dumps(bundle))
    ctx = schedule.context(suite, DEVICE.encode(), HUB.encode())
    flash = Flash(record.pack(1, provisioning.first_epoch(MASTER_KEY, ctx).pack()))
    store.FileSlots = lambda folder: flash
    return flash


def place_text(text):
    """Make this text skerry.json; None removes it."""

    def opened(path):
        if path != FOLDER + "skerry.json" or text is None:
            raise OSError(2)
        return StringIO(text)

    client.open = opened
