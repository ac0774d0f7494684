"""A provisioned device, its hub and the network between them."""

from air import Network
from fake_hub import FOLDER, FakeHub, provision

from skerry import coap, record
from skerry.chain import Chain
from skerry_device import client


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
