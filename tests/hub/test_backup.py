"""Backups that must not be restored, and restores that are cut off."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import pytest
from desk import enrolled, made, states
from stores import sqlite_only
from test_cli import ENV, Hub

from skerry_hub import audit, enrolment, restoring, rotation
from skerry_hub.backup import backup
from skerry_hub.errors import HubError, StoreError, VaultError
from skerry_hub.outgoing import logs
from skerry_hub.outgoing.logs import Bookmark, Position


def test_a_backup_is_its_owners_alone_and_never_replaces_anything(config, file):
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    with enrolment.opened(config) as hub, pytest.raises(HubError, match="is there"):
        backup(hub.store, file)
    assert file.read_bytes() == before
    assert [each.name for each in file.parent.glob("backup*")] == ["backup.db"]


def test_what_was_cut_off_since_stays_so(config, file):
    with enrolment.opened(config) as hub:
        hub.store.revoke("lamp")
        hub.store.quarantine("door", "odd")
        head = audit.verified(hub.store).head
    report = restoring.restore(config, file)
    assert (report.revoked, report.quarantined, report.missing) == (["lamp"], ["door"], [])
    assert states(config) == {"lamp": "revoked", "door": "quarantined"}
    with enrolment.opened(config) as hub:
        assert hub.store.audit_after(0)[-1].said["former_log"] == head
        assert audit.verified(hub.store).entries > 2
        with pytest.raises(HubError, match=r"cut off|another one"):
            audit.verified(hub.store, head)


def test_destinations_newer_than_the_backup_get_what_the_restore_did(config, tmp_path):
    file = tmp_path / "b.db"
    with enrolment.opened(config) as hub:
        Bookmark(hub.store, "old").write(Position(0, 1))
        end = logs.end(hub.store)  # the backup's own entry is not in it
        backup(hub.store, file)
        hub.store.revoke("lamp")
        Bookmark(hub.store, "old").write(logs.end(hub.store))
        Bookmark(hub.store, "new").write(logs.end(hub.store))
        Bookmark(hub.store, "mqtt").write(Position(0, 1))  # newer, and far behind
    restoring.restore(config, file)
    with enrolment.opened(config) as hub:
        kept = {name: Bookmark(hub.store, name).read() for name in ("old", "new", "mqtt", "none")}
        assert kept == {"old": Position(0, 1), "new": end, "mqtt": Position(0, 1), "none": None}
        batch = logs.batch(hub.store, kept["new"], logs.end(hub.store), ("events",))
        said = [json.loads(each.json)["action"] for each in batch.items]
        assert (said[0], said[-1]) == ("revoke", "restore")


def test_a_key_that_was_replaced_does_not_come_back(config, file):
    with enrolment.opened(config) as hub:
        device, chain = enrolment.new_device(hub, "lamp", enrolment.new_master_key())
        hub.store.enroll(
            replace(device, name="lamp~new", state="pending"), enrolment.coming(chain)
        )
        hub.store.activate("lamp~new")
    report = restoring.restore(config, file)
    assert (report.revoked, report.missing) == (["lamp"], ["lamp"])
    assert states(config) == {"lamp": "revoked", "door": "active"}


def test_the_start_counter_never_goes_back(config, file):
    with enrolment.opened(config) as hub:
        starts = [hub.store.next_start() for _ in range(5)][-1]
    restoring.restore(config, file)
    with enrolment.opened(config) as hub:
        assert hub.store.next_start() > starts


def test_keys_that_were_exchanged_make_a_backup_useless(config, file):
    with enrolment.opened(config) as hub:
        rotation.rotate(hub)
    before = states(config)
    for call in (restoring.check, restoring.restore):
        with pytest.raises(VaultError, match="unreadable for good"):
            call(config, file)
    assert states(config) == before


def test_another_hubs_backup_is_refused(config, file, tmp_path):
    other = made(tmp_path / "other")
    with pytest.raises(HubError, match="another one"):
        restoring.restore(other, file)
    assert states(other) == {}


def test_what_is_no_sound_backup_is_refused(config, file, tmp_path):
    before = states(config)
    with pytest.raises(HubError, match="no backup at"):
        restoring.restore(config, tmp_path / "none")
    (tmp_path / "text").write_text("hello, this is no database" * 100)
    with pytest.raises(StoreError, match="no database"):
        restoring.restore(config, tmp_path / "text")
    newer = shutil.copy(file, tmp_path / "newer")
    with closing(sqlite3.connect(newer)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer skerry"):
        restoring.restore(config, newer)
    damaged = tmp_path / "damaged"
    content = bytearray(file.read_bytes())
    for page in range(2, len(content) // 4096):
        content[page * 4096 : page * 4096 + 200] = b"\xff" * 200
    damaged.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"):
        restoring.restore(config, damaged)
    assert states(config) == before
    assert not list(config.data.glob("restore.part*"))


@sqlite_only
def test_an_old_schema_is_brought_up(config, tmp_path):
    old = tmp_path / "old.db"
    dump = (os.path.dirname(__file__) + "/databases/0004.sql", "11" * 32)
    with closing(sqlite3.connect(old)) as db, open(dump[0]) as script:
        db.executescript(script.read())
    place = tmp_path / "place"
    place.mkdir(mode=0o700)
    (place / "kek").write_text(dump[1] + "\n")
    (place / "kek").chmod(0o600)
    config = replace(config, data=place, kek=replace(config.kek, said=str(place / "kek")))
    assert restoring.restore(config, old).devices == 5
    assert states(config)["door"] == "active"
    with closing(sqlite3.connect(old)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (4,)


CUT = """
import os, sys
from pathlib import Path
from cuts import Cuts
from skerry_hub import restoring
from skerry_hub.config import Config
from skerry_hub.store.sqlite import SqliteStore
Cuts(int(sys.argv[3])).at((SqliteStore, "revoke"), (SqliteStore, "note"), (os, "link"),
                          (Path, "rename"), (Path, "unlink"))
