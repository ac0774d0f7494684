"""The hub asks devices: protected, matched, in one session or the next, bounded."""

import asyncio

import aiocoap
import pytest
from aiocoap import error
from desk import DeskHub, empty, enrolled
from test_front import in_loop

from skerry import coap, observe, poke
from skerry.coap_server import uri_path
from skerry_hub import bounds
from skerry_hub.devices import _remote
from skerry_hub.errors import DeviceBusy, DeviceError, DeviceSilent, NoAddress, UnknownDevice

URI_HOST = 3
BLOCK1, BLOCK2 = 27, 23


async def begun(opened, name="d-1"):
    hub, device = DeskHub(opened), enrolled(opened, name)
    await device.connect(hub)
    device.response(await hub.ask(device.request()))
    return hub, device


def message(code=aiocoap.GET, path="temp", payload=b""):
    return aiocoap.Message(code=code, uri_path=path.split("/"), payload=payload)


def started(hub, *arguments, **options):
    return asyncio.ensure_future(hub.devices.request("d-1", *arguments, **options))


def assert_nothing_is_kept(hub):
    """After the last request, nothing of it is left anywhere."""
    bridge = hub.front._bridge
    assert bridge._asked == {}
    assert hub.devices._waiting == {}
    for live in hub.sessions.current():
        if live.endpoint is not None:
            assert live.endpoint.tokens.outgoing_requests == {}
            assert live.endpoint.messages._active_exchanges == {}
            assert live.endpoint.messages._backlogs == {}


@in_loop
async def test_request_and_response(opened):
    hub, device = await begun(opened)
    for number in range(3):
        asking = started(hub, message(aiocoap.POST, "led", b"on"))
        (datagram,) = await hub.sent()
        outer = coap.decode(datagram)
        assert (outer.type, outer.code) == (coap.CON, coap.POST)
        assert b"led" not in datagram
        request, binding = device.asked(datagram)
        assert (request.code, uri_path(request), request.payload) == (coap.POST, "led", b"on")
        answer = device.answer(request, binding, b"%d" % number, coap.CHANGED)
        assert await hub.ask(answer) == []
        answer = await asking
        assert (answer.code, answer.payload) == (aiocoap.CHANGED, b"%d" % number)
    assert_nothing_is_kept(hub)


@in_loop
async def test_the_devices_name_is_not_on_the_air(opened):
    hub, device = await begun(opened)
    asking = asyncio.ensure_future(
        hub.front._bridge.context.request(
            aiocoap.Message(code=aiocoap.GET, uri="coap://d-1/temp?unit=c")
        ).response
    )
    (datagram,) = await hub.sent()
    assert b"d-1" not in datagram
    request, binding = device.asked(datagram)
    assert (uri_path(request), request.option(15)) == ("temp", b"unit=c")
    assert request.option(URI_HOST) is None
    await hub.ask(device.answer(request, binding, b"20"))
    assert (await asking).payload == b"20"
    assert_nothing_is_kept(hub)


@in_loop
async def test_separate_response(opened):
    """The device acknowledges first and answers later, confirmably."""
    hub, device = await begun(opened)
    asking = started(hub, message())
    (datagram,) = await hub.sent()
    request, binding = device.asked(datagram)
    assert await hub.ask(empty(coap.ACK, request.mid)) == []
    request.mid = 7000
    answer = device.answer(request, binding, b"20", type=coap.CON)
    (told,) = await hub.ask(answer)
    assert told == empty(coap.ACK, 7000)
    assert (await asking).payload == b"20"
    (told,) = await hub.ask(answer)  # its acknowledgement was lost; nobody waits any more
    assert told == empty(coap.RST, 7000)


