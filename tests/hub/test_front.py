"""The hub's steps over a real database, message by message, with what attackers send."""

import asyncio
import random
import sqlite3
from contextlib import closing
from functools import wraps

import pytest
from cluster import WANTED
from desk import DeskHub, enrolled, found_by, made
from stores import sqlite_only

from skerry import coap, oscore, schedule
from skerry.errors import SkerryError
from skerry_hub import enrolment, handshakes
from skerry_hub.errors import HubError
from skerry_hub.front import PLAIN_RATE
from skerry_hub.store import Advance


def in_loop(test):
    @wraps(test)
    def run(*args, **kwargs):
        asyncio.run(test(*args, **kwargs))

    return run


def rows(hub):
    """Everything that the store holds of devices."""
    db = hub.store._db
    return db.execute("SELECT * FROM device").fetchall(), db.execute(
        "SELECT * FROM coming ORDER BY pid"
    ).fetchall()


def copied(source, target):
    """Copy a database as SQLite does it, over one that is in use if there is one."""
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)


@in_loop
async def test_handshake_then_requests(opened):
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    for step in range(3):
        await device.connect(hub)
        assert device.response(await hub.ask(device.request())).code == coap.CHANGED
        answer = device.response(await hub.ask(device.request(b"", coap.GET)))
        assert (answer.code, answer.payload) == (coap.CONTENT, b"21")
        row = opened.store.device("d-1")
        assert row.session_fingerprint == device.session.fingerprint
        assert (row.session_era, row.session_step) == (0, step)
        assert (row.era, row.step) == (device.chain.era, device.chain.step) == (0, step + 1)
        assert row.readings == step + 1


@in_loop
async def test_suite_1(opened):
    hub, device = DeskHub(opened), enrolled(opened, "d-1", suite=1)
    await device.connect(hub)
    assert device.response(await hub.ask(device.request())).code == coap.CHANGED


@in_loop
async def test_hmac_calls_of_a_handshake(opened, monkeypatch):
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    await hub.ask(device.request())
    calls = []
    real = schedule.hmac_sha256

    def counting(key, message):
        calls.append(message[:1])
        return real(key, message)

    message_1 = device.attempt()
    monkeypatch.setattr(schedule, "hmac_sha256", counting)
    monkeypatch.setattr(handshakes, "hmac_sha256", counting)
    answer = await hub.ask(message_1)
    assert len(calls) == 7
    calls.clear()
    device.accept(answer)
    device.message_1()  # two of the device's six: its epoch key, its pseudonym, and tag 1
    assert len(calls) == 6


@in_loop
async def test_every_flipped_bit_of_message_1(opened):
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    message_1 = device.message_1()
    before = rows(opened)
    for bit in range(len(message_1) * 8):
        flipped = bytearray(message_1)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        assert await hub.ask(device.datagram(bytes(flipped))) == []
    assert rows(opened) == before
    device.accept(await hub.ask(device.datagram(message_1)))
    assert device.response(await hub.ask(device.request())).code == coap.CHANGED


@in_loop
async def test_every_flipped_bit_of_a_request(opened):
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    before = rows(opened)
    request = device.request()
    answered = 0
    for bit in range(48, len(request) * 8):  # header and token belong to the hop
        flipped = bytearray(request)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        for answer in await hub.ask(bytes(flipped), peer=2):
            # An unknown kid is told so; what became plain CoAP is answered in plain.
            answered += 1
            assert coap.decode(answer).option(coap.OSCORE) is None
            assert coap.decode(answer).code not in (coap.CHANGED, coap.CONTENT)
    assert answered
    assert rows(opened) == before
    assert device.response(await hub.ask(request)).code == coap.CHANGED


@in_loop
async def test_noise_of_every_length(opened):
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    before, source = rows(opened), random.Random(1)
    for length in [*range(65), *(source.randrange(65, 1501) for _ in range(200))]:
        for head in (
            b"",
            b"\x50\x02\x00\x01",
            b"\x51\x02\x00\x01t\xb1k\xff",
            b"\x40\x02\x00\x01\x94",
        ):
            noise = (head + source.randbytes(length))[:1500]
            for answer in await hub.ask(noise, peer=3):
                assert len(answer) <= max(len(noise), 12) + 12
    assert rows(opened) == before
    assert device.response(await hub.ask(device.request())).code == coap.CHANGED


@in_loop
async def test_message_1_in_any_length_is_silent(opened):
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    message_1 = device.message_1()
    for length in range(64):
        if length != len(message_1):
            assert await hub.ask(device.datagram((message_1 + bytes(64))[:length])) == []


