"""Several processes on one PostgreSQL: who wins, who waits, and what is seen when."""

import random
import threading
from contextlib import closing
from functools import partial

import psycopg
import pytest
from desk import found_by
from stores import Place

from skerry_hub import audit
from skerry_hub.errors import StaleKey
from skerry_hub.store import (
    Advance,
    Confirmation,
    NewDevice,
    NewReading,
    Sealed,
    postgres,
    postgres_moves,
)

DEVICES = 8


def pid(device, step):
    return b"%03d.%02d" % (device, step)


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    with closing(place.open()) as store:
        for device in range(1, DEVICES + 1):
            new = NewDevice(f"d-{device}", "", 0, 0, 0, pid(device, 0), b"\0c", "f00d", 1.0)
            store.enroll(new, [(b"era%03d" % device, 1)])
    return place


@pytest.fixture
def store(place):
    with closing(place.open()) as store:
        yield store


def move(candidate):
    step = candidate.step + 1
    return Advance(candidate, 0, step, pid(candidate.id, step), b"\0c", candidate.pid, b"\0k", [])


def candidate_of(store, device):
    return store.keys(f"d-{device}")


def at_once(*jobs):
    """Do all at the same moment, each in a thread; return what they return, in this order."""
    barrier, found = threading.Barrier(len(jobs)), [None] * len(jobs)

    def run(number, job):
        barrier.wait()
        try:
            found[number] = job()
        except BaseException as error:
            found[number] = error

    threads = [threading.Thread(target=run, args=each) for each in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return found


def test_of_many_at_one_epoch_one_moves_it(place):
    stores = [place.open() for _ in range(4)]
    for _ in range(30):
        before = candidate_of(stores[0], 1)
        to = [move(before)]
        done = at_once(*(partial(each.write, to) for each in stores))
        assert sorted(done) == [[False]] * 3 + [[True]]
        now = candidate_of(stores[0], 1)
        assert (now.step, now.pending_pid) == (before.step + 1, before.pid)


def test_batches_in_any_order_wait_for_nobody_in_a_circle(place, store):
    """Moves, confirmations and readings of the same devices, and operators among them."""
    rounds, won, read = 60, [0] * 3, [0] * 3

    def hub(number):
        source = random.Random(number)
        with closing(place.open()) as mine:
            for _ in range(rounds):
                batch = []
                for device in source.sample(range(1, DEVICES + 1), DEVICES):
                    now = candidate_of(mine, device)
                    reading = NewReading(device, 1.0, "readings", None, b"x")
                    kinds = ["move", "read"] + ["confirm"] * (now.pending_pid is not None)
                    kind = source.choice(kinds)
                    if kind == "move":
                        batch.append(move(now))
                    elif kind == "confirm":
                        of = (device, now.pending_pid, "beef", 0, now.step, 2.0, reading)
                        batch.append(Confirmation(*of))
                    else:
                        batch += [reading] * 2
                for each, ok in zip(batch, mine.write(batch), strict=True):
                    won[number] += ok and isinstance(each, Advance)
                    read[number] += ok and not isinstance(each, Advance)

    def operator():
        with closing(place.open()) as mine:
            for number in range(rounds):
                mine.set_tags(f"d-{1 + number % DEVICES}", str(number))
                old = [Sealed("chain", device, "", "", b"\0c") for device in range(DEVICES, 0, -1)]
                mine.reseal([(each, b"\0c") for each in old])
                mine.note_addresses({1 + number % DEVICES: "x", DEVICES: "y"})

    at_once(*(lambda number=number: hub(number) for number in range(3)), operator)
    devices = store.devices()
    assert sum(each.step for each in devices) == sum(won)
    assert sum(each.readings for each in devices) == sum(read) == store.count("reading")
    assert audit.verified(store).entries == DEVICES + rounds


def test_a_revoked_device_never_moves_again(place):
    for device in range(1, DEVICES + 1):
        one, two = place.open(), place.open()
        now = candidate_of(one, device)
        done, _ = at_once(
            lambda one=one, now=now: one.write([move(now)]),
            lambda two=two, device=device: two.revoke(f"d-{device}"),
        )
        left = one.keys(f"d-{device}")
        assert (left.chain, left.pid, left.pending_pid, left.pending_key) == (b"", b"", None, None)
        assert left.step == (1 if done == [True] else 0)
        assert one.write([move(left), NewReading(device + 1, 1.0, "r", None, b"")])[0] is False
        assert found_by(one, pid(device, 0)) == found_by(one, b"era%03d" % device) == []
        one.close()
        two.close()


def test_readings_are_seen_in_order_and_none_is_passed_over(place, store):
    """One that got its number before, and is committed later, is waited for."""
    first = store.add_reading(1, 1.0, "r", None, b"1")
    with psycopg.connect(place.conninfo) as slow:
        slow.execute(postgres_moves.SHARE_ORDER)
        slow.execute(postgres_moves.ADD_READINGS, ([2], [1.0], ["r"], [None], [b"2"]))
        store.add_reading(3, 1.0, "r", None, b"3")
        assert [each.payload for each in store.readings_after(0)] == [b"1"]
        assert store.last_reading_id() == first
        slow.commit()
    assert [each.payload for each in store.readings_after(0)] == [b"1", b"2", b"3"]
    with psycopg.connect(place.conninfo) as fails:
        fails.execute(postgres_moves.SHARE_ORDER)
        fails.execute(postgres_moves.ADD_READINGS, ([2], [1.0], ["r"], [None], [b"never"]))
        fails.rollback()
    store.add_reading(3, 1.0, "r", None, b"4")
    assert [each.payload for each in store.readings_after(0)][-1] == b"4"


def test_followers_miss_nothing_under_load(place, store):
    """What several hubs write at once is read by following, each reading once and in order."""
    ended, seen = threading.Event(), []

    def hub(number):
        with closing(place.open()) as mine:
            for count in range(150):
                mine.add_reading(1 + number, 1.0, "r", None, b"%d.%d" % (number, count))

    def follow():
        last = 0
        with closing(place.open()) as mine:
            while True:
                over = ended.is_set()
                for each in mine.readings_after(last, limit=7):
                    assert each.id > last
                    seen.append(each.payload)
                    last = each.id
                if over and last == mine.last_reading_id():
                    return

    follower = threading.Thread(target=follow)
    follower.start()
    at_once(*(lambda number=number: hub(number) for number in range(3)))
    ended.set()
    follower.join(60)
    assert len(seen) == len(set(seen)) == 450


def test_a_key_that_ends_waits_for_what_is_being_written(place, store):
    """A value that is sealed under the old key is stored before it ends, or refused."""
    store.put("row_key", b"\0old")
    other = place.open()
    for number in range(1, 20):
        new = bytes((number,))
        old = bytes((number - 1,))
        store.change_keys({}, {"next_row_key": new + b"new"}, "begins")
        now = candidate_of(store, 1)
        to = move(now)._replace(chain=old + b"c", pending_key=old + b"k")

        def turn(new=new):
            while True:
                found = store.sealed_before(new[0], 100)
                store.reseal([(each, new + each.value[1:]) for each in found])
                said = {"row_key": new + b"new", "next_row_key": None}
                if store.change_keys({}, said, "ends"):
                    return

        def write(to=to):
            try:
                return other.write([to])
            except StaleKey:
                return None

        at_once(turn, write)
        assert store.sealed_before(new[0], 10) == []


def test_a_batch_that_the_server_chose_to_end_is_done_again(place, store, monkeypatch):
    """A real deadlock: somebody locks in the other order."""
    monkeypatch.setattr(postgres_moves.Batch, "write", _counted(postgres_moves.Batch.write))
    _counted.calls = 0
    candidates = [candidate_of(store, device) for device in (1, 2)]
    with psycopg.connect(place.conninfo) as other:
        other.execute("SET deadlock_timeout = '10s'")  # it is the other one that gives way
        other.execute("SELECT 1 FROM device WHERE id = 2 FOR UPDATE")
        store._db.execute("SET deadlock_timeout = '1s'")
        store._db.execute("SET lock_timeout = '20s'")
        thread = threading.Timer(
            0.3, lambda: (other.execute("SELECT 1 FROM device WHERE id = 1 FOR UPDATE"),
                          other.commit()),
        )  # fmt: skip
        thread.start()
        assert store.write([move(each) for each in candidates]) == [True, True]
        thread.join()
    assert _counted.calls >= 2


def _counted(write):
    def counted(self, db):
        _counted.calls += 1
        write(self, db)

    return counted


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        (postgres.CANDIDATES, ([b"x"], [b"x"])),
        (postgres.COMING, ([b"x"],)),
        (postgres.READINGS + "WHERE r.device = ? AND r.id > 7 ORDER BY r.id LIMIT 9", (1,)),
        (postgres.READINGS + "WHERE r.device = ? ORDER BY r.id DESC LIMIT 1", (1,)),
        ("SELECT id, device FROM revocation WHERE id > ? ORDER BY id", (7,)),
        ("SELECT id, device, path FROM config WHERE id > ? ORDER BY id", (7,)),
        (postgres_moves.LOCK, ([1, 2],)),
        (postgres_moves.ADVANCE, ([1],) * 3 + ([b"x"],) * 4 + ([1],) * 2 + ([b"x"],)),
        (postgres_moves.CONFIRM, ([1], [b"x"], ["x"], [1], [1], [1.0], [1])),
        (postgres_moves.COUNT_READINGS, ([1], [1])),
        (postgres_moves.FORGET_COMING, ([1], [1])),
    ],
)
def test_hot_look_ups_use_an_index(store, sql, values):
    store._db.execute("SET enable_seqscan = off")
    plan = store._db.execute("EXPLAIN " + sql, values).fetchall()
    assert "Seq Scan" not in str(plan), plan
