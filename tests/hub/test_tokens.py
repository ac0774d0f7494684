"""Tokens of the web interface: shown once, stored as a hash, checked, expired, revoked."""

import hashlib
import json
import os
import subprocess
import sys

import pytest
from stores import sqlite_only

from skerry_hub import backup, restoring, tokens
from skerry_hub.errors import BadName, DuplicateToken, HubError
from skerry_hub.store.sqlite import SqliteStore


def test_a_token_is_found_by_its_text_alone(opened):
    token, text = tokens.new(opened.store, "ci.1", ["operate", "read"])
    assert token.scopes == "read operate"
    assert tokens.check(opened.store, text) == token
    secret = text.rpartition(".")[2]
    wrong = [
        "", "skerry", "skerry.ci.1", "skerry.ci.1.", text[:-1], text + "A", text + ".",
        text.replace("ci.1", "ci.2"), text.replace("skerry", "Skerry"), secret,
        "skerry.ci.1." + "A" * 43, "skerry.ci.1." + "\u00e9" * 43, f"skerry.ci.1.{secret}=",
    ]  # fmt: skip
    assert [each for each in wrong if tokens.check(opened.store, each)] == []


def test_every_token_is_another_one_of_32_random_bytes(opened):
    texts = [tokens.new(opened.store, f"t{number}", ["read"])[1] for number in range(20)]
    assert len({each.rpartition(".")[2] for each in texts}) == 20
    assert {len(each.rpartition(".")[2]) for each in texts} == {43}


@sqlite_only
def test_the_database_has_only_a_hash_of_it(opened):
    token, text = tokens.new(opened.store, "ops", ["read"])
    assert opened.store.scrub()
    content = opened.store._path.read_bytes()
    assert text.rpartition(".")[2].encode() not in content
    assert token.hash in content
    assert token.hash.hex() not in repr(token)
    assert hashlib.sha256(text.encode()).digest() != token.hash


def test_it_expires_and_is_revoked(opened, monkeypatch):
    _, short = tokens.new(opened.store, "short", ["read"], 3600)
    _, long = tokens.new(opened.store, "long", ["read"])
    assert tokens.check(opened.store, short)
    at = opened.store.token("short").expires_at
    monkeypatch.setattr(tokens.time, "time", lambda: at)
    assert tokens.check(opened.store, short) is None
    assert tokens.check(opened.store, long)
    assert opened.store.revoke_token("long")
    assert tokens.check(opened.store, long) is None
    assert not opened.store.revoke_token("long")


def test_the_audit_log_has_both_and_a_failed_one_not(opened, monkeypatch):
    tokens.new(opened.store, "ops", ["read"])
    with pytest.raises(DuplicateToken, match="there is a token ops"):
        tokens.new(opened.store, "ops", ["operate"])
    opened.store.revoke_token("ops")
    found = [
        (each.action, each.subject, each.said["name"]) for each in opened.store.audit_after(0)
    ]
    assert found == [("token", "", "ops"), ("revoke token", "", "ops")]
    monkeypatch.setattr(opened.store._ledger, "note", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tokens.new(opened.store, "ops", ["read"])
    assert opened.store.tokens() == []


@pytest.mark.parametrize("name", ["", "Ops", "a b", "-a", "a" * 64, "ops\n"])
def test_bad_names_are_refused(opened, name):
    with pytest.raises(BadName, match="no name of a token"):
        tokens.new(opened.store, name, ["read"])


@pytest.mark.parametrize("scopes", [[], ["write"], ["read", "all"]])
def test_bad_scopes_are_refused(opened, scopes):
    with pytest.raises(HubError, match="what may it do"):
        tokens.new(opened.store, "ops", scopes)


@sqlite_only
def test_a_restore_brings_no_revoked_token_back(tmp_path):
    """Nor one that has another secret now; with no database to compare with, none at all."""
    from desk import made

    config = made(tmp_path)
    texts = {}
    store = SqliteStore(config.database)
    for name in ("kept", "revoked", "changed"):
        texts[name] = tokens.new(store, name, ["read"])[1]
    backup.backup(store, tmp_path / "backup.db")
    store.revoke_token("revoked")
    store.revoke_token("changed")
    texts["anew"] = tokens.new(store, "changed", ["read"])[1]
    store.close()
    restoring.restore(config, tmp_path / "backup.db")
    store = SqliteStore(config.database)
    assert [name for name, text in texts.items() if tokens.check(store, text)] == ["kept"]
    store.close()
    for each in config.data.glob("skerry.db*"):
        each.unlink()
    restoring.restore(config, tmp_path / "backup.db")
    store = SqliteStore(config.database)
    assert store.tokens() == []
    store.close()


def skerry(folder, *arguments, ok=True):
    command = [sys.executable, "-m", "skerry_hub", "--data", str(folder), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "TZ": "UTC"}, check=False
    )
    assert (done.returncode == 0) == ok, done.stderr
    return done.stdout if ok else done.stderr


def test_the_command_line(tmp_path):
    data = tmp_path / "hub"
    skerry(data, "init")
    assert "skerry token new" in skerry(data, "token", "list")
    text = skerry(data, "token", "new", "ops", "--scope", "operate", "--scope", "read")
    assert text.count("\n") == 1
    assert text.startswith("skerry.ops.")
    skerry(data, "token", "new", "line", "--scope", "enrol", "--expires", "30d")
    said = json.loads(skerry(data, "token", "list", "--json"))
    assert [(each["name"], each["scopes"]) for each in said] == [
        ("line", ["enrol"]), ("ops", ["read", "operate"])
    ]  # fmt: skip
    assert said[0]["expires_at"] - said[0]["created_at"] == pytest.approx(30 * 86400)
    listed = skerry(data, "token", "list")
    assert "never used" in listed
    assert text.strip().rpartition(".")[2] not in listed
    assert "write hours or days" in skerry(
        data, "token", "new", "x", "--scope", "read", "--expires", "soon", ok=False
    )
    assert "required: --scope" in skerry(data, "token", "new", "x", ok=False)
    assert "revoked" in skerry(data, "token", "revoke", "ops")
    assert "skerry token list" in skerry(data, "token", "revoke", "ops", ok=False)
