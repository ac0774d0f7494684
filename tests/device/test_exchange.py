"""CoAP's message layer against a scripted network."""

from air import Network

from skerry import coap
from skerry.coap_server import uri_path
from skerry_device.client import Hub
from skerry_device.exchange import Exchange

JUNK = (
    b"",
    b"\x40",
    b"\xff" * 30,
    b"\x44\x44\x00\x01\x01",
    b"\x49\x44\0\0" + bytes(9),
    b"\x41\0\0\0\1",
)


def message(kind, code, mid, token=b"", payload=b""):
    return coap.encode(coap.Message(code, [], payload, kind, mid, token))


class Nobody(Hub):
    """A Hub without a session, for whom nothing is that comes unasked."""

    def __init__(self, link, wdt=None):
        self.link = link
        self.wdt = wdt
        self.exchange = Exchange(link, self)

    def unasked(self, message):
        return False


def run(peer, kind=coap.CON, timeout_ms=1000, transmissions=5, wanted=1):
    """Make one request; return the network and the payloads that came, at most `wanted`."""
    net = Network(peer)
    return net, ask(Nobody(net), kind, timeout_ms, transmissions, wanted)


def ask(hub, kind=coap.CON, timeout_ms=1000, transmissions=5, wanted=1):
    request = coap.Message(coap.GET, coap.path_options("a"), b"", kind)
    found = []

    def accept(answer):
        found.append(answer.payload)
        return found if len(found) == wanted else None

    result = hub.run(hub.exchange.ask(request, timeout_ms, transmissions, accept))
    assert result is (found if len(found) == wanted else None)
    return found


def once(*answers):
    """A peer that answers the first datagram: functions of it -> (delay, datagram)."""
    left = list(answers)

    def peer(datagram):
        request = coap.decode(datagram)
        now, left[:] = left[:], []
        return [each(request) for each in now]

    return peer


def piggybacked(payload=b"yes", delay=10, mid=0, token=0):
    def answer(request):
        changed = bytes((request.token[0] ^ token,))
        return delay, message(coap.ACK, coap.CONTENT, request.mid ^ mid, changed, payload)

    return answer


def separate(kind, delay, mid=0x4242, payload=b"yes"):
    return lambda request: (delay, message(kind, coap.CONTENT, mid, request.token, payload))


def empty(kind, delay=10, mid=0):
    return lambda request: (delay, message(kind, coap.EMPTY, request.mid ^ mid))


def is_empty(sent, kind, mid):
    return (sent.type, sent.code, sent.mid, sent.token) == (kind, coap.EMPTY, mid, b"")


def test_answer_in_the_acknowledgement():
    net, found = run(once(piggybacked()))
    assert found == [b"yes"]
    (sent,) = net.messages()
    assert (sent.type, sent.code, uri_path(sent), len(sent.token)) == (coap.CON, coap.GET, "a", 1)


def test_retransmissions():
    """Section 4.2: the same bytes, 1 + 4 times, after 1, 2, 4 and 8 timeouts of 1 to 1.5 s."""
    for _ in range(10):
        net, found = run(lambda datagram: [])
        assert found == []
        assert len({datagram for _, datagram in net.sends}) == 1
        times = [at for at, _ in net.sends]
        first = times[1]
        assert 1000 <= first <= 1500
        assert times == [0, first, 3 * first, 7 * first, 15 * first]
        assert net.clock.now - net.start == 31 * first


def test_transmissions_without_confirmation():
    """Each has its own message id and the same token; they are equally far apart."""
    net, found = run(lambda datagram: [], coap.NON, 700, 3)
    assert found == []
    assert [at for at, _ in net.sends] == [0, 700, 1400]
    assert net.clock.now - net.start == 2100
    sent = net.messages()
    assert len({each.mid for each in sent}) == 3
    assert len({each.token for each in sent}) == 1
    assert len({datagram[4:] for _, datagram in net.sends}) == 1


def test_late_answer_to_an_earlier_transmission():
    net, found = run(once(separate(coap.NON, 1500)), coap.NON, 700, 3)
    assert found == [b"yes"]
    assert len(net.sends) == 3


def test_ids_are_fresh_and_wrap():
    net = Network(lambda datagram: [])
    hub = Nobody(net)
    hub.exchange.mid = 0xFFFE
    for _ in range(4):
        ask(hub, coap.NON, 10, 1)
    sent = net.messages()
    assert [each.mid for each in sent] == [0xFFFF, 0, 1, 2]
    assert len({each.token for each in sent}) == 4


def test_starts_at_random():
    assert len({Exchange(None, None).mid for _ in range(8)}) > 4


