"""The audit log on a real database: what is in it, and which changes to it are seen."""

import json
import re
import sqlite3
import subprocess
import sys

import psycopg
import pytest
from cluster import WANTED
from desk import enrolled, made
from stores import behind, where
from test_cli import ENV, Hub

from skerry_hub import audit, device_config, enrolment
from skerry_hub.config import Config
from skerry_hub.errors import AuditError, HubError
from skerry_hub.store.ledger import acting_as


@pytest.fixture
def log(opened):
    """A hub with six entries; its store."""
    for name in ("lamp", "door", "wall"):
        enrolled(opened, name)
    device_config.set_value(opened.store, opened.vault, "door", "led", "text", b"s3cret")
    with acting_as("ada"):
        opened.store.revoke("lamp")
    opened.store.set_tags("wall", "kitchen north")
    return opened.store


def changed(store, sql, *values):
    """Do what somebody may do who can write the file."""
    on = " ON audit" if WANTED else ""
    behind(store, f"DROP TRIGGER IF EXISTS audit_stays{on}")
    behind(store, f"DROP TRIGGER IF EXISTS audit_is_kept{on}")
    behind(store, sql, *values)


def test_it_says_who_did_what(log):
    found = [(each.action, each.subject) for each in log.audit_after(0)]
    assert found == [
        ("enrol", "lamp"), ("enrol", "door"), ("enrol", "wall"), ("set", "door"),
        ("revoke", "lamp"), ("tag", "wall"),
    ]  # fmt: skip
    entries = log.audit_after(0)
    assert [each.id for each in entries] == [1, 2, 3, 4, 5, 6]
    assert entries[4].who == "ada" != entries[5].who
    assert entries[0].said == {"fingerprint": log.device("lamp").fingerprint, "state": "active"}
    assert entries[5].said == {"before": "", "after": "kitchen north"}
    assert not any("s3cret" in each.detail for each in entries)
    assert [each.action for each in log.audit_after(0, subject="door")] == ["enrol", "set"]
    assert [each.id for each in log.audit_after(4)] == [5, 6]
    assert [each.id for each in log.audit_after(1, 2)] == [2, 3]


def test_what_fails_is_not_in_it_and_what_is_in_it_was_done(log, monkeypatch):
    before = log.last_audit()
    with pytest.raises(HubError):
        log.revoke("nobody")
    assert not log.revoke("lamp")
    assert log.last_audit() == before
    monkeypatch.setattr(log._ledger, "note", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        log.revoke("door")
    assert log.device("door").state == "active"


def test_a_log_that_nobody_touched_is_whole(log, tmp_path):
    done = audit.verified(log)
    assert done.entries == 6
    assert re.fullmatch(r"6:[0-9a-f]{64}", done.head)
    log.note("anything")
    assert audit.verified(log, done.head).entries == 7
    with enrolment.opened(made(tmp_path / "other")) as empty:
        assert audit.verified(empty.store) == audit.Verified(0, "0:" + "0" * 64)


@pytest.mark.parametrize("column", ["at", "who", "action", "subject", "detail", "hash"])
@pytest.mark.parametrize("entry", [1, 3, 6])
def test_a_changed_entry_is_seen(log, column, entry):
    other = {"at": 1.5, "hash": bytes(32)}.get(column, '{"x": 1}')
    changed(log, f"UPDATE audit SET {column} = ? WHERE id = ?", other, entry)
    with pytest.raises(AuditError, match=rf"entry {entry} was changed"):
        audit.verified(log)


@pytest.mark.parametrize("entry", [1, 3, 5])
def test_a_removed_entry_is_seen(log, entry):
    changed(log, "DELETE FROM audit WHERE id = ?", entry)
    with pytest.raises(AuditError, match=f"entry {entry} is missing"):
        audit.verified(log)
    changed(log, "UPDATE audit SET id = id - 1 WHERE id > ?", entry)
    with pytest.raises(AuditError, match="was changed"):
        audit.verified(log)


def test_entries_in_another_order_are_seen(log):
    changed(log, "UPDATE audit SET id = CASE id WHEN 2 THEN -3 ELSE -2 END WHERE id IN (2, 3)")
    changed(log, "UPDATE audit SET id = -id WHERE id < 0")
    with pytest.raises(AuditError, match="entry 2 was changed"):
        audit.verified(log)


def test_a_cut_off_end_is_seen_beside_a_kept_head_alone(log):
    kept = audit.verified(log).head
    changed(log, "DELETE FROM audit WHERE id > 4")
    assert audit.verified(log).entries == 4
    with pytest.raises(AuditError, match=r"ends with entry 4.*cut off"):
        audit.verified(log, kept)
    log.note("a")
    log.note("b")
    assert audit.verified(log).entries == 6
    with pytest.raises(AuditError, match="entry 6 is another one"):
        audit.verified(log, kept)


def test_the_database_itself_refuses_to_change_an_entry(log):
    for sql in ("UPDATE audit SET who = 'eve'", "DELETE FROM audit"):
        with pytest.raises((sqlite3.IntegrityError, psycopg.Error), match="only ever added to"):
            behind(log, sql)


WRITER = (
    "import sys; from stores import at\n"
    "store = at(sys.argv[1])\n"
    "for _ in range(50): store.note('test', sys.argv[2])"
)


def test_processes_that_write_at_once_make_one_chain(log):
    command = [sys.executable, "-c", WRITER, where(log)]
    writers = [subprocess.Popen([*command, name], env=ENV) for name in "abc"]
    assert [each.wait(60) for each in writers] == [0, 0, 0]
    assert audit.verified(log).entries == 156


def test_on_the_command_line(tmp_path):
    hub = Hub(tmp_path / "hub")
    hub.good("init")
    assert hub.good("audit") == ""
    hub.good("enroll", "lamp")
    hub.good("revoke", "lamp")
    first, second = hub.good("audit").splitlines()
    assert re.search(r"^ +1  \d{4}-.*  enrol  lamp  fingerprint=\w{8} state=active$", first)
    assert "  revoke  lamp  " in second
    done = hub.json("audit", "--verify")
    assert done["entries"] == 2
    assert hub.json("audit", "--head", done["head"]) == done
    assert "is no head" in hub.fails("audit", "--head", "2:xyz")
    assert "cut off" in hub.fails("audit", "--head", "3:" + "0" * 64)
    lines = hub.good("audit", "--device", "lamp", "--json").splitlines()
    assert [json.loads(each)["action"] for each in lines] == ["enrol", "revoke"]


def test_an_entry_is_one_line_whoever_wrote_it(tmp_path):
    hub = Hub(tmp_path / "hub")
    hub.good("init")
    hub.good("enroll", "lamp")
    forged = "lost\n     7  2026-11-28 22:30:00  root  release  lamp\x1b[2J"
    assert "one line" in hub.fails("quarantine", "lamp", "--reason", forged)
    config = Config.of(data=str(tmp_path / "hub"), environ=hub.env)
    with enrolment.opened(config) as opened:
        opened.store.quarantine("lamp", forged)
    said = hub.good("audit").splitlines()
    assert [line.split()[0] for line in said] == ["1", "2"]
    assert said[1].endswith(
        r"reason=lost\n     7  2026-11-28 22:30:00  root  release  lamp\x1b[2J"
    )
