"""What one device can make the hub keep, and that others cost a lookup nothing."""

import asyncio
import gc
from collections import Counter

import aiocoap
from aiocoap import resource
from desk import DeskHub, empty, enrolled
from test_front import in_loop

from skerry import coap
from skerry_hub import bounds, device_config, sessions
from skerry_hub.oscore_bytes import Context, HubSession
from skerry_hub.sessions import Live, open_any

BLOCK1, BLOCK2 = 27, 23
BUSY = 0xA3  # 5.03


class Slow(resource.Resource):
    """Answers when it is let."""

    def __init__(self):
        super().__init__()
        self.gate = asyncio.Event()

    async def render_get(self, request):
        await self.gate.wait()
        return aiocoap.Message(payload=b"done")


class Big(resource.Resource):
    async def render_get(self, request):
        return aiocoap.Message(payload=bytes(5000))

    async def render_put(self, request):
        return aiocoap.Message()


async def begun(opened, name="d-1"):
    hub, device = DeskHub(opened), enrolled(opened, name)
    await device.connect(hub)
    device.response(await hub.ask(device.request()))
    return hub, device


async def ask(hub, device, code, path, *options, payload=b"", token=b"b"):
    device.mid += 1
    options = [*coap.path_options(path), *options]
    inner = coap.Message(code, options, payload, coap.CON, device.mid, token)
    outer, binding = device.session.oscore.protect_request(inner)
    answers = [coap.decode(each) for each in await hub.ask(coap.encode(outer))]
    for answer in answers:
        if answer.code and answer.token == token:
            return device.session.oscore.unprotect_response(answer, binding)
    return None


@in_loop
async def test_ten_thousand_idle_sessions(opened, monkeypatch):
    """A request is tried under one session, whoever else has one; two only by chance."""
    hub, device = await begun(opened)
    for number in range(10_000):
        secret = number.to_bytes(32, "big")
        live = Live(1000 + number, f"x-{number}", b"pid", (0, 0), HubSession(secret, 0))
        hub.sessions.offer(live, secret, b"message 2")
        hub.sessions.promote(live)
    assert len(hub.sessions) == 10_001
    tried = []

    def counted(real):
        return lambda *arguments: tried.append(1) or real(*arguments)

    monkeypatch.setattr(Live, "open", counted(Live.open))
    monkeypatch.setattr(Context, "open_bytes", counted(Context.open_bytes))
    for _ in range(50):
        assert device.response(await hub.ask(device.request())).code == coap.CHANGED
    with_the_same_kid = len(hub.sessions.find(device.session.oscore.sender_id))
    assert 50 <= len(tried) <= 50 * with_the_same_kid
    assert with_the_same_kid <= 3
    assert hub.sessions.of("d-1").name == "d-1"
    for busy in ([], ["d-1"]):  # readings cost no part of aiocoap, nor do the others
        used = [each for each in hub.sessions.current() if each.endpoint is not None]
        assert [each.name for each in used] == busy
        device.response(await hub.ask(device.request(b"", path="weak")))


@in_loop
async def test_requests_at_a_time_are_bounded(opened):
    hub, device = await begun(opened)
    hub.site.add_resource(["slow"], slow := Slow())
    codes = Counter()
    for number in range(200):
        answer = await ask(hub, device, coap.GET, "slow", token=number.to_bytes(2, "big"))
        codes[answer and answer.code] += 1
    (live,) = hub.sessions.current()
    limit = bounds.REQUESTS + bounds.OBSERVATIONS + bounds.ASKED
    assert codes == {None: limit, BUSY: 200 - limit}
    assert len(live.endpoint.tokens.incoming_requests) == limit
    await asyncio.sleep(0.15)  # until each is acknowledged without an answer
    await hub.sent()
    slow.gate.set()
    await asyncio.sleep(0.05)
    assert len(await hub.sent()) == 1  # the rest waits: one is out at a time
    assert live.endpoint.messages.waiting == limit - 1
    slow.gate.clear()
    assert await ask(hub, device, coap.GET, "slow") is None
    assert (await ask(hub, device, coap.GET, "slow", token=b"c")).code == BUSY
    hub.sessions.drop(live.device)
    assert await hub.sent() == []


@in_loop
async def test_transfers_are_bounded(opened):
    """Neither bodies that are never finished nor those that are kept for their next block."""
    hub, device = await begun(opened)
    hub.site.add_resource(["big"], Big())
    codes = Counter()
    for number in range(50):
        query = (15, b"%d" % number)
        block = (BLOCK1, coap.uint(0 << 4 | 8 | 6))
        answer = await ask(hub, device, coap.PUT, "big", query, block, payload=bytes(1024))
        codes[answer.code] += 1
    assert codes == {0x5F: bounds.TRANSFERS, BUSY: 50 - bounds.TRANSFERS}
    (live,) = hub.sessions.current()
    await device.connect(hub)  # no way around it
    device.response(await hub.ask(device.request()))
    block = (BLOCK1, coap.uint(0 << 4 | 8 | 6))
    assert (await ask(hub, device, coap.PUT, "big", block, payload=bytes(1024))).code == BUSY
    (live,) = hub.sessions.current()
    for each in live.transfers._open:  # three minutes later
        live.transfers._open[each] = (-1000.0, 0)
    assert (await ask(hub, device, coap.PUT, "big", block, payload=bytes(1024))).code == 0x5F


