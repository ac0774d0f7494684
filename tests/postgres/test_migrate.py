"""skerry migrate: cut off anywhere, one hub lives at one place, with all that it knew."""

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from dataclasses import replace

import pytest
from cluster import cluster
from desk import DeskHub, enrolled
from stores import Place
from test_cli import ENV, Hub

from skerry import coap
from skerry_hub import audit, device_config, enrolment, migrating, restoring
from skerry_hub.backup import backup
from skerry_hub.config import Config
from skerry_hub.errors import AuditError, HubError, StoreError
from skerry_hub.store import copying, database, places
from skerry_hub.store.postgres import PostgresStore


@pytest.fixture
def config(tmp_path):
    """A hub in a file, with devices in all states; `devices` are theirs."""
    config = Config.of(data=str(tmp_path / "data"), environ={})
    enrolment.init(config)
    return config


@pytest.fixture
def devices(config):
    return asyncio.run(_populate(config))


async def _populate(config):
    with enrolment.opened(config) as hub:
        desk, devices = DeskHub(hub), [enrolled(hub, f"d-{i}") for i in range(5)]
        for device in devices[:4]:
            await device.connect(desk)
            for _ in range(3):
                device.response(await desk.ask(device.request()))
        devices[3].accept(await desk.ask(devices[3].attempt(recover=True)))  # pending
        device_config.set_value(hub.store, hub.vault, "d-1", "led", "text", b"on")
        hub.store.revoke("d-2")
        hub.store.quarantine("d-4", "odd")
        hub.store.set_tags("d-0", "kitchen north")
        desk.pokes.write_down()
    return devices


def everything(execute):
    found = {}
    for table, columns in copying.TABLES.items():
        names = ", ".join(columns.split())
        rows = execute(f"SELECT {names} FROM {table}").fetchall()
        found[table] = sorted(map(tuple, rows), key=repr)
    return found


def at(config, to):
    return replace(config, server=to)


def lives(config):
    """Tell whether a hub starts with these settings."""
    with suppress(HubError), enrolment.opened(config):
        return True
    return False


def test_all_is_there_and_the_devices_notice_nothing(config, devices):
    with closing(sqlite3.connect(config.database)) as db:
        before = everything(db.execute)
        db.close()
    with enrolment.opened(config) as hub:
        head, population = audit.verified(hub.store).head, hub.store.population()
    to = cluster().new()
    done = migrating.migrate(config, to)
    assert (done.devices, done.readings) == (5, 12)
    with closing(PostgresStore(to)) as store:
        after = everything(store._db.execute)
        assert audit.verified(store, head).entries == len(before["audit"]) + 1
        assert store.population() == population
        assert "came" in dict(after.pop("meta"))
        assert after.pop("audit")[: len(before["audit"])] != []
        for table in after:
            assert after[table] == before[table], table
    assert not lives(config)
    with pytest.raises(StoreError, match=r"moved to t.*name that one in the setting database"):
        places.open_store(config)
    asyncio.run(_go_on(at(config, to), devices))


async def _go_on(config, devices):
    """Each goes on from where it stood: a step, a recovery that was pending, or nowhere."""
    with enrolment.opened(config) as hub:
        desk = DeskHub(hub)
        for device in devices[:2]:
            await device.connect(desk)
            assert device.response(await desk.ask(device.request())).code == coap.CHANGED
            assert device.chain.era == 0
        await devices[3].connect(desk)
        assert devices[3].response(await desk.ask(devices[3].request())).code == coap.CHANGED
        assert devices[3].chain.era == 1
        for device in (devices[2], devices[4]):
            assert await desk.ask(device.attempt()) == []
        value = device_config.values(hub.store, hub.vault, "d-1")[0]
        assert value.payload == b"on"
        assert enrolled(hub, "new")
        assert hub.store.device("new").id == 6


CUT = """
import os, sys
from cuts import Cuts
import psycopg, sqlite3
from skerry_hub import migrating
from skerry_hub.config import Config
from skerry_hub.store import copying, database, server
cuts = Cuts(int(sys.argv[3]))
cuts.at((psycopg.Connection, "execute"), (copying, "to_postgres"), (database, "mark_moved"),
        (migrating, "_arrive"), (migrating, "_left"), (sqlite3, "connect"))
migrating.migrate(Config.of(data=sys.argv[1], environ={}), sys.argv[2])
"""


def test_cut_off_anywhere_it_lives_at_one_place_at_most(config, devices, tmp_path):
    seen, step = [], 0
    while True:
        step += 1
        copy = replace(config, data=tmp_path / f"cut-{step}")
        copy = replace(copy, kek=replace(copy.kek, said=str(copy.data / "kek")))
        shutil.copytree(config.data, copy.data)
        to = cluster().new()
        command = [sys.executable, "-c", CUT, str(copy.data), to, str(step)]
        status = subprocess.run(command, env=ENV, check=False).returncode
        there = (lives(copy), lives(at(copy, to)))
        seen.append(there)
        assert there != (True, True), step
        done = migrating.migrate(copy, to)  # the same command goes on, or says that it is done
        assert (done.devices, done.readings) == (5, 12)
        assert (lives(copy), lives(at(copy, to))) == (False, True)
        if status == 0:
            break
        assert status == 9
    assert {(True, False), (False, False), (False, True)} == set(seen)
    assert 10 < len(seen) < 100