@in_loop
async def test_responses_that_are_none(opened):
    """Forged, of another request, with another token, unprotected: the right one still counts."""
    hub, device = await begun(opened)
    former = started(hub, message())
    (datagram,) = await hub.sent()
    request, binding = device.asked(datagram)
    old = device.answer(request, binding, b"old")
    await hub.ask(old)
    assert (await former).payload == b"old"
    asking = started(hub, message())
    (datagram,) = await hub.sent()
    request, binding = device.asked(datagram)
    right = device.answer(request, binding, b"new")
    outer = coap.decode(old)
    outer.mid, outer.token = request.mid, request.token
    forged = [coap.encode(outer)]
    for at in range(4 + len(request.token), len(right)):
        forged.append(right[:at] + bytes((right[at] ^ 1,)) + right[at + 1 :])
    plain = coap.Message(coap.CONTENT, [], b"plain", coap.ACK, request.mid, request.token)
    refused = coap.Message(coap.UNAUTHORIZED, [], b"", coap.ACK, request.mid, request.token)
    for each in forged:
        assert await hub.ask(each) == []
    assert await hub.ask(coap.encode(plain)) == []
    assert await hub.ask(coap.encode(refused), peer=66) == []
    assert not asking.done()
    outer = coap.decode(forged[0])
    outer.type = coap.CON
    assert await hub.ask(coap.encode(outer)) == [empty(coap.ACK, outer.mid)]  # RFC 8613, 8.4
    assert not asking.done()
    assert await hub.ask(right) == []
    assert (await asking).payload == b"new"
    assert await hub.ask(right) == []  # a duplicate
    assert_nothing_is_kept(hub)


@in_loop
async def test_a_retransmission_is_the_same_datagram(opened, monkeypatch):
    monkeypatch.setattr("aiocoap.numbers.constants.TransportTuning.ACK_TIMEOUT", 0.02)
    hub, device = await begun(opened)
    asking = started(hub, message())
    sent = []
    while len(sent) < 4:
        await asyncio.sleep(0.01)
        sent += await hub.sent()
    assert len(set(sent)) == 1
    request, binding = device.asked(sent[0])
    await hub.ask(device.answer(request, binding, b"20"))
    assert (await asking).payload == b"20"
    await asyncio.sleep(0.3)
    assert await hub.sent() == []
    assert_nothing_is_kept(hub)


@in_loop
async def test_a_device_that_does_not_answer(opened):
    """The request ends in time, what was out is not repeated, and the next one is sent at once."""
    hub, device = await begun(opened)
    with pytest.raises(DeviceSilent, match="d-1 does not answer"):
        await hub.devices.request("d-1", message(), 0.05)
    await hub.sent()
    assert_nothing_is_kept(hub)
    asking = started(hub, message())
    (datagram,) = await hub.sent()
    request, binding = device.asked(datagram)
    await hub.ask(device.answer(request, binding))
    await asking


@in_loop
async def test_no_nonce_twice_among_requests_notifications_and_responses(opened):
    """All that the hub sends by itself takes its Partial IV from one sender context."""
    hub, device = await begun(opened)
    used = []
    await hub.ask(device.registration("config/led"))
    for number in range(5):
        opened.store.set_config(1, "led", None, opened.vault.seal(b"config led", b"d-1", b"x"))
        hub.configured.look()
        (told,) = await hub.sent()
        used.append(device.notification(told)[1])
        await hub.ask(empty(coap.ACK, coap.decode(told).mid))
        asking = started(hub, message())
        (datagram,) = await hub.sent()
        request, binding = device.asked(datagram)
        used.append(int.from_bytes(binding.partial_iv, "big"))
        device.response(await hub.ask(device.request()))
        await hub.ask(device.answer(request, binding, b"%d" % number))
        await asking
    assert used == list(range(10))


