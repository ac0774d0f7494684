"""Connecting and requests, against the hub's own responder in the same process."""

import json
import os
from time import ticks_ms

from air import Network
from fake_hub import FOLDER, FakeHub, clean, provision
from flash import raises

from skerry import coap, record, schedule
from skerry.chain import Chain
from skerry_device import client, exchange
from skerry_device.errors import HubSilent, NotProvisioned, StoreFailed


class Place:
    """A provisioned device and its hub. `lose(number, datagram)` drops what the device sends,
    `lose_answer(number, datagram)` what the hub answers; both count from 0."""

    def __init__(self, suite=0):
        self.flash = provision(suite)
        self.hub = FakeHub(suite)
        self.lose = self.lose_answer = lambda number, datagram: False
        self.net = Network(self.carry)
        self.up = self.down = 0

    def carry(self, datagram):
        self.up += 1
        if self.lose(self.up - 1, datagram):
            return []
        answers = []
        for answer in self.hub.receive(datagram):
            self.down += 1
            if not self.lose_answer(self.down - 1, answer[1]):
                answers.append(answer)
        return answers

    def connect(self, **more):
        return client.connect(FOLDER, link=self.net, ack_timeout_ms=1000, **more)

    def elapsed(self):
        return self.net.clock.now - self.net.start


def is_hello(datagram):
    return coap.decode(datagram).option(coap.OSCORE) is None


def stored(flash):
    """Return (era, step) that the flash holds; it holds one record."""
    (found,) = [each for each in [record.unpack(slot) for slot in flash.slots] if each]
    chain = Chain.unpack(found[1])
    return chain.era, chain.step


def works(place, hub):
    """Post and check that both ends hold the same session."""
    before = len(place.hub.served)
    assert hub.post("readings", {"c": 21.5}).ok
    assert len(place.hub.served) == before + 1
    assert hub.fingerprint == place.hub.last.fingerprint
    assert place.hub.pending is None
    assert stored(place.flash) == (place.hub.chain.era, place.hub.chain.step)


def test_connect():
    for suite, sizes in ((0, (31, 28)), (1, (39, 36))):
        place = Place(suite)
        hub = place.connect()
        assert (place.net.sent, place.net.received) == sizes
        assert (hub.era, hub.step, hub.device) == (0, 0, "d-1")
        assert hub.time == place.hub.time
        assert repr(hub) == "<d-1 at h-1, session %s>" % hub.fingerprint
        assert place.flash.writes == [1, 0]
        hello = place.net.messages()[0]
        assert (hello.type, hello.code, hello.path()) == (coap.NON, coap.POST, "k")
        works(place, hub)
        hub.close()
        assert place.net.closed


def test_handshakes_in_a_row():
    place = Place()
    nonces = set()
    for step in range(4):
        hub = place.connect()
        assert (hub.era, hub.step) == (0, step)
        works(place, hub)
        nonces.add([each for each in place.net.messages() if each.path() == "k"][-1].payload[7:15])
    assert len(nonces) == 4


def test_work_of_a_handshake():
    """Six HMACs; OSCORE's derivation does not pass through here."""
    place = Place()
    counted = []
    original = schedule.hmac_sha256
    receive = place.hub.receive

    def counting(key, message):
        counted.append(message)
        return original(key, message)

    def uncounted(datagram):
        schedule.hmac_sha256 = original
        answers = receive(datagram)
        schedule.hmac_sha256 = counting
        return answers

    place.hub.receive = uncounted
    schedule.hmac_sha256 = counting
    try:
        place.connect()
    finally:
        schedule.hmac_sha256 = original
    assert 0 < len(counted) <= 6


def test_lost_messages_1():
    for lost in (1, 2, 3):
        place = Place()
        place.lose = lambda number, datagram: number < lost
        works(place, place.connect())
        assert place.elapsed() == lost * 2000
        assert stored(place.flash) == ((0, 1) if lost < 3 else (1, 1))


def test_lost_messages_2():
    """The hub has moved on; the device's epoch is pending there and is answered again."""
    for lost in (1, 2, 3):
        place = Place()
        place.lose_answer = lambda number, datagram: number < lost
        works(place, place.connect())
        assert place.hub.answered == lost + 1


def test_silence():
    """Two attempts, four transmissions, the given time, and no write."""
    place = Place()
    place.lose = lambda number, datagram: True
    error = raises(HubSilent, place.connect, timeout_ms=4000)
    assert "enrolment" in str(error)
    assert [at for at, _ in place.net.sends] == [0, 1000, 2000, 3000]
    assert place.elapsed() == 4000
    assert place.flash.writes == []
    assert place.net.closed
    payloads = [each.payload for each in place.net.messages()]
    assert payloads[0] == payloads[1] == payloads[2]
    assert payloads[3][1:7] != payloads[0][1:7]  # another pseudonym
    assert payloads[3][7:15] != payloads[0][7:15]  # another nonce
    assert len({each.mid for each in place.net.messages()}) == 4


