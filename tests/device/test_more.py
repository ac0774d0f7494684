"""Keys for other protocols, the time, the status, and a board that becomes nobody's."""

import os

from fake_hub import FOLDER
from flash import raises
from place import Place, works

from skerry import coap, further, record
from skerry_device.errors import HubSilent, NotProvisioned, StoreFailed

T = 1_700_000_000


def test_delete():
    place = Place()
    hub = place.connect()
    assert hub.delete("a/b").ok
    assert place.hub.served[-1].code == 4


def test_names_that_do_not_exist():
    hub = Place().connect()
    assert "nothing" in str(raises(AttributeError, lambda: hub.nothing))
    assert not hasattr(hub, "server")


def test_exported_keys():
    """As the hub exports them; others for other labels, contexts and sessions."""
    place = Place()
    hub = place.connect()
    works(place, hub)

    def hubs(label, context, length):
        return further.exported(place.hub.last.secret, label, context, length)

    key = hub.export_key("mqtt")
    assert len(key) == 32
    assert key == hub.export_key(b"mqtt") == hubs(b"mqtt", b"", 32)
    assert hub.export_key("mqtt", b"c", 100) == hubs(b"mqtt", b"c", 100)
    assert len({key, hub.export_key("wifi"), hub.export_key("mqtt", b"x")}) == 3
    hub.rekey()
    assert hub.export_key("mqtt") != key
    assert hub.export_key("mqtt") == hubs(b"mqtt", b"", 32)
    for label, length in (("", 32), ("a" * 256, 32), ("a", 0), ("a", 8161)):
        raises(ValueError, hub.export_key, label, b"", length)


def test_a_key_is_exported_from_a_confirmed_session_only():
    """Else the hub might never hold it: a request comes before."""
    place = Place()
    hub = place.connect()
    assert place.hub.pending is not None
    key = hub.export_key("mqtt")
    assert place.hub.pending is None
    assert key == further.exported(place.hub.last.secret, b"mqtt", b"", 32)
    place = Place()
    hub = place.connect()
    place.lose = lambda number, datagram: True
    raises(HubSilent, hub.export_key, "mqtt")


def test_rekey():
    """The old session is over at the hub when it returns."""
    place = Place()
    hub = place.connect()
    works(place, hub)
    first = hub.fingerprint
    hub.rekey()
    assert hub.fingerprint == place.hub.last.fingerprint != first
    assert place.hub.pending is None
    assert (hub.era, hub.step) == (0, 1)


def test_rekey_without_a_hub():
    """The session before goes on."""
    place = Place()
    hub = place.connect()
    works(place, hub)
    first = hub.fingerprint
    place.lose = lambda number, datagram: True
    raises(HubSilent, hub.rekey)
    place.lose = lambda number, datagram: False
    works(place, hub)
    assert hub.fingerprint == first


def test_time():
    """It lies between T and T plus what passed since message 1; later, the clock's drift counts."""
    place = Place()
    place.lose = lambda number, datagram: number == 0
    hub = place.connect()  # message 1 went out 2 s before it was answered
    assert hub.time() == (T, T + 3)  # 2.002 s, rounded up
    place.net.clock.now += 10_000
    assert hub.time() == (T + 9, T + 13)
    place.net.clock.now += 86_400_000
    earliest, latest = hub.time()
    assert earliest <= T + 86_410 <= latest
    assert 150 <= latest - earliest <= 180


def test_window_of_a_message():
    """Between the request and the response, whatever passes before somebody asks."""
    place = Place()
    hub = place.connect()
    place.net.clock.now += 100_000
    carry = place.net.peer
    place.net.peer = lambda datagram: [(3000, each) for _, each in carry(datagram)]
    response = hub.get("readings")
    place.net.clock.now += 50_000
    earliest, latest = hub.window(response)
    assert earliest == T + 99
    assert latest == T + 104


