"""The store: epochs, races between two processes, revocation; SQLite's files, too."""

import os
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest
from cluster import WANTED
from desk import found_by
from stores import Place, sqlite_only

from skerry_hub.errors import DuplicateDevice, NotInitialised, StoreError, UnknownDevice
from skerry_hub.store import Advance, Confirmation, NewDevice, moves, replacement, sqlite
from skerry_hub.store.database import SCHEMA_VERSION, create
from skerry_hub.store.sqlite import SqliteStore

PID = b"pid--0"  # of the expected epoch (0, 0)
ERAS = [(b"era-%02d" % era, era) for era in range(1, 17)]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture
def path(place):
    return place.path


@pytest.fixture
def store(place):
    store = place.open()
    yield store
    store.close()


def enroll(store, name="lamp", pid=PID, eras=ERAS):
    chain = b"sealed chain of " + name.encode()
    return store.enroll(NewDevice(name, "kitchen", 0, 0, 0, pid, chain, "f00d", 1.0), eras)


def move(candidate, era, step, pending, pid, coming=()):
    sealed = b"chain %d.%d" % (era, step)
    return Advance(candidate, era, step, pid, sealed, pending, b"key of " + pending, list(coming))


def advance(store, *arguments):
    return store.write([move(*arguments)]) == [True]


def confirm(store, *arguments):
    return store.write([Confirmation(*arguments)]) == [True]


def pseudonyms(place, device=1):
    """All that a device is found by, as the database has it, and as its epoch: None if pending."""
    found = place.sql("SELECT pid, era FROM coming WHERE device = ?", device)
    row = "SELECT pid, era, pending_pid FROM device WHERE id = ?"
    ((pid, era, pending),) = place.sql(row, device)
    return dict(found) | {pid: era} | ({pending: None} if pending else {})


def test_an_enrolled_device_is_found_by_all_its_pseudonyms(store):
    number = enroll(store)
    for pid, era in [(PID, 0), *ERAS]:
        (found,) = found_by(store, pid)
        assert (found.id, found.name, found.pid_era) == (number, "lamp", era)
        assert (found.era, found.step, found.chain) == (0, 0, b"sealed chain of lamp")
        assert (found.pending_pid, found.pending_key) == (None, None)
    assert found_by(store, b"other!") == []


def test_two_devices_may_share_a_pseudonym(store):
    enroll(store, "lamp")
    enroll(store, "door")
    assert [each.name for each in found_by(store, PID)] == ["lamp", "door"]


def test_many_are_enrolled_together_or_none(store, place):
    def new(name):
        pid = b"pid of " + name.encode()
        return NewDevice(name, "", 0, 0, 0, pid, b"chain", "f00d", 1.0), ERAS

    with closing(place.open()) as other:
        assert other.candidates([b"pid of b"]) == {b"pid of b": []}  # it has its index by now
        store.enroll_all([new("a"), new("b"), new("c")])
        with pytest.raises(DuplicateDevice):
            store.enroll_all([new("d"), new("b"), new("e")])
        assert [each.name for each in store.devices()] == ["a", "b", "c"]
        for each in (store, other):
            assert [found.name for found in found_by(each, b"pid of b")] == ["b"]
            assert found_by(each, b"pid of d") == []
            assert len(found_by(each, b"era-03")) == 3


def test_advance_keeps_the_pending_epoch_and_the_expected_one(store, place):
    enroll(store)
    (candidate,) = found_by(store, PID)
    assert advance(store, candidate, 0, 1, PID, b"pid--1")
    assert pseudonyms(place) == {PID: None, b"pid--1": 0, **dict(ERAS)}
    (candidate,) = found_by(store, PID)
    assert (candidate.era, candidate.step, candidate.chain) == (0, 1, b"chain 0.1")
    assert (candidate.pending_pid, candidate.pending_key) == (PID, b"key of " + PID)
    (candidate,) = found_by(store, b"pid--1")
    assert advance(store, candidate, 0, 2, b"pid--1", b"pid--2")
    assert pseudonyms(place) == {b"pid--1": None, b"pid--2": 0, **dict(ERAS)}
    assert found_by(store, PID) == []


