"""Backup and restore with a PostgreSQL that has ways of its own."""

import time
from contextlib import closing
from dataclasses import replace

import pytest
from cluster import cluster
from desk import enrolled, made

from skerry_hub import enrolment, restoring
from skerry_hub.backup import backup
from skerry_hub.config import Config
from skerry_hub.errors import StoreError
from skerry_hub.store import copying, server
from skerry_hub.store.places import open_store


@pytest.fixture
def config(tmp_path):
    return made(tmp_path)


def name_of(config):
    return config.server.split("/")[3].split("?")[0]


def filled(config, tmp_path):
    """Two devices; a backup; then one is revoked."""
    with enrolment.opened(config) as hub:
        enrolled(hub, "lamp")
        enrolled(hub, "door")
        hub.store.add_reading(hub.store.device("door").id, 1.0, "r", None, b"x")
        backup(hub.store, tmp_path / "b.db")
        hub.store.revoke("lamp")
    return tmp_path / "b.db"


def test_a_server_that_fails_at_it_is_no_empty_database(config, tmp_path):
    """Otherwise the backup would bring back who was revoked since."""
    file = filled(config, tmp_path)
    cluster().sql("CREATE ROLE clerk LOGIN")
    cluster().sql("GRANT SELECT ON skerry, meta TO clerk", name_of(config))
    there = replace(config, server=cluster().url(name_of(config), "clerk"))
    for call in (restoring.check, restoring.restore):
        with pytest.raises(StoreError, match="grant it the tables"):
            call(there, file)
    with closing(open_store(config)) as store:
        assert store.device("lamp").state == "revoked"
    assert restoring.restore(config, file).revoked == ["lamp"]


def test_a_database_of_another_encoding(tmp_path):
    made_as = "TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"
    cluster().sql(f"CREATE DATABASE plain {made_as}")
    to = cluster().url("plain")
    config = Config.of(data=str(tmp_path / "data"), environ={"SKERRY_DATABASE": to})
    enrolment.init(config)
    file = filled(config, tmp_path)
    assert restoring.restore(config, file).revoked == ["lamp"]
    with closing(open_store(config)) as store:
        assert {each.name: each.state for each in store.devices()} == {
            "lamp": "revoked", "door": "active"
        }  # fmt: skip


def test_a_long_backup_runs_into_no_limit(config, tmp_path, monkeypatch):
    """Of the user's, or of our own for what hangs."""
    cluster().sql(f"ALTER DATABASE {name_of(config)} SET statement_timeout = '200ms'")
    monkeypatch.setitem(server._SETTINGS, "idle_in_transaction_session_timeout", "200ms")
    to_sqlite = copying.to_sqlite

    def slow(source, target):
        source.execute("SELECT pg_sleep(0.4)")
        time.sleep(0.4)
        to_sqlite(source, target)

    monkeypatch.setattr(copying, "to_sqlite", slow)
    file = filled(config, tmp_path)
    assert restoring.restore(config, file).revoked == ["lamp"]
