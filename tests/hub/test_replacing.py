"""A restore while others work on the same store: nobody's work is lost unnoticed."""

import asyncio
import errno
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from desk import enrolled, made, states
from stores import postgres_only, sqlite_only

from skerry_hub import enrolment, restoring
from skerry_hub.backup import backup
from skerry_hub.errors import HubError, StoreDamaged, StoreError, StoreReplaced
from skerry_hub.running import Running
from skerry_hub.store.database import edge, opened_anyway
from skerry_hub.store.places import open_store
from skerry_hub.store.sqlite import SqliteStore


@pytest.fixture
def compared(monkeypatch):
    """Have something done when a restore has compared."""

    def when(do):
        merge = restoring._merge

        def merging(*arguments):
            do()
            merge(*arguments)

        monkeypatch.setattr(restoring, "_merge", merging)

    return when


def test_what_is_revoked_meanwhile_is_so_or_fails(config, file, compared):
    """By a process that had opened the store before, or opens it now."""
    said, waiting = {}, threading.Barrier(3)

    def revoke(name, early):
        try:
            with closing(open_store(config)) as store:
                if early:
                    waiting.wait(10)
                    held.wait(10)
                said[name] = store.revoke(name)
        except StoreReplaced as error:
            said[name] = str(error)

    held = threading.Event()
    early = threading.Thread(target=revoke, args=("lamp", True))
    also = threading.Thread(target=revoke, args=("door", True))
    for each in (early, also):
        each.start()
    waiting.wait(10)

    def go():
        held.set()
        early.join(0.5)
        assert early.is_alive()  # it waits for its turn

    compared(go)
    assert restoring.restore(config, file).revoked == []
    for each in (early, also):
        each.join(10)
    for name, state in states(config).items():
        assert said[name] is True if state == "revoked" else "start again" in said[name]
    revoke("lamp", False)
    assert said["lamp"] in (True, False)
    assert states(config)["lamp"] == "revoked"


def test_what_was_revoked_before_it_was_held_stays_so(config, file, compared):
    with closing(open_store(config)) as other:  # whose journal is not empty
        other.revoke("lamp")
        report = restoring.restore(config, file)
        assert report.revoked == ["lamp"]
        with pytest.raises(StoreReplaced, match="start again"):
            other.claim()
    assert states(config) == {"lamp": "revoked", "door": "active"}
    before = config.database.with_name("skerry.db.before")
    assert before.stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in before.parent.glob("*.before*")) == [before.name]
    with closing(opened_anyway(before)) as db:
        found = dict(db.execute("SELECT name, state FROM device"))
    assert found == {"lamp": "revoked", "door": "active"}


def test_a_refused_one_leaves_what_an_earlier_one_kept(config, file, tmp_path):
    restoring.restore(config, file)
    before = config.database.with_name("skerry.db.before")
    kept = before.read_bytes()
    other = made(tmp_path / "other")
    with enrolment.opened(other) as hub:
        backup(hub.store, tmp_path / "other.db")
    with pytest.raises(HubError, match="another one"):
        restoring.restore(config, tmp_path / "other.db")
    assert before.read_bytes() == kept
    assert [each.name for each in config.data.glob("*.part*")] == []


def test_a_hub_ends_when_a_backup_takes_its_stores_place(config, file):
    """It has its sessions from another store than the one that is there now."""

    async def run():
        with enrolment.opened(config) as hub:
            async with Running(hub, [("127.0.0.1", 0)]) as running:
                hub.store.claim()
                if config.server is not None:  # otherwise the restore is refused
                    hub.store._db.opened.close()
                await asyncio.to_thread(restoring.restore, config, file)
                await asyncio.wait_for(running.until(asyncio.Event()), 5)

    with pytest.raises(StoreReplaced, match="start again"):
        asyncio.run(run())
    with enrolment.opened(config) as hub:
        hub.store.claim()


def test_a_hub_that_had_just_opened_it_does_not_start(config, file):
    with enrolment.opened(config) as hub:
        restoring.restore(config, file)
        with pytest.raises(StoreReplaced, match="start again"):
            hub.store.claim()
        if config.server is None:  # nor does it do anything else
            for call in (hub.store.changes, hub.store.next_start):
                with pytest.raises(StoreReplaced, match="start again"):
                    call()


