"""Pokes: what they lead to, how often, and what they cannot do."""

import os

from flash import raises
from place import Place, is_hello, stored, works

from skerry import coap, poke
from skerry.chain import Chain
from skerry_device.errors import HubSilent


def poked():
    """Return (place, hub) of a session that works."""
    place = Place()
    hub = place.connect()
    works(place, hub)
    return place, hub


def loads(place):
    """Count how often the chain is read from flash."""
    counted = []
    read = place.flash.read

    def counting(slot):
        counted.append(slot)
        return read(slot)

    place.flash.read = counting
    return counted


def test_a_poke_leads_to_a_handshake():
    place, hub = poked()
    first = hub.fingerprint
    place.net.deliver(1, place.hub.poke())
    hub.listen(2000)
    assert hub.fingerprint != first
    assert hub.fingerprint == place.hub.last.fingerprint
    assert hub.confirmed
    assert place.hub.pending is None
    assert (hub.era, hub.step) == (0, 1)
    assert [each for each in place.net.messages() if each.type == coap.RST] == []


def test_during_traffic_no_message_is_lost():
    """A poke overtakes the answer: that request is done, and the next one is in a new session."""
    place, hub = poked()
    carry = place.net.peer
    datagram = place.hub.poke()
    place.net.peer = lambda sent: [(1, datagram)] + [(9, each) for _, each in carry(sent)]
    served = len(place.hub.served)
    assert hub.post("readings", b"a").ok
    assert hub.step == 0
    place.net.peer = carry
    assert hub.post("readings", b"b").ok
    assert hub.step == 1
    assert [each.payload for each in place.hub.served[served:]] == [b"a", b"b"]


def test_once_a_minute():
    place, hub = poked()
    handshakes = []
    for _ in range(120):
        place.net.deliver(1, place.hub.poke())
        before = hub.fingerprint
        hub.listen(1000)
        if hub.fingerprint != before:
            handshakes.append(place.net.clock.now)
    assert 2 <= len(handshakes) <= 3
    assert all(b - a >= 60_000 for a, b in zip(handshakes, handshakes[1:]))


def test_once_an_epoch():
    """A recorded poke is void after the handshake that it asked for."""
    place, hub = poked()
    recorded = place.hub.poke()
    place.net.deliver(1, recorded)
    hub.listen(2000)
    assert hub.step == 1
    for _ in range(200):
        place.net.deliver(1, recorded)
        hub.listen(1000)
    assert hub.step == 1


def test_junk_costs_one_look_a_second():
    place, hub = poked()
    counted = loads(place)
    head = coap.encode(coap.Message(coap.POST, coap.path_options("k"), b"\x30", coap.NON, 7))
    for i in range(500):
        place.net.deliver(i * 20, head + os.urandom(8))
    hub.listen(10_500)
    assert hub.step == 0
    assert 0 < len(counted) <= 11 * 3  # a load reads both slots, and looks for what to wipe
    assert place.flash.writes == [1, 0]


def test_flash_is_not_read_for_other_messages():
    place, hub = poked()
    counted = loads(place)
    for path, code in (("readings", coap.POST), ("k", coap.GET), ("k", coap.PUT)):
        message = coap.Message(code, coap.path_options(path), bytes(9), coap.NON, 9)
        place.net.deliver(1, coap.encode(message))
        hub.listen(2000)
    assert counted == []


def test_pokes_of_other_epochs_and_devices():
    place, hub = poked()
    others = [place.hub.chain.next_step(), place.hub.chain.next_era()]
    others.append(Chain(0, 1, bytes(32), bytes(32)))
    for chain in others:
        place.net.deliver(1, place.hub.poke(chain))
        hub.listen(2000)
    suite = coap.path_options("k")
    wrong = poke.encode(1, place.hub.chain)
    place.net.deliver(1, coap.encode(coap.Message(coap.POST, suite, wrong, coap.NON, 1)))
    hub.listen(2000)
    assert hub.step == 0


def test_it_is_never_answered():
    for kind in (coap.NON, coap.CON):
        place, hub = poked()
        datagram = bytearray(place.hub.poke(place.hub.chain.next_step()))
        datagram[0] = datagram[0] & 0xCF | kind << 4
        sent = len(place.net.sends)
        place.net.deliver(1, bytes(datagram))
        hub.listen(2000)
        answers = place.net.messages()[sent:]
        assert [each.type for each in answers] == ([coap.RST] if kind == coap.CON else [])


def test_the_session_goes_on_if_the_handshake_fails():
    place, hub = poked()
    first = hub.fingerprint
    place.lose = lambda number, datagram: is_hello(datagram)
    place.net.deliver(1, place.hub.poke())
    hub.listen(20_000)
    works(place, hub)
    assert hub.fingerprint == first
    hellos = [at for at, datagram in place.net.sends if is_hello(datagram)]
    assert len(hellos) == 1 + 4  # not again within a minute
    place.lose = lambda number, datagram: False
    hub.listen(70_000)
    assert hub.fingerprint != first
    works(place, hub)


def test_without_a_session():
    """A poke to a device whose session is gone: the next request makes a new one anyway."""
    place, hub = poked()
    place.lose = lambda number, datagram: True
    hub.session = None
    raises(HubSilent, hub.get, "readings")
    place.lose = lambda number, datagram: False
    place.net.deliver(1, place.hub.poke())
    works(place, hub)
    assert stored(place.flash) == (0, 2)
