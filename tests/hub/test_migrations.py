"""Databases of every earlier version come to the schema of today, with all that they hold."""

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from desk import found_by

from skerry import schedule
from skerry.chain import Chain
from skerry_hub import audit, device_config, enrolment
from skerry_hub.config import Config
from skerry_hub.store.database import SCHEMA_VERSION, create
from skerry_hub.store.sqlite import SqliteStore

DATABASES = Path(__file__).with_name("databases")
KEK = "11" * 32  # of the hubs that these databases were made by


def old(folder, version):
    """Lay an old hub's files down; return its configuration."""
    folder.mkdir()
    (folder / "kek").write_text(KEK + "\n")
    (folder / "kek").chmod(0o600)
    with sqlite3.connect(folder / "skerry.db") as db:
        db.executescript((DATABASES / f"{version:04}.sql").read_text())
    db.close()
    return Config.of(data=str(folder), environ={})


def schema(path):
    """Return what the schema says, without its comments and its layout."""
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        said = {name: re.sub(r'--[^\n]*|[\s"]+', " ", sql) for name, sql in rows}
    return {name: re.sub(r" +", " ", sql).strip() for name, sql in said.items()}


def test_there_is_a_database_of_every_version():
    assert len(list(DATABASES.glob("*.sql"))) == SCHEMA_VERSION - 1


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_migrations_end_where_the_schema_is(version, tmp_path):
    config = old(tmp_path / "old", version)
    SqliteStore(config.database).close()
    create(tmp_path / "new.db", {})
    assert schema(config.database) == schema(tmp_path / "new.db")
    with sqlite3.connect(config.database) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_version_1_keeps_all_it_held(tmp_path):
    config = old(tmp_path / "old", 1)
    with sqlite3.connect(config.database) as db:
        pseudonyms = db.execute("SELECT * FROM pseudonym ORDER BY pid").fetchall()
    with enrolment.opened(config) as hub:
        lamp, door, gone = hub.store.devices()
        assert (lamp.name, lamp.label, lamp.state) == ("lamp", "kitchen lamp", "active")
        assert (lamp.chip, lamp.board, lamp.tags) == (None, "", "")
        assert (door.state, gone.state) == ("active", "revoked")
        assert [each.readings for each in (lamp, door, gone)] == [1, 0, 1]
        for pid, device, era in pseudonyms:
            (found,) = found_by(hub.store, pid)
            assert (found.id, found.pid_era) == (device, era)
            hub.vault.open(b"chain", found.name.encode(), found.chain)
        assert len(pseudonyms) == 34
        assert hub.store.next_start() == 2


def test_version_2_keeps_all_it_held_and_takes_values(tmp_path):
    config = old(tmp_path / "old", 2)
    with enrolment.opened(config) as hub:
        lamp, gone = hub.store.devices()
        assert (lamp.chip, lamp.board, lamp.readings) == ("e6614103e7452d2f", "RPI_PICO", 1)
        assert (lamp.state, gone.state) == ("active", "revoked")
        assert hub.store.config(lamp.id) == []
        assert hub.store.address(lamp.id) is None
        device_config.set_value(hub.store, hub.vault, "lamp", "led", "text", b"red")
        (found,) = device_config.values(hub.store, hub.vault, "lamp")
        assert (found.path, found.payload) == ("led", b"red")


def test_version_3_keeps_where_everybody_stands_and_the_readings_of_each(tmp_path):
    """A pending epoch, one that was reached by recovering, and readings of several in turns."""
    config = old(tmp_path / "old", 3)
    with closing(sqlite3.connect(config.database)) as db:
        known = db.execute("SELECT pid, device, era FROM pseudonym").fetchall()
        rows = "SELECT id, name, pending_pid, era FROM device WHERE state = 'active'"
        devices = db.execute(rows).fetchall()
        readings = db.execute("SELECT id, device, payload FROM reading ORDER BY id").fetchall()
    with enrolment.opened(config) as hub:
        found = [(pid, each.id) for pid, _, _ in known for each in found_by(hub.store, pid)]
        assert sorted(found) == sorted((pid, device) for pid, device, _ in known)
        for pid, device, era in known:
            (candidate,) = found_by(hub.store, pid)
            chain = Chain.unpack(
                hub.vault.open(b"chain", candidate.name.encode(), candidate.chain)
            )
            assert candidate.pid == schedule.pseudonym(chain.chain_key)
            assert pid == candidate.pending_pid or candidate.pid_era == era
            assert candidate.pending_pid == {row[0]: row[2] for row in devices}[device]
        assert {row[1]: (row[2] is None, row[3]) for row in devices} == {
            "lamp": (False, 0), "door": (True, 0), "wall": (True, 1), "idle": (True, 0)
        }  # fmt: skip
        for device in hub.store.devices():
            own = [(number, payload) for number, owner, payload in readings if owner == device.id]
            stored = hub.store.readings_after(0, device.id)
            assert [(each.id, each.payload) for each in stored] == own
            assert device.readings == len(own)
            last = hub.store.last_reading(device.id)
            assert (last and last.id) == (own[-1][0] if own else None)
        assert [len(each) for each in (known, readings)] == [1 + 4 * 17, 9]
        (value,) = device_config.values(hub.store, hub.vault, "door")
        assert (value.path, value.payload) == ("led", b"red")
        assert hub.store.address(2) == '["192.0.2.7", 5683]'


