"""The SQLite store on real files: epochs, races between two processes, revocation."""

import os
import sqlite3
import subprocess
import sys
import time

import pytest

from skerry_hub.errors import DuplicateDevice, NotInitialised, StoreError, UnknownDevice
from skerry_hub.store import NewDevice, replacement
from skerry_hub.store.sqlite import SCHEMA_VERSION, SqliteStore, create

PID = b"pid--0"  # of the expected epoch (0, 0)
ERAS = [(b"era-%02d" % era, era) for era in range(1, 17)]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "skerry.db"
    create(path, {"hub": b"h-test"})
    return path


@pytest.fixture
def store(path):
    store = SqliteStore(path)
    yield store
    store.close()


def enroll(store, name="lamp", pid=PID, eras=ERAS):
    device = NewDevice(name, "kitchen", 0, 0, 0, b"sealed chain of " + name.encode(), "f00d", 1.0)
    return store.enroll(device, [(pid, 0), *eras])


def advance(store, candidate, era, step, pending, learn):
    sealed = b"chain %d.%d" % (era, step)
    return store.advance(candidate, era, step, sealed, pending, b"key of " + pending, learn)


def pseudonyms(path, device=1):
    with sqlite3.connect(path) as db:
        found = db.execute("SELECT pid, era FROM pseudonym WHERE device = ?", (device,))
        return dict(found.fetchall())


def test_an_enrolled_device_is_found_by_all_its_pseudonyms(store):
    number = enroll(store)
    for pid, era in [(PID, 0), *ERAS]:
        (found,) = store.candidates(pid)
        assert (found.id, found.name, found.pid_era) == (number, "lamp", era)
        assert (found.era, found.step, found.chain) == (0, 0, b"sealed chain of lamp")
        assert (found.pending_pid, found.pending_key) == (None, None)
    assert store.candidates(b"other!") == []


def test_two_devices_may_share_a_pseudonym(store):
    enroll(store, "lamp")
    enroll(store, "door")
    assert [each.name for each in store.candidates(PID)] == ["lamp", "door"]


def test_advance_keeps_the_pending_epoch_and_the_expected_one(store, path):
    enroll(store)
    (candidate,) = store.candidates(PID)
    assert advance(store, candidate, 0, 1, PID, [(b"pid--1", 0)])
    assert pseudonyms(path) == {PID: 0, b"pid--1": 0, **dict(ERAS)}
    (candidate,) = store.candidates(PID)
    assert (candidate.era, candidate.step, candidate.chain) == (0, 1, b"chain 0.1")
    assert (candidate.pending_pid, candidate.pending_key) == (PID, b"key of " + PID)
    (candidate,) = store.candidates(b"pid--1")
    assert advance(store, candidate, 0, 2, b"pid--1", [(b"pid--2", 0)])
    assert pseudonyms(path) == {b"pid--1": 0, b"pid--2": 0, **dict(ERAS)}


def test_advance_to_a_coming_era_forgets_those_before(store, path):
    enroll(store)
    (candidate,) = store.candidates(b"era-03")
    assert candidate.pid_era == 3
    more = [(b"era-%02d" % era, era) for era in (17, 18, 19)]
    assert advance(store, candidate, 3, 1, b"era-03", [(b"pid-31", 3), *more])
    assert pseudonyms(path) == {b"pid-31": 3, **dict(ERAS[2:]), **dict(more)}


def test_the_last_pending_epoch_of_an_era_stays_known(store, path):
    enroll(store)
    (candidate,) = store.candidates(PID)
    assert advance(store, candidate, 1, 0, PID, [ERAS[0], (b"era-17", 17)])
    assert pseudonyms(path) == {PID: 0, **dict(ERAS), b"era-17": 17}


def test_of_two_hubs_at_one_epoch_one_moves_it(store, path):
    enroll(store)
    other = SqliteStore(path)
    (mine,), (theirs,) = store.candidates(PID), other.candidates(PID)
    assert advance(store, mine, 0, 1, PID, [(b"pid--1", 0)])
    before = pseudonyms(path), store.candidates(PID)
    assert not advance(other, theirs, 1, 1, b"era-01", [(b"lost--", 1)])
    assert (pseudonyms(path), store.candidates(PID)) == before
    other.close()


