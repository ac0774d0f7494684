"""Observe under OSCORE, and the values that the operator sets: over the real front and store."""

import asyncio
import hashlib

import aiocoap
from aiocoap import resource
from desk import DeskHub, empty, enrolled
from test_front import in_loop

from skerry import coap, observe
from skerry_hub import bounds, device_config

BLOCK2 = 23


class Blob(resource.ObservableResource):
    """A resource of a user's, of any size."""

    def __init__(self, payload=b""):
        super().__init__()
        self.payload = payload

    def change(self, payload):
        self.payload = payload
        self.updated_state()

    async def render_get(self, request):
        return aiocoap.Message(payload=self.payload)


async def begun(opened, name="d-1"):
    """A hub, and a device in a session."""
    hub, device = DeskHub(opened), enrolled(opened, name)
    await device.connect(hub)
    device.response(await hub.ask(device.request()))
    return hub, device


def put(opened, payload, path="led", name="d-1", format="text"):
    device_config.set_value(opened.store, opened.vault, name, path, format, payload)


@in_loop
async def test_values_of_each_device(opened):
    hub, device = await begun(opened)
    other = enrolled(opened, "d-2")
    await other.connect(hub)
    put(opened, b"red")
    put(opened, b'{"s": 60}', "send/interval", format="json")
    answer = device.response(await hub.ask(device.request(b"", coap.GET, "config/led")))
    assert (answer.code, answer.payload) == (coap.CONTENT, b"red")
    assert answer.option(coap.CONTENT_FORMAT) == b""
    answer = device.response(await hub.ask(device.request(b"", coap.GET, "config/send/interval")))
    assert (answer.payload, answer.option(coap.CONTENT_FORMAT)) == (b'{"s": 60}', b"\x32")
    answer = other.response(await hub.ask(other.request(b"", coap.GET, "config/led")))
    assert (answer.code, answer.payload) == (coap.CONTENT, b"")
    (stored,) = opened.store._db.execute("SELECT payload FROM config WHERE path = 'led'")
    assert b"red" not in stored[0]


@in_loop
async def test_notifications(opened):
    """Registered, told of each change in order, confirmable, with Partial IVs of their own."""
    hub, device = await begun(opened)
    put(opened, b"red")
    (first,) = await hub.ask(device.registration("config/led"))
    outer = coap.decode(first)
    assert (outer.type, outer.code) == (coap.ACK, coap.CONTENT)
    assert outer.option(observe.OBSERVE) is not None
    assert device.notification(first)[0].payload == b"red"
    mids = set()
    for number, colour in enumerate([b"green", b"blue", b""]):
        put(opened, colour or None)
        hub.configured.look()
        (told,) = await hub.sent()
        outer = coap.decode(told)
        assert (outer.type, outer.code, outer.token) == (coap.CON, coap.CONTENT, b"o")
        inner, partial_iv = device.notification(told)
        assert (inner.payload, partial_iv) == (colour, number)
        mids.add(outer.mid)
        assert await hub.ask(empty(coap.ACK, outer.mid)) == []
    assert len(mids) == 3
    put(opened, b"of another path", "other")
    hub.configured.look()
    assert await hub.sent() == []


@in_loop
async def test_without_an_outer_observe_it_is_an_ordinary_request(opened):
    hub, device = await begun(opened)
    for inside, outside in ((b"", None), (None, b"")):
        options = [(observe.OBSERVE, inside)] if inside is not None else []
        inner = coap.Message(
            coap.GET, [*coap.path_options("config/led"), *options], b"", coap.CON, 77, b"o"
        )
        outer, binding = device.session.oscore.protect_request(inner)
        if outside is not None:
            outer.options.append((observe.OBSERVE, outside))
        (answer,) = await hub.ask(coap.encode(outer))
        told = coap.decode(answer)
        assert (told.code, told.option(observe.OBSERVE)) == (coap.CHANGED, None)
        opened_ = device.session.oscore.unprotect_response(told, binding)
        assert opened_.option(observe.OBSERVE) is None
    put(opened, b"x")
    hub.configured.look()
    assert await hub.sent() == []


@in_loop
async def test_each_way_to_end_an_observation(opened):
    """Cancelled, reset, replaced by another session, revoked: then nothing is sent."""

    async def cancel(hub, device):
        answer = await hub.ask(device.registration("config/led", b"\x01"))
        assert coap.decode(answer[0]).option(observe.OBSERVE) is None

    async def reset(hub, device):
        put(opened, b"to be refused")
        hub.configured.look()
        (told,) = await hub.sent()
        await hub.ask(empty(coap.RST, coap.decode(told).mid))

    async def replace(hub, device):
        await device.connect(hub)
        device.response(await hub.ask(device.request()))

    async def drop(hub, device):
        hub.sessions.drop(opened.store.device("d-1").id)

    hub, device = await begun(opened)
    for end in (cancel, reset, replace, drop):
        await hub.ask(device.registration("config/led"))
        assert len(hub.configured._observers) == 1, end
        await end(hub, device)
        for _ in range(3):
            await asyncio.sleep(0)
        assert hub.configured._observers == {}, end
        put(opened, b"after " + end.__name__.encode())
        hub.configured.look()
        assert await hub.sent() == [], end


