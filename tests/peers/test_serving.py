"""A device of ours as the server, with hub.serve and hub.listen, and other people's clients."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiocoap
import pytest
from peers.cases import SALT, SECRET
from peers.parts import Address, Context, Said, said_by, serving_device, start_client
from peers.their_client import Ask, in_session


@pytest.fixture(params=[10, 30], ids=["suite 0", "suite 1"])
def device(request: Any, tmp_path: Path) -> Iterator[tuple[Address, Context]]:
    """Where a device serves, and the context of its client."""
    context = Context(SECRET, SALT, b"", b"\x01\x02\x03", None, request.param)
    with serving_device(context, tmp_path / "log") as address:
        yield address, context
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_aiocoap(device: tuple[Address, Context], tmp_path: Path) -> None:
    async def steps(ask: Ask, client: Any) -> None:
        assert (await ask(aiocoap.GET, "value")).payload == b"nothing yet"
        for size in (0, 1, 300, 500):
            payload = bytes(i * 5 & 255 for i in range(size))
            assert (await ask(aiocoap.PUT, "value", payload=payload)).code == aiocoap.CHANGED
            answer = await ask(aiocoap.GET, "value")
            assert (answer.code, answer.payload) == (aiocoap.CONTENT, payload)
        answer = await ask(aiocoap.POST, "echo", payload=b"back")
        assert (answer.code, answer.payload) == (aiocoap.CHANGED, b"back")
        assert (await ask(aiocoap.DELETE, "value")).code == aiocoap.METHOD_NOT_ALLOWED
        assert (await ask(aiocoap.GET, "nowhere")).code == aiocoap.NOT_FOUND
        answer = await ask(aiocoap.GET, "echo", observe=0)
        assert (answer.code, answer.opt.observe) == (aiocoap.METHOD_NOT_ALLOWED, None)

    in_session(*device, tmp_path / "client", steps)


@pytest.mark.parametrize("fault", ["replay", "key"])
def test_aiocoap_is_met_with_silence(
    device: tuple[Address, Context], tmp_path: Path, fault: str
) -> None:
    async def steps(ask: Ask, client: Any) -> None:
        await ask(aiocoap.PUT, "value", payload=b"once")
        (context,) = client.client_credentials.values()
        if fault == "replay":
            context.sender_sequence_number -= 1
        else:
            context.sender_key = bytes(16)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ask(aiocoap.PUT, "value", payload=b"twice"), 1)

    async def later(ask: Ask, client: Any) -> None:
        assert (await ask(aiocoap.GET, "value")).payload == b"once"

    in_session(*device, tmp_path / "client", steps)
    in_session(*device, tmp_path / "client", later)


@pytest.mark.parametrize("device", [10], indirect=True, ids=["suite 0"])
def test_libcoap(device: tuple[Address, Context], tmp_path: Path) -> None:
    address, context = device
    secrets = f"{context.for_libcoap('client', tmp_path / 'conf')},{tmp_path / 'sequence'}"

    def ask(path: str, *arguments: Any) -> Said:
        return said_by(start_client(address, path, "-E", secrets, *arguments))

    assert ask("value") == Said(b"nothing yet", "")
    assert ask("value", "-m", "put", "-e", "by libcoap") == Said(b"", "")
    assert ask("value", "-N") == Said(b"by libcoap", "")
    assert ask("echo", "-m", "post", "-e", "back") == Said(b"back", "")
    assert ask("value", "-m", "delete") == Said(b"", "4.05")
    assert ask("nowhere") == Said(b"", "4.04")


def test_libcoap_without_oscore(device: tuple[Address, Context]) -> None:
    """Nobody is served without a session: what is confirmable is reset."""
    said = said_by(start_client(device[0], "value"))
    assert b"nothing yet" not in said.body
    assert "got RST" in said.error
