"""Devices and a hub's sessions with a network between them that loses, repeats and reorders.

The network keeps every datagram that was ever sent and delivers any of them at any time, changed
or not. At the end of each step: every request was acted on once at most, every answer that a
device took belongs to the request it took it for, a request was acted on by the session it was
made in, and no nonce was used twice under one key for different bytes.
"""

from types import SimpleNamespace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from skerry import coap, oscore
from skerry.errors import SkerryError
from skerry.oscore import SecurityContext
from skerry_hub.oscore_bytes import Context
from skerry_hub.sessions import CANDIDATES, RECENT_REQUESTS, Live, Sessions, duplicate_of, open_any

KIDS = (b"kid", b"kid", b"dik")  # two devices meet in one kid
DEVICES = range(len(KIDS))
devices = st.sampled_from(list(DEVICES))


class Recorder:
    """A cipher that remembers what it sealed, and under which key and nonce."""

    def __init__(self, cipher, used, key):
        self.cipher, self.used, self.key = cipher, used, key

    def seal(self, nonce, plaintext, aad):
        before = self.used.setdefault((self.key, nonce), (plaintext, aad))
        assert before == (plaintext, aad), "a nonce was used twice"
        return self.cipher.seal(nonce, plaintext, aad)


class SessionMachine(RuleBasedStateMachine):
    up = Bundle("up")  # requests on their way: (name, datagram, context, binding)
    down = Bundle("down")  # answers on their way

    def __init__(self):
        super().__init__()
        self.sessions = Sessions()
        self.used, self.acted, self.owner = {}, [], {}
        self.count = 0
        self.ends = {}  # each device's session: (its context, number)
        self.live = {}  # session number -> Live
        self.waiting = {}  # request -> (live, exchange)

    @initialize()
    def all_connect(self):
        for device in DEVICES:
            self.handshake(device)

    def number(self):
        self.count += 1
        return self.count

    @rule(device=devices, times=st.integers(1, 6))
    def reboots(self, device, times):
        """Attempts of one epoch: the last of them are offered."""
        made = [self.connect(device, b"epoch") for _ in range(times)]
        offered = [live in self.sessions.find(KIDS[device]) for live in made]
        assert offered == [times - i <= CANDIDATES for i in range(times)]

    @rule(device=devices)
    def handshake(self, device):
        self.connect(device)

    def connect(self, device, pid=None):
        """The device has a new session; the hub offers it, and still has the one before."""
        number = self.number()
        secret, kid = number.to_bytes(16, "big"), KIDS[device]
        own = SecurityContext(secret, b"salt", kid, b"")
        hub = Context(secret, b"salt", b"", kid)
        own._sender = Recorder(own._sender, self.used, ("up", number))
        hub._sender = Recorder(hub._sender, self.used, ("down", number))
        pid = pid or b"pid-%02d" % (number // 6)  # some attempts are of one epoch
        session = SimpleNamespace(oscore=hub, kid=kid, fingerprint=str(number))
        live = Live(device, f"d-{device}", pid, (0, number), session)
        assert not live.confirmed
        assert self.sessions.offered(secret) is None
        self.sessions.offer(live, secret, b"2" + secret)
        assert self.sessions.offered(secret) is live
        assert live.answered == b"2" + secret
        self.ends[device], self.live[number] = (own, number), live
        return live

    def ask(self, device, mid):
        own, number = self.ends[device]
        name = self.number()
        inner = coap.Message(
            coap.POST, coap.path_options("r"), b"%d" % name, coap.CON, mid, bytes((mid,))
        )
        outer, binding = own.protect_request(inner)
        self.owner[name] = (device, number)
        return name, coap.encode(outer), own, binding

    @rule(target=up, device=devices, mid=st.integers(0, 2))
    def request(self, device, mid):
        """Message ids and tokens repeat soon: they must not matter."""
        return self.ask(device, mid)

    @rule(target=down, device=devices, mid=st.integers(0, 2))
    def round_trip(self, device, mid):
        """Without faults it works, and the same datagram gets the same answer again."""
        name, datagram, own, binding = self.ask(device, mid)
        live = self.live[self.ends[device][1]]
        if live not in self.sessions.find(KIDS[device]):
            assert self.at_hub(coap.decode(datagram), name) is None
            return multiple()
        assert self.at_hub(coap.decode(datagram), name) is None
        assert self.acted[-1] == name
        assert self.at_hub(coap.decode(datagram), name) is None  # acted on, not yet answered
        inner = coap.Message(coap.CHANGED, [], b"%d:" % name, coap.ACK, mid, bytes((mid,)))
        answer = live.seal(inner, self.waiting[name][1])
        taken = own.unprotect_response(coap.decode(answer), binding)
        assert (taken.code, taken.payload) == (coap.CHANGED, inner.payload)
        assert self.at_hub(coap.decode(datagram), name) == answer
        assert [each for each in self.sessions.find(KIDS[device]) if each.device == device] == [
            live
        ]
        return answer

    @rule(target=down, sent=up, mid=st.one_of(st.none(), st.integers(0, 2)))
    def deliver(self, sent, mid):
        """The datagram as it is, or with a message id that it was not sent with."""
        message = coap.decode(sent[1])
        if mid is not None:
            message.mid = mid
        answer = self.at_hub(message, sent[0])
        return multiple() if answer is None else answer

    @rule(sent=up, at=st.integers(0, 200), bit=st.integers(0, 7))
    def deliver_damaged(self, sent, at, bit):
        message = coap.decode(sent[1])
        option, payload = bytearray(message.option(coap.OSCORE)), bytearray(message.payload)
        part = (option, payload)[at & 1]
        part[at % len(part)] ^= 1 << bit
        message.options, message.payload = [(coap.OSCORE, bytes(option))], bytes(payload)
        before = list(self.acted)
        answer = self.at_hub(message, None)
        assert self.acted == before
        # A duplicate is told by its payload: one with another option may get the old answer.
        assert answer is None or part is option

    def at_hub(self, message, name):
        """What front.py does with a protected request; return the datagram it answers with."""
        try:
            kid = oscore.decode_option(message.option(coap.OSCORE))[2]
        except SkerryError:
            return None
        candidates = self.sessions.find(kid or b"")
        opened = open_any(candidates, message)
        if opened is None:
            exchange = duplicate_of(candidates, message)
            return exchange.datagram if exchange else None
        live, inner, exchange = opened
        again = open_any(candidates, message)  # nothing changes before it is accepted
        assert again is not None
        assert again[1].payload == inner.payload
        live.accept(exchange)
        assert open_any(candidates, message) is None
        done = int(inner.payload)
        assert done == name
        device, number = self.owner[done]
        assert live is self.live[number]
        assert live.device == device
        if not live.confirmed:
            self.sessions.promote(live)
        assert live.confirmed
        assert done not in self.acted, "a request was acted on twice"
        self.acted.append(done)
        self.waiting[done] = (live, exchange)
        assert len(live.recent) <= RECENT_REQUESTS
        assert exchange in live.recent.values()
        return None

    @precondition(lambda self: self.waiting)
    @rule(target=down, choice=st.integers(0, 1 << 16), text=st.sampled_from([b"yes", b"no", b""]))
    def answer(self, choice, text):
        """At once, late, or a second time with another content, as a notification would be."""
        name = list(self.waiting)[-1 - choice % len(self.waiting)]
        live, exchange = self.waiting[name]
        if live.ended:  # the bridge sends nothing then, and nothing is left to protect it with
            assert not hasattr(live, "session")
            return multiple()
        inner = coap.Message(coap.CONTENT, [], b"%d:" % name + text, coap.NON, 0, b"t")
        first = exchange.datagram
        datagram = live.seal(inner, exchange)
        assert exchange.datagram == (first or datagram)  # what a duplicate gets never changes
        return datagram

    @rule(request=up, datagram=down)
    def take(self, request, datagram):
        """Any answer, of any session, as the answer to any request."""
        name, _, own, binding = request
        try:
            inner = own.unprotect_response(coap.decode(datagram), binding)
        except SkerryError:
            return
        assert inner.payload.split(b":")[0] == b"%d" % name
        assert name in self.acted

    @rule(request=up, datagram=down, at=st.integers(0, 200), bit=st.integers(0, 7))
    def take_damaged(self, request, datagram, at, bit):
        _, _, own, binding = request
        message = coap.decode(datagram)
        payload = bytearray(message.payload)
        payload[at % len(payload)] ^= 1 << bit
        message.payload = bytes(payload)
        with pytest.raises(SkerryError):
            own.unprotect_response(message, binding)

    @rule(request=up)
    def reflect(self, request):
        """A request that comes back is no answer."""
        _, datagram, own, binding = request
        with pytest.raises(SkerryError):
            own.unprotect_response(coap.decode(datagram), binding)

    @rule(device=devices)
    def revoke(self, device):
        """None of its sessions is found again; then it connects anew."""
        had = [each for each in self.sessions.find(KIDS[device]) if each.device == device]
        assert self.sessions.drop(device) is bool(had)
        assert not self.sessions.drop(device)
        assert device not in [each.device for each in self.sessions.find(KIDS[device])]
        self.handshake(device)

    @precondition(lambda self: self.count % 7 == 0)
    @rule()
    def restored(self):
        """The database went back: all sessions end."""
        self.sessions.clear()
        assert not any(self.sessions.find(kid) for kid in KIDS)

    @invariant()
    def index_and_devices_agree(self):
        by_kid = [each for kid in set(KIDS) for each in self.sessions.find(kid)]
        by_device = []
        for known in self.sessions._devices.values():
            assert len(known.offered) <= CANDIDATES
            assert len({each.pid for each in known.offered.values()}) <= 1
            by_device += known.offered.values()
            by_device += [known.current] if known.current else []
        assert sorted(map(id, by_kid)) == sorted(map(id, by_device))
        assert all(each.confirmed for each in self.sessions.current())
        assert len(self.sessions) == len(list(self.sessions.current()))


TestSessions = SessionMachine.TestCase
TestSessions.settings = settings(stateful_step_count=50)