def _cut(*_):
    raise KeyboardInterrupt


def test_what_is_in_the_way_is_refused_and_nothing_moves(config, devices, tmp_path, monkeypatch):
    other = Place(tmp_path)
    with pytest.raises(StoreError, match="holds a hub: name an empty database"):
        migrating.migrate(config, other.conninfo)
    with pytest.raises(HubError, match="pgpass"):
        migrating.migrate(config, "postgresql://ada:s3cret@db/x")
    with pytest.raises(StoreError, match="createdb"):
        migrating.migrate(config, cluster().url("none"))
    with pytest.raises(HubError, match="no hub in"):
        migrating.migrate(replace(config, data=tmp_path), cluster().new())
    cut = cluster().new()  # the move of another hub, before its last step
    mine = Config.of(data=str(tmp_path / "mine"), environ={})
    enrolment.init(mine)
    with monkeypatch.context() as patched:
        patched.setattr(database, "mark_moved", _cut)
        with pytest.raises(KeyboardInterrupt):
            migrating.migrate(mine, cut)
    with pytest.raises(StoreError, match="holds a hub: name an empty database"):
        migrating.migrate(config, cut)
    migrating.migrate(mine, cut)
    assert lives(at(mine, cut))
    assert lives(config)
    with closing(sqlite3.connect(config.database)) as db:
        db.execute("DROP TRIGGER audit_stays")
        db.execute("UPDATE audit SET who = 'eve' WHERE id = 2")
        db.commit()
    to = cluster().new()
    with pytest.raises(AuditError, match="entry 2 was changed"):
        migrating.migrate(config, to)
    assert lives(config)
    assert not lives(at(config, to))


def test_it_was_moved_and_no_old_process_or_backup_brings_it_back(config, devices, tmp_path):
    with enrolment.opened(config) as hub:
        backup(hub.store, tmp_path / "old.db")
    old = places.open_store(config)  # a process that had it open all the time
    migrating.migrate(config, cluster().new())
    with pytest.raises(StoreError, match="moved to another database"):
        old.add_reading(1, 1.0, "r", None, b"x")
    with pytest.raises(StoreError, match="moved"):
        old.next_start()
    with pytest.raises(StoreError, match="moved to"):
        old.claim()
    old.close()
    with pytest.raises(StoreError, match="moved to"):
        restoring.restore(config, tmp_path / "old.db")
    with pytest.raises(StoreError, match="moved to another one"):
        migrating.migrate(config, cluster().new())


def test_a_backup_comes_back_into_postgresql(config, devices, tmp_path):
    """Also when the server is lost; and a hub that runs there is not overwritten."""
    to = cluster().new()
    migrating.migrate(config, to)
    there = at(config, to)
    with enrolment.opened(there) as hub:
        made = backup(hub.store, tmp_path / "b.db")
        rows = everything(hub.store._db.execute)
        hub.store.revoke("d-1")
        with closing(places.open_store(there)) as running:
            running.claim()
            with pytest.raises(StoreError, match="runs on it: end it first"):
                restoring.restore(there, tmp_path / "b.db")
    assert made.devices == 5
    report = restoring.restore(there, tmp_path / "b.db")
    assert (report.revoked, report.compared, report.restored) == (["d-1"], True, True)
    with enrolment.opened(there) as hub:
        assert {each.name: each.state for each in hub.store.devices()} == {
            "d-0": "active", "d-1": "revoked", "d-2": "revoked", "d-3": "active",
            "d-4": "quarantined",
        }  # fmt: skip
        assert hub.store.device("d-0").readings == 3
        audit.verified(hub.store)
    assert (there.data / "skerry.db.before").stat().st_mode & 0o777 == 0o600
    anew = at(replace(config, data=config.data), cluster().new())
    assert restoring.restore(anew, tmp_path / "b.db").compared is False
    with enrolment.opened(anew) as hub:
        after = everything(hub.store._db.execute)
        assert after["device"] == rows["device"]
        assert after["reading"] == rows["reading"]
        assert [each.payload for each in hub.store.readings_after(0, 1)] == [b"21"] * 3
    with closing(sqlite3.connect(tmp_path / "b.db")) as db:  # its chains are SQLite's own
        assert db.execute("SELECT count(*) FROM reading WHERE previous IS NULL").fetchone() == (4,)


def test_on_the_command_line(tmp_path):
    hub = Hub(tmp_path / "hub")
    to = hub.env.pop("SKERRY_DATABASE")
    hub.good("init")
    hub.good("enroll", "lamp")
    running = hub.start("run", "--listen", "127.0.0.1:0", "--json")
    assert json.loads(running.stdout.readline())
    assert "a hub runs" in hub.fails("migrate", to)
    running.terminate()
    assert running.wait(20) == 0
    said = hub.good("migrate", to)
    assert "devices      1" in said
    assert f'database = "{to}"' in said
    assert "devices" in hub.good("migrate", to)
    assert "moved to" in hub.fails("list")
    assert "moved to" in hub.fails("run", "--listen", "127.0.0.1:0")
    hub.env["SKERRY_DATABASE"] = to
    assert [each["name"] for each in hub.json("list")] == ["lamp"]
    assert hub.json("audit", "--verify")["entries"] == 2
    hub.good("backup", str(tmp_path / "b"))
    assert "sound" in hub.good("doctor")
    assert "holds a hub" in hub.fails("init")
