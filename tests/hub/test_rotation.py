"""Keys are exchanged under a running hub, cut off anywhere, and from every kind of source."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from desk import DeskHub, enrolled, made
from stores import behind, sqlite_only
from test_cli import ENV, Hub

from skerry.chain import Chain
from skerry_hub import audit, device_config, enrolment, rotation
from skerry_hub.backup import backup
from skerry_hub.config import Config
from skerry_hub.errors import StaleKey, StoreError, VaultError
from skerry_hub.keysource import KeySource
from skerry_hub.restoring import restore
from skerry_hub.store import replaces
from skerry_hub.store.places import open_store
from skerry_hub.vault import Vault, create_kek, new_row_key, read_kek

MODULE = "/usr/lib/softhsm/libsofthsm2.so"


@pytest.fixture
def config(tmp_path):
    """A hub with devices in all states."""
    config = made(tmp_path)
    with enrolment.opened(config) as hub:
        asyncio.run(populate(hub))
    return config


async def populate(hub):
    desk = DeskHub(hub)
    lamp, door = enrolled(hub, "lamp"), enrolled(hub, "door")
    await lamp.connect(desk)  # pending
    await door.connect(desk)
    door.response(await desk.ask(door.request()))
    enrolled(hub, "gone")
    hub.store.revoke("gone")
    device_config.set_value(hub.store, hub.vault, "door", "led", "text", b"red")
    device, chain = enrolment.new_device(hub, "lamp", enrolment.new_master_key())
    hub.store.enroll(replace(device, name="lamp~new", state="pending"), enrolment.coming(chain))


def contents(config):
    """Everything that is sealed, opened with the KEK in force."""
    with enrolment.opened(config) as hub:
        found = {}
        for device in hub.store.devices():
            keys, name = hub.store.keys(device.name), device.name.removesuffix("~new").encode()
            if keys.chain:
                found[device.name] = [hub.vault.open(b"chain", name, keys.chain)]
                Chain.unpack(found[device.name][0])
            if keys.pending_key:
                found[device.name].append(hub.vault.open(b"pending", name, keys.pending_key))
        found["config"] = device_config.values(hub.store, hub.vault, "door")[0].payload
        found["check"] = hub.vault.key_check(bytes(32))
        assert len(found) == 5
        return found


def sealed_under(config):
    """The numbers of all row keys that something is sealed under."""
    with closing(open_store(config)) as store:
        rows = behind(
            store,
            "SELECT chain FROM device UNION SELECT pending_key FROM device"
            " UNION SELECT payload FROM config"
            " UNION SELECT value FROM meta WHERE key IN ('row_key', 'check_key')",
        )
    return {value[0] for (value,) in rows if value}


def test_all_is_sealed_anew_and_the_old_keys_are_gone(config):
    before, kek = contents(config), config.kek.read()
    assert sealed_under(config) == {0}
    with enrolment.opened(config) as hub:
        assert rotation.rotate(hub) == rotation.Rotated(5, True, str(config.kek))
        assert hub.vault.numbers == {1}
    assert sealed_under(config) == {1}
    assert contents(config) == before
    assert config.kek.read() != kek
    assert sorted(path.name for path in config.data.glob("kek*")) == ["kek"]
    with enrolment.opened(config) as hub:
        assert [each.action for each in hub.store.audit_after(0)][-3:] == ["keys"] * 3
        assert audit.verified(hub.store).entries > 3
        for _ in range(3):
            rotation.rotate(hub)
    assert sealed_under(config) == {4}


def test_numbers_of_row_keys_begin_again():
    vault = Vault(bytes(32), "h", new_row_key(bytes(32), "h", 255))
    assert vault.following_row_key(bytes(32))[0] == 0


@sqlite_only
def test_an_old_copy_opens_with_nothing_that_is_left(config, tmp_path):
    old = replace(config, data=tmp_path / "old")
    shutil.copytree(config.data, old.data)
    with enrolment.opened(config) as hub:
        rotation.rotate(hub)
        with pytest.raises(VaultError, match="not the one of hub"), enrolment.opened(old):
            pass
        with closing(sqlite3.connect(old.database)) as db:
            ((chain,),) = db.execute("SELECT chain FROM device WHERE name = 'door'").fetchall()
        for number in (0, 1):
            with pytest.raises(VaultError):
                hub.vault.open(b"chain", b"door", bytes((number,)) + chain[1:])


CUT = """
import os, sys
from pathlib import Path
from cuts import Cuts
from skerry_hub import enrolment, rotation, vault
from skerry_hub.config import Config
from skerry_hub.store.sqlite import SqliteStore

