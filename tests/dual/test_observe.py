"""Observe under OSCORE: what is inside, what is outside, and the order of notifications."""

from dual.tools import raises

from skerry import coap, observe
from skerry.errors import BadTag, Replayed
from skerry.oscore import SecurityContext
from skerry.oscore_server import ServerContext

KEY = bytes(range(16))


def ends():
    client = SecurityContext(KEY, b"salt", b"\x01", b"")
    return client, ServerContext(KEY, b"salt", b"", b"\x01")


def register(client, value=b""):
    options = [(coap.URI_PATH, b"cmd"), (observe.OBSERVE, value)]
    return observe.protect_registration(client, coap.Message(coap.GET, options))


def notification(payload, value=b"\x05"):
    return coap.Message(coap.CONTENT, [(observe.OBSERVE, value)], payload)


def outer_of(outer):
    return coap.decode(coap.encode(outer))


def test_registration_shows_observe_outside_as_well():
    client, server = ends()
    outer, _ = register(client)
    assert outer.code == observe.FETCH
    assert outer.option(observe.OBSERVE) == b""
    inner, _ = server.unprotect_request(outer_of(outer))
    assert inner.code == coap.GET
    assert observe.requested(outer, inner) == 0


def test_cancel():
    client, server = ends()
    outer, _ = register(client, b"\x01")
    inner, _ = server.unprotect_request(outer)
    assert observe.requested(outer, inner) == 1


def test_a_proxy_that_removes_observe_cannot_undo_a_cancellation():
    client, server = ends()
    outer, _ = register(client, b"\x01")
    outer.options = [each for each in outer.options if each[0] != observe.OBSERVE]
    inner, _ = server.unprotect_request(outer)
    assert observe.requested(outer, inner) == 1


def test_the_inner_option_alone_makes_a_notification():
    client, server = ends()
    outer, binding = register(client)
    _, at_server = server.unprotect_request(outer)
    sent = observe.protect_notification(server, notification(b"a"), at_server, True)
    sent.options = [each for each in sent.options if each[0] != observe.OBSERVE]
    inner, _ = observe.unprotect_notification(client, sent, binding, -2)
    assert (inner.option(observe.OBSERVE), inner.payload) == (b"", b"a")


def test_a_proxy_that_removes_observe_makes_it_an_ordinary_request():
    client, server = ends()
    outer, _ = register(client)
    outer.options = [each for each in outer.options if each[0] != observe.OBSERVE]
    inner, _ = server.unprotect_request(outer)
    assert observe.requested(outer, inner) is None


def test_an_observe_that_somebody_added_means_nothing():
    client, server = ends()
    outer, _ = client.protect_request(coap.Message(coap.GET, [(coap.URI_PATH, b"cmd")]))
    outer.options.append((observe.OBSERVE, b""))
    inner, _ = server.unprotect_request(outer)
    assert observe.requested(outer, inner) is None


def test_notifications_in_order():
    client, server = ends()
    outer, binding = register(client)
    _, at_server = server.unprotect_request(outer)
    last = -2
    for count in range(4):
        sent = observe.protect_notification(
            server, notification(b"%d" % count), at_server, count > 0
        )
        assert sent.code == coap.CONTENT
        assert sent.option(observe.OBSERVE) == b"\x05"
        inner, last = observe.unprotect_notification(client, outer_of(sent), binding, last)
        assert inner.payload == b"%d" % count
        assert inner.option(observe.OBSERVE) == b""
        assert last == count - 1


def test_a_notification_counts_once_and_never_after_a_newer_one():
    client, server = ends()
    outer, binding = register(client)
    _, at_server = server.unprotect_request(outer)
    first = observe.protect_notification(server, notification(b"a"), at_server, False)
    second = observe.protect_notification(server, notification(b"b"), at_server, True)
    third = observe.protect_notification(server, notification(b"c"), at_server, True)
    _, last = observe.unprotect_notification(client, first, binding, -2)
    raises(Replayed, observe.unprotect_notification, client, first, binding, last)
    _, last = observe.unprotect_notification(client, third, binding, last)
    for old in (first, second, third):
        raises(Replayed, observe.unprotect_notification, client, old, binding, last)


def test_a_notification_of_another_observation_does_not_open():
    client, server = ends()
    one, binding = register(client)
    other, _ = register(client)
    server.unprotect_request(one)
    _, at_server = server.unprotect_request(other)
    sent = observe.protect_notification(server, notification(b"a"), at_server, True)
    raises(BadTag, observe.unprotect_notification, client, sent, binding, -2)
