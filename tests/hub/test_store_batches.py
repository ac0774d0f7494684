"""One transaction for many devices, and a process that keeps up with what others write."""

import sqlite3
from contextlib import closing

import pytest
from desk import found_by
from stores import Place, sqlite_only

from skerry_hub.errors import StoreError
from skerry_hub.store import Advance, Confirmation, NewDevice, NewReading, pseudonyms
from skerry_hub.store.sqlite import SqliteStore

ROOM = 40  # devices


def pid(device, step):
    return b"%03d.%02d" % (device, step)


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    with closing(place.open()) as store:
        for device in range(1, ROOM + 1):
            new = NewDevice(f"d-{device}", "", 0, 0, 0, pid(device, 0), b"chain", "f00d", 1.0)
            assert store.enroll(new, [(b"era%03d" % device, 1)]) == device
    return place


@pytest.fixture
def path(place):
    return place.path


@pytest.fixture
def stores(place):
    """Two processes' views of one database."""
    with closing(place.open()) as one, closing(place.open()) as other:
        yield one, other


def move(candidate):
    """Return the ordinary move to the next step."""
    step, following = candidate.step + 1, pid(candidate.id, candidate.step + 1)
    return Advance(candidate, 0, step, following, b"chain", candidate.pid, b"key", [])


def moved(store, device, step):
    """Move one device from a step and return what `write` says."""
    (candidate,) = found_by(store, pid(device, step))
    return store.write([move(candidate)])


def steps(store):
    return [each.step for each in store.devices()]


def confirmation(device, step, payload=b"x"):
    reading = NewReading(device, 2.0, "readings", None, payload)
    return Confirmation(device, pid(device, step), "beef", 0, step, 2.0, reading)


def test_a_batch_moves_all_its_devices(stores):
    one, _ = stores
    asked = [pid(device, 0) for device in range(1, ROOM + 1)]
    found = one.candidates([*asked, b"nobody"])
    assert found.pop(b"nobody") == []
    assert [each.name for (each,) in found.values()] == [f"d-{n}" for n in range(1, ROOM + 1)]
    assert one.write([move(each) for (each,) in found.values()]) == [True] * ROOM
    assert steps(one) == [1] * ROOM
    batch = [confirmation(device, 0) for device in range(1, ROOM + 1)]
    assert one.write(batch) == [True] * ROOM
    assert len(one.readings_after(0)) == ROOM
    assert not any(one.candidates(asked).values())
    assert one.write([]) == []


def test_each_of_a_batch_stands_for_itself(stores):
    """One was overtaken, one revoked, one is not what is pending: the others are done."""
    one, other = stores
    candidates = [found_by(one, pid(device, 0))[0] for device in (1, 2, 3)]
    assert moved(other, 1, 0) == [True]
    other.revoke("d-2")
    batch = [
        *map(move, candidates),
        confirmation(4, 0, b"of nothing pending"),
        NewReading(5, 3.0, "readings", 50, b"of a session"),
    ]
    assert one.write(batch) == [False, False, True, False, True]
    assert steps(one)[:3] == [1, 0, 1]
    assert [each.payload for each in one.readings_after(0)] == [b"of a session"]


def test_a_batch_is_done_as_a_whole_or_not_at_all(stores):
    one, _ = stores
    before = one.devices()
    bad = move(found_by(one, pid(2, 0))[0])._replace(pid=None)
    with pytest.raises(StoreError):
        one.write([move(found_by(one, pid(1, 0))[0]), bad])
    assert one.devices() == before
    assert moved(one, 1, 0) == [True]


def test_moves_of_another_process_are_found(stores):
    one, other = stores
    for step in range(5):
        assert moved(one, 1, step) == [True]
        assert moved(other, 2, step) == [True]
        assert found_by(one, pid(2, step + 1))[0].step == step + 1
        assert found_by(other, pid(1, step + 1))[0].step == step + 1


def test_a_move_between_reading_and_writing_is_found(stores):
    """Its row in `moved` comes before our own: it must not be taken for ours."""
    one, other = stores
    (candidate,) = found_by(one, pid(1, 0))
    assert moved(other, 2, 0) == [True]
    assert one.write([move(candidate)]) == [True]
    assert found_by(one, pid(2, 1))[0].step == 1
    assert found_by(one, pid(1, 1))[0].step == 1