def test_advance_to_a_coming_era_forgets_those_before(store, place):
    enroll(store)
    (candidate,) = found_by(store, b"era-03")
    assert candidate.pid_era == 3
    more = [(b"era-%02d" % era, era) for era in (17, 18, 19)]
    assert advance(store, candidate, 3, 1, b"era-03", b"pid-31", more)
    assert pseudonyms(place) == {
        b"era-03": None, b"pid-31": 3, **dict(ERAS[3:]), **dict(more)
    }  # fmt: skip
    assert found_by(store, PID) == found_by(store, b"era-01") == []


def test_the_last_pending_epoch_of_an_era_stays_known(store, place):
    enroll(store)
    (candidate,) = found_by(store, PID)
    assert advance(store, candidate, 1, 0, PID, b"era-01", [(b"era-17", 17)])
    assert pseudonyms(place) == {PID: None, **dict(ERAS), b"era-17": 17}
    assert [each.pending_pid for each in found_by(store, PID)] == [PID]


def test_of_two_hubs_at_one_epoch_one_moves_it(store, place):
    enroll(store)
    other = place.open()
    (mine,), (theirs,) = found_by(store, PID), found_by(other, PID)
    assert advance(store, mine, 0, 1, PID, b"pid--1")
    before = pseudonyms(place), found_by(store, PID)
    assert not advance(other, theirs, 1, 1, b"era-01", b"lost--")
    assert (pseudonyms(place), found_by(store, PID)) == before
    other.close()


def test_a_confirmed_epoch_is_not_one_that_still_waits(store, path):
    """Era and step alone do not tell them apart: what is pending does."""
    enroll(store)
    (candidate,) = found_by(store, PID)
    advance(store, candidate, 0, 1, PID, b"pid--1")
    (stale,) = found_by(store, b"pid--1")
    assert confirm(store, 1, PID, "beef", 0, 0, 2.0)
    assert not advance(store, stale, 0, 2, b"pid--1", b"pid--2")


def test_confirm_erases_the_pending_epoch_once(store, path):
    enroll(store)
    (candidate,) = found_by(store, PID)
    advance(store, candidate, 0, 1, PID, b"pid--1")
    assert not confirm(store, 1, b"pid--1", "beef", 0, 1, 2.0)
    assert not confirm(store, 2, PID, "beef", 0, 0, 2.0)
    assert confirm(store, 1, PID, "beef", 0, 0, 2.0)
    assert not confirm(store, 1, PID, "beef", 0, 0, 3.0)
    assert found_by(store, PID) == []
    (candidate,) = found_by(store, b"pid--1")
    assert (candidate.pending_pid, candidate.pending_key) == (None, None)
    device = store.device("lamp")
    assert (device.session_fingerprint, device.session_era, device.session_step) == ("beef", 0, 0)
    assert device.seen_at == 2.0


def test_a_duplicate_names_its_holder_and_changes_nothing(store, place):
    enroll(store)
    before = pseudonyms(place)
    with pytest.raises(DuplicateDevice, match=r"lamp \(kitchen\).*active.*f00d"):
        enroll(store, pid=b"other!")
    assert pseudonyms(place) == before
    store.revoke("lamp")
    with pytest.raises(DuplicateDevice, match="revoked"):
        enroll(store)


@sqlite_only
def test_revoke_wipes_the_keys_from_every_file(store, path):
    enroll(store)
    (candidate,) = found_by(store, PID)
    advance(store, candidate, 0, 1, PID, b"pid--1")
    (stale,) = found_by(store, b"pid--1")
    assert store.revoke("lamp")
    assert not store.revoke("lamp")
    assert found_by(store, PID) == found_by(store, b"era-05") == []
    assert not advance(store, stale, 0, 2, b"pid--1", b"pid--2")
    assert not confirm(store, 1, PID, "beef", 0, 0, 2.0)
    ((number, device),) = store.revoked_after(0)
    assert (number, device) == (store.last_revocation(), 1)
    assert store.revoked_after(number) == []
    assert store.device("lamp").state == "revoked"
    stored = b"".join(each.read_bytes() for each in path.parent.iterdir())
    for erased in (b"sealed chain of lamp", b"chain 0.1", b"key of " + PID, b"era-05"):
        assert erased not in stored
    with pytest.raises(UnknownDevice, match="door"):
        store.revoke("door")


