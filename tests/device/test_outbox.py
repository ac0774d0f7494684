"""The queue: bounded, in order, through outages, at the hub's pace."""

import os

from flash import raises
from place import Place, is_hello

from skerry import coap
from skerry_device import tending
from skerry_device.outbox import Outbox


def away(place):
    place.lose = lambda number, datagram: True


def back(place):
    place.lose = lambda number, datagram: False


def payloads(place):
    return [each.payload for each in place.hub.served]


def test_sent_at_once():
    place = Place()
    hub = place.connect()
    assert hub.queue("readings", {"c": 1}) == 0
    (inner,) = place.hub.served
    assert (inner.code, inner.payload) == (coap.POST, b'{"c": 1}')
    assert inner.option(coap.CONTENT_FORMAT) == b"\x32"


def test_an_outage():
    """Nothing is lost, the order stays, and the hub is not asked all the time."""
    place = Place()
    hub = place.connect()
    hub.queue("readings", b"0")
    away(place)
    for i in range(1, 6):
        assert hub.queue("readings", b"%d" % i) == i
        place.net.clock.now += 60_000
    back(place)
    for _ in range(20):
        place.net.clock.now += 20_000
        if not hub.flush():
            break
    assert payloads(place) == [b"%d" % i for i in range(6)]
    assert hub.status()["waiting"] == 0


def test_bounds():
    """16 messages, 2,048 bytes: the oldest make room, and are counted."""
    place = Place()
    hub = place.connect()
    away(place)
    for i in range(20):
        hub.queue("readings", b"%d" % i)
    assert (hub.status()["waiting"], hub.status()["dropped"]) == (16, 4)
    for i in range(12):
        hub.queue("readings", bytes(200))
    assert (hub.status()["waiting"], hub.status()["dropped"]) == (10, 22)
    raises(ValueError, hub.queue, "readings", bytes(2049))
    back(place)
    place.net.clock.now += 300_000
    assert hub.flush() == 0
    assert payloads(place) == [bytes(200)] * 10


def test_other_requests_do_not_wait():
    place = Place()
    hub = place.connect()
    away(place)
    hub.queue("readings", b"1")
    back(place)
    assert hub.post("alarm", b"now").ok
    assert payloads(place) == [b"now"]


def test_listening_flushes():
    place = Place()
    hub = place.connect()
    away(place)
    hub.queue("readings", b"1")
    back(place)
    hub.listen(310_000)
    assert b"1" in payloads(place)


def test_a_hub_that_is_busy():
    """5.03 with Max-Age: not before that has passed; the message stays first."""
    place = Place()
    hub = place.connect()
    busy = [(14, coap.uint(90))]
    place.hub.answer = lambda inner: coap.Message(0xA3, busy)
    assert hub.queue("readings", b"1") == 1
    place.hub.answer = lambda inner: coap.Message(coap.CHANGED, [])
    served = len(place.hub.served)
    place.net.clock.now += 89_000
    assert hub.queue("readings", b"2") == 2
    assert len(place.hub.served) == served
    place.net.clock.now += 1001
    assert hub.flush() == 0
    assert payloads(place)[served:] == [b"1", b"2"]


def test_what_the_hub_refuses_does_not_stand_in_the_way():
    place = Place()
    hub = place.connect()
    place.hub.answer = lambda inner: coap.Message(0x80 if inner.payload == b"bad" else 0x44, [])
    hub.queue("readings", b"bad")
    assert hub.queue("readings", b"good") == 0
    assert hub.waiting.refused == 1


def test_pauses_grow_at_random():
    """Full jitter: from 0 to a bound that doubles up to five minutes; a success starts anew."""
    place = Place()
    place.connect()
    shortest, longest = [300_000] * 12, [0] * 12
    for _ in range(200):
        pauses = tending.Backoff()
        for i in range(12):
            pauses.failed()
            shortest[i] = min(shortest[i], pauses.left())
            longest[i] = max(longest[i], pauses.left())
    for i in range(12):
        bound = min(2000 << i, 300_000)
        assert 0 <= shortest[i] < bound // 8
        assert bound * 7 // 8 < longest[i] <= bound
    pauses.succeeded()
    pauses.failed()
    assert pauses.left() <= 2000


def test_pauses_with_a_constant_generator():
    class Constant:
        def urandom(self, length):
            return b"\xff" * length

    tending.os = Constant()
    try:
        pauses = tending.Backoff()
        for _ in range(40):
            pauses.failed()
        assert 0 < pauses.left() <= 300_000
    finally:
        tending.os = os


def test_a_pause_does_not_outlive_wrapped_ticks():
    place = Place()
    place.connect()
    pauses = tending.Backoff()
    pauses.failed()
    place.net.clock.now += place.net.clock.period // 2 + 400_000
    assert pauses.left() <= 0


def test_an_entry_that_is_dropped_while_it_is_sent():
    """Its answer does not take the next one away."""
    place = Place()
    hub = place.connect()
    hub.waiting = outbox = Outbox(hub)
    outbox.add("readings", b"first", None)
    carry = place.net.peer

    def peer(datagram):
        if not is_hello(datagram) and not outbox.dropped:
            for i in range(16):
                outbox.add("readings", b"%d" % i, None)
        return carry(datagram)

    place.net.peer = peer
    assert hub.flush() == 0
    assert payloads(place) == [b"first"] + [b"%d" % i for i in range(16)]
