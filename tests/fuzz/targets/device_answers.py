"""Whatever arrives at a device: HubSilent, or the hub's own session and its own answers."""

import fuzz.ticks  # noqa: F401 - before skerry_device
from place import Place

from skerry import coap, record
from skerry.coap_server import uri_path
from skerry_device.errors import HubSilent

ANSWER = b"21 C"


class Script:
    """Answers to each datagram of the device, read from the fuzzer's bytes until these end."""

    def __init__(self, data, place):
        self.data, self.at, self.place = data, 0, place
        place.hub.answer = lambda inner: coap.Message(coap.CONTENT, [(12, b"")], ANSWER)

    def take(self, length):
        found = self.data[self.at : self.at + length]
        self.at += length
        return found

    def number(self):
        return (self.take(1) or b"\0")[0]

    def carry(self, datagram):
        request = coap.decode(datagram)
        if request.code == coap.EMPTY:
            return []
        true = [each for _, each in self.place.hub.receive(datagram)]
        answers = []
        for _ in range(self.number() & 7):
            answers += self.one(request, true)
        return answers if self.at < len(self.data) else [(900, each) for each in true] + answers

    def one(self, request, true):
        kind, delay = self.number(), self.number() * 4
        if kind & 7 == 0:
            return [(delay, self.take(self.number()))]
        if kind & 7 == 1 and true:
            return [(delay, true[0])]
        if kind & 7 == 2 and true:
            changed = bytearray(true[0])
            changed[self.number() % len(changed)] ^= self.number() or 1
            return [(delay, bytes(changed))]
        if kind & 7 == 3 and true:
            return [(delay, true[0][: self.number()])]
        mid = request.mid if kind & 8 else self.number()
        token = request.token if kind & 16 else self.take(kind >> 5)
        head = bytes((0x40 | (kind >> 1 & 3) << 4 | len(token), self.number()))
        return [(delay, head + mid.to_bytes(2, "big") + token + self.take(self.number()))]


def check(data):
    place = Place()
    script = Script(data, place)
    place.net.peer = script.carry
    try:
        device = place.connect(timeout_ms=2000)
        assert device.fingerprint == place.hub.last.fingerprint
        response = device.get("readings")
        assert (response.code, response.payload) == (coap.CONTENT, ANSWER)
    except HubSilent:
        pass
    assert all(uri_path(each) == "readings" and not each.payload for each in place.hub.served)
    held = [each for each in map(record.unpack, place.flash.slots) if each]
    assert len(held) == 1
    assert len(place.flash.writes) <= 2 * place.hub.answered
    attempts = {each.payload for each in place.net.messages() if _is_message_1(each)}
    assert len({each[7:15] for each in attempts}) == len(attempts)


def _is_message_1(message):
    return message.code == coap.POST and message.option(coap.OSCORE) is None
