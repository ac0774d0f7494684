"""Requests in a session: methods, losses, lies, and a hub that restarts."""

import json

from flash import raises
from place import Place, is_hello, works

from skerry import coap
from skerry.coap_server import uri_path
from skerry_device.errors import HubSilent


def test_methods_and_payloads():
    place = Place()
    hub = place.connect()
    cases = (
        (hub.post, {"a": [1]}, None, json.dumps({"a": [1]}).encode(), b"\x32"),
        (hub.post, [1], 110, b"[1]", b"\x6e"),
        (hub.put, "grün", None, "grün".encode(), b""),
        (hub.put, b"\0\1", 42, b"\0\1", b"\x2a"),
        (hub.post, b"", None, b"", None),
    )
    for method, payload, number, sent, option in cases:
        assert method("a/b", payload, number).code == coap.CHANGED
        inner = place.hub.served[-1]
        assert (inner.code, uri_path(inner)) == (
            coap.PUT if method == hub.put else coap.POST,
            "a/b",
        )
        assert inner.payload == sent
        assert inner.option(coap.CONTENT_FORMAT) == option
    place.hub.answer = lambda inner: coap.Message(coap.CONTENT, [], b'{"x": "1"}')
    response = hub.get("readings")
    assert place.hub.served[-1].code == coap.GET
    assert response.ok
    assert response.text() == '{"x": "1"}'
    assert response.json() == {"x": "1"}
    place.hub.answer = lambda inner: coap.Message(0x84, [])
    response = hub.get("nowhere")
    assert not response.ok
    assert (response.code, response.payload) == (0x84, b"")


def test_lost_request_and_lost_answer():
    """A retransmission is the same datagram."""
    place = Place()
    hub = place.connect()
    place.lose = lambda number, datagram: number == 1
    works(place, hub)
    assert place.net.sends[1][1] == place.net.sends[2][1]
    assert len(place.net.sends) == 3


def test_hub_restarted():
    """4.01 in the clear leads to a new session, in which the request is sent again."""
    place = Place()
    hub = place.connect()
    works(place, hub)
    first = hub.fingerprint
    place.hub.restart()
    works(place, hub)
    assert hub.fingerprint != first
    assert (hub.era, hub.step) == (0, 1)
    assert place.elapsed() == 0


def hint(request, token=None, mid=0, kind=coap.ACK):
    """Return an unprotected 4.01."""
    token = request.token if token is None else token
    return coap.encode(coap.Message(coap.UNAUTHORIZED, [], b"", kind, request.mid ^ mid, token))


def test_hint_while_the_hub_is_away():
    """Anybody can send 4.01: a confirmed session survives if no handshake succeeds."""
    place = Place()
    hub = place.connect()
    works(place, hub)
    place.net.peer = lambda datagram: (
        [] if is_hello(datagram) else [(5, hint(coap.decode(datagram)))]
    )
    raises(HubSilent, hub.get, "readings")
    place.net.peer = place.carry
    fingerprint = hub.fingerprint
    works(place, hub)
    assert hub.fingerprint == fingerprint


def test_hint_that_does_not_match():
    place = Place()
    hub = place.connect()
    for change in ({"token": b"\1\2"}, {"mid": 1}, {"kind": coap.NON}):

        def carry(datagram, change=change):
            return [(1, hint(coap.decode(datagram), **change)), (9, place.carry(datagram)[0][1])]

        place.net.peer = carry
        works(place, hub)
    assert place.hub.answered == 1


def test_no_second_request_before_confirmation():
    """A first request without an answer ends its session for good."""
    place = Place()
    hub = place.connect()
    place.lose = lambda number, datagram: True
    raises(HubSilent, hub.post, "readings", b"1")
    place.lose = lambda number, datagram: False
    sent = len(place.net.sends)
    works(place, hub)
    assert is_hello(place.net.sends[sent][1])
    assert hub.step == 1


def test_silence_after_confirmation():
    """The request goes out again in a new session, protected anew."""
    place = Place()
    hub = place.connect()
    works(place, hub)
    first = hub.fingerprint
    place.lose = lambda number, datagram: not is_hello(datagram) and hub.fingerprint == first
    works(place, hub)
    assert hub.fingerprint != first
    requests = {datagram for _, datagram in place.net.sends if not is_hello(datagram)}
    assert len(requests) == 3


def test_answers_that_do_not_verify():
    """Shortened and flipped answers are passed over; the true one still counts."""
    place = Place()
    hub = place.connect()
    place.hub.answer = lambda inner: coap.Message(coap.CONTENT, [(12, b"")], b"abcdef")
    for phase in range(8):

        def carry(datagram, phase=phase):
            ((_, answer),) = place.hub.receive(datagram)
            answers = [(100, answer), (1, answer[:-1])]
            for at in range(5, len(answer)):
                changed = bytearray(answer)
                changed[at] ^= 1 << phase
                answers.append((10, bytes(changed)))
            return answers

        place.net.peer = carry
        assert hub.get("readings").payload == b"abcdef"
    assert len(place.net.sends) == 9
