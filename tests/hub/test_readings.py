"""The hot path gives the answers of the resource that it stands for, and never others."""

import random

import pytest
from aiocoap import resource
from desk import DeskHub, enrolled
from test_front import in_loop

from skerry import coap
from skerry_hub import readings
from skerry_hub.errors import ConfigError

JSON = (coap.CONTENT_FORMAT, b"\x32")
READINGS = (coap.URI_PATH, b"readings")

ASKED = {
    "post": (coap.POST, [READINGS], b"21"),
    "put": (coap.PUT, [READINGS], b"22"),
    "post of nothing": (coap.POST, [READINGS], b""),
    "post of JSON": (coap.POST, [READINGS, JSON], b"{}"),
    "format 0": (coap.POST, [READINGS, (coap.CONTENT_FORMAT, b"")], b"text"),
    "format of two bytes": (coap.POST, [READINGS, (coap.CONTENT_FORMAT, b"\x2b\x67")], b"x"),
    "format and nothing": (coap.POST, [READINGS, JSON], b""),
    "the longest": (coap.POST, [READINGS], bytes(readings.MAX_READING)),
    "get": (coap.GET, [READINGS], b""),
    # From here on they need more than the hot path has.
    "too long": (coap.POST, [READINGS], bytes(readings.MAX_READING + 1)),
    "format of three bytes": (coap.POST, [READINGS, (coap.CONTENT_FORMAT, b"\1\0\0")], b"x"),
    "two formats": (coap.POST, [READINGS, JSON, JSON], b"x"),
    "delete": (4, [READINGS], b""),
    "fetch": (5, [READINGS], b"x"),
    "get with payload": (coap.GET, [READINGS], b"x"),
    "get with accept": (coap.GET, [READINGS, (17, b"\x32")], b""),
    "get in blocks": (coap.GET, [READINGS, (23, b"\x02")], b""),
    "with a query": (coap.POST, [READINGS, (15, b"a=b")], b"x"),
    "with a critical option": (coap.POST, [READINGS, (2049, b"")], b"x"),
    "with a host": (coap.POST, [(coap.URI_HOST, b"hub"), READINGS], b"x"),
    "below": (coap.POST, [READINGS, (coap.URI_PATH, b"x")], b"x"),
    "with a slash": (coap.POST, [READINGS, (coap.URI_PATH, b"")], b"x"),
    "another": (coap.POST, [(coap.URI_PATH, b"reading5")], b"x"),
    "nothing": (coap.GET, [], b""),
}
QUICK = list(ASKED)[:9]


def asked(device, name, kind):
    code, options, payload = ASKED[name]
    device.mid += 1
    inner = coap.Message(code, options, payload, kind, device.mid, b"tok")
    outer, device.binding = device.session.oscore.protect_request(inner)
    return coap.encode(outer)


async def answers(opened, number, kind, names):
    """What a device gets for requests, one after the other, and what is stored of them."""
    hub, device = DeskHub(opened), enrolled(opened, f"d-{number}")
    await device.connect(hub)
    got = []
    for name in names:
        answered = await hub.ask(asked(device, name, kind))
        told = device.response(answered) if answered else None
        got.append(told and (told.type, told.code, sorted(told.options), told.payload, told.token))
    own = opened.store.readings_after(0, opened.store.device(f"d-{number}").id)
    return got, [(each.path, each.format, each.payload) for each in own]


@pytest.mark.parametrize("kind", [coap.CON, coap.NON])
@in_loop
async def test_the_same_as_the_resource(opened, monkeypatch, kind):
    """First request or later one, and whatever was stored before."""
    source = random.Random(kind)
    for number in range(6):
        names = source.sample(list(ASKED), len(ASKED))
        quick = await answers(opened, 2 * number, kind, names)
        with monkeypatch.context() as patch:
            patch.setattr(readings, "request", lambda *each: None)
            usual = await answers(opened, 2 * number + 1, kind, names)
        for name, one, other in zip(names, quick[0], usual[0], strict=True):
            assert one == other, name
        assert quick[1] == usual[1]


@pytest.mark.parametrize("name", ASKED)
@in_loop
async def test_which_ones_are_quick(opened, name):
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    taken = readings.request(asked(device, name, coap.CON), hub.sessions)
    assert (taken is not None) == (name in QUICK)


@in_loop
async def test_a_request_is_verified_and_nothing_changes(opened):
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    datagram = asked(device, "post of JSON", coap.CON)
    for _ in range(2):
        taken = readings.request(datagram, hub.sessions)
        assert (taken.code, taken.format, taken.payload) == (coap.POST, 50, b"{}")
    for at in range(len(datagram)):
        for bit in range(8):
            changed = bytearray(datagram)
            changed[at] ^= 1 << bit
            again = readings.request(bytes(changed), hub.sessions)
            if at in (2, 3) or 4 <= at < 7 or (at, bit) == (0, 4):  # message id, token, CON or NON
                assert again is not None
            else:
                assert again is None, (at, bit)
    assert not taken.live.confirmed
    assert not taken.live.recent
    for length in range(len(datagram)):
        assert readings.request(datagram[:length], hub.sessions) is None


@in_loop
async def test_two_sessions_with_one_kid(opened, monkeypatch):
    from skerry import schedule

    real = schedule.oscore_secrets
    monkeypatch.setattr(schedule, "oscore_secrets", lambda secret: (*real(secret)[:2], b"kid"))
    hub, devices = DeskHub(opened), [enrolled(opened, f"d-{i}") for i in range(3)]
    for device in devices:
        await device.connect(hub)
    for number, device in enumerate(devices):
        taken = readings.request(asked(device, "post", coap.CON), hub.sessions)
        assert taken.live.name == f"d-{number}"


@in_loop
async def test_nobody_else_serves_this_path(opened):
    """The front would answer before the other resource is asked."""
    hub = DeskHub(opened)
    with pytest.raises(ConfigError, match="readings is the hub's own"):
        hub.site.add_resource(["readings"], resource.Resource())
    hub.site.add_resource(["readings", "of", "yesterday"], resource.Resource())