@in_loop
async def test_blocks_in_both_directions(opened):
    """1,000 bytes to the device, 3,000 back, in blocks of the size that the device likes."""
    hub, device = await begun(opened)
    sent, back = bytes(range(200)) * 5, b"answer" * 500
    asking = started(hub, message(aiocoap.PUT, "image", sent))
    (datagram,) = await hub.sent(20)
    got, block, more = b"", 0, 8
    while more:
        request, binding = device.asked(datagram)
        assert len(request.payload) <= 256
        got += request.payload
        more = int.from_bytes(request.option(BLOCK1), "big") & 8
        if more:
            options = [(BLOCK1, request.option(BLOCK1))]
            (datagram,) = await hub.ask(device.answer(request, binding, b"", 0x5F, options))
    assert got == sent
    while True:
        part = back[block * 64 : block * 64 + 64]
        more = len(back) > block * 64 + 64
        options = [(BLOCK2, coap.uint(block << 4 | more << 3 | 2))]
        if block == 0:
            options.append((BLOCK1, request.option(BLOCK1)))
        answers = await hub.ask(device.answer(request, binding, part, coap.CHANGED, options))
        if not more:
            break
        request, binding = device.asked(answers[0])
        block = int.from_bytes(request.option(BLOCK2), "big") >> 4
    answer = await asking
    assert (answer.code, answer.payload) == (aiocoap.CHANGED, back)
    assert_nothing_is_kept(hub)


@in_loop
async def test_a_device_that_takes_one_block_for_the_whole(opened):
    hub, device = await begun(opened)
    asking = started(hub, message(aiocoap.PUT, "image", bytes(300)))
    (datagram,) = await hub.sent(20)
    request, binding = device.asked(datagram)
    await hub.ask(device.answer(request, binding, b"", coap.CHANGED))
    with pytest.raises(error.NetworkError, match="at most 256 bytes"):
        await asking
    assert_nothing_is_kept(hub)


@pytest.mark.parametrize(
    ("block", "text"),
    [(b"\x0c", "do not fit"), (b"\x3c", None), (b"\xff\xff\xfe", "too long")],
)
@in_loop
async def test_blocks_of_a_device_that_make_no_sense(opened, block, text):
    """16 bytes that are not, a beginning that is none, and a response without an end."""
    hub, device = await begun(opened)
    asking = started(hub, message())
    (datagram,) = await hub.sent(20)
    request, binding = device.asked(datagram)
    await hub.ask(device.answer(request, binding, b"x" * 8, options=[(BLOCK2, block)]))
    with pytest.raises((DeviceError, error.Error), match=text):
        await asking
    assert_nothing_is_kept(hub)


@in_loop
async def test_the_hub_observes_a_device(opened):
    hub, device = await begun(opened)
    asked = message()
    asked.opt.observe = 0
    live = await hub.devices.session("d-1")
    asked.remote = _remote(live)
    requesting = hub.front._bridge.context.request(asked)
    (datagram,) = await hub.sent(20)
    request, binding = device.asked(datagram)
    context = device.session.oscore
    seen = []

    async def follow():
        async for each in requesting.observation:
            seen.append(each.payload)

    def notify(number, kind, mid, own):
        inner = coap.Message(
            coap.CONTENT, [(observe.OBSERVE, b"")], b"%d" % number, kind, mid, request.token
        )
        return coap.encode(observe.protect_notification(context, inner, binding, own))

    await hub.ask(notify(0, coap.ACK, request.mid, False))
    assert (await requesting.response).payload == b"0"
    following = asyncio.ensure_future(follow())
    await asyncio.sleep(0)
    late = notify(1, coap.CON, 500, True)
    for number in (2, 3):
        (told,) = await hub.ask(notify(number, coap.CON, 500 + number, True))
        assert told == empty(coap.ACK, 500 + number)
    assert await hub.ask(late) == [empty(coap.ACK, 500)]  # overtaken
    await hub.sent(20)
    assert seen[-1] == b"3"
    assert b"1" not in seen
    hub.sessions.drop(1)
    with pytest.raises(error.NetworkError):
        await following
    assert_nothing_is_kept(hub)


