"""Observe at the device: order, losses, new sessions, Max-Age, and what a hub may do wrong."""

from flash import raises
from place import Place, is_hello, works

from skerry import coap, observe
from skerry_device.errors import HubSilent

MAX_AGE = 14


def watching(payload=b"first", **more):
    """Return (place, hub, observation) with the first representation delivered."""
    place = Place()
    place.hub.answer = lambda inner: coap.Message(
        coap.CONTENT if inner.code == coap.GET else coap.CHANGED, [], payload
    )
    hub = place.connect()
    observation = hub.observe("cmd", **more)
    assert next(observation).payload == payload
    return place, hub, observation


def token(place):
    (found,) = place.hub.watched
    return found


def empties(place):
    return [(e.type, e.mid) for e in place.net.messages() if e.code == coap.EMPTY]


def test_registration_and_notifications():
    place, hub, observation = watching()
    registered = place.net.messages()[-1]
    assert registered.code == observe.FETCH
    assert registered.option(observe.OBSERVE) == b""
    assert place.hub.served[-1].option(observe.OBSERVE) == b""
    for i in range(3):
        place.net.deliver(100, place.hub.notify(token(place), b"%d" % i))
        response = next(observation)
        assert (response.ok, response.payload) == (True, b"%d" % i)
    assert place.hub.answered == 1
    assert len(place.net.sends) == 2  # message 1 and the registration


def test_a_notification_is_delivered_when_it_comes():
    place, hub, observation = watching()
    place.net.deliver(123, place.hub.notify(token(place), b"now"))
    before = place.net.clock.now
    assert next(observation).payload == b"now"
    assert place.net.clock.now == before + 123


def test_confirmable_notifications_are_acknowledged_and_their_late_duplicates():
    place, hub, observation = watching()
    datagram = place.hub.notify(token(place), b"a", coap.CON)
    mid = coap.decode(datagram).mid
    for delay in (10, 20, 900):
        place.net.deliver(delay, datagram)
    assert next(observation).payload == b"a"
    place.net.deliver(1000, place.hub.notify(token(place), b"b"))
    assert next(observation).payload == b"b"
    assert empties(place) == [(coap.ACK, mid)] * 3


def test_order_is_that_of_partial_ivs():
    place, hub, observation = watching()
    first, second, third = [place.hub.notify(token(place), each) for each in (b"1", b"2", b"3")]
    place.net.deliver(10, second)
    assert next(observation).payload == b"2"
    place.net.deliver(10, first)
    place.net.deliver(20, second)
    place.net.deliver(30, third)
    assert next(observation).payload == b"3"


def test_a_slow_application_gets_the_newest_only():
    place, hub, observation = watching()
    for i in range(5):
        place.net.deliver(i, place.hub.notify(token(place), b"%d" % i))
    works(place, hub)
    hub.listen(100)
    assert next(observation).payload == b"4"


def test_notifications_during_a_request_are_kept():
    place, hub, observation = watching()
    carry = place.net.peer

    def peer(datagram):
        return [(5, place.hub.notify(token(place), b"meanwhile"))] + [
            (50, each) for _, each in carry(datagram)
        ]

    place.net.peer = peer
    works(place, hub)
    place.net.peer = carry
    assert next(observation).payload == b"meanwhile"


def test_several_at_once():
    place, hub, a = watching()
    first = token(place)
    b = hub.observe("other")
    assert next(b).payload == b"first"
    (second,) = [each for each in place.hub.watched if each != first]
    place.net.deliver(1, place.hub.notify(second, b"for b"))
    place.net.deliver(2, place.hub.notify(first, b"for a"))
    assert next(a).payload == b"for a"
    assert next(b).payload == b"for b"


def test_what_does_not_verify_changes_nothing():
    place, hub, observation = watching(timeout_ms=3000)
    datagram = place.hub.notify(token(place), b"true")
    for i in range(len(datagram) - 8, len(datagram)):
        forged = bytearray(datagram)
        forged[i] ^= 1
        place.net.deliver(i, bytes(forged))
    place.net.deliver(200, datagram)
    assert next(observation).payload == b"true"
    assert hub.status()["failures"] == 8


def test_timeout_ends_the_loop_and_it_may_go_on():
    place, hub, observation = watching(timeout_ms=2500)
    start = place.net.clock.now
    assert list(observation) == []
    assert place.net.clock.now == start + 2500
    place.net.deliver(1, place.hub.notify(token(place), b"later"))
    assert [each.payload for each in observation] == [b"later"]


def test_max_age_passes_without_notification():
    """It is registered again after Max-Age and 5 to 15 s."""
    place, hub, observation = watching()
    start = place.net.clock.now
    assert next(observation).payload == b"first"
    assert 65_000 <= place.net.clock.now - start <= 76_000
    assert len(place.hub.watched) == 1