def test_a_revoked_device_is_out_even_where_its_row_looks_as_before(store, place):
    enroll(store)
    (stale,) = found_by(store, PID)
    place.sql("UPDATE device SET state = 'revoked'")
    assert found_by(store, PID) == []
    assert not advance(store, stale, 0, 1, PID, b"pid--1")


@sqlite_only
def test_a_revocation_has_the_highest_number_also_after_the_store_was_put_back(store, path):
    """So whoever has seen one finds all later ones, whatever happened to the store meanwhile."""
    for name in ("lamp", "door", "gate"):
        enroll(store, name)
    image = path.with_name("image")
    with closing(sqlite3.connect(path)) as read, closing(sqlite3.connect(image)) as written:
        read.backup(written)
    for name in ("lamp", "door"):
        store.revoke(name)
    (first, _), (second, _) = store.revoked_after(0)
    assert first < second
    assert [device for _, device in store.revoked_after(first)] == [2]
    with closing(sqlite3.connect(image)) as read, closing(sqlite3.connect(path)) as written:
        read.backup(written)
    assert (store.last_revocation(), store.revoked_after(0)) == (0, [])
    store.revoke("gate")
    assert [device for _, device in store.revoked_after(second)] == [3]


def test_a_reading_of_a_revoked_device_is_not_taken(store):
    enroll(store)
    assert store.add_reading(1, 1.0, "readings", None, b"before") == 1
    store.revoke("lamp")
    assert store.add_reading(1, 1.0, "readings", None, b"after") == 0
    assert [each.payload for each in store.readings_after(0)] == [b"before"]
    assert (store.device("lamp").readings, store.last_reading(1).payload) == (1, b"before")


@sqlite_only
def test_scrub_leaves_no_earlier_epoch_in_the_journal(store, path):
    enroll(store)
    for step in range(1, 20):
        pid, following = b"pid-%02d" % (step - 1), b"pid-%02d" % step
        (candidate,) = found_by(store, PID if step == 1 else pid)
        assert advance(store, candidate, 0, step, pid, following)
    journal = path.with_name("skerry.db-wal")
    assert b"chain 0.2" in journal.read_bytes()
    assert store.scrub()
    assert journal.read_bytes() == b""
    assert b"chain 0.2" not in path.read_bytes()
    assert b"sealed chain" not in path.read_bytes()


@sqlite_only
def test_scrub_does_not_wait_for_a_reader(store, path):
    enroll(store)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM device").fetchall()
    store.add_reading(1, 1.0, "readings", None, b"x")
    begun = time.monotonic()
    assert not store.scrub()
    assert time.monotonic() - begun < 1
    reader.close()
    assert store.scrub()


def test_changes_shows_what_other_processes_write(store, place):
    enroll(store)
    seen = store.changes()
    store.add_reading(1, 1.0, "readings", None, b"own")
    assert store.changes() == seen or WANTED  # PostgreSQL counts its own
    seen = store.changes()
    assert store.changes() == seen
    other = place.open()
    other.revoke("lamp")
    assert store.changes() != seen
    other.close()


def test_readings_come_in_order_by_device_and_in_pieces(store):
    enroll(store, "lamp")
    enroll(store, "door")
    assert (store.last_reading_id(), store.last_reading(1)) == (0, None)
    numbers = [store.add_reading(1 + n % 2, float(n), "readings", 50, b"%d" % n) for n in range(6)]
    assert [each.id for each in store.readings_after(0)] == numbers
    assert [each.payload for each in store.readings_after(numbers[0], device=2)] == [
        b"1", b"3", b"5"
    ]  # fmt: skip
    assert [each.id for each in store.readings_after(numbers[1], limit=2)] == numbers[2:4]
    last = store.last_reading(2)
    assert (last.name, last.at, last.path, last.format) == ("door", 5.0, "readings", 50)
    assert store.last_reading_id() == numbers[-1]
    assert [(each.name, each.readings) for each in store.devices()] == [("lamp", 3), ("door", 3)]