Cuts(int(sys.argv[2])).at((SqliteStore, "change_keys"), (SqliteStore, "reseal"), (os, "link"),
                          (vault, "create_kek"), (Path, "rename"), (Path, "unlink"))
rotation._BATCH = 3
with enrolment.opened(Config.of(data=sys.argv[1], environ={})) as hub:
    rotation.rotate(hub)
"""


@sqlite_only
def test_cut_off_anywhere_everything_opens_and_the_next_run_ends_it(config, tmp_path):
    before, cuts, step = contents(config), 0, 0
    while True:
        step += 1
        copy = Config.of(
            data=str(shutil.copytree(config.data, tmp_path / f"cut-{step}")), environ={}
        )
        command = [sys.executable, "-c", CUT, str(copy.data), str(step)]
        status = subprocess.run(command, env=ENV, check=False).returncode
        if status == 0:
            break
        assert status == 9
        cuts += 1
        assert contents(copy) == before, step
        with enrolment.opened(copy) as hub:
            assert rotation.rotate(hub).finished
            assert rotation.rotate(hub).finished
        assert contents(copy) == before, step
        assert [path.name for path in copy.data.glob("kek*")] == ["kek"]
        assert len(sealed_under(copy)) == 1
    assert cuts >= 10


def test_what_is_sealed_under_a_key_that_is_no_more_is_not_stored(config):
    with enrolment.opened(config) as late, enrolment.opened(config) as hub:
        rotation.rotate(hub)
        chain = hub.store.keys("door").chain
        with pytest.raises(StaleKey, match="try again"):
            enrolled(late, "new")
        with pytest.raises(StaleKey):
            device_config.set_value(late.store, late.vault, "door", "led", "text", b"blue")
        assert late.lacks_keys()
        late.load_keys(config.kek.read())
        assert not late.lacks_keys()
        enrolled(late, "new")
        assert hub.store.keys("door").chain == chain


def opens(config):
    """All that is sealed, whichever process opens it."""
    with enrolment.opened(config) as hub:
        for each in hub.store.devices():
            if each.state != "revoked":
                name = (replaces(each.name) or each.name).encode()
                hub.vault.open(b"chain", name, hub.store.keys(each.name).chain)
        return hub.store.get("next_row_key") is hub.store.get("turned_row_key") is None


def test_two_rotations_one_after_the_other_with_the_second_waiting(config):
    """It had opened the hub before the first one exchanged the keys."""
    with enrolment.opened(config) as second:
        with enrolment.opened(config) as first:
            assert rotation.rotate(first).finished
        assert rotation.rotate(second).finished
    assert opens(config)


def test_two_at_once_on_the_command_line(tmp_path):
    hub = Hub(tmp_path / "hub")
    hub.good("init")
    for name in ("lamp", "door"):
        hub.good("enroll", name)
    for _ in range(3):
        both = [
            subprocess.Popen(hub.command("rotate-key"), env=hub.env, stderr=subprocess.PIPE)
            for _ in range(2)
        ]
        assert [each.wait(60) for each in both] == [0, 0], [each.stderr.read() for each in both]
        for each in both:
            each.stderr.close()
        assert opens(Config.of(data=str(tmp_path / "hub"), environ=hub.env))


def test_of_two_rotations_on_two_machines_one_goes_on(config, tmp_path, monkeypatch):
    """Where no lock of a folder keeps them apart: no key is erased or comes back."""
    new = tmp_path / "new"
    create_kek(new)
    to = KeySource("file", str(new))
    changed = pytest.raises(StoreError, match=r"changed meanwhile.*skerry audit")
    with enrolment.opened(config) as one, enrolment.opened(config) as other:
        kek, sealed_before = config.kek.read(), one.store.sealed_before
        row_key = one.store.get("row_key")
        rotation._begin(one, row_key, kek, new.read_bytes()[:32])
        with changed:
            rotation._begin(other, row_key, kek, b"2" * 32)
        one.store.change_keys({}, {"next_row_key": None, "turned_row_key": None}, "undone")

        def overtaken(*arguments):
            """Between looking for what is left and ending, another machine does all."""
            found = sealed_before(*arguments)
            if not found:
                monkeypatch.setattr(one.store, "sealed_before", sealed_before)
                rotation.rotate(other, to)
                named = replace(other, kek=to)
                assert rotation.rotate(named).finished
            return found

        monkeypatch.setattr(one.store, "sealed_before", overtaken)
        monkeypatch.setattr(rotation, "locked", lambda folder: nullcontext())
        with changed:
            rotation.rotate(one, to)
        with pytest.raises(StoreError, match="ended by another one"):
            rotation._finish(one, kek)
        with pytest.raises(VaultError):  # with the old KEK
            one.load_keys(kek)
        with changed:
            rotation._begin(one, row_key, kek, b"3" * 32)
    assert opens(replace(config, kek=to))


def test_a_key_that_is_not_the_one_that_it_began_with_takes_no_place(config, tmp_path):
    old = config.kek.read()
    with enrolment.opened(config) as hub:
        rotation._begin(hub, hub.store.get("row_key"), old, b"1" * 32)
        create_kek(tmp_path / "data" / "kek.new")
        with pytest.raises(VaultError, match="go on with that one"):
            rotation.rotate(hub)
        with pytest.raises(VaultError, match="see skerry audit"):
            rotation._place(hub)
    assert config.kek.read() == old


def test_a_key_that_has_its_place_already_is_not_overwritten(config, tmp_path):
    """Cut off while the new key takes the old one's place; then a backup of before comes back."""
    kek = config.kek.read()
    with enrolment.opened(config) as hub:
        backup(hub.store, tmp_path / "b.db")
        row_key = hub.store.get("row_key")
        (tmp_path / "data" / "kek.new").touch(0o600)  # that of an earlier one, cut off as well
        (tmp_path / "data" / "kek.new").write_bytes(b"")
        rotation._begin(hub, row_key, kek, b"1" * 32)
    os.link(tmp_path / "data" / "kek", tmp_path / "data" / "kek.old")
    restore(config, tmp_path / "b.db")
    with enrolment.opened(config) as hub, pytest.MonkeyPatch.context() as patched:
        patched.setattr(rotation, "_begin", lambda *_: sys.exit(9))
        with pytest.raises(SystemExit):
            rotation.rotate(hub)
    assert config.kek.read() == kek
    with enrolment.opened(config) as hub:
        assert rotation.rotate(hub).finished
    assert opens(config)


