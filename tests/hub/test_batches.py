"""Datagrams that come together: one commit for all, nothing before it, and each for itself."""

import shutil
import sqlite3
from contextlib import closing

import pytest
from desk import DeskHub, SocketPath, enrolled
from stores import sqlite_only
from test_front import in_loop, rows

from skerry import coap, oscore
from skerry_hub import readings
from skerry_hub.errors import StoreError
from skerry_hub.store import Confirmation
from skerry_hub.store.sqlite import SqliteStore


@pytest.fixture
def writes(opened, monkeypatch):
    """The batches that are written; `writes.fail` lets the next one fail."""
    real = opened.store.write

    class Writes(list):
        fail = False

    seen = Writes()

    def write(batch):
        seen.append(list(batch))
        if seen.fail:
            seen.fail = False
            raise StoreError("disk full")
        return real(batch)

    monkeypatch.setattr(opened.store, "write", write)
    return seen


def by_token(answers):
    return {coap.decode(each).token: each for each in answers}


def attempts(devices):
    """Messages 1 of all, each with a token of its own."""
    made = []
    for number, device in enumerate(devices):
        message = coap.decode(device.attempt())
        message.token = bytes((number,))
        made.append(coap.encode(message))
    return made


def accept_all(devices, answers):
    answers = by_token(answers)
    for number, device in enumerate(devices):
        device.accept([answers[bytes((number,))]])


@in_loop
async def test_a_fleet_in_two_commits(opened, writes):
    hub, devices = DeskHub(opened), [enrolled(opened, f"d-{i}") for i in range(20)]
    accept_all(devices, await hub.ask_all(attempts(devices)))
    assert [len(each) for each in writes] == [20]
    requests = [each.request(b"%d" % i) for i, each in enumerate(devices)]
    answers = await hub.ask_all(requests)
    assert [len(each) for each in writes] == [20, 20]
    assert all(each.reading is not None for each in writes[1])
    for device, answer in zip(devices, answers, strict=True):
        assert device.response([answer]).code == coap.CHANGED
    assert [each.payload for each in opened.store.readings_after(0)] == [
        b"%d" % i for i in range(20)
    ]
    assert len(hub.sessions) == 20


@in_loop
async def test_nothing_leaves_if_the_commit_fails(opened, writes):
    """No answer, no row and no session changes; the same datagrams succeed afterwards."""
    hub, devices = DeskHub(opened), [enrolled(opened, f"d-{i}") for i in range(4)]
    old = devices[:2]
    accept_all(old, await hub.ask_all(attempts(old)))
    for device in old:
        device.response(await hub.ask(device.request()))
    fresh, before = devices[2:], rows(opened)
    batch = [*attempts(fresh), *(device.request(b"new") for device in old)]
    writes.fail = True
    assert await hub.ask_all(batch) == []
    assert rows(opened) == before
    assert opened.store.last_reading_id() == 2
    assert hub.front.counts["store failed"] == 4
    answers = await hub.ask_all(batch)
    assert len(answers) == 4
    assert opened.store.last_reading_id() == 4


@in_loop
async def test_what_needs_no_write_is_answered_though_the_commit_fails(opened, writes):
    hub, devices = DeskHub(opened), [enrolled(opened, f"d-{i}") for i in range(2)]
    await devices[0].connect(hub)
    devices[0].response(await hub.ask(devices[0].request(b"21")))
    writes.fail = True
    answers = await hub.ask_all([devices[0].request(b"", coap.GET), devices[1].attempt()])
    assert devices[0].response(answers).payload == b"21"


@in_loop
async def test_one_message_1_many_times_at_once(opened, writes):
    """The first one moves the chain, the others get the same answer, and it is one session."""
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    attempt = device.attempt()
    answers = await hub.ask_all([attempt] * 50)
    assert len(answers) == 50
    assert len({coap.decode(each).payload[:9] for each in answers}) == 1  # header and N_H
    assert [len(each) for each in writes] == [1]
    assert opened.store.device("d-1").step == 1
    device.accept(answers[:1])
    assert device.response(await hub.ask(device.request())).code == coap.CHANGED


@in_loop
async def test_several_attempts_at_once(opened, writes):
    """Each has its own session; the last of them can be confirmed."""
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    first = [device.attempt() for _ in range(5)]
    answers = await hub.ask_all(first)
    assert len(answers) == 5
    assert [len(each) for each in writes] == [1]
    device.accept(answers[-1:])
    assert device.response(await hub.ask(device.request())).code == coap.CHANGED


@in_loop
async def test_one_request_many_times_at_once(opened, writes):
    """It is carried out once; its duplicates get the same bytes."""
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    for times in (50, 50):  # the first one confirms
        request = device.request()
        answers = await hub.ask_all([request] * times)
        assert len(answers) == times
        assert len(set(answers)) == 1
        assert device.response(answers[:1]).code == coap.CHANGED
    assert opened.store.device("d-1").readings == 2
    assert [[type(each) for each in batch] for batch in writes][1] == [Confirmation]