@in_loop
async def test_replays_of_everything(opened):
    """A recorded message opens nothing, moves nothing, and is answered only with what was said."""
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    seen = []
    for _ in range(6):
        seen.append(device.attempt())
        device.accept(await hub.ask(seen[-1]))
        for _ in range(3):
            seen.append(device.request())
            device.response(await hub.ask(seen[-1]))
    before, readings = rows(opened), opened.store.last_reading_id()
    for datagram in seen:
        for answer in await hub.ask(datagram, peer=9):
            told = coap.decode(answer)
            assert told.code == coap.UNAUTHORIZED or datagram in seen[-3:]
    assert rows(opened) == before
    assert opened.store.last_reading_id() == readings
    assert device.response(await hub.ask(device.request())).code == coap.CHANGED


@in_loop
async def test_a_retransmission_gets_the_same_answer(opened):
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    request = device.request()
    first = await hub.ask(request)
    assert await hub.ask(request) == first
    assert await hub.ask(request, peer=7) == first  # from a new address as well
    assert opened.store.device("d-1").readings == 1


@in_loop
async def test_old_partial_iv(opened):
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    old = device.request()
    for _ in range(40):
        device.response(await hub.ask(device.request()))
    assert await hub.ask(old) == []
    assert opened.store.device("d-1").readings == 40


@in_loop
async def test_unknown_kid(opened):
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    hub.sessions.clear()
    request = device.request()
    (answer,) = await hub.ask(request)
    told = coap.decode(answer)
    assert (told.type, told.code, told.payload) == (coap.ACK, coap.UNAUTHORIZED, b"")
    assert told.mid == coap.decode(request).mid
    unconfirmable = bytes([request[0] | 0x10]) + request[1:]
    assert await hub.ask(unconfirmable) == []


@in_loop
async def test_plain_requests_store_nothing(opened):
    hub = DeskHub(opened)
    plain = coap.Message(coap.POST, coap.path_options("readings"), b"21", coap.CON, 1, b"t")
    (answer,) = await hub.ask(coap.encode(plain))
    assert coap.decode(answer).code == coap.UNAUTHORIZED
    assert opened.store.last_reading_id() == 0


@in_loop
async def test_plain_flood_is_bounded(opened, monkeypatch):
    monkeypatch.setattr("skerry_hub.bucket.time.monotonic", lambda: 0.0)
    hub = DeskHub(opened)
    for mid in range(1000):
        plain = coap.Message(coap.GET, coap.path_options("x"), b"", coap.CON, mid, b"t")
        await hub.ask(coap.encode(plain), peer=mid)
    assert hub.front.counts["plain dropped"] == 1000 - PLAIN_RATE


@in_loop
async def test_answers_of_one_epoch(opened):
    """Each attempt has its own session; the last four can still be confirmed, one wins."""
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    offered = []
    for _ in range(6):
        await device.connect(hub)
        offered.append((device.session, device.chain))
        device.chain = enrolled_again(device)
    step = opened.store.device("d-1").step
    assert step == 1
    requests = []
    for session, _ in offered:
        device.session = session
        requests.append(device.request())
    for lost in requests[:2]:  # the oldest two
        assert coap.decode((await hub.ask(lost))[0]).code == coap.UNAUTHORIZED
    assert len(await hub.ask(requests[3])) == 1
    assert opened.store.device("d-1").session_fingerprint == offered[3][0].fingerprint
    for gone in (requests[2], requests[4], requests[5]):
        assert coap.decode((await hub.ask(gone))[0]).code == coap.UNAUTHORIZED


def enrolled_again(device):
    """The device's slot comes back: the epoch before."""
    return device.waiting._chain


@in_loop
async def test_the_former_session_lives_until_the_next_is_confirmed(opened):
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    device.response(await hub.ask(device.request()))
    former = device.session
    await device.connect(hub)
    device.session, latest = former, device.session
    assert device.response(await hub.ask(device.request())).code == coap.CHANGED
    device.session = latest
    device.response(await hub.ask(device.request()))
    device.session = former
    assert coap.decode((await hub.ask(device.request()))[0]).code == coap.UNAUTHORIZED


@in_loop
async def test_restart_forgets_sessions_and_nonces(opened):
    """A recorded session, first request included, is dead after a crash before its commit."""
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    message_1 = device.attempt()
    device.accept(await hub.ask(message_1))
    session, confirm = device.session, device.request()
    restarted = DeskHub(opened)  # the epoch is still pending in the database
    device.accept(await restarted.ask(message_1))
    assert device.session.fingerprint != session.fingerprint
    assert coap.decode((await restarted.ask(confirm))[0]).code == coap.UNAUTHORIZED
    assert opened.store.last_reading_id() == 0
    assert device.response(await restarted.ask(device.request())).code == coap.CHANGED