def test_a_rotation_to_another_key_is_not_gone_on_with_without_it(config, tmp_path):
    create_kek(tmp_path / "new")
    with enrolment.opened(config) as hub:
        rotation.rotate(hub, KeySource("file", str(tmp_path / "new")))
        with pytest.raises(VaultError, match="name that one with --to-file"):
            rotation.rotate(hub)


def test_another_source_takes_over_in_two_steps(config, tmp_path):
    before, old = contents(config), config.kek.read()
    file = tmp_path / "other"
    create_kek(file)
    command = KeySource("command", f"cat {file}")
    with enrolment.opened(config) as hub:
        assert rotation.rotate(hub, command) == rotation.Rotated(5, False, str(command))
        create_kek(tmp_path / "third")
        with pytest.raises(VaultError, match="another key than"):
            rotation.rotate(hub, KeySource("file", str(tmp_path / "third")))
    assert contents(config) == before  # still under the old one
    moved = replace(config, kek=command)
    assert contents(moved) == before  # and under the new one
    with enrolment.opened(moved) as hub:
        assert rotation.rotate(hub).finished
    assert contents(moved) == before
    with pytest.raises(VaultError, match="not the one of hub"):
        contents(config)
    assert config.kek.read() == old  # the operator's to destroy
    with enrolment.opened(moved) as hub, pytest.raises(VaultError, match="--to-file"):
        rotation.rotate(hub)