def test_a_confirmed_epoch_is_not_one_that_still_waits(store, path):
    """Era and step alone do not tell them apart: what is pending does."""
    enroll(store)
    (candidate,) = store.candidates(PID)
    advance(store, candidate, 0, 1, PID, [(b"pid--1", 0)])
    (stale,) = store.candidates(b"pid--1")
    assert store.confirm(1, PID, "beef", 0, 0, 2.0)
    assert not advance(store, stale, 0, 2, b"pid--1", [])


def test_confirm_erases_the_pending_epoch_once(store, path):
    enroll(store)
    (candidate,) = store.candidates(PID)
    advance(store, candidate, 0, 1, PID, [(b"pid--1", 0)])
    assert not store.confirm(1, b"pid--1", "beef", 0, 1, 2.0)
    assert not store.confirm(2, PID, "beef", 0, 0, 2.0)
    assert store.confirm(1, PID, "beef", 0, 0, 2.0)
    assert not store.confirm(1, PID, "beef", 0, 0, 3.0)
    assert store.candidates(PID) == []
    (candidate,) = store.candidates(b"pid--1")
    assert (candidate.pending_pid, candidate.pending_key) == (None, None)
    device = store.device("lamp")
    assert (device.session_fingerprint, device.session_era, device.session_step) == ("beef", 0, 0)
    assert device.seen_at == 2.0


def test_a_duplicate_names_its_holder_and_changes_nothing(store, path):
    enroll(store)
    before = pseudonyms(path)
    with pytest.raises(DuplicateDevice, match=r"lamp \(kitchen\).*active.*f00d"):
        enroll(store, pid=b"other!")
    assert pseudonyms(path) == before
    store.revoke("lamp")
    with pytest.raises(DuplicateDevice, match="revoked"):
        enroll(store)


def test_revoke_wipes_the_keys_from_every_file(store, path):
    enroll(store)
    (candidate,) = store.candidates(PID)
    advance(store, candidate, 0, 1, PID, [(b"pid--1", 0)])
    (stale,) = store.candidates(b"pid--1")
    assert store.revoke("lamp")
    assert not store.revoke("lamp")
    assert store.candidates(PID) == store.candidates(b"era-05") == []
    assert not advance(store, stale, 0, 2, b"pid--1", [])
    assert not store.confirm(1, PID, "beef", 0, 0, 2.0)
    assert store.revoked() == [1]
    assert store.device("lamp").state == "revoked"
    stored = b"".join(each.read_bytes() for each in path.parent.iterdir())
    for erased in (b"sealed chain of lamp", b"chain 0.1", b"key of " + PID, b"era-05"):
        assert erased not in stored
    with pytest.raises(UnknownDevice, match="door"):
        store.revoke("door")


def test_a_revoked_device_is_out_even_where_its_row_looks_as_before(store):
    enroll(store)
    (stale,) = store.candidates(PID)
    store._db.execute("UPDATE device SET state = 'revoked'")
    assert store.candidates(PID) == []
    assert not advance(store, stale, 0, 1, PID, [])


def test_scrub_leaves_no_earlier_epoch_in_the_journal(store, path):
    enroll(store)
    for step in range(1, 20):
        pid, following = b"pid-%02d" % (step - 1), b"pid-%02d" % step
        (candidate,) = store.candidates(PID if step == 1 else pid)
        assert advance(store, candidate, 0, step, pid, [(following, 0)])
    journal = path.with_name("skerry.db-wal")
    assert b"chain 0.2" in journal.read_bytes()
    assert store.scrub()
    assert journal.read_bytes() == b""
    assert b"chain 0.2" not in path.read_bytes()
    assert b"sealed chain" not in path.read_bytes()


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


def test_changes_shows_what_other_processes_write(store, path):
    enroll(store)
    seen = store.changes()
    store.add_reading(1, 1.0, "readings", None, b"own")
    assert store.changes() == seen
    other = SqliteStore(path)
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