def test_attempt_2_answered_and_power_lost():
    """Decision 0001, last trace: the recovery epoch is pending at the hub."""
    place = Place()
    place.lose = lambda number, datagram: number < 3
    place.lose_answer = lambda number, datagram: True
    raises(HubSilent, place.connect)
    place.lose = place.lose_answer = lambda number, datagram: False
    hub = place.connect()
    assert (hub.era, hub.step) == (1, 0)
    works(place, hub)


def test_device_behind():
    """Its last write was lost after the session was confirmed."""
    place = Place()
    before = list(place.flash.slots)
    works(place, place.connect())
    place.flash.slots[:] = before
    hub = place.connect()
    assert (hub.era, hub.step) == (1, 0)
    works(place, hub)


def test_hub_restored():
    place = Place()
    old = place.hub.chain
    for _ in range(3):
        works(place, place.connect())
    place.hub.chain = old
    place.hub.restart()
    hub = place.connect()
    assert (hub.era, hub.step) == (1, 0)
    works(place, hub)


def test_late_answer_to_attempt_1():
    """It comes during attempt 2, which alone may be answered now."""
    place = Place()
    late = []

    def carry(datagram):
        if not late:
            late.append(place.hub.receive(datagram)[0][1])
        return [(6500, late[0])] if len(place.net.sends) == 1 else []

    place.net.peer = carry
    raises(HubSilent, place.connect)
    assert place.flash.writes == []


def test_junk_does_not_end_the_handshake():
    """A hundred forged messages 2 with the right token arrive before the true one."""
    place = Place()

    def carry(datagram):
        request = coap.decode(datagram)
        head = b"\x51\x44\0\0" + request.token + b"\xff\x21"
        junk = [(each, head + os.urandom(21)) for each in range(100)]
        junk.append((100, head))
        junk.append((101, b"\x51\x84\0\0" + request.token))
        return junk + [(200, answer) for _, answer in place.hub.receive(datagram)]

    place.net.peer = carry
    hub = place.connect()
    assert len(place.net.sends) == 1
    place.net.peer = place.carry
    works(place, hub)


def test_flipped_bits():
    """Each bit of message 2 is flipped, in one handshake; then the true one is taken."""
    place = Place()

    def carry(datagram):
        if not is_hello(datagram):
            return place.hub.receive(datagram)
        ((_, answer),) = place.hub.receive(datagram)
        start = len(answer) - 22
        answers = [(500, answer)]
        for bit in range(start * 8, len(answer) * 8):
            flipped = bytearray(answer)
            flipped[bit >> 3] ^= 1 << (bit & 7)
            answers.append((10, bytes(flipped)))
        return answers

    place.net.peer = carry
    hub = place.connect()
    assert place.elapsed() == 500
    works(place, hub)


def test_store_failure_is_no_session():
    """No secret comes out, nothing but message 1 is sent, and the next start works."""
    place = Place()
    place.flash.keeps = lambda data: b""
    raises(StoreFailed, place.connect)
    assert place.net.closed
    assert len(place.net.sends) == 1
    place.flash.keeps = lambda data: data
    hub = place.connect()
    assert (hub.era, hub.step) == (0, 0)
    works(place, hub)


def test_not_provisioned():
    place = Place()
    place.flash.slots[0] = b"x"
    raises(NotProvisioned, place.connect)
    damaged = ("", "{", "[]", "{}", '{"device": "d-1", "hub": "h-1", "suite": 0}')
    for text in damaged:
        with open(FOLDER + "skerry.json", "w") as file:
            file.write(text)
        assert "provision" in str(raises(NotProvisioned, place.connect))
    os.remove(FOLDER + "skerry.json")
    raises(NotProvisioned, place.connect)
    assert place.net.sends == []


def test_another_suite():
    """Both ends have to agree: the hub stays silent."""
    place = Place(1)
    place.hub = FakeHub(0)
    raises(HubSilent, place.connect)
    assert place.flash.writes == []