restoring.restore(Config.of(data=sys.argv[1], environ={}), Path(sys.argv[2]))
"""


@sqlite_only
def test_cut_off_anywhere_there_is_a_whole_database(config, file, tmp_path):
    with enrolment.opened(config) as hub:
        hub.store.revoke("lamp")
        enrolled(hub, "later")
    former, restored = states(config), {"lamp": "revoked", "door": "active"}
    step, seen = 0, []
    while True:
        step += 1
        copy = replace(config, data=tmp_path / f"cut-{step}")
        shutil.copytree(config.data, copy.data)
        command = [sys.executable, "-c", CUT, str(copy.data), str(file), str(step)]
        status = subprocess.run(command, env=ENV, check=False).returncode
        seen.append(states(copy))
        assert seen[-1] in (former, restored), step
        if status == 0:
            break
        assert status == 9
        assert restoring.restore(copy, file).restored
        assert states(copy) == restored
    assert seen[-1] == restored
    assert 5 < len(seen) < 80


def test_on_the_command_line(tmp_path):
    hub = Hub(tmp_path / "hub")
    hub.good("init")
    hub.good("enroll", "lamp")
    hub.good("enroll", "door")
    said = hub.good("backup", str(tmp_path / "b"))
    assert "devices      2" in said
    assert "head " in said
    assert "is there" in hub.fails("backup", str(tmp_path / "b"))
    hub.good("revoke", "lamp")
    said = hub.good("restore", "--check", str(tmp_path / "b"))
    assert "revoked      lamp" in said
    assert "restored     False" in said
    assert "restored     True" in hub.good("restore", str(tmp_path / "b"))
    assert {each["name"]: each["state"] for each in hub.json("list")} == {
        "lamp": "revoked", "door": "active"
    }  # fmt: skip
    (tmp_path / "list").write_text("lamp\n")
    assert "is no list" in hub.fails(
        "restore", str(tmp_path / "b"), "--revocations", str(tmp_path / "list")
    )