def test_starts_are_counted_across_processes(store, path):
    assert [store.next_start(), store.next_start()] == [1, 2]
    other = SqliteStore(path)
    assert other.next_start() == 3
    other.close()
    assert store.next_start() == 4


def test_values_of_the_hub(store):
    assert (store.get("hub"), store.get("none")) == (b"h-test", None)
    store.put("hub", b"h-new")
    assert store.get("hub") == b"h-new"


def test_hot_look_ups_use_an_index(path):
    with sqlite3.connect(path) as db:
        for sql in (
            "SELECT * FROM pseudonym p JOIN device d ON d.id = p.device WHERE p.pid = x'00'",
            "DELETE FROM pseudonym WHERE device = 1 AND (pid IS x'00' OR era < 3)",
            "SELECT * FROM reading WHERE device = 1 AND id > 5 ORDER BY id",
        ):
            plan = str(db.execute("EXPLAIN QUERY PLAN " + sql).fetchall())
            assert "SEARCH" in plan
            assert "SCAN" not in plan


def test_a_failed_write_leaves_no_trace(store, path):
    enroll(store)
    (candidate,) = store.candidates(PID)
    before = pseudonyms(path)
    with pytest.raises(StoreError):
        advance(store, candidate, 0, 1, PID, [(None, 0)])
    assert (pseudonyms(path), store.candidates(PID)) == (before, [candidate])
    assert advance(store, candidate, 0, 1, PID, [(b"pid--1", 0)])


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


def test_a_locked_database_is_an_error_with_a_remedy(store, path):
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    store._db.execute("PRAGMA busy_timeout = 10")
    with pytest.raises(StoreError, match="another process holds it"):
        store.next_start()
    holder.execute("COMMIT")
    assert store.next_start() == 1
    holder.close()


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


def test_create_is_not_for_what_is_there(path):
    with pytest.raises(StoreError):
        create(path, {"hub": b"h-other"})
    store = SqliteStore(path)
    assert store.get("hub") == b"h-test"
    store.close()


def test_the_database_and_its_journal_are_their_owners_alone(store, path):
    store.next_start()
    modes = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
    assert modes == {"skerry.db": 0o600, "skerry.db-wal": 0o600, "skerry.db-shm": 0o600}


def flashed(store, name, chip, pid, state="pending", key=None):
    device = NewDevice(name, "", 0, 0, 0, b"sealed", "f00d", 1.0, state, chip, "PICO", "a", key)
    return store.enroll(device, [(pid, 0)])


def test_a_pending_device_is_not_answered_until_it_is_active(store):
    flashed(store, "lamp", "c1", b"pid--1")
    assert store.candidates(b"pid--1") == []
    assert [each.name for each in store.of_chip("c1")] == ["lamp"]
    assert store.keys("lamp").chain == b"sealed"
    assert store.activate("lamp")
    assert [each.name for each in store.candidates(b"pid--1")] == ["lamp"]
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
    assert store.candidates(b"pid--1") == []


def test_a_key_is_one_devices(store):
    flashed(store, "lamp", "c1", b"pid--1", key=b"k1")
    with pytest.raises(DuplicateDevice, match="key"):
        flashed(store, "door", "c2", b"pid--2", key=b"k1")
    assert store.device("door") is None


def test_a_replacement_takes_the_id_and_the_history(store):
    former = flashed(store, "lamp", "c1", b"pid--1", "active")
    store.add_reading(former, 1.0, "readings", None, b"x")
    flashed(store, replacement("lamp"), "c1", b"pid--2")
    assert [each.state for each in store.of_chip("c1")] == ["pending", "active"]
    assert len(store.candidates(b"pid--1")) == 1
    assert store.activate(replacement("lamp"))
    assert store.candidates(b"pid--1") == []
    lamp = store.device("lamp")
    assert (lamp.state, lamp.readings) == ("active", 1)
    assert store.revoked() == [former]
    assert store.device(f"lamp~{former}").readings == 0
