"""Sessions that go on after a sleep or a power cut, and those that must not."""

from chip import Rtc
from fake_hub import FOLDER
from flash import Flash, raises
from nor import Nor
from place import Place, is_hello, works

from skerry import coap
from skerry_device import client, keeping
from skerry_device.errors import NotProvisioned
from skerry_device.flash_session import FlashSession
from skerry_device.logslots import LogStore
from skerry_device.rtc import RtcMemory
from skerry_device.store import ChainStore


class Node:
    """A place whose device keeps its session in `memory()`, made anew at each start."""

    def __init__(self, memory):
        self.place = Place()
        self.memory = memory

    def connect(self):
        return keeping.connect(
            FOLDER, link=self.place.net, ack_timeout_ms=1000, memory=self.memory()
        )


def rtc():
    chip = Rtc()
    return Node(lambda: RtcMemory(chip))


def flash():
    vault = Flash()
    return Node(lambda: FlashSession(ChainStore(vault), 10))


def hellos(node):
    return len([1 for _, datagram in node.place.net.sends if is_hello(datagram)])


def test_a_session_goes_on_after_sleep():
    node = rtc()
    hub = node.connect()
    works(node.place, hub)
    first = hub.fingerprint
    for wake in range(2, 6):
        hub.keep(600_000)
        assert node.place.net.closed
        hub = node.connect()
        assert (hub.fingerprint, hub.confirmed, hub.era, hub.step) == (first, True, 0, 0)
        works(node.place, hub)
        assert hub.session.oscore.sequence == wake
    assert hellos(node) == 1


def test_what_was_read_back_is_not_there_again():
    node = rtc()
    hub = node.connect()
    works(node.place, hub)
    hub.keep()
    works(node.place, node.connect())
    works(node.place, node.connect())  # a reset: no `keep` before
    assert hellos(node) == 2


def test_an_unconfirmed_session_is_not_kept():
    node = rtc()
    node.connect().keep()
    works(node.place, node.connect())
    assert hellos(node) == 2


def test_a_session_that_the_hub_forgot():
    node = rtc()
    hub = node.connect()
    works(node.place, hub)
    hub.keep()
    node.place.hub.restart()
    hub = node.connect()
    works(node.place, hub)
    assert hellos(node) == 2
    hub.keep()
    works(node.place, node.connect())
    assert hellos(node) == 2


def test_age_counts_the_sleep():
    """After a day of wakes the session is replaced; the time is not known after a sleep."""
    node = rtc()
    hub = node.connect()
    works(node.place, hub)
    for _ in range(5):
        hub.keep(6 * 3_600_000)
        hub = node.connect()
        assert hub.time() is None
        node.place.net.clock.now += 70_000
        works(node.place, hub)
    assert hellos(node) == 2


def test_the_replay_window_sleeps_too():
    node = rtc()
    hub = node.connect()
    works(node.place, hub)
    served = []
    hub.serve("led", lambda request: served.append(1))
    datagram, _ = node.place.hub.ask(coap.GET, "led")
    node.place.net.deliver(1, datagram)
    hub.listen(10)
    hub.keep()
    hub = node.connect()
    hub.serve("led", lambda request: served.append(1))
    for each in (datagram, node.place.hub.ask(coap.GET, "led")[0]):
        node.place.net.deliver(1, each)
        hub.listen(10)
    assert len(served) == 2
    assert hellos(node) == 1


def test_power_cuts_with_a_session_in_flash():
    """Numbers are reserved before they are used: each cut skips the rest of the reserve."""
    node = flash()
    hub = node.connect()
    works(node.place, hub)
    first = hub.fingerprint
    for wake in range(1, 5):
        hub = node.connect()
        assert hub.fingerprint == first
        assert hub.session.oscore.sequence == 1 + 10 * wake
        works(node.place, hub)
    assert hellos(node) == 1


def test_requests_after_a_power_cut():
    """Decision 0007: without its window a session answers nothing; the next one does."""
    node = flash()
    hub = node.connect()
    works(node.place, hub)
    hub = node.connect()
    hub.serve("led", lambda request: "on")
    node.place.net.deliver(1, node.place.hub.ask(coap.GET, "led")[0])
    hub.listen(3000)
    assert hellos(node) == 2
    sent = len(node.place.net.sends)
    node.place.net.deliver(1, node.place.hub.ask(coap.GET, "led")[0])
    hub.listen(100)
    assert len(node.place.net.sends) == sent + 1
    works(node.place, hub)


def test_a_chain_that_has_moved_on():
    """Another handshake came after what was kept: the session is not taken."""
    node = rtc()
    hub = node.connect()
    works(node.place, hub)
    hub.keep()
    works(node.place, node.place.connect())
    works(node.place, node.connect())
    assert hellos(node) == 3


def test_a_factory_reset_forgets_the_session():
    for made in (rtc, flash):
        node = made()
        hub = node.connect()
        works(node.place, hub)
        hub.factory_reset()
        assert node.memory().take() == b""
        raises(NotProvisioned, node.connect)


def test_failures_are_counted_on():
    node = rtc()
    hub = node.connect()
    works(node.place, hub)
    hub.failures = 77
    hub.keep()
    assert node.connect().failures == 77


def test_the_chain_on_raw_flash():
    """A LogStore in place of a medium."""
    place = Place()
    nor = Nor()
    for step in range(3):
        store = LogStore(nor, source=place.flash)
        hub = client.connect(FOLDER, link=place.net, medium=store)
        works_without_files(place, hub)
        assert hub.step == step
    assert hub.status()["records"] == 3


def works_without_files(place, hub):
    assert hub.post("readings", b"x").ok
    assert hub.fingerprint == place.hub.last.fingerprint