@in_loop
async def test_a_reset_from_elsewhere_ends_nothing(opened):
    hub, device = await begun(opened)
    await hub.ask(device.registration("config/led"))
    put(opened, b"x")
    hub.configured.look()
    (told,) = await hub.sent()
    await hub.ask(empty(coap.RST, coap.decode(told).mid), peer=66)
    assert len(hub.configured._observers) == 1


@in_loop
async def test_only_the_newest_value_waits_for_a_slow_device(opened):
    """RFC 7641 section 4.5.2: what was not sent yet is replaced."""
    hub, device = await begun(opened)
    await hub.ask(device.registration("config/led"))
    for number in range(200):
        put(opened, b"%d" % number)
        hub.configured.look()
        await asyncio.sleep(0)
    (told,) = await hub.sent()
    (live,) = hub.sessions.current()
    assert live.endpoint.messages.waiting == 1
    (newest,) = await hub.ask(empty(coap.ACK, coap.decode(told).mid))
    assert device.notification(newest)[0].payload == b"199"


@in_loop
async def test_a_retransmission_is_the_same_datagram(opened, monkeypatch):
    monkeypatch.setattr("aiocoap.numbers.constants.TransportTuning.ACK_TIMEOUT", 0.02)
    hub, device = await begun(opened)
    await hub.ask(device.registration("config/led"))
    put(opened, b"x")
    hub.configured.look()
    told = []
    while len(told) < 3:
        await asyncio.sleep(0.01)
        told += await hub.sent()
    assert len(set(told)) == 1
    device.notification(told[0])
    await hub.ask(empty(coap.ACK, coap.decode(told[0]).mid))
    await asyncio.sleep(0.2)
    assert await hub.sent() == []
    assert len(hub.configured._observers) == 1


@in_loop
async def test_a_device_that_is_gone_is_told_no_more(opened, monkeypatch):
    monkeypatch.setattr("aiocoap.numbers.constants.TransportTuning.ACK_TIMEOUT", 0.01)
    hub, device = await begun(opened)
    await hub.ask(device.registration("config/led"))
    put(opened, b"x")
    hub.configured.look()
    await asyncio.sleep(0.6)
    assert hub.configured._observers == {}
    assert len(await hub.sent()) == 5  # once, and four times again
    assert device.response(await hub.ask(device.request())).code == coap.CHANGED


@in_loop
async def test_observers_follow_their_address(opened):
    """NAT rebinding during Observe: the next request moves the notifications."""
    hub, device = await begun(opened)
    await hub.ask(device.registration("config/led"), peer=1)
    older = device.request()
    device.response(await hub.ask(device.request(), peer=2))
    (live,) = hub.sessions.current()
    assert live.path.peer == ("desk", 2)
    device.binding = None
    await hub.ask(older, peer=66)  # held up and sent by somebody else
    assert live.path.peer == ("desk", 2)
    put(opened, b"x")
    hub.configured.look()
    (told,) = await hub.sent()
    assert await hub.ask(empty(coap.ACK, coap.decode(told).mid), peer=2) == []
    assert live.endpoint.messages._active_exchanges == {}


@in_loop
async def test_observations_are_bounded(opened):
    """Those beyond the bound are answered once, as if Observe was not asked for."""
    hub, device = await begun(opened)
    granted = 0
    for number in range(bounds.OBSERVATIONS + 20):
        token = number.to_bytes(2, "big")
        (answer,) = await hub.ask(device.registration(f"config/{number}", b"", token))
        granted += coap.decode(answer).option(observe.OBSERVE) is not None
    assert granted == bounds.OBSERVATIONS == len(hub.configured._observers)
    (live,) = hub.sessions.current()
    assert len(live.endpoint.tokens.incoming_requests) == bounds.OBSERVATIONS


@in_loop
async def test_notifications_of_several_blocks(opened):
    """The first block is told, the others are fetched; two versions are never mixed."""
    hub, device = await begun(opened)
    hub.site.add_resource(["blob"], blob := Blob(bytes(range(250)) * 10))
    size = (BLOCK2, b"\x02")  # 64 bytes
    (answer,) = await hub.ask(device.registration("blob", b"", b"o", size))
    for version in (1, 2):
        head = device.notification(answer)[0]
        body = head.payload
        tag, block = head.option(4), head.option(BLOCK2)
        assert len(body) == 64
        while block[-1] & 8:
            number = len(body) // 64
            option = (BLOCK2, coap.uint(number << 4 | 2))
            inner = coap.Message(
                coap.GET, [*coap.path_options("blob"), option], b"", coap.CON, number, b"b"
            )
            outer, binding = device.session.oscore.protect_request(inner)
            (answer,) = await hub.ask(coap.encode(outer))
            part = device.session.oscore.unprotect_response(coap.decode(answer), binding)
            assert (part.code, part.option(4)) == (coap.CONTENT, tag)
            assert part.option(observe.OBSERVE) is None
            body += part.payload
            block = part.option(BLOCK2)
        assert hashlib.sha256(body).digest()[:8] == tag
        assert body == blob.payload
        if version == 1:
            blob.change(b"another " * 100)
            (answer,) = await hub.sent()
