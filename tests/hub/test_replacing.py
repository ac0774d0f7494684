"""A restore while others work on the same store: nobody's work is lost unnoticed."""

import asyncio
import sqlite3
import threading
from contextlib import closing

import pytest
from desk import enrolled, made
from stores import postgres_only, sqlite_only

from skerry_hub import audit, enrolment, restoring
from skerry_hub.backup import backup
from skerry_hub.errors import HubError, StoreError, StoreReplaced
from skerry_hub.running import Running
from skerry_hub.store.database import opened_anyway
from skerry_hub.store.places import open_store


@pytest.fixture
def config(tmp_path):
    config = made(tmp_path)
    with enrolment.opened(config) as hub:
        enrolled(hub, "lamp")
        enrolled(hub, "door")
    return config


@pytest.fixture
def file(config, tmp_path):
    file = tmp_path / "backup.db"
    with enrolment.opened(config) as hub:
        backup(hub.store, file)
    return file


def states(config):
    with closing(open_store(config)) as store:
        audit.verified(store)
        return {each.name: each.state for each in store.devices()}


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