@pytest.mark.parametrize("command", ["false", "echo no key", "/nothing/here", "'"])
def test_a_command_that_gives_no_key_is_named(command):
    with pytest.raises(VaultError, match="kek_command"):
        KeySource("command", command).read()


def test_on_the_command_line(tmp_path):
    hub = Hub(tmp_path / "hub")
    hub.good("init")
    hub.good("enroll", "lamp")
    assert "resealed     1" in hub.good("rotate-key")
    create_kek(tmp_path / "new")
    said = hub.good("rotate-key", "--to-file", str(tmp_path / "new"))
    assert f"name {tmp_path}/new in the settings as kek_file" in said
    env = {**hub.env, "SKERRY_KEK_FILE": str(tmp_path / "new")}
    assert hub.run("rotate-key", env=env).returncode == 0
    assert "not the one of hub" in hub.fails("enroll", "door")
    assert hub.run("enroll", "door", env=env).returncode == 0
    for kek in (hub.data / "kek", tmp_path / "new"):
        assert read_kek(kek).hex() not in hub.said


@pytest.fixture
def token(tmp_path, monkeypatch):
    """The URI of a secret key in a token of SoftHSM."""
    pkcs11 = pytest.importorskip("pkcs11", reason="pip install 'skerry[pkcs11]'")
    if not Path(MODULE).exists():
        pytest.skip("apt-get install softhsm2")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm.conf").write_text(f"directories.tokendir = {tmp_path}/tokens\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm.conf"))
    made = ["--init-token", "--free", "--label", "my token", "--pin", "1234", "--so-pin", "5678"]
    subprocess.run(["softhsm2-util", *made], check=True, capture_output=True)
    (tmp_path / "pin").write_text("1234\n")
    library = pkcs11.lib(MODULE)
    library.reinitialize()
    with library.get_token(token_label="my token").open(rw=True, user_pin="1234") as session:
        for label in ("one", "two"):
            session.create_object({
                pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
                pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.GENERIC_SECRET,
                pkcs11.Attribute.VALUE: (label * 11).encode()[:32], pkcs11.Attribute.LABEL: label,
                pkcs11.Attribute.SIGN: True, pkcs11.Attribute.TOKEN: True,
            })  # fmt: skip
    return (f"pkcs11:token=my%20token;object=one?module-path={MODULE}"
            f"&pin-source=file:{tmp_path}/pin")  # fmt: skip


def test_a_key_in_a_token(config, token):
    before = contents(config)
    source = KeySource("pkcs11", token)
    other = KeySource("pkcs11", token.replace("=one", "=two"))
    assert source.read() == source.read() != other.read()
    for to in (source, other):
        with enrolment.opened(config) as hub:
            rotation.rotate(hub, to)
        config = replace(config, kek=to)
        with enrolment.opened(config) as hub:
            assert rotation.rotate(hub).finished
        assert contents(config) == before
    with pytest.raises(VaultError, match="no key 'three'"):
        KeySource("pkcs11", token.replace("=one", "=three")).read()
    with pytest.raises(VaultError, match="cannot read the PIN"):
        KeySource("pkcs11", token.replace("/pin", "/none")).read()
    with pytest.raises(VaultError, match="kek_pkcs11 lacks pin-source"):
        KeySource("pkcs11", token.partition("?")[0]).read()


def test_a_hub_made_with_a_key_in_a_token(tmp_path, token):
    config = Config.of(data=str(tmp_path / "new"), environ={"SKERRY_KEK_PKCS11": token})
    enrolment.init(config)
    assert not (config.data / "kek").exists()
    with enrolment.opened(config) as hub:
        enrolled(hub, "lamp")
        assert hub.store.keys("lamp").chain[0] == 0
