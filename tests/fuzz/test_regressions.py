"""What a target once failed on, and will not again. One line a finding: add the next one below."""

import gc
import importlib
from pathlib import Path

import pytest
from fuzz.world import World

from skerry import coap

# Target, input in hexadecimal, what went wrong.
FOUND = [
    ("front_noise", "40010001b1ff", "aiocoap: UnicodeDecodeError at a Uri-Path that is not UTF-8"),
    ("front_noise", "5101000174b2c328", "the same in a non-confirmable message, cut off"),
    ("front_noise", "4001000131ff", "the same in Uri-Host"),
    ("front_noise", "40010001d102ff", "the same in Uri-Query"),
    ("front_noise", "4002000191ff", "an OSCORE option of reserved bits"),
    ("front_inner", "0001b1ff", "the same Uri-Path, inside a session"),
    ("front_inner", "0002b1ffff3231", "the same Uri-Path with a payload, inside a session"),
    ("front_noise", "71022a4974b16bff119f921a9f724900001000000000011bd184feb2ab5766",
     "a forged message 1 with a true pseudonym: the hub noted where its device stands"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "data", "what"), FOUND, ids=lambda each: str(each)[:40])
def test_found_before(target, data, what, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "device"))
    importlib.import_module(f"fuzz.targets.{target}").check(bytes.fromhex(data))


def block(number, more, exponent):
    """The value of a Block1 or Block2 option (RFC 7959 section 2.2)."""
    return coap.uint(number << 4 | more << 3 | exponent)


@pytest.fixture
def world():
    world = World()
    yield world
    world.close()


def ask(world, session, mid, code, *options, payload=b""):
    """Ask in a session; return the answer's code and payload."""
    options = [*coap.path_options("readings"), *options]
    inner = coap.Message(code, options, payload, coap.CON, mid, b"t")
    outer, binding = session.oscore.protect_request(inner)
    (answer,) = world.receive(coap.encode(outer))
    opened = session.oscore.unprotect_response(coap.decode(answer), binding)
    return opened.code, opened.payload


def test_a_gap_between_blocks(world):
    """aiocoap alone answers 5.00 and logs a traceback where 4.08 is due."""
    session = world.session("d-live")
    for first in (b"", bytes(16), bytes(5)):
        assert ask(world, session, 1, coap.POST, (27, block(0, 1, 0)), payload=first)[0] == 0x5F
        assert ask(world, session, 2, coap.POST, (27, block(2, 0, 0)))[0] == 0x88
    assert ask(world, session, 3, coap.GET) == (coap.CONTENT, b"2")


def test_blocks_of_a_plain_peer_are_bounded(world):
    """Found by reading what front_inner led to: memory and time grow with each datagram."""
    options = coap.path_options("readings")
    for number in range(64):
        part = coap.Message(
            coap.POST, [*options, (27, block(number, 1, 6))], bytes(1024), coap.NON, number, b"t"
        )
        answers = [coap.decode(each).code for each in world.receive(coap.encode(part), peer=1)]
    assert answers != [0x5F]


def test_blocks_of_a_device_are_bounded(world):
    """64 KiB in one request: more than the hub puts together."""
    session = world.session("d-live")
    codes = set()
    for number in range(64):
        option = (27, block(number, 1, 6))
        codes.add(ask(world, session, number, coap.POST, option, payload=bytes(1024))[0])
    assert codes != {0x5F}


def test_a_new_session_is_no_former_one(world):
    """aiocoap keeps blocks by Remote.blockwise_key: another device may go on reading them."""
    leaked = []
    for _ in range(100):
        first = world.session("d-live")
        ask(world, first, 1, coap.POST, payload=b"for nobody else, at 32 bytes ...")
        assert ask(world, first, 2, coap.GET, (23, block(0, 1, 0)))[0] == coap.CONTENT
        world.desk.sessions.drop(world.opened.store.device("d-live").id)
        del first
        gc.collect()
        kept = []
        for _ in range(8):
            kept.append(world.session("d-wait"))
            leaked.append(ask(world, kept[-1], 1, coap.GET, (23, block(1, 0, 0)))[1])
    assert set(leaked) == {b""}
