"""aiocoap's own OSCORE client against the hub, in a session that a handshake gave."""

import asyncio
from pathlib import Path
from typing import Any

import aiocoap
import pytest
from aiocoap import oscore
from peers.parts import Context, enrolled
from peers.their_client import Ask, in_session
from real import Hub


@pytest.fixture(params=[0, 1], ids=["suite 0", "suite 1"])
def session(request: Any, hub: Hub) -> tuple[str, Context]:
    """A device's name, and the context of its session."""
    return enrolled(hub, request.param)


def test_methods(hub: Hub, session: tuple[str, Context], tmp_path: Path) -> None:
    async def steps(ask: Ask, client: Any) -> None:
        answer = await ask(aiocoap.GET, "readings")
        assert (answer.code, answer.payload) == (aiocoap.NOT_FOUND, b"")
        assert hub.row(session[0])["state"] == "active"
        for code in (aiocoap.POST, aiocoap.PUT):
            text = b"from aiocoap by %d" % code
            answer = await ask(code, "readings", payload=text, content_format=0)
            assert answer.code == aiocoap.CHANGED
            answer = await ask(aiocoap.GET, "readings")
            assert (answer.code, answer.payload) == (aiocoap.CONTENT, text)
            assert int(answer.opt.content_format) == 0
        assert (await ask(aiocoap.DELETE, "readings")).code == aiocoap.METHOD_NOT_ALLOWED
        assert (await ask(aiocoap.GET, "nowhere")).code == aiocoap.NOT_FOUND
        answer = await ask(aiocoap.GET, ".well-known/core")
        assert b"</readings>" in answer.payload

    in_session(hub.address, session[1], tmp_path / "client", steps)
    assert hub.row(session[0])["readings"] == 2


def test_payload_sizes(hub: Hub, session: tuple[str, Context], tmp_path: Path) -> None:
    """Up to what one datagram holds; 8 KiB goes in blocks, inside, and is refused as a whole."""

    async def steps(ask: Ask, client: Any) -> None:
        for size in (0, 1, 255, 256, 1000, 1024):
            payload = bytes(i * i & 255 for i in range(size))
            answer = await ask(aiocoap.POST, "readings", payload=payload, content_format=42)
            assert answer.code == aiocoap.CHANGED
            answer = await ask(aiocoap.GET, "readings")
            assert (answer.code, answer.payload) == (aiocoap.CONTENT, payload)
        answer = await ask(aiocoap.POST, "readings", payload=bytes(8192))
        assert answer.code == aiocoap.REQUEST_ENTITY_TOO_LARGE

    in_session(hub.address, session[1], tmp_path / "client", steps)


def test_many_requests_at_once(hub: Hub, session: tuple[str, Context], tmp_path: Path) -> None:
    """Answers are bound to their requests, in whatever order they come."""

    async def steps(ask: Ask, client: Any) -> None:
        await ask(aiocoap.GET, "readings")
        answers = await asyncio.gather(
            *[ask(aiocoap.POST, "readings", payload=b"%d" % i) for i in range(20)]
        )
        assert {answer.code for answer in answers} == {aiocoap.CHANGED}

    in_session(hub.address, session[1], tmp_path / "client", steps)
    assert hub.row(session[0])["readings"] == 20


def test_observe(hub: Hub, session: tuple[str, Context], tmp_path: Path) -> None:
    """What the operator sets while aiocoap observes arrives as a notification."""

    async def steps(ask: Ask, client: Any) -> None:
        await ask(aiocoap.GET, "readings")
        await asyncio.to_thread(hub, "set", session[0], "colour", "red")
        uri = "coap://{}:{}/config/colour".format(*hub.address)
        observing = client.request(aiocoap.Message(code=aiocoap.GET, uri=uri, observe=0))
        changes = aiter(observing.observation)
        first = await asyncio.wait_for(observing.response, 10)
        assert (first.payload, first.opt.observe is None) == (b"red", False)
        last = first.payload
        for colour in ("blue", "green"):
            await asyncio.to_thread(hub, "set", session[0], "colour", colour)
            while (change := await asyncio.wait_for(anext(changes), 10)).payload == last:
                pass  # a notification may say again what is known
            last = change.payload
            assert last == colour.encode()
        observing.observation.cancel()

    in_session(hub.address, session[1], tmp_path / "client", steps)


@pytest.mark.parametrize("fault", ["replay", "key"])
def test_refused_in_silence(
    hub: Hub, session: tuple[str, Context], tmp_path: Path, fault: str
) -> None:
    """RFC 8613 leaves these errors to the server (sections 7.4 and 8.2); the hub sends none."""

    async def steps(ask: Ask, client: Any) -> None:
        await ask(aiocoap.POST, "readings", payload=b"once")
        (context,) = client.client_credentials.values()
        if fault == "replay":
            context.sender_sequence_number -= 1
        else:
            context.sender_key = bytes(16)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ask(aiocoap.POST, "readings", payload=b"twice"), 1)

    async def later(ask: Ask, client: Any) -> None:
        assert (await ask(aiocoap.GET, "readings")).payload == b"once"

    in_session(hub.address, session[1], tmp_path / "client", steps)
    in_session(hub.address, session[1], tmp_path / "client", later)
    assert hub.row(session[0])["readings"] == 1


def test_ended_session(hub: Hub, session: tuple[str, Context], tmp_path: Path) -> None:
    """After a restart the hub does not know the session: 4.01 in clear (section 8.2)."""

    async def steps(ask: Ask, client: Any) -> None:
        await ask(aiocoap.GET, "readings")
        hub.kill()
        hub.start()
        with pytest.raises(oscore.NotAProtectedMessage) as caught:
            await ask(aiocoap.GET, "readings")
        assert caught.value.plain_message.code == aiocoap.UNAUTHORIZED

    in_session(hub.address, session[1], tmp_path / "client", steps)