@sqlite_only
@in_loop
async def test_database_restored_under_a_running_hub(tmp_path, caplog):
    config = made(tmp_path)
    with enrolment.opened(config) as opened:
        device, other = enrolled(opened, "d-1"), enrolled(opened, "d-2")
        hub = DeskHub(opened)
        await device.connect(hub)
        await other.connect(hub)
        device.response(await hub.ask(device.request()))
        other.response(await hub.ask(other.request()))
        copied(config.database, tmp_path / "image")
        for _ in range(3):
            await device.connect(hub)
            device.response(await hub.ask(device.request()))
        copied(tmp_path / "image", config.database)
        old = hub.handshakes._nonce_key
        assert await hub.ask(device.attempt()) == []
        device.accept(await hub.ask(device.attempt(recover=True)))
        assert hub.handshakes._nonce_key != old
        assert len(hub.sessions) == 0
        assert "went back in time" in caplog.text
        assert device.response(await hub.ask(device.request())).code == coap.CHANGED


@sqlite_only
@in_loop
async def test_row_of_before_the_confirmation_comes_back(opened, tmp_path, caplog):
    """The expected epoch is the same; a recorded session must not run a second time."""
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    message_1 = device.attempt()
    device.accept(await hub.ask(message_1))
    copied(opened.store._path, tmp_path / "image")
    request = device.request(b"open the door")
    device.response(await hub.ask(request))
    copied(tmp_path / "image", opened.store._path)
    assert len(await hub.ask(message_1)) == 1
    assert "went back in time" in caplog.text
    assert coap.decode((await hub.ask(request))[0]).code == coap.UNAUTHORIZED
    assert opened.store.last_reading_id() == 0  # that of before went back with the database


