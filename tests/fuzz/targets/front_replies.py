"""Whatever answers a request of the hub: it survives, believes the device alone, keeps nothing."""

import asyncio
from contextlib import suppress

import aiocoap
from fuzz.world import Worlds

from skerry import coap, oscore_server
from skerry.errors import SkerryError
from skerry.replay import ReplayWindow
from skerry_hub.errors import HubError

PEER = 1
worlds = Worlds()


def check(data):
    """The first byte: from anybody (0) or the device (1), and its type; then code and body."""
    world = worlds()
    session, bridge = world.session("d-live"), world.desk.front._bridge
    first = coap.Message(coap.GET, coap.path_options("readings"), b"", coap.CON, 1, b"t")
    world.receive(coap.encode(session.oscore.protect_request(first)[0]), PEER)
    before = world.rows()
    asked = aiocoap.Message(code=aiocoap.PUT, uri_path=["x"], payload=bytes(300))
    asking = world.loop.create_task(world.desk.devices.request("d-live", asked))
    (datagram,) = world.loop.run_until_complete(world.desk.sent(30))
    request, binding = oscore_server.unprotect_request(
        session.oscore, ReplayWindow(), coap.decode(datagram)
    )
    kind, rest = (data[0], data[1:]) if data else (0, b"")
    if kind & 1:
        rest = sealed(session, rest, binding)
    answer = rest[:1] + request.mid.to_bytes(2, "big") + request.token + rest[1:]
    world.receive(bytes((0x40 | (kind & 6) << 3 | len(request.token),)) + answer, PEER)
    if not kind & 1 and asking.done():
        assert asking.exception() is not None, "anybody may answer in the device's place"
    asking.cancel()
    world.loop.run_until_complete(ended(asking))
    assert bridge._asked == {}
    assert world.rows() == before
    worlds.end()


def sealed(session, plaintext, binding):
    """Protect a plaintext as it is; return code, options and payload."""
    context = session.oscore
    ciphertext = context._sender.seal(binding.nonce, plaintext, context._aad(binding))
    return bytes((coap.CHANGED,)) + coap.encode_body([(coap.OSCORE, b"")], ciphertext)


async def ended(asking):
    with suppress(HubError, SkerryError, aiocoap.error.Error, asyncio.CancelledError):
        await asking
    for _ in range(10):
        await asyncio.sleep(0)