@in_loop
async def test_long_responses_are_bounded(opened):
    """The last few are kept for their other blocks; an older one has to be asked for again."""
    hub, device = await begun(opened)
    hub.site.add_resource(["big"], Big())
    for number in range(50):
        answer = await ask(hub, device, coap.GET, "big", (15, b"%d" % number))
        assert (answer.code, len(answer.payload)) == (coap.CONTENT, 512)
    (live,) = hub.sessions.current()
    assert len(live.endpoint.messages._long) == bounds.LONG_RESPONSES
    next_block = (BLOCK2, coap.uint(1 << 4 | 6))
    answer = await ask(hub, device, coap.GET, "big", (15, b"49"), next_block)
    assert (answer.code, len(answer.payload)) == (coap.CONTENT, 1024)
    assert (await ask(hub, device, coap.GET, "big", (15, b"0"), next_block)).code == 0x88
    beyond = (BLOCK2, coap.uint(9 << 4 | 6))
    assert (await ask(hub, device, coap.GET, "big", (15, b"49"), beyond)).code == 0x80


@in_loop
async def test_a_block_out_of_order(opened):
    """4.08 for a gap, a repetition and a beginning that never was; the right one goes on."""
    hub, device = await begun(opened)
    hub.site.add_resource(["big"], Big())

    async def put(number, more=8):
        option = (BLOCK1, coap.uint(number << 4 | more | 0))
        return (await ask(hub, device, coap.PUT, "big", option, payload=bytes(16))).code

    assert await put(1) == 0x88
    assert await put(0) == 0x5F
    assert await put(2) == 0x88
    assert await put(1) == 0x5F
    assert await put(1) == 0x88
    assert await put(2, 0) == coap.CHANGED


KEPT = {"Live", "Exchange", "Endpoint", "Remote", "Pipe", "Task", "ServerObservation", "Messages",
        "Tokens", "_Asked", "HubSession"}  # fmt: skip


def kept():
    gc.collect()
    return [each for each in gc.get_objects() if type(each).__name__ in KEPT]


@in_loop
async def test_what_is_kept_after_a_long_run(opened):
    """Sessions come and go with observations, transfers, requests both ways: nothing adds up."""
    of_other_tests = kept()  # held, so that no other object gets their ids
    others = {id(each) for each in of_other_tests}
    hub, device = await begun(opened)
    hub.site.add_resource(["big"], Big())

    async def life(number):
        await device.connect(hub)
        device.response(await hub.ask(device.request()))
        for token in (b"o1", b"o2"):
            await hub.ask(device.registration("config/led", b"", token))
        device_config.set_value(opened.store, opened.vault, "d-1", "led", "text", b"%d" % number)
        hub.configured.look()
        told = await hub.sent()
        while told:
            told = await hub.ask(empty(coap.ACK, coap.decode(told[0]).mid))
        asked = aiocoap.Message(code=aiocoap.POST, uri_path=["x"])
        asking = asyncio.ensure_future(hub.devices.request("d-1", asked))
        block = (BLOCK1, coap.uint(8 | 6))
        await ask(hub, device, coap.PUT, "big", block, payload=bytes(1024))
        for _ in range(20):
            device.response(await hub.ask(device.request()))
        if number % 2:
            asking.cancel()
        asking.add_done_callback(lambda done: done.cancelled() or done.exception())

    counts = []
    for number in range(60):
        await life(number)
        if number in (19, 59):
            await asyncio.sleep(0.15)  # acknowledgements that aiocoap holds back so long
            counts.append(
                Counter(type(each).__name__ for each in kept() if id(each) not in others)
            )
    print(counts)
    first, last = counts
    assert last["HubSession"] == 1  # no key of a former session is left
    for name, number in last.items():
        assert number <= first[name] + 2, name
    bridge = hub.front._bridge
    assert len(bridge._asked) <= 1
    assert len(bridge._awaited) <= 1
    assert len(hub.configured._observers) == 1
    assert len(hub.sessions._by_kid) == 1


@in_loop
async def test_live_sessions_keep_no_request_but_the_last(opened):
    hub, device = await begun(opened)
    for _ in range(100):
        device.response(await hub.ask(device.request()))
        device.response(await hub.ask(device.request(b"", path="weak")))
    (live,) = hub.sessions.current()
    assert len(live.recent) == sessions.RECENT_REQUESTS
    assert live.endpoint.messages._recent_messages == {}
    assert live.endpoint.tokens.incoming_requests == {}
    assert open_any([live], coap.decode(device.request())) is not None