def test_a_migration_that_is_cut_off_changes_nothing(tmp_path):
    config = old(tmp_path / "old", 1)
    before = config.database.read_bytes()
    script = (
        "import os, sys, sqlite3\n"
        "from pathlib import Path\n"
        "from skerry_hub.store import database, migrations, sqlite\n"
        "class Db:\n"
        "    in_transaction = True\n"
        "    def __init__(self, db): self.db = db\n"
        "    def execute(self, sql):\n"
        "        if sql == 'COMMIT': os._exit(9)\n"
        "        return self.db.execute(sql)\n"
        "database.migrate = lambda db, wanted: migrations.migrate(Db(db), wanted)\n"
        "sqlite.SqliteStore(Path(sys.argv[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, config.database], check=False)
    assert done.returncode == 9
    with sqlite3.connect(config.database) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("SELECT count(*) FROM device").fetchone() == (3,)
    assert len(before) == config.database.stat().st_size
    SqliteStore(config.database).close()


def test_two_processes_migrate_once(tmp_path):
    config = old(tmp_path / "old", 1)
    script = (
        "import sys; from pathlib import Path; from skerry_hub.store.sqlite import SqliteStore\n"
        "SqliteStore(Path(sys.argv[1])).close()"
    )
    both = [subprocess.Popen([sys.executable, "-c", script, config.database]) for _ in range(2)]
    assert [each.wait(30) for each in both] == [0, 0]
    store = SqliteStore(config.database)
    assert len(store.devices()) == 3
    store.close()


def test_version_4_keeps_its_keys_and_what_is_set_and_pending(tmp_path):
    """Lamp waits for its confirmation, wall recovered, gone is revoked, half is being flashed."""
    config = old(tmp_path / "old", 4)
    with enrolment.opened(config) as hub:
        states = {each.name: each.state for each in hub.store.devices()}
        assert states == {
            "lamp": "active", "door": "active", "wall": "active", "gone": "revoked",
            "half": "pending",
        }  # fmt: skip
        for name, state in states.items():
            keys = hub.store.keys(name)
            if state == "revoked":
                assert keys.chain == b""
                continue
            chain = Chain.unpack(hub.vault.open(b"chain", name.encode(), keys.chain))
            assert schedule.pseudonym(chain.chain_key) == keys.pid
            assert (keys.pending_key is None) == (name != "lamp")
            if keys.pending_key is not None:
                assert len(hub.vault.open(b"pending", name.encode(), keys.pending_key)) == 32
        (value,) = device_config.values(hub.store, hub.vault, "door")
        assert value.payload == b"red"
        assert [each.readings for each in hub.store.devices()] == [0, 4, 2, 1, 0]
        assert hub.store.last_audit() is None


def test_version_5_keeps_its_audit_log_and_counts_its_devices(tmp_path):
    """Lamp waits for its confirmation, gone is revoked, held is in quarantine."""
    config = old(tmp_path / "old", 5)
    with enrolment.opened(config) as hub:
        assert audit.verified(hub.store).entries == 8
        assert hub.store.population() == {
            "pending": 0, "active": 2, "quarantined": 1, "revoked": 1
        }  # fmt: skip
        assert hub.store.tokens() == []
        held = hub.store.keys("held")
        chain = Chain.unpack(hub.vault.open(b"chain", b"held", held.chain))
        assert schedule.pseudonym(chain.chain_key) == held.pid
        hub.store.release("held")
        assert hub.store.population()["active"] == 3