def test_a_device_enrolled_by_another_process_is_found(stores):
    one, other = stores
    assert found_by(one, b"new-01") == []
    other.enroll(NewDevice("new", "", 0, 0, 0, b"new-01", b"chain", "f00d", 1.0), [])
    assert [each.name for each in found_by(one, b"new-01")] == ["new"]
    one.enroll(NewDevice("own", "", 0, 0, 0, b"own-01", b"chain", "f00d", 1.0), [])
    assert [each.name for each in found_by(one, b"own-01")] == ["own"]


@sqlite_only
def test_a_database_that_was_put_back_is_read_anew(stores, path, tmp_path):
    """Before and after: moves that are gone are not found, those of before are, again and again."""
    one, other = stores
    moved(one, 1, 0)
    image = tmp_path / "image"
    with closing(sqlite3.connect(path)) as read, closing(sqlite3.connect(image)) as written:
        read.backup(written)
    for confirmed in (False, True, True):
        moved(one, 2, 0)
        if confirmed:
            one.write([confirmation(1, 0)])
        with closing(sqlite3.connect(image)) as read, closing(sqlite3.connect(path)) as written:
            read.backup(written)
        for store in (one, other):
            assert found_by(store, pid(2, 1)) == []
            assert found_by(store, pid(2, 0))[0].step == 0
            assert found_by(store, pid(1, 0))[0].pending_pid == pid(1, 0)
            assert found_by(store, pid(1, 1))[0].step == 1


@sqlite_only
def test_who_is_too_far_behind_reads_all_anew(stores, path, monkeypatch):
    one, other = stores
    monkeypatch.setattr(pseudonyms, "_KEPT", 5)
    assert found_by(one, pid(1, 0))
    for step in range(10):
        moved(other, 1, step)
        other.write([confirmation(1, step)])
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM moved").fetchone() == (5,)
    assert found_by(one, pid(1, 10))[0].step == 10
    assert found_by(one, pid(1, 9)) == []


@sqlite_only
def test_a_reading_anew_that_fails_half_way_is_made_up_for(stores, monkeypatch):
    one, other = stores
    monkeypatch.setattr(pseudonyms, "_STALE", 0)
    for step in range(35):
        if step in (0, 20):
            assert found_by(one, pid(ROOM, 0))
        moved(other, 1, step)

    def once():
        if len(one._moves.pseudonyms._devices) != ROOM - 5:
            return False
        one._db.set_progress_handler(None, 1)
        return True

    one._db.set_progress_handler(once, 1)
    with pytest.raises(StoreError):
        found_by(one, pid(ROOM, 0))
    assert [each.id for each in found_by(one, pid(ROOM, 0))] == [ROOM]


@sqlite_only
def test_what_others_made_void_is_forgotten_in_the_end(stores, monkeypatch):
    one, other = stores
    monkeypatch.setattr(pseudonyms, "_STALE", 10)
    assert found_by(one, pid(1, 0))
    for step in range(100):
        moved(other, 1, step)
        other.write([confirmation(1, step)])
        assert found_by(one, pid(1, step + 1))
        assert len(one._moves.pseudonyms._devices) <= 2 * ROOM + 2 * 10
    assert len(other._moves.pseudonyms._devices) == ROOM


@sqlite_only
def test_own_moves_leave_no_entry_behind(stores):
    one, _ = stores
    for step in range(20):
        moved(one, 1, step)
        assert len(one._moves.pseudonyms._devices) == ROOM + 1
        one.write([confirmation(1, step)])
        assert len(one._moves.pseudonyms._devices) == ROOM
    (candidate,) = found_by(one, b"era001")
    recovered = Advance(candidate, 1, 1, b"next-1", b"chain", b"era001", b"key", [(b"era-18", 17)])
    assert one.write([recovered]) == [True]
    assert len(one._moves.pseudonyms._devices) == ROOM + 1
    assert found_by(one, pid(1, 20)) == []
    assert [each.pid_era for each in found_by(one, b"era-18")] == [17]


@sqlite_only
def test_a_process_that_looks_nobody_up_loads_nothing(path):
    with closing(SqliteStore(path)) as store:
        store.enroll(NewDevice("new", "", 0, 0, 0, b"new-01", b"chain", "f00d", 1.0), [])
        store.revoke("d-1")
        assert store._moves.pseudonyms._seen is None
        assert found_by(store, pid(1, 0)) == []
        assert [each.name for each in found_by(store, b"new-01")] == ["new"]