@sqlite_only
@in_loop
async def test_a_store_that_fails_answers_nobody(opened, tmp_path, caplog):
    """Nothing is accepted that was not stored, and all goes on once the store is back."""
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    opened.store._db.execute("PRAGMA busy_timeout = 10")
    holder = sqlite3.connect(opened.store._path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    message_1 = device.attempt()
    for _ in range(3):
        assert await hub.ask(message_1) == []
    assert hub.front.counts["store failed"] == 3
    assert caplog.text.count("another process holds it") == 1
    holder.execute("ROLLBACK")
    device.accept(await hub.ask(message_1))
    holder.execute("BEGIN EXCLUSIVE")
    request = device.request()
    assert await hub.ask(request) == []
    assert len(hub.sessions) == 0
    holder.execute("ROLLBACK")
    holder.close()
    assert device.response(await hub.ask(request)).code == coap.CHANGED  # the device repeats it


@in_loop
async def test_recovery_counts_eras(opened, caplog):
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    for era in range(1, 20):
        device.accept(await hub.ask(device.attempt(recover=True)))
        assert device.response(await hub.ask(device.request())).code == coap.CHANGED
        assert (device.chain.era, device.chain.step) == (era, 1)
    assert hub.handshakes.counts["recovered"] == 19
    assert len(rows(opened)[1]) == 16
    assert [each.device for each in caplog.records if "recovered from" in each.msg][:1] == ["d-1"]


@pytest.mark.parametrize("recoveries", [15, 16])
@in_loop
async def test_how_far_a_restored_hub_reaches(opened, recoveries):
    """A device that recovered 15 times since the image was made is reached, 16 is too far."""
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    for _ in range(recoveries):
        device.chain = device.chain.next_era()
    answers = await hub.ask(device.attempt(recover=True))
    assert len(answers) == (1 if recoveries == 15 else 0)


@in_loop
async def test_two_hubs_on_one_store(tmp_path):
    """Both get the same message 1: one moves the chain, the other does not move it back."""
    config = made(tmp_path)
    with enrolment.opened(config) as a, enrolment.opened(config) as b:
        device = enrolled(a, "d-1")
        one, two = DeskHub(a), DeskHub(b)
        attempt = device.attempt()
        slow = two.hub.store.candidates([coap.decode(attempt).payload[1:7]])
        device.accept(await one.ask(attempt))
        device.response(await one.ask(device.request()))
        await device.connect(one)
        before = rows(a)
        two.hub.store.candidates = lambda pids: slow  # what it read before the other one wrote
        assert await two.ask(attempt) == []
        assert two.handshakes.counts["overtaken"] == 1
        assert rows(a) == before
        device.response(await one.ask(device.request()))


@sqlite_only
@in_loop
async def test_pseudonyms_that_collide(opened):
    """What one device expects also stands for others, now or in a coming era: each is tried."""
    hub = DeskHub(opened)
    devices = [enrolled(opened, f"d-{i}") for i in range(4)]
    pids = [each.message_1()[1:7] for each in devices]
    for i, pid in enumerate(pids):  # all others by the index that is searched first, or last
        for each in pids:
            if i < 2:
                opened.store._moves.pseudonyms.add(each, opened.store.device(f"d-{i}").id)
            elif each != pid:
                opened.store._moves.add_coming(opened.store.device(f"d-{i}").id, [(each, 0)])
    for device in devices:
        await device.connect(hub)
        assert device.response(await hub.ask(device.request())).code == coap.CHANGED


@in_loop
async def test_two_devices_expect_one_pseudonym(opened):
    devices = [enrolled(opened, f"d-{i}") for i in range(3)]
    pid = devices[2].message_1()[1:7]
    opened.store._db.execute("UPDATE device SET pid = ?", (pid,))
    if not WANTED:
        opened.store._moves.pseudonyms.load()
    message_1 = devices[2].attempt()
    for _ in range(2):  # expected, then pending after a restart
        hub = DeskHub(opened)
        found = opened.store.candidates([pid])[pid]
        assert [each.name for each in found] == ["d-0", "d-1", "d-2"]
        devices[2].accept(await hub.ask(message_1))
        assert hub.handshakes.counts["bad tag"] == 2
    assert [opened.store.device(f"d-{i}").step for i in range(3)] == [0, 0, 1]
    assert devices[2].response(await hub.ask(devices[2].request())).code == coap.CHANGED
    assert [each.name for each in opened.store.candidates([pid])[pid]] == ["d-0", "d-1"]


@in_loop
async def test_kids_that_collide(opened, monkeypatch):
    hub = DeskHub(opened)
    real = schedule.oscore_secrets
    monkeypatch.setattr(
        "skerry.session.schedule.oscore_secrets", lambda secret: (*real(secret)[:2], b"kid")
    )
    devices = [enrolled(opened, f"d-{i}") for i in range(3)]
    for device in devices:
        await device.connect(hub)
    for _ in range(3):
        for device in devices:
            assert device.response(await hub.ask(device.request())).code == coap.CHANGED
    assert [opened.store.device(f"d-{i}").readings for i in range(3)] == [3, 3, 3]


@in_loop
async def test_revoked_between_handshake_and_first_request(opened):
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    opened.store.revoke("d-1")
    (answer,) = await hub.ask(device.request())
    assert (coap.decode(answer).code, coap.decode(answer).payload) == (coap.UNAUTHORIZED, b"")
    assert opened.store.last_reading_id() == 0
    assert await hub.ask(device.attempt()) == []
    assert await hub.ask(device.attempt(recover=True)) == []


@in_loop
async def test_reserved_oscore_options(opened):
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    good = coap.decode(device.request())
    kid = oscore.decode_option(good.option(coap.OSCORE))[2]
    for value in (b"", b"\x00", b"\x08" + kid, b"\x0e" + bytes(6) + kid, b"\x0f" + bytes(7) + kid,
                  b"\x29\x00" + kid, b"\x49\x00" + kid, b"\x89\x00" + kid, b"\x19\x00\xff" + kid,
                  b"\x01\x00" + kid):  # fmt: skip
        good.options = [(coap.OSCORE, value)]
        for answer in await hub.ask(coap.encode(good)):
            assert coap.decode(answer).code == coap.UNAUTHORIZED
    assert opened.store.last_reading_id() == 0


@in_loop
async def test_no_secret_in_what_is_printed(opened):
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    await hub.ask(device.request())
    (live,) = hub.sessions.current()
    for each in (live, device.session.oscore, device.chain, opened.vault, opened.store):
        assert device.chain.chain_key.hex() not in repr(each)
        assert "0x" not in repr(each) or "object at" in repr(each)
    (candidate,) = found_by(opened.store, schedule.pseudonym(device.chain.chain_key))
    write = Advance(candidate, 0, 2, b"pid", candidate.chain, b"pid", candidate.chain, [])
    for shown in (repr(candidate), repr(write)):
        assert "d-1" in shown
        assert repr(candidate.chain)[2:-1] not in shown
    with pytest.raises(SkerryError) as error:
        device.waiting.receive(bytes(22))
    assert device.chain.chain_key.hex() not in str(error.value)


@in_loop
async def test_a_broken_generator_is_reported(opened, caplog):
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    answer = device.response(await hub.ask(device.request(b"", path="weak")))
    assert answer.code == coap.CHANGED
    assert "its random number generator is broken" in caplog.text
    assert [each.device for each in caplog.records] == ["d-1"]


def test_no_key_from_a_generator_that_repeats(opened, monkeypatch):
    monkeypatch.setattr("skerry_hub.enrolment.os.urandom", bytes)
    with pytest.raises(HubError, match="generator repeats itself"):
        enrolled(opened, "d-1")
    assert opened.store.device("d-1") is None
    assert not (opened.bundles / "d-1").exists()