@in_loop
async def test_requests_of_one_session_at_once(opened, writes):
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    device.response(await hub.ask(device.request()))
    batch = [device.request(b"%d" % number) for number in range(30)]
    answers = await hub.ask_all(batch)
    assert len(answers) == 30
    assert len(writes[-1]) == 30
    assert opened.store.device("d-1").readings == 31


@in_loop
async def test_a_new_handshake_and_a_request_of_the_old_session_at_once(opened, writes):
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    device.response(await hub.ask(device.request()))
    former, binding = device.request(b"of the former session"), device.binding
    session = device.session
    answers = await hub.ask_all([former, device.attempt()])
    assert [[type(each).__name__ for each in batch] for batch in writes[2:]] == [
        ["Advance"], ["NewReading"]
    ]  # fmt: skip
    handshake, response = answers
    assert session.oscore.unprotect_response(coap.decode(response), binding).code == coap.CHANGED
    device.accept([handshake])
    assert device.response(await hub.ask(device.request())).code == coap.CHANGED
    assert opened.store.device("d-1").readings == 3


@in_loop
async def test_an_overtaken_device_does_not_hold_up_the_others(opened, writes):
    hub, devices = DeskHub(opened), [enrolled(opened, f"d-{i}") for i in range(3)]
    accept_all(devices, await hub.ask_all(attempts(devices)))
    opened.store.revoke("d-1")
    requests = [each.request() for each in devices]
    first, refused, last = await hub.ask_all(requests)
    assert devices[0].response([first]).code == coap.CHANGED
    assert devices[2].response([last]).code == coap.CHANGED
    assert coap.decode(refused).code == coap.UNAUTHORIZED
    assert hub.front.counts["overtaken"] == 1
    assert opened.store.last_reading_id() == 2


@in_loop
async def test_the_commit_of_a_confirmation_fails(opened, writes):
    """The session is not current, nor ended, and its request not used up."""
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    request, before = device.request(), rows(opened)
    writes.fail = True
    assert await hub.ask(request) == []
    assert rows(opened) == before
    assert len(hub.sessions) == 0
    assert device.response(await hub.ask(request)).code == coap.CHANGED
    assert len(hub.sessions) == 1
    assert opened.store.device("d-1").readings == 1


@in_loop
async def test_a_device_revoked_while_its_readings_come(opened, writes):
    hub, devices = DeskHub(opened), [enrolled(opened, f"d-{i}") for i in range(2)]
    for device in devices:
        await device.connect(hub)
        device.response(await hub.ask(device.request()))
    opened.store.revoke("d-0")
    batch = [device.request(b"late") for device in devices]
    batch += [devices[0].request(b"and again"), devices[0].request(b"", path="weak")]
    first, *others, second = await hub.ask_all(batch)
    for each in (first, second):
        assert coap.decode(each).code == coap.UNAUTHORIZED
    assert devices[1].response(others).code == coap.CHANGED
    assert [each.payload for each in opened.store.readings_after(2)] == [b"late"]
    assert [each.name for each in hub.sessions.current()] == ["d-1"]
    assert opened.store.device("d-0").readings == 1


@in_loop
async def test_first_and_last_partial_iv_at_once(opened):
    """The later one comes first: both are carried out, once, and the window stays as small."""
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    device.response(await hub.ask(device.request()))
    early = device.request(b"early")
    device.session.oscore.sequence = 2**40 - 1
    late = device.request(b"late")
    answers = [
        each for each in await hub.ask_all([late, early]) if coap.decode(each).type == coap.ACK
    ]
    assert len(answers) == 2  # and a poke: the session is worn
    assert [each.payload for each in opened.store.readings_after(1)] == [b"late", b"early"]
    assert await hub.ask_all([late, early]) == answers  # the very bytes again
    (live,) = hub.sessions.current()
    assert len(live.session.oscore.window.pack()) == 9
    assert opened.store.last_reading_id() == 3


@in_loop
async def test_one_partial_iv_written_in_two_ways_at_once(opened):
    """A device that breaks the rules makes the hub use no nonce twice."""
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    device.response(await hub.ask(device.request()))
    context, batch = device.session.oscore, []
    for mid, partial_iv in enumerate((b"\x05", b"\x00\x05")):
        nonce = context.nonce(context.sender_id, partial_iv)
        binding = oscore.Binding(context.sender_id, partial_iv, nonce)
        inner = coap.Message(coap.POST, coap.path_options("readings"), b"%d" % mid, coap.CON, mid)
        option = oscore.encode_option(partial_iv, None, context.sender_id)
        batch.append(coap.encode(context.seal(inner, coap.POST, option, binding, nonce)))
    assert len(await hub.ask_all(batch)) == 1
    assert opened.store.device("d-1").readings == 2


