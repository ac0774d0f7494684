"""Sessions are replaced by age, by count and by failures, and never lost by that."""

from flash import raises
from place import Place, is_hello, works

from skerry import coap
from skerry_device import fresh, later

DAY = 86_400_000


def aged(ms):
    """Return (place, hub) whose session is `ms` old."""
    place = Place()
    hub = place.connect()
    works(place, hub)
    place.net.clock.now += ms
    return place, hub


def test_by_age():
    place, hub = aged(DAY - 1000)
    works(place, hub)
    assert hub.step == 0
    place.net.clock.now += 1000
    works(place, hub)
    assert hub.step == 1


def test_by_age_whatever_ticks_say():
    """Ticks wrap after days: what they show of a very old session may be anything."""
    place, hub = aged(0)
    period = place.net.clock.period
    for passed in (period // 2 - 1, period // 2 + 5, period - 10, period, period + 70_000):
        works(place, hub)
        step = hub.step
        place.net.clock.now += passed
        if passed % period < 60_000:
            place.net.clock.now += 70_000
        works(place, hub)
        assert hub.step == step + 1, passed


def test_a_clock_that_is_set():
    """It costs a handshake, and only one."""
    for jump in (-500_000, 1_700_000_000):
        place, hub = aged(100_000)
        place.net.clock.offset += jump
        works(place, hub)
        assert hub.step == 1
        place.net.clock.now += 100_000
        works(place, hub)
        assert hub.step == 1


def test_by_messages():
    place, hub = aged(100_000)
    hub.session.oscore.sequence = fresh.MESSAGES - 1
    works(place, hub)
    assert hub.step == 0
    works(place, hub)
    assert hub.step == 1
    assert hub.session.oscore.sequence == 1


def test_answers_to_the_hub_count_as_messages():
    """They are sealed with the same key."""
    place, hub = aged(0)
    hub.serve("led", lambda request: None)
    for _ in range(3):
        place.net.deliver(1, place.hub.ask(coap.GET, "led")[0])
        hub.listen(10)
    hub.session.oscore.sequence = fresh.MESSAGES - 3
    place.net.clock.now += 100_000
    works(place, hub)
    assert hub.step == 1


def test_at_the_very_last_partial_iv():
    """T4: it never wraps; a new session starts at 0."""
    place, hub = aged(0)
    hub.session.oscore.sequence = (1 << 40) - 1
    place.net.clock.now += 100_000
    works(place, hub)
    assert hub.step == 1


def test_by_failures():
    place, hub = aged(100_000)
    hub.failures = fresh.FAILURES - 1
    works(place, hub)
    assert hub.step == 0
    hub.failures += 1
    works(place, hub)
    assert hub.step == 1
    assert hub.failures == 0


def test_forged_answers_count():
    place, hub = aged(0)

    def carry(datagram):
        ((delay, answer),) = place.carry(datagram)
        return [(1, answer[:-1] + bytes((answer[-1] ^ 1,)))] * 20 + [(9, answer)]

    place.net.peer = carry
    works(place, hub)
    assert hub.failures == 20


def test_the_session_goes_on_while_the_hub_answers_no_handshake():
    """Tried once a minute, and no request is lost."""
    place, hub = aged(DAY)
    place.lose = lambda number, datagram: is_hello(datagram)
    sent = len(place.net.sends)
    start = place.net.clock.now
    for _ in range(30):
        works(place, hub)
        place.net.clock.now += 10_000
    assert hub.step == 0
    hellos = [at for at, datagram in place.net.sends[sent:] if is_hello(datagram)]
    assert len(hellos) <= 4 * (1 + (place.net.clock.now - start) // 65_536)
    place.lose = lambda number, datagram: False
    place.net.clock.now += 66_000
    works(place, hub)
    assert hub.fingerprint == place.hub.last.fingerprint


def test_a_young_session_is_not_looked_at():
    """What decides is not even loaded in the first minute."""
    place, hub = aged(60_000)
    hub.due = None
    works(place, hub)


def test_no_room_to_look():
    """Then the session serves on, and is looked at again with the next request."""
    place, hub = aged(DAY)
    asked = []

    def no_room(*arguments):
        asked.append(arguments[0])
        raise MemoryError

    later.__import__ = no_room  # in the place of the builtin
    try:
        works(place, hub)
        works(place, hub)
        assert hub.step == 0
        assert asked == ["skerry_device.fresh"] * 2
        raises(MemoryError, lambda: hub.flush)
    finally:
        del later.__import__
    works(place, hub)
    assert hub.step == 1
