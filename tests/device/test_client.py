"""Connecting, against the hub's own responder in the same process."""

import os
from time import ticks_ms, ticks_us

from fake_hub import FOLDER, FakeHub, place_text, provision
from flash import raises
from place import Place, is_hello, stored, works

from skerry import coap, schedule
from skerry.coap_server import uri_path
from skerry_device import client, exchange
from skerry_device.errors import HubSilent, NotProvisioned, StoreFailed


def test_connect():
    for suite, sizes in ((0, (31, 28)), (1, (39, 36))):
        place = Place(suite)
        hub = place.connect()
        assert (place.net.sent, place.net.received) == sizes
        assert (hub.era, hub.step, hub.device) == (0, 0, "d-1")
        assert hub.time() == (place.hub.time >> 8, place.hub.time >> 8)
        assert repr(hub) == f"<d-1 at h-1, session {hub.fingerprint}>"
        assert place.flash.writes == [1, 0]
        hello = place.net.messages()[0]
        assert (hello.type, hello.code, uri_path(hello)) == (coap.NON, coap.POST, "k")
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
        nonces.add(
            [each for each in place.net.messages() if uri_path(each) == "k"][-1].payload[7:15]
        )
    assert len(nonces) == 4


def test_nonces_when_generator_and_clock_stand_still():
    """They do not repeat before the next start; without any generator nothing starts."""

    class Stuck:
        def urandom(self, length):
            return bytes(length)

    place = Place()
    client.ticks_us = lambda: 0
    client.os = Stuck()
    assert len({client._nonce() for _ in range(50)}) == 50
    client.os = None
    raises(AttributeError, place.connect)
    assert place.net.sends == []
    client.os = os
    client.ticks_us = ticks_us


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
        place.lose = lambda number, datagram, lost=lost: number < lost
        works(place, place.connect())
        assert place.elapsed() == lost * 2000
        assert stored(place.flash) == ((0, 1) if lost < 3 else (1, 1))


def test_lost_messages_2():
    """The hub has moved on; the device's epoch is pending there and is answered again."""
    for lost in (1, 2, 3):
        place = Place()
        place.lose_answer = lambda number, datagram, lost=lost: number < lost
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
    for text in damaged + (None,):
        place_text(text)
        assert "provision" in str(raises(NotProvisioned, place.connect))
    assert place.net.sends == []


def test_another_suite():
    """Both ends have to agree: the hub stays silent."""
    place = Place(1)
    place.hub = FakeHub(0)
    raises(HubSilent, place.connect)
    assert place.flash.writes == []


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