def test_max_age_of_the_hub():
    place, hub, observation = watching()
    age = [(MAX_AGE, coap.uint(600))]
    place.net.deliver(1, place.hub.notify(token(place), b"long", options=age))
    next(observation)
    start = place.net.clock.now
    next(observation)
    assert 605_000 <= place.net.clock.now - start <= 616_000


def test_a_resource_that_is_not_observed_is_polled():
    place = Place()
    place.hub.observable = False
    place.hub.answer = lambda inner: coap.Message(coap.CONTENT, [(MAX_AGE, b"\x0a")], b"x")
    hub = place.connect()
    times = []
    for message in hub.observe("cmd"):
        times.append(place.net.clock.now)
        if len(times) == 3:
            break
    assert all(15_000 <= b - a <= 26_000 for a, b in zip(times, times[1:]))


def test_an_error_is_the_last_response():
    place, hub, observation = watching()
    place.net.deliver(1, place.hub.notify(token(place), b"", code=0x84))
    found = [each.code for each in observation]
    assert found == [0x84]
    assert [each.code for each in observation] == []


def test_no_such_resource():
    place = Place()
    place.hub.answer = lambda inner: coap.Message(0x84, [])
    hub = place.connect()
    assert [each.code for each in hub.observe("nowhere")] == [0x84]


def test_new_session_registers_again():
    place, hub, observation = watching()
    place.hub.restart()
    place.hub.watched = {}
    hub.post("readings", b"1")  # 4.01, a handshake, and once more
    assert place.hub.answered == 2
    assert next(observation).payload == b"first"
    place.net.deliver(1, place.hub.notify(token(place), b"new"))
    assert next(observation).payload == b"new"


def test_notifications_of_an_old_session_are_rejected():
    place, hub, observation = watching()
    old = place.hub.notify(token(place), b"old", coap.CON)
    hub.rekey()
    place.net.deliver(1, old)
    assert next(observation).payload == b"first"
    place.net.deliver(1, place.hub.notify(token(place), b"new"))
    assert next(observation).payload == b"new"


def test_cancel():
    place, hub, observation = watching()
    datagram = place.hub.notify(token(place), b"late", coap.CON)
    observation.cancel()
    assert place.hub.watched == {}
    assert place.hub.served[-1].option(observe.OBSERVE) == b"\x01"
    place.net.deliver(1, datagram)
    assert list(observation) == []
    hub.listen(10)
    assert empties(place) == [(coap.RST, coap.decode(datagram).mid)]


def test_unknown_notifications_are_rejected():
    """Also those that are not confirmable, so that the hub stops sending them."""
    for kind in (coap.CON, coap.NON):
        place, hub, observation = watching()
        datagram = place.hub.notify(token(place), b"x", kind)
        stray = bytearray(datagram)
        stray[4] ^= 0x80
        place.net.deliver(1, bytes(stray))
        hub.listen(10)
        assert empties(place) == [(coap.RST, coap.decode(datagram).mid)]


def test_the_hub_is_away():
    """No error: it is tried again after pauses, and everything goes on when the hub is back."""
    place, hub, observation = watching()
    place.hub.restart()
    place.lose = lambda number, datagram: True
    start = place.net.clock.now
    deadline = start + 3_600_000
    carry = place.net.peer

    def peer(datagram):
        place.lose = lambda number, datagram: place.net.clock.now < deadline
        return carry(datagram)

    place.net.peer = peer
    assert next(observation).payload == b"first"
    assert deadline <= place.net.clock.now <= deadline + 420_000
    hellos = [at for at, datagram in place.net.sends if is_hello(datagram)]
    assert 10 < len(hellos) < 400  # four an attempt, pauses up to five minutes


def test_first_registration_without_a_hub():
    place = Place()
    hub = place.connect()
    place.lose = lambda number, datagram: True
    raises(HubSilent, hub.get, "a")
    assert list(hub.observe("cmd", 60_000)) == []


def test_long_notifications_are_fetched():
    """RFC 7959 section 2.6: the notification has the first block, a GET brings the others."""
    place, hub, observation = watching()
    body = bytes([i & 255 for i in range(600)])

    def answer(inner):
        block = int.from_bytes(inner.option(23) or b"", "big")
        start = (block >> 4) * 256
        more = start + 256 < len(body)
        options = [(23, coap.uint(block | more << 3)), (4, b"e")]
        return coap.Message(coap.CONTENT, options, body[start : start + 256])

    place.hub.answer = answer
    first = [(23, b"\x0c"), (4, b"e")]
    place.net.deliver(1, place.hub.notify(token(place), body[:256], options=first))
    response = next(observation)
    assert response.payload == body
    assert [each.option(observe.OBSERVE) for each in place.hub.served[-2:]] == [None, None]
