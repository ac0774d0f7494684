"""What messages 1 cost that lead to nothing, and what they cannot do."""

import pytest
from desk import DeskHub, enrolled
from test_front import in_loop

from skerry import coap, responder
from skerry_hub import failures, front, handshakes, sieve
from skerry_hub.errors import VaultError
from skerry_hub.handshakes import Handshakes


@pytest.fixture
def unsealed(monkeypatch) -> list[str]:
    """Whose keys were unsealed, in this order."""
    names: list[str] = []
    real = Handshakes._known

    def known(self, candidate):
        names.append(candidate.name)
        return real(self, candidate)

    monkeypatch.setattr(Handshakes, "_known", known)
    return names


def forged(datagram: bytes, number: int = 1) -> bytes:
    """Return an attempt with a wrong tag, each with another one."""
    return datagram[:-2] + bytes((datagram[-2] ^ number, datagram[-1] ^ 0xFF))


@in_loop
async def test_forged_messages_cost_no_look_at_the_keys(opened, unsealed):
    """A pseudonym that was tried once is known by heart; the device itself gets in at once."""
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    attempt = device.attempt()
    assert await hub.ask_all([forged(attempt, i) for i in range(100)]) == []
    assert unsealed == ["d-1"]
    for i in range(100):
        assert await hub.ask(forged(attempt, i)) == []
    assert unsealed == ["d-1"]
    assert hub.handshakes.counts["bad tag"] == 200
    device.accept(await hub.ask(attempt))
    assert device.response(await hub.ask(device.request())).code == coap.CHANGED


@in_loop
async def test_epoch_keys_are_kept_no_longer_than_their_epoch(opened):
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    attempt = device.attempt()
    await hub.ask(forged(attempt))
    assert len(hub.handshakes.sieve._tried) == 1
    device.accept(await hub.ask(attempt))
    await hub.ask(forged(attempt))
    device.response(await hub.ask(device.request()))
    assert not hub.handshakes.sieve._tried  # confirmed
    await hub.ask(forged(device.attempt()))
    device.accept(await hub.ask(device.attempt(recover=True)))
    assert not hub.handshakes.sieve._tried  # skipped


@in_loop
async def test_an_answer_of_long_ago_comes_from_the_store(opened, unsealed, monkeypatch):
    """It is the same, and leads to the same session; but the store has to have it still."""
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    attempt = device.attempt()
    (first,) = await hub.ask(attempt)
    (again,) = await hub.ask(attempt)
    assert coap.decode(again).payload == coap.decode(first).payload
    assert unsealed == ["d-1"]
    monkeypatch.setattr(handshakes, "_AGAIN_S", -1.0)
    (second,) = await hub.ask(attempt)
    assert unsealed == ["d-1"] * 2
    device.accept([second])
    assert device.response(await hub.ask(device.request())).code == coap.CHANGED
    attempt = device.attempt()
    assert len(await hub.ask(attempt)) == 1
    opened.store.revoke("d-1")
    assert await hub.ask(attempt) == []


@in_loop
async def test_who_could_not_be_looked_at_is_not_stopped(opened, monkeypatch):
    """A row key may come a moment later than what is sealed under it."""
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    attempt = device.attempt()

    def missing(*_):
        raise VaultError("not here yet")

    with monkeypatch.context() as patched:
        patched.setattr(opened.vault.__class__, "open", missing)
        assert await hub.ask(attempt) == []
        assert hub.handshakes.counts["unreadable"] == 1
    device.accept(await hub.ask(attempt))


def test_the_sieve_is_bounded_in_number_and_time(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(sieve.time, "monotonic", lambda: clock[0])
    kept = sieve.Sieve()
    epoch = responder.Epoch(bytes(16), 0, responder.Pending(bytes(6), bytes(32)))
    for number in range(sieve.KEPT + 10):
        kept.keep(number.to_bytes(6, "big"), [epoch])
    assert len(kept._tried) == sieve.KEPT
    last = (sieve.KEPT + 9).to_bytes(6, "big")
    hello = responder.Hello(b"\x10" + bytes(14), last, bytes(8))
    assert kept.stops(hello)
    clock[0] += sieve.LIFE_S + 1
    assert not kept.stops(hello)
    kept.expire()
    assert not kept._tried


@in_loop
async def test_a_message_that_was_answered_gets_the_same_answer(opened, unsealed):
    """Byte for byte, without a look at the keys, until its session is confirmed."""
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    message_1 = device.message_1()
    first = await hub.ask(device.datagram(message_1))
    for _ in range(100):
        again = await hub.ask(device.datagram(message_1))
        assert coap.decode(again[0]).payload == coap.decode(first[0]).payload
    assert unsealed == ["d-1"]
    device.accept(again)
    assert device.response(await hub.ask(device.request())).code == coap.CHANGED
    assert await hub.ask(device.datagram(message_1)) == []
    assert not hub.sessions._offered


@in_loop
async def test_an_answer_from_memory_needs_the_whole_message(opened):
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    attempt = device.attempt()
    assert len(await hub.ask(attempt)) == 1
    assert await hub.ask(forged(attempt)) == []
    assert await hub.ask(attempt[:-1]) == []
    assert len(await hub.ask(attempt)) == 1


@in_loop
async def test_answers_to_nobody_are_bounded(opened, monkeypatch):
    """So that nobody uses the hub to flood others: their rates have limits."""
    monkeypatch.setattr(front, "HINT_RATE", 10)
    monkeypatch.setattr(front, "REPEAT_RATE", 10)
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    attempt = device.attempt()
    device.accept(await hub.ask(attempt))
    assert len(await hub.ask_all([attempt] * 30)) == 10
    request = device.request()
    hub.sessions.clear()
    assert len(await hub.ask_all([request] * 30)) == 10
    assert hub.front.counts["unknown session"] == 30


@in_loop
async def test_a_flood_does_not_push_out_at_once_what_failed_before(opened):
    """For skerry explain: it remembers so many, and takes so many a second."""
    hub = DeskHub(opened)
    noise = [b"\x50\x02\0\0\xb1k\xff\x10" + i.to_bytes(6, "big") + bytes(16) for i in range(3000)]
    assert await hub.ask_all(noise) == []
    assert hub.handshakes.counts["unknown"] == 3000
    assert len(hub.handshakes.failures._attempts) <= 2 * failures.NOTES_RATE