@in_loop
async def test_one_that_fails_unforeseen_takes_no_other_along(opened, monkeypatch):
    hub, devices = DeskHub(opened), [enrolled(opened, f"d-{i}") for i in range(4)]
    for device in devices:
        await device.connect(hub)

    def broken(datagram, remote):
        raise ZeroDivisionError

    monkeypatch.setattr(hub.front._bridge, "receive", broken)
    plain = coap.encode(coap.Message(coap.GET, [], b"", coap.NON, 1, b""))
    others = [devices[1].request(b"", path="weak"), devices[2].request(b"", path="weak")]
    with pytest.raises(ZeroDivisionError):
        await hub.ask_all([plain, devices[0].request(), *others, devices[3].request()])
    answers = await hub.sent()
    assert devices[0].response(answers[:1]).code == coap.CHANGED
    assert devices[3].response(answers[1:]).code == coap.CHANGED
    assert len(hub.sessions) == 4


@in_loop
async def test_a_flood_of_one_recorded_message_is_linear(opened, writes, monkeypatch):
    """However often it comes in a batch, it is verified twice at most."""
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    request = device.request()
    opened_requests = []
    real = readings.request
    monkeypatch.setattr(
        readings, "request", lambda *each: opened_requests.append(1) or real(*each)
    )
    await hub.ask_all([request] * 200)
    assert len(opened_requests) <= 400
    assert len(writes) == 2


@sqlite_only
@in_loop
async def test_at_every_commit_the_files_hold_what_the_answers_say(opened, tmp_path, monkeypatch):
    """The power goes as an answer leaves: database and journal, as they are then, hold it."""
    hub, devices = DeskHub(opened), [enrolled(opened, f"d-{i}") for i in range(3)]
    synchronous = opened.store._db.execute("PRAGMA synchronous").fetchone()
    assert synchronous == (2,)  # FULL: a commit is on the disk before it returns
    path, copies, send = opened.store._path, [], SocketPath.send

    def cut(self, datagram):
        folder = tmp_path / f"cut-{len(copies)}"
        folder.mkdir()
        for name in ("skerry.db", "skerry.db-wal"):
            shutil.copy(path.with_name(name), folder / name)
        copies.append(folder / "skerry.db")
        send(self, datagram)

    monkeypatch.setattr(SocketPath, "send", cut)
    for step in range(3):
        accept_all(devices, await hub.ask_all(attempts(devices)))
        await hub.ask_all([each.request(b"%d" % step) for each in devices])
    assert len(copies) == 18
    for number, copy in enumerate(copies):
        step, confirmed = number // 6, number % 6 >= 3
        with closing(SqliteStore(copy)) as store:
            for each in store.devices():
                assert (each.era, each.step) == (0, step + 1)
                (row,) = store._read("SELECT pending_pid FROM device WHERE id = ?", each.id)
                assert (row[0] is None) == confirmed
                assert each.readings == step + confirmed


@sqlite_only
@in_loop
async def test_a_journal_cut_anywhere_is_an_earlier_commit(opened, tmp_path):
    """Whatever part of the journal reached the disk: a whole number of batches is there."""
    hub, devices = DeskHub(opened), [enrolled(opened, f"d-{i}") for i in range(5)]
    opened.store.scrub()
    for _ in range(3):
        accept_all(devices, await hub.ask_all(attempts(devices)))
        await hub.ask_all([each.request() for each in devices])
    path = opened.store._path
    database, journal = path.read_bytes(), path.with_name("skerry.db-wal").read_bytes()
    seen = set()
    for length in [*range(0, len(journal), 997), len(journal)]:
        copy = tmp_path / f"{length}.db"
        copy.write_bytes(database)
        copy.with_name(copy.name + "-wal").write_bytes(journal[:length])
        with closing(sqlite3.connect(copy)) as db:
            found = db.execute("SELECT step, pending_pid IS NULL FROM device").fetchall()
            (stored,) = db.execute("SELECT count(*) FROM reading").fetchone()
        assert len(set(found)) == 1  # all devices of a batch, or none
        assert stored % 5 == 0
        seen.add((*found[0], stored))
    assert seen == {(0, 1, 0), (1, 0, 0), (1, 1, 5), (2, 0, 5), (2, 1, 10), (3, 0, 10), (3, 1, 15)}


@pytest.mark.parametrize("rest", range(4))
@in_loop
async def test_recovery_in_a_batch_with_others(opened, rest):
    """Devices that recover are found though they come among others and unknown ones."""
    hub, devices = DeskHub(opened), [enrolled(opened, f"d-{i}") for i in range(6)]
    strangers = [enrolled(opened, f"x-{i}") for i in range(2)]
    for stranger in strangers:
        stranger.chain = stranger.chain.next_step().next_step()
    batch = []
    for number, device in enumerate([*devices, *strangers]):
        message = coap.decode(device.attempt(recover=number % 4 == rest and number < 6))
        message.token = bytes((number,))
        batch.append(coap.encode(message))
    accept_all(devices, await hub.ask_all(batch))
    for number, device in enumerate(devices):
        assert device.chain.era == (number % 4 == rest)
        assert device.response(await hub.ask(device.request())).code == coap.CHANGED
    assert hub.handshakes.counts["unknown"] == 2