def test_no_time():
    """The hub does not know it, or this board's clock jumped ahead of its ticks."""
    place = Place()
    place.hub.time = 0
    hub = place.connect()
    assert hub.time() is None
    assert hub.window(hub.get("readings")) is None
    place = Place()
    hub = place.connect()
    place.net.clock.offset += 100
    assert hub.time() is None
    hub.rekey()
    assert hub.time() is not None


def test_time_after_days_without_a_word():
    """Ticks have wrapped, whatever they show: rather None than a wrong time."""
    period = Place().net.clock.period
    for passed in (period // 2 + 10, period - 10, period + 10, period + 1000):
        place = Place()
        hub = place.connect()
        place.net.clock.now += passed
        assert hub.time() is None


def test_a_clock_that_went_back_does_not_matter():
    place = Place()
    hub = place.connect()
    place.net.clock.offset -= 1_000_000
    assert hub.time() == (T, T)


def test_status():
    place = Place()
    hub = place.connect()
    assert hub.status() == {
        "device": "d-1",
        "hub": "h-1",
        "suite": 0,
        "epoch": "0.0",
        "fingerprint": hub.fingerprint,
        "confirmed": False,
        "age": 0,
        "requests": 0,
        "failures": 0,
        "records": 2,
        "randomness": "no fault seen",
        "sent": 31,
        "received": 28,
        "waiting": 0,
        "dropped": 0,
    }
    works(place, hub)
    place.net.clock.now += 5000
    status = hub.status()
    assert (status["confirmed"], status["age"], status["requests"]) == (True, 5, 1)
    hub.session = None
    assert hub.status()["fingerprint"] is None


def secrets(place, hub):
    """Return everything that may not be shown."""
    found = [place.hub.chain.chain_key, hub.session.secret]
    for part in found + list(place.flash.slots):
        for start in range(0, len(part) - 7, 8):
            found.append(part[start : start + 8])
    return [each for each in found if any(each)]


def test_nothing_secret_is_shown():
    place = Place()
    hub = place.connect()
    works(place, hub)
    shown = repr(hub) + repr(hub.status()) + repr(hub.session) + repr(hub.session.oscore)
    for error in (raises(ValueError, hub.export_key, ""), raises(AttributeError, lambda: hub.x)):
        shown += repr(error)
    for each in secrets(place, hub):
        assert repr(each)[2:-1] not in shown
        assert each.hex() not in shown


def test_factory_reset():
    place = Place()
    hub = place.connect()
    works(place, hub)
    removed = []

    class Os:
        def remove(self, path):
            removed.append(path)

    from skerry_device import more

    more.os = Os()
    try:
        hub.factory_reset()
    finally:
        more.os = os
    assert removed == [FOLDER + "skerry.json"]
    assert place.flash.slots == [bytes(record.LENGTH)] * 2
    assert hub.session is None
    assert place.net.closed
    assert "provision" in str(raises(NotProvisioned, place.connect))


def test_factory_reset_of_flash_that_keeps():
    place = Place()
    hub = place.connect()
    place.flash.keeps = lambda data: b"\1" * len(data)
    assert "replace" in str(raises(StoreFailed, hub.factory_reset))
    assert hub.session is None


def test_medium_and_bundle_of_the_board():
    """In place of files: nothing is opened."""
    from fake_hub import place_text

    from skerry_device import client, store

    place = Place()
    place_text(None)
    store.FileSlots = None
    bundle = {"device": "d-1", "hub": "h-1", "suite": 0, "address": ["192.0.2.1", 5683]}
    hub = client.connect(link=place.net, medium=place.flash, bundle=bundle)
    works(place, hub)
    for key in bundle:
        damaged = {name: each for name, each in bundle.items() if name != key}
        raises(NotProvisioned, client.connect, medium=place.flash, bundle=damaged)


def test_confirming_request():
    """What confirms a session for its own sake asks for nothing."""
    place = Place()
    hub = place.connect()
    hub.export_key("x")
    (inner,) = place.hub.served
    assert (inner.code, inner.options, inner.payload) == (coap.GET, [], b"")