def test_separate_response():
    """An empty ACK ends the retransmission; a confirmable response is acknowledged."""
    for kind in (coap.CON, coap.NON):
        net, found = run(once(empty(coap.ACK), separate(kind, 9000)))
        assert found == [b"yes"]
        sent = net.messages()
        assert len(sent) == (2 if kind == coap.CON else 1)
        if kind == coap.CON:
            assert is_empty(sent[1], coap.ACK, 0x4242)


def test_separate_response_without_its_ack():
    net, found = run(once(separate(coap.CON, 10)))
    assert found == [b"yes"]
    assert is_empty(net.messages()[1], coap.ACK, 0x4242)


def test_wait_after_an_empty_ack_ends():
    net, found = run(once(empty(coap.ACK)))
    assert found == []
    assert len(net.sends) == 1
    assert net.clock.now - net.start >= 31_000


def test_duplicate_of_a_response():
    """It is acknowledged again, also in the next exchange, which it does not answer."""
    net = Network(once(separate(coap.CON, 10), separate(coap.CON, 20), separate(coap.CON, 30)))
    hub = Nobody(net)
    assert ask(hub, wanted=2) == [b"yes", b"yes"]
    net.peer = once(piggybacked(b"next", 500))
    assert ask(hub) == [b"next"]
    kinds = [(each.type, each.mid) for each in net.messages() if each.code == coap.EMPTY]
    assert kinds == [(coap.ACK, 0x4242)] * 3


def test_reset_ends_it():
    net, found = run(once(empty(coap.RST), piggybacked(delay=20)))
    assert found == []
    assert len(net.sends) == 1
    assert net.clock.now - net.start == 10


def test_reset_of_something_else():
    net, found = run(once(empty(coap.RST, mid=1), empty(coap.ACK, mid=1), piggybacked(delay=1600)))
    assert found == [b"yes"]
    assert len(net.sends) == 2


def test_a_reset_does_not_end_what_is_not_confirmable():
    peer = once(empty(coap.RST), empty(coap.ACK), separate(coap.NON, 20))
    assert run(peer, coap.NON)[1] == [b"yes"]


def test_other_token_or_id():
    peer = once(piggybacked(b"token", 1, token=1), piggybacked(b"id", 2, mid=1))
    assert run(peer, wanted=9)[1] == []


def test_candidates_have_no_limit():
    """What does not verify for the caller is followed by what does."""
    junk = [separate(coap.NON, each + 1, each, b"%d" % each) for each in range(60)]
    junk.append(piggybacked(delay=99))
    _, found = run(once(*junk), wanted=61)
    assert len(found) == 61
    assert found[-1] == b"yes"


def test_junk():
    for kind in (coap.CON, coap.NON):
        answers = [lambda request, each=each: (5, each) for each in JUNK]
        answers.append(separate(coap.NON, 50))
        net, found = run(once(*answers), kind)
        assert found == [b"yes"]
        assert len(net.sends) == 1


def test_requests_and_pings_are_rejected():
    for code, token in ((coap.EMPTY, b""), (coap.GET, b"\1"), (coap.CONTENT, b"\1\2")):
        for kind in (coap.CON, coap.NON):
            if code == coap.EMPTY and kind == coap.NON:
                continue
            foreign = message(kind, code, 0x1234, token)
            net, found = run(once(lambda request, foreign=foreign: (5, foreign), piggybacked()))
            assert found == [b"yes"]
            sent = net.messages()[1:]
            assert len(sent) == (kind == coap.CON)
            assert not sent or is_empty(sent[0], coap.RST, 0x1234)


def test_request_with_our_token_is_no_answer():
    own = lambda request: (5, message(coap.NON, coap.GET, 9, request.token))  # noqa: E731
    assert run(once(own, piggybacked()))[1] == [b"yes"]


class Watchdog:
    def __init__(self, clock):
        self.clock = clock
        self.fed = clock.now

    def feed(self):
        assert self.clock.now - self.fed <= 500
        self.fed = self.clock.now


def test_watchdog():
    net = Network(once(empty(coap.ACK)))
    dog = Watchdog(net.clock)
    assert ask(Nobody(net, dog)) == []
    assert dog.fed == net.clock.now
    assert net.longest == 500


def test_a_flood_does_not_stop_the_clock():
    """A datagram every millisecond: the exchange still ends in time."""
    net = Network(lambda datagram: [])
    receive = net.receive

    def flooded(timeout_ms):
        receive(1)
        return b"\x50\x45\0\0"

    net.receive = flooded
    assert ask(Nobody(net), coap.NON, 50, 2) == []
    assert net.clock.now - net.start == 100