def test_of_two_first_starts_both_have_the_same_check_key(config):
    with closing(open_store(config)) as one, closing(open_store(config)) as other:
        assert one.put_first("check", b"one") == b"one"
        assert other.put_first("check", b"other") == b"one"
        assert other.get("check") == b"one"


@sqlite_only
def test_a_database_that_others_hold_is_not_a_damaged_one(config, file, monkeypatch):
    """Or what was revoked since would be forgotten."""
    monkeypatch.setattr("skerry_hub.store.sqlite.BUSY_S", 0.3)
    monkeypatch.setattr("skerry_hub.store.database.BUSY_S", 0.3)
    with closing(open_store(config)) as store:
        store.revoke("lamp")
    with closing(sqlite3.connect(config.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process holds it"):
            restoring.restore(config, file)
        other.execute("ROLLBACK")
        other.execute("BEGIN")
        other.execute("SELECT * FROM meta").fetchall()
        with closing(open_store(config)) as store:
            store.quarantine("door", "odd")  # in the journal as long as the other one reads
            with pytest.raises(StoreError, match="another process reads it"):
                restoring.restore(config, file)
    assert states(config) == {"lamp": "revoked", "door": "quarantined"}


@sqlite_only
def test_an_error_of_the_disk_is_no_damage(tmp_path):
    """SQLite says IOERR, too, when the disk is full for a moment."""
    for code, kind in ((sqlite3.SQLITE_IOERR, StoreError), (sqlite3.SQLITE_CORRUPT, StoreDamaged)):
        error = sqlite3.OperationalError()
        error.sqlite_errorcode = code
        with pytest.raises(StoreError) as raised, edge(tmp_path):
            raise error
        assert raised.type is kind


@sqlite_only
def test_a_disk_that_is_full_in_between_leaves_what_was_there(config, file, compared):
    """What is merged is in the copy's journal, and has to come into the copy before it counts."""
    with enrolment.opened(config) as hub:
        for number in range(40):
            enrolled(hub, f"d-{number}")
        backup(hub.store, file.with_name("second.db"))
        for number in range(40):
            hub.store.quarantine(f"d-{number}", "lost" * 200)
    before = states(config)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    close_alone = SqliteStore.close_alone

    def full(store):
        part = config.data / "restore.part"
        assert (config.data / "restore.part-wal").stat().st_size > part.stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (part.stat().st_size, limits[1]))
        close_alone(store)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SqliteStore, "close_alone", full)
        try:
            with pytest.raises(StoreError, match="full"):
                restoring.restore(config, file.with_name("second.db"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, ignored)
    assert states(config) == before
    assert list(config.data.glob("*.part*")) == list(config.data.glob("*.before*")) == []
    restoring.restore(config, file.with_name("second.db"))
    assert states(config) == before


@sqlite_only
@pytest.mark.parametrize("place", ["link", "rename"])
def test_who_opens_it_between_two_renames_waits(config, file, monkeypatch, place):
    """Or it would have the former file with the journal of the new one."""
    command = [sys.executable, "-m", "skerry_hub", "--data", str(config.data),
               "quarantine", "door", "--reason", "stolen"]  # fmt: skip
    started = []

    def in_between(real):
        def call(*arguments):
            if not started and (place == "link" or arguments[0].name == "restore.part"):
                pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
                started.append(subprocess.Popen(command, **pipes))
                with pytest.raises(subprocess.TimeoutExpired):
                    started[0].wait(1.5)
            return real(*arguments)

        return call

    owner = os if place == "link" else Path
    monkeypatch.setattr(owner, place, in_between(getattr(owner, place)))
    assert restoring.restore(config, file).restored
    assert started[0].wait(10) == 0, started[0].stdout.read()
    assert states(config) == {"lamp": "active", "door": "quarantined"}


@sqlite_only
def test_a_process_that_has_it_open_keeps_it_and_may_go_on(config, file, monkeypatch):
    """It could be about to open the journal, which is not the new database's."""
    monkeypatch.setattr("skerry_hub.store.replacing.BUSY_S", 0.2)
    script = (
        "import sys; from pathlib import Path; from skerry_hub.store.sqlite import SqliteStore;"
        "store = SqliteStore(Path(sys.argv[1])); print('open', flush=True);"
        "sys.stdin.readline(); print(store.quarantine('door', 'odd'))"
    )
    command = [sys.executable, "-c", script, str(config.database)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as other:
        assert other.stdout.readline() == "open\n"
        names = sorted(each.name for each in config.data.iterdir())
        with pytest.raises(StoreError, match="another process has it open"):
            restoring.restore(config, file)
        assert sorted(each.name for each in config.data.iterdir()) == names
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.stdout.readline() == "True\n"
    assert restoring.restore(config, file).quarantined == ["door"]


@sqlite_only
@pytest.mark.parametrize("place", ["link", "rename"])
def test_a_step_that_fails_is_undone(config, file, monkeypatch, place):
    def fails(*arguments):
        if place == "link" or arguments[0].name == "restore.part":
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(*arguments)

    rename = Path.rename
    with enrolment.opened(config) as hub:
        hub.store.revoke("lamp")
    with monkeypatch.context() as patched:
        patched.setattr(os if place == "link" else Path, place, fails)
        with pytest.raises(StoreError, match=r"No space.*nothing was replaced"):
            restoring.restore(config, file)
    assert states(config) == {"lamp": "revoked", "door": "active"}
    assert list(config.data.glob("*.before*")) == list(config.data.glob("*.part*")) == []


@sqlite_only
def test_what_was_before_is_put_back_and_taken_for_a_backup(config, file):
    with enrolment.opened(config) as hub:
        enrolled(hub, "later")
    restoring.restore(config, file)
    before = config.database.with_name("skerry.db.before")
    assert set(states(config)) == {"lamp", "door"}
    restoring.restore(config, before)
    assert set(states(config)) == {"lamp", "door", "later"}
    with closing(opened_anyway(before)) as db:
        assert db.execute("SELECT count(*) FROM device").fetchone() == (2,)


@sqlite_only
def test_the_last_step_of_one_that_was_cut_off_is_made_up_for(config, file, monkeypatch):
    with enrolment.opened(config) as hub:
        enrolled(hub, "later")
    restoring.restore(config, file)
    before = config.database.with_name("skerry.db.before")
    before.rename(before.with_name("skerry.db.before.part"))
    with monkeypatch.context() as patched:
        patched.setattr(os, "link", lambda *_: os.stat("/none"))
        with pytest.raises(StoreError, match="nothing was replaced"):
            restoring.restore(config, file)
    with closing(opened_anyway(before)) as db:
        assert db.execute("SELECT count(*) FROM device").fetchone() == (3,)


@postgres_only
def test_a_refused_one_leaves_no_copy_of_the_keys(config, file, monkeypatch):
    monkeypatch.setattr("skerry_hub.store.server._SETTINGS", {"lock_timeout": "300ms"})
    with closing(open_store(config)) as reader:
        reader._db.execute("BEGIN")
        reader._db.in_transaction = True
        reader._db.execute("SELECT * FROM device")
        with pytest.raises(StoreError, match="another process holds it"):
            restoring.restore(config, file)
        reader._db.in_transaction = False
    assert list(config.data.glob("*.before*")) == list(config.data.glob("*.part*")) == []


@postgres_only
def test_a_hub_that_starts_meanwhile_says_why_it_cannot(config, file, compared, monkeypatch):
    monkeypatch.setattr("skerry_hub.store.server._SETTINGS", {"lock_timeout": "300ms"})

    def claim():
        with (
            closing(open_store(config)) as store,
            pytest.raises(StoreError, match="another process holds it"),
        ):
            store.claim()

    compared(claim)
    assert restoring.restore(config, file).restored


@postgres_only
def test_a_backup_is_of_one_moment_also_beside_a_restore(config, file, tmp_path, monkeypatch):
    """TRUNCATE empties tables for those who look later, whatever moment they see."""
    from skerry_hub.store import copying

    to_sqlite = copying.to_sqlite

    def late(source, target):
        monkeypatch.setattr(copying, "to_sqlite", to_sqlite)
        with pytest.raises(StoreError, match="another process holds it"):
            restoring.restore(config, file)
        to_sqlite(source, target)

    monkeypatch.setattr(copying, "to_sqlite", late)
    monkeypatch.setattr("skerry_hub.store.server._SETTINGS", {"lock_timeout": "300ms"})
    with enrolment.opened(config) as hub:
        assert backup(hub.store, tmp_path / "second.db").devices == 2
    with closing(opened_anyway(tmp_path / "second.db")) as db:
        assert db.execute("SELECT count(*) FROM device").fetchone() == (2,)
