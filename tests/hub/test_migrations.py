"""Databases of every earlier version come to the schema of today, with all that they hold."""

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from skerry_hub import device_config, enrolment
from skerry_hub.config import Config
from skerry_hub.store.sqlite import SCHEMA_VERSION, SqliteStore, create

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
            (found,) = hub.store.candidates(pid)
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


def test_a_migration_that_is_cut_off_changes_nothing(tmp_path):
    config = old(tmp_path / "old", 1)
    before = config.database.read_bytes()
    script = (
        "import os, sys, sqlite3\n"
        "from pathlib import Path\n"
        "from skerry_hub.store import migrations, sqlite\n"
        "class Db:\n"
        "    in_transaction = True\n"
        "    def __init__(self, db): self.db = db\n"
        "    def execute(self, sql):\n"
        "        if sql == 'COMMIT': os._exit(9)\n"
        "        return self.db.execute(sql)\n"
        "sqlite.migrate = lambda db, wanted: migrations.migrate(Db(db), wanted)\n"
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
