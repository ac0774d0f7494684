"""When the hub asks for a new session by itself, and how seldom."""

import logging
from types import SimpleNamespace

import pytest
from desk import DeskHub, enrolled
from stores import sqlite_only
from test_front import in_loop

from skerry import coap, poke
from skerry.coap_server import uri_path
from skerry_hub import sessions
from skerry_hub.pokes import Pokes
from skerry_hub.sessions import Sessions
from skerry_hub.udp import Path


async def begun(opened):
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    device.response(await hub.ask(device.request()))
    return hub, device


def pokes(answers):
    return [each for each in answers if uri_path(coap.decode(each)) == "k"]


def old(live, monkeypatch):
    monkeypatch.setattr(live, "opened", live.opened - sessions.MAX_AGE_S - 1)


def many(live, monkeypatch):
    monkeypatch.setattr(live.session.oscore, "sequence", sessions.MAX_MESSAGES)


def heard(live, monkeypatch):
    monkeypatch.setattr(live, "newest", sessions.MAX_MESSAGES)


def forged(live, monkeypatch):
    monkeypatch.setattr(live, "failed", sessions.MAX_FAILED)


@pytest.mark.parametrize("worn", [old, many, heard, forged])
@in_loop
async def test_a_worn_session_is_used_on_until_it_is_replaced(opened, worn, monkeypatch):
    hub, device = await begun(opened)
    (live,) = hub.sessions.current()
    assert not live.worn
    worn(live, monkeypatch)
    answers = await hub.ask(device.request())
    (asked,) = pokes(answers)
    assert poke.accepted(0, device.chain, coap.decode(asked).payload)
    answers.remove(asked)
    assert device.response(answers).code == coap.CHANGED
    for _ in range(5):  # once a minute
        assert device.response(await hub.ask(device.request())).code == coap.CHANGED
    live.poked -= 61
    assert len(pokes(await hub.ask(device.request()))) == 1
    await device.connect(hub)
    assert device.response(await hub.ask(device.request())).code == coap.CHANGED
    (fresh,) = hub.sessions.current()
    assert not fresh.worn


@in_loop
async def test_failed_verifications_are_counted_and_end_nothing(opened, monkeypatch):
    """Whoever saw a kid can send junk under it: that costs a poke a minute, and no session."""
    monkeypatch.setattr(sessions, "MAX_FAILED", 50)
    hub, device = await begun(opened)
    junk = coap.decode(device.request())
    junk.payload = bytes(len(junk.payload))
    sent = []
    for number in range(200):
        junk.mid = number
        sent += await hub.ask(coap.encode(junk), peer=66)
    (live,) = hub.sessions.current()
    assert live.failed == 200
    assert len(sent) == len(pokes(sent)) == 1
    assert live.path.peer == ("desk", 1)  # where the poke went
    assert device.response(await hub.ask(device.request())).code == coap.CHANGED
    replayed = device.request()
    device.response(await hub.ask(replayed))
    for _ in range(10):
        await hub.ask(replayed)
    assert live.failed == 200  # a replay is none


@in_loop
async def test_an_offered_session_is_not_poked_for(opened, monkeypatch):
    monkeypatch.setattr(sessions, "MAX_FAILED", 0)
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    junk = coap.decode(device.request())
    junk.payload = bytes(len(junk.payload))
    assert await hub.ask(coap.encode(junk)) == []


@in_loop
async def test_a_poke_that_cannot_be_made_is_logged_once_a_minute(opened, monkeypatch, caplog):
    caplog.set_level(logging.ERROR)
    hub, device = await begun(opened)
    (live,) = hub.sessions.current()
    old(live, monkeypatch)
    opened.store._db.execute("UPDATE device SET chain = ?", (b"\0",))
    for _ in range(3):
        device.response(await hub.ask(device.request()))
    assert caplog.text.count("is due to be replaced") == 1


@sqlite_only
@in_loop
async def test_addresses_are_written_in_one_go(opened):
    """However many devices moved: one transaction, and none if nobody did."""
    hub = DeskHub(opened)
    for number in range(20):
        device = enrolled(opened, f"d-{number}")
        await device.connect(hub)
        device.response(await hub.ask(device.request(), peer=number))
    statements = []
    opened.store._db.set_trace_callback(statements.append)
    hub.pokes.write_down()
    hub.pokes.write_down()
    opened.store._db.set_trace_callback(None)
    assert sum(each.startswith("COMMIT") for each in statements) == 1
    assert opened.store.address(opened.store.device("d-7").id) == '["desk", 7]'
    opened.store.revoke("d-7")
    assert opened.store.address(opened.store.device("d-7").id) is None


def test_an_address_is_written_only_if_it_changed(opened, monkeypatch):
    """A fleet that makes a handshake a day does not rewrite where it has always been."""
    enrolled(opened, "d-1")
    number = opened.store.device("d-1").id
    written = []
    real = opened.store.note_addresses
    monkeypatch.setattr(
        opened.store, "note_addresses", lambda peers: written.append(peers) or real(peers)
    )
    tested = Pokes(opened.store, opened.vault, Sessions(), lambda peer: None)
    for port, writes in ((1, 1), (1, 1), (2, 2), (2, 2)):
        live = SimpleNamespace(device=number, path=Path(None, ("192.0.2.1", port), ()))
        tested.heard(live)
        tested.write_down()
        assert len(written) == writes
    for port in (3, 2):  # there and back again
        tested.heard(SimpleNamespace(device=number, path=Path(None, ("192.0.2.1", port), ())))
    tested.write_down()
    assert len(written) == 2
    assert opened.store.address(number) == '["192.0.2.1", 2]'