def test_starts_are_counted_across_processes(store, place):
    assert [store.next_start(), store.next_start()] == [1, 2]
    other = place.open()
    assert other.next_start() == 3
    other.close()
    assert store.next_start() == 4


def test_values_of_the_hub(store):
    assert (store.get("hub"), store.get("none")) == (b"h-test", None)
    store.put("hub", b"h-new")
    assert store.get("hub") == b"h-new"


@sqlite_only
def test_hot_look_ups_use_an_index(path):
    with sqlite3.connect(path) as db:
        for sql, values in (
            (moves.BY_COMING.format("?, ?"), 2),
            (moves.ADVANCE, 10),
            (moves.CONFIRM, 8),
            (moves.ADD_READING, 5),
            (sqlite._LAST_READING, 1),
            (moves.LAST_IS, 2),
            (moves.FORGET_COMING, 2),
            ("SELECT id, mark, devices FROM moved WHERE id >= 7 ORDER BY id", 0),
            ("SELECT id, device FROM revocation WHERE id > 7 ORDER BY id", 0),
            (moves.BY_NUMBER, 1),
            (sqlite._READINGS_OF_DEVICE, 3),
        ):
            plan = db.execute("EXPLAIN QUERY PLAN " + sql, ["[]"] * values).fetchall()
            steps = [row[-1] for row in plan]
            tables = [each for each in steps if re.match("S(CAN|EARCH)", each)]
            assert all(
                "SEARCH" in each
                or each in ("SCAN json_each VIRTUAL TABLE INDEX 1:", "SCAN chain")
                for each in tables
            ), steps  # fmt: skip


def test_readings_of_a_device_are_a_chain_that_others_do_not_lengthen(store):
    enroll(store, "lamp")
    enroll(store, "door")
    own = []
    for number in range(300):
        reading = store.add_reading(1 if number % 30 == 0 else 2, 1.0, "readings", None, b"x")
        own += [reading] if number % 30 == 0 else []
    assert [each.id for each in store.readings_after(0, device=1)] == own
    assert [each.id for each in store.readings_after(own[3], device=1, limit=2)] == own[4:6]
    assert [each.id for each in store.readings_after(own[-1], device=1)] == []
    assert store.readings_after(0, device=3) == []
    assert [each.readings for each in store.devices()] == [10, 290]


def test_a_failed_write_leaves_no_trace(store, place):
    enroll(store)
    (candidate,) = found_by(store, PID)
    before = pseudonyms(place)
    with pytest.raises(StoreError):
        advance(store, candidate, 0, 1, PID, None)
    assert (pseudonyms(place), found_by(store, PID)) == (before, [candidate])
    assert advance(store, candidate, 0, 1, PID, b"pid--1")


@sqlite_only
def test_what_is_written_survives_kill_9(path):
    script = (
        "import os, sys; from pathlib import Path; from skerry_hub.store.sqlite import SqliteStore\n"
        "store = SqliteStore(Path(sys.argv[1])); store.next_start(); os.kill(os.getpid(), 9)"
    )
    for count in (1, 2):
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run([sys.executable, "-c", script, path], env=env, check=False)
        assert done.returncode == -9
        store = SqliteStore(path)
        assert store.get("starts") == count.to_bytes(8, "big")
        store.close()


@sqlite_only
def test_a_locked_database_is_an_error_with_a_remedy(store, path):
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    store._db.execute("PRAGMA busy_timeout = 10")
    with pytest.raises(StoreError, match="another process holds it"):
        store.next_start()
    holder.execute("COMMIT")
    assert store.next_start() == 1
    holder.close()


@sqlite_only
def test_files_that_are_no_store_are_refused(tmp_path, path):
    with pytest.raises(NotInitialised, match="skerry init"):
        SqliteStore(tmp_path / "none.db")
    (tmp_path / "empty.db").touch()
    with pytest.raises(NotInitialised, match="run it again"):
        SqliteStore(tmp_path / "empty.db")
    (tmp_path / "text.db").write_text("no database at all " * 1000)
    with pytest.raises(StoreError, match="restore it from a backup"):
        SqliteStore(tmp_path / "text.db")
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(StoreError, match="newer skerry"):
        SqliteStore(path)