@in_loop
async def test_requests_are_bounded(opened):
    hub, device = await begun(opened)
    asking = [started(hub, message()) for _ in range(bounds.ASKED + 5)]
    (datagram,) = await hub.sent(30)  # one at a time (NSTART)
    refused = [each for each in asking if each.done()]
    assert len(refused) == 5
    for each in refused:
        with pytest.raises(DeviceBusy, match="wait for d-1"):
            each.result()
    for _ in range(bounds.ASKED):
        request, binding = device.asked(datagram)
        answers = await hub.ask(device.answer(request, binding))
        datagram = answers[0] if answers else None
    assert datagram is None
    for each in asking:
        if each not in refused:
            assert (await each).code == aiocoap.CONTENT
    assert_nothing_is_kept(hub)


@in_loop
async def test_without_a_session_the_device_is_poked(opened):
    hub, device = await begun(opened)
    hub.sessions.drop(1)
    asking = started(hub, message())
    (datagram,) = await hub.sent()
    told = coap.decode(datagram)
    assert (told.type, told.code, uri_path(told)) == (coap.NON, coap.POST, "k")
    assert poke.accepted(0, device.chain, told.payload)
    await device.connect(hub)
    answers = await hub.ask(device.request()) + await hub.sent(20)
    (datagram,) = [each for each in answers if coap.decode(each).type == coap.CON]
    request, binding = device.asked(datagram)
    await hub.ask(device.answer(request, binding, b"20"))
    assert (await asking).payload == b"20"
    assert_nothing_is_kept(hub)


@in_loop
async def test_clear_errors(opened):
    hub = DeskHub(opened)
    enrolled(opened, "d-1")
    with pytest.raises(UnknownDevice, match="skerry list"):
        await hub.devices.request("d-9", message())
    with pytest.raises(NoAddress, match="connect once"):
        await hub.devices.request("d-1", message())
    opened.store.revoke("d-1")
    with pytest.raises(DeviceError, match="d-1 is revoked"):
        await hub.devices.request("d-1", message())
    assert_nothing_is_kept(hub)


@pytest.mark.parametrize("how", ["replaced", "reset", "refused"])
@in_loop
async def test_a_session_that_ends_in_between(opened, how):
    """What is idempotent is sent again in the next session; what is not tells its caller."""
    hub, device = await begun(opened)
    asking = [started(hub, message(aiocoap.GET)), started(hub, message(aiocoap.POST))]
    (datagram,) = await hub.sent(20)
    outer = coap.decode(datagram)
    if how == "reset":
        answers = await hub.ask(empty(coap.RST, outer.mid))
        (second,) = [each for each in answers if coap.decode(each).type == coap.CON]
        await hub.ask(empty(coap.RST, coap.decode(second).mid))
    elif how == "refused":
        for _ in range(2):
            hint = coap.Message(coap.UNAUTHORIZED, [], b"", coap.ACK, outer.mid, outer.token)
            answers = await hub.ask(coap.encode(hint))
            confirmable = [each for each in answers if coap.decode(each).type == coap.CON]
            outer = coap.decode(confirmable[0]) if confirmable else outer
    await device.connect(hub)
    answers = await hub.ask(device.request())
    answers += await hub.sent(20)
    again = [each for each in answers if coap.decode(each).type == coap.CON]
    request, binding = device.asked(again[0])
    assert request.code == coap.GET
    await hub.ask(device.answer(request, binding, b"20"))
    assert (await asking[0]).payload == b"20"
    with pytest.raises(error.NetworkError):
        await asking[1]
    assert_nothing_is_kept(hub)


@in_loop
async def test_revoked_while_it_is_asked(opened):
    hub, device = await begun(opened)
    asking = started(hub, message())
    (datagram,) = await hub.sent()
    opened.store.revoke("d-1")
    hub.sessions.drop(1)
    with pytest.raises(DeviceError, match="d-1 is revoked"):
        await asking
    request, binding = device.asked(datagram)
    assert await hub.ask(device.answer(request, binding)) == []
    assert_nothing_is_kept(hub)


@in_loop
async def test_only_in_a_confirmed_session(opened):
    """An offered session is not used: the device has not shown that it has it."""
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    with pytest.raises(NoAddress):
        await hub.devices.request("d-1", message())
    assert await hub.sent() == []