def test_methods_and_payloads():
    place = Place()
    hub = place.connect()
    cases = (
        (hub.post, {"a": [1]}, None, json.dumps({"a": [1]}).encode(), b"\x32"),
        (hub.post, [1], 110, b"[1]", b"\x6e"),
        (hub.put, "grün", None, "grün".encode(), b""),
        (hub.put, b"\0\1", 42, b"\0\1", b"\x2a"),
        (hub.post, b"", None, b"", None),
    )
    for method, payload, number, sent, option in cases:
        assert method("a/b", payload, number).code == coap.CHANGED
        inner = place.hub.served[-1]
        assert (inner.code, inner.path()) == (coap.PUT if method == hub.put else coap.POST, "a/b")
        assert inner.payload == sent
        assert inner.option(coap.CONTENT_FORMAT) == option
    place.hub.answer = lambda inner: coap.Message(coap.CONTENT, [], b'{"x": "1"}')
    response = hub.get("readings")
    assert place.hub.served[-1].code == coap.GET
    assert response.ok
    assert response.text() == '{"x": "1"}'
    assert response.json() == {"x": "1"}
    place.hub.answer = lambda inner: coap.Message(0x84, [])
    response = hub.get("nowhere")
    assert not response.ok
    assert (response.code, response.payload) == (0x84, b"")


def test_lost_request_and_lost_answer():
    """A retransmission is the same datagram."""
    place = Place()
    hub = place.connect()
    place.lose = lambda number, datagram: number == 1
    works(place, hub)
    assert place.net.sends[1][1] == place.net.sends[2][1]
    assert len(place.net.sends) == 3


def test_hub_restarted():
    """4.01 in the clear leads to a new session, in which the request is sent again."""
    place = Place()
    hub = place.connect()
    works(place, hub)
    first = hub.fingerprint
    place.hub.restart()
    works(place, hub)
    assert hub.fingerprint != first
    assert (hub.era, hub.step) == (0, 1)
    assert place.elapsed() == 0


def hint(request, token=None, mid=0, kind=coap.ACK):
    """Return an unprotected 4.01."""
    token = request.token if token is None else token
    return coap.encode(coap.Message(coap.UNAUTHORIZED, [], b"", kind, request.mid ^ mid, token))


def test_hint_while_the_hub_is_away():
    """Anybody can send 4.01: a confirmed session survives if no handshake succeeds."""
    place = Place()
    hub = place.connect()
    works(place, hub)
    place.net.peer = lambda datagram: (
        [] if is_hello(datagram) else [(5, hint(coap.decode(datagram)))]
    )
    raises(HubSilent, hub.get, "readings")
    place.net.peer = place.carry
    fingerprint = hub.fingerprint
    works(place, hub)
    assert hub.fingerprint == fingerprint


def test_hint_that_does_not_match():
    place = Place()
    hub = place.connect()
    for change in ({"token": b"\1\2"}, {"mid": 1}, {"kind": coap.NON}):

        def carry(datagram):
            return [(1, hint(coap.decode(datagram), **change)), (9, place.carry(datagram)[0][1])]

        place.net.peer = carry
        works(place, hub)
    assert place.hub.answered == 1


def test_no_second_request_before_confirmation():
    """A first request without an answer ends its session for good."""
    place = Place()
    hub = place.connect()
    place.lose = lambda number, datagram: True
    raises(HubSilent, hub.post, "readings", b"1")
    place.lose = lambda number, datagram: False
    sent = len(place.net.sends)
    works(place, hub)
    assert is_hello(place.net.sends[sent][1])
    assert hub.step == 1


def test_silence_after_confirmation():
    """The request goes out again in a new session, protected anew."""
    place = Place()
    hub = place.connect()
    works(place, hub)
    first = hub.fingerprint
    place.lose = lambda number, datagram: not is_hello(datagram) and hub.fingerprint == first
    works(place, hub)
    assert hub.fingerprint != first
    requests = {datagram for _, datagram in place.net.sends if not is_hello(datagram)}
    assert len(requests) == 3


def test_answers_that_do_not_verify():
    """Shortened and flipped answers are passed over; the true one still counts."""
    place = Place()
    hub = place.connect()
    place.hub.answer = lambda inner: coap.Message(coap.CONTENT, [(12, b"")], b"abcdef")
    for phase in range(8):

        def carry(datagram):
            ((_, answer),) = place.hub.receive(datagram)
            answers = [(100, answer), (1, answer[:-1])]
            for at in range(5, len(answer)):
                changed = bytearray(answer)
                changed[at] ^= 1 << phase
                answers.append((10, bytes(changed)))
            return answers

        place.net.peer = carry
        assert hub.get("readings").payload == b"abcdef"
    assert len(place.net.sends) == 9


def test_watchdog_is_fed():
    place = Place()
    fed = [place.net.clock.now]

    class Watchdog:
        def feed(self):
            assert place.net.clock.now - fed[-1] <= 500
            fed.append(place.net.clock.now)

    place.lose = lambda number, datagram: True
    raises(HubSilent, place.connect, wdt=Watchdog())
    assert len(fed) > 16


def test_udp():
    """A real socket; nobody listens there, which is loss and not an error."""
    provision(address=["127.0.0.1", 9])
    exchange.ticks_ms = ticks_ms
    raises(HubSilent, client.connect, FOLDER, 40)
    clean()