@sqlite_only
def test_create_is_not_for_what_is_there(path):
    with pytest.raises(StoreError):
        create(path, {"hub": b"h-other"})
    store = SqliteStore(path)
    assert store.get("hub") == b"h-test"
    store.close()


@sqlite_only
def test_the_database_and_its_journal_are_their_owners_alone(store, path):
    store.next_start()
    modes = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
    assert modes == {"skerry.db": 0o600, "skerry.db-wal": 0o600, "skerry.db-shm": 0o600}


def flashed(store, name, chip, pid, state="pending", key=None):
    device = NewDevice(
        name, "", 0, 0, 0, pid, b"sealed", "f00d", 1.0, state, chip, "PICO", "a", key
    )  # fmt: skip
    return store.enroll(device, [])


def test_a_pending_device_is_not_answered_until_it_is_active(store):
    flashed(store, "lamp", "c1", b"pid--1")
    assert found_by(store, b"pid--1") == []
    assert [each.name for each in store.of_chip("c1")] == ["lamp"]
    assert store.keys("lamp").chain == b"sealed"
    assert store.activate("lamp")
    assert [each.name for each in found_by(store, b"pid--1")] == ["lamp"]
    assert not store.activate("lamp")
    device = store.device("lamp")
    assert (device.state, device.chip, device.board, device.tags) == ("active", "c1", "PICO", "a")


def test_a_pending_device_can_be_forgotten_and_an_active_one_not(store):
    flashed(store, "lamp", "c1", b"pid--1")
    store.discard("lamp")
    assert store.device("lamp") is None
    flashed(store, "lamp", "c1", b"pid--1", "active")
    store.discard("lamp")
    assert store.device("lamp").state == "active"


def test_a_chip_is_one_active_device(store):
    flashed(store, "lamp", "c1", b"pid--1", "active")
    flashed(store, "gate", "c2", b"pid--3", "active")
    with pytest.raises(DuplicateDevice, match="lamp"):
        store.describe("gate", "c1", "")
    store.describe("gate", "c3", "PICO_W")
    assert store.device("gate").board == "PICO_W"
    flashed(store, "door", "c1", b"pid--2")
    assert store.activate("door")
    assert [each.state for each in map(store.device, ("lamp", "gate", "door"))] == [
        "revoked", "active", "active"
    ]  # fmt: skip
    assert found_by(store, b"pid--1") == []


def test_a_key_is_one_devices(store):
    flashed(store, "lamp", "c1", b"pid--1", key=b"k1")
    with pytest.raises(DuplicateDevice, match="key"):
        flashed(store, "door", "c2", b"pid--2", key=b"k1")
    assert store.device("door") is None


def test_a_replacement_takes_the_id_and_the_history(store):
    former = flashed(store, "lamp", "c1", b"pid--1", "active")
    other = flashed(store, "door", "c2", b"pid--3", "active")
    own = []
    for number in range(6):
        device = other if number % 2 else former
        own.append(store.add_reading(device, 1.0, "readings", None, b"%d" % number))
    flashed(store, replacement("lamp"), "c1", b"pid--2")
    assert [each.state for each in store.of_chip("c1")] == ["pending", "active"]
    assert len(found_by(store, b"pid--1")) == 1
    assert store.activate(replacement("lamp"))
    assert found_by(store, b"pid--1") == []
    lamp = store.device("lamp")
    assert (lamp.state, lamp.readings) == ("active", 3)
    assert store.last_reading(lamp.id).payload == b"4"
    assert [each.id for each in store.readings_after(0, lamp.id)] == own[::2]
    assert [each.id for each in store.readings_after(0, other)] == own[1::2]
    assert store.last_reading(former) is None
    assert [device for _, device in store.revoked_after(0)] == [former]
    assert store.device(f"lamp~{former}").readings == 0
