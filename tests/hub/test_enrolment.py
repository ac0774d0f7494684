"""Making hubs and enrolling devices, with crashes at every step of both."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from desk import found_by

from skerry import provisioning, record, responder, schedule
from skerry.chain import MAX_ERA, Chain
from skerry.initiator import Start
from skerry_hub import bundles, enrolment
from skerry_hub.config import Config
from skerry_hub.errors import (
    AlreadyInitialised,
    BadName,
    BundleError,
    ConfigError,
    DuplicateDevice,
    HubError,
    NotInitialised,
    StoreError,
    VaultError,
)
from skerry_hub.store import Advance

ADDRESS = ("192.0.2.7", 5683)


def config_of(folder):
    return Config.of(data=str(folder), environ={})


@pytest.fixture
def config(tmp_path):
    config = config_of(tmp_path / "hub")
    enrolment.init(config)
    return config


@pytest.fixture
def hub(config):
    with enrolment.opened(config) as hub:
        yield hub


def chain_in(bundle):
    sequence, packed = record.unpack((bundle / "skerry.0").read_bytes())
    assert sequence == 1
    return Chain.unpack(packed)


def crash(config, name, where):
    """Enrol in a process that ends, as if killed, when it comes to call `where`."""
    script = (
        "import os, sys, pathlib\n"
        "from skerry_hub import bundles, enrolment, files, vault\n"
        "from skerry_hub.config import Config\n"
        "from skerry_hub.store import database, sqlite\n"
        f"{where} = lambda *a, **k: os._exit(9)\n"
        "config = Config.of(data=sys.argv[1], environ={})\n"
        "if sys.argv[2] == 'init':\n"
        "    enrolment.init(config)\n"
        "with enrolment.opened(config) as hub:\n"
        "    enrolment.enroll(hub, sys.argv[2], address=('192.0.2.7', 5683))\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, str(config.data), name]
    assert subprocess.run(command, env=env, check=False).returncode == 9


def test_init_makes_a_hub_that_is_its_owners_alone(tmp_path):
    config = config_of(tmp_path / "some" / "hub")
    hub = enrolment.init(config)
    assert re.fullmatch(r"h-[2-9a-z]{8}", hub)
    assert config.data.stat().st_mode & 0o777 == 0o700
    assert Path(config.kek.said).stat().st_mode & 0o777 == 0o600
    assert config.database.stat().st_mode & 0o777 == 0o600
    with enrolment.opened(config) as opened:
        assert opened.id == hub


def test_init_takes_an_id_and_a_kek_of_ones_own(tmp_path):
    kek = tmp_path / "secret"
    kek.write_text("5a" * 32)
    kek.chmod(0o400)
    environ = {"SKERRY_DATA": str(tmp_path / "hub"), "SKERRY_KEK_FILE": str(kek)}
    config = Config.of(environ=environ)
    assert enrolment.init(config, "h-mine") == "h-mine"
    assert not (config.data / "kek").exists()
    with enrolment.opened(config) as hub:
        assert hub.id == "h-mine"


def test_init_refuses_a_hub_that_is_there_even_without_its_kek(config):
    before = Path(config.kek.said).read_bytes()
    with pytest.raises(AlreadyInitialised, match="holds a hub"):
        enrolment.init(config)
    assert Path(config.kek.said).read_bytes() == before
    Path(config.kek.said).unlink()
    with pytest.raises(AlreadyInitialised):
        enrolment.init(config)
    assert not Path(config.kek.said).exists()


def test_init_refuses_a_folder_of_something_else(tmp_path):
    (tmp_path / "letter.txt").touch()
    mode = tmp_path.stat().st_mode
    with pytest.raises(AlreadyInitialised, match="not empty"):
        enrolment.init(config_of(tmp_path))
    assert [each.name for each in tmp_path.iterdir()] == ["letter.txt"]
    assert tmp_path.stat().st_mode == mode


@pytest.mark.parametrize(
    "where",
    [
        "vault.os.urandom",
        "vault.os.fsync",
        "enrolment.create",
        "database._connect",
        "database.Path.read_text",
    ],
)
def test_an_init_that_was_cut_off_is_finished_by_the_next(tmp_path, where):
    config = config_of(tmp_path / "hub")
    crash(config, "init", where)
    with pytest.raises(NotInitialised), enrolment.opened(config):
        pass
    hub = enrolment.init(config)
    with enrolment.opened(config) as opened:
        assert opened.id == hub


def test_init_goes_on_from_an_open_folder_and_an_empty_kek(tmp_path):
    config = config_of(tmp_path / "hub")
    config.data.mkdir()
    config.data.chmod(0o755)
    Path(config.kek.said).touch()
    enrolment.init(config)
    assert config.data.stat().st_mode & 0o777 == 0o700
    assert Path(config.kek.said).stat().st_size == 65


def test_a_hub_does_not_open_without_its_kek(config):
    text = Path(config.kek.said).read_bytes()
    Path(config.kek.said).write_text("ab" * 32)
    with pytest.raises(VaultError, match="not the one of hub"), enrolment.opened(config):
        pass
    Path(config.kek.said).chmod(0o644)
    with pytest.raises(VaultError, match="chmod 600"), enrolment.opened(config):
        pass
    Path(config.kek.said).unlink()
    with pytest.raises(VaultError, match="no key-encryption key"), enrolment.opened(config):
        pass
    Path(config.kek.said).write_bytes(text)
    Path(config.kek.said).chmod(0o600)
    with enrolment.opened(config):
        pass


def test_a_hub_that_lost_its_own_row_says_so(config, hub):
    hub.store._db.execute("DELETE FROM meta")
    with pytest.raises(StoreError, match="backup"), enrolment.opened(config):
        pass


def test_the_bundle_and_the_hub_hold_the_same_chain(hub):
    done = enrolment.enroll(hub, "lamp", label="kitchen", address=ADDRESS, suite=1)
    assert json.loads((done.bundle_path / "skerry.json").read_text()) == {
        "device": "lamp",
        "hub": hub.id,
        "address": list(ADDRESS),
        "suite": 1,
        "fingerprint": done.fingerprint,
    }
    chain = chain_in(done.bundle_path)
    (candidate,) = found_by(hub.store, schedule.pseudonym(chain.chain_key))
    assert hub.vault.open(b"chain", b"lamp", candidate.chain) == chain.pack()
    coming = enrolment.coming(chain)
    assert [era for _, era in coming] == list(range(1, 17))
    for pid, era in coming:
        assert found_by(hub.store, pid)[0].pid_era == era


def test_the_bundle_makes_a_handshake_with_what_the_hub_stored(hub):
    done = enrolment.enroll(hub, "lamp", address=ADDRESS)
    ctx = schedule.context(0, b"lamp", hub.id.encode())
    message_1, _ = Start(ctx, 0, chain_in(done.bundle_path)).send(bytes(8))
    hello = responder.identify(message_1)
    (found,) = found_by(hub.store, hello.pid)
    chain = Chain.unpack(hub.vault.open(b"chain", b"lamp", found.chain))
    assert responder.Known(ctx, 0, chain, None).verify(hello, found.pid_era).chain.step == 1


def test_a_sealed_chain_moved_to_another_device_does_not_open(hub):
    enrolment.enroll(hub, "lamp", address=ADDRESS)
    door = enrolment.enroll(hub, "door", address=ADDRESS)
    hub.store._db.execute(
        "UPDATE device SET chain = (SELECT chain FROM device WHERE name = 'lamp')"
    )
    pid = schedule.pseudonym(chain_in(door.bundle_path).chain_key)
    (found,) = found_by(hub.store, pid)
    with pytest.raises(VaultError):
        hub.vault.open(b"chain", found.name.encode(), found.chain)


def test_two_enrolments_share_nothing(hub):
    first, second = (enrolment.enroll(hub, None, address=ADDRESS) for _ in range(2))
    assert re.fullmatch(r"d-[2-9a-z]{8}", first.name)
    assert first.name != second.name
    assert first.fingerprint != second.fingerprint
    one, two = chain_in(first.bundle_path), chain_in(second.bundle_path)
    assert one.chain_key != two.chain_key


@pytest.mark.parametrize(
    "name", ["-lamp", ".lamp", "Lamp", "la mp", "lamp/..", "..", "lämp", "a" * 64, "lamp\n", "_"]
)
def test_a_bad_id_is_refused(hub, name):
    with pytest.raises(BadName, match="is no id"):
        enrolment.enroll(hub, name, address=ADDRESS)
    assert hub.store.devices() == []


@pytest.mark.parametrize("name", ["a", "0", "a" * 63, "new.lamp", "gitignore", "a.b_c-d"])
def test_a_good_id_is_not(hub, name):
    assert enrolment.enroll(hub, name, address=ADDRESS).bundle_path.name == name


def test_a_label_is_one_printable_line(hub):
    assert enrolment.enroll(hub, None, label="Küche, links", address=ADDRESS)
    with pytest.raises(BadName, match="label"):
        enrolment.enroll(hub, None, label="a\x1b[2J", address=ADDRESS)


def test_a_duplicate_changes_nothing(hub):
    done = enrolment.enroll(hub, "lamp", address=ADDRESS)
    before = (done.bundle_path / "skerry.0").read_bytes()
    for _ in range(2):
        with pytest.raises(DuplicateDevice, match=done.fingerprint):
            enrolment.enroll(hub, "lamp", address=ADDRESS)
    assert (done.bundle_path / "skerry.0").read_bytes() == before
    assert sorted(os.listdir(hub.bundles)) == [".gitignore", "lamp"]


def test_a_bundle_of_nobody_is_not_overwritten(hub):
    (hub.bundles / "lamp").mkdir(parents=True)
    with pytest.raises(BundleError, match="move it away"):
        enrolment.enroll(hub, "lamp", address=ADDRESS)
    assert hub.store.devices() == []


@pytest.mark.parametrize(
    "where",
    ["bundles.write", "files.os.fsync", "bundles.record.pack", "sqlite.SqliteStore.enroll"],
)
def test_a_crash_before_the_commit_leaves_nothing_that_connects(config, where):
    crash(config, "lamp", where)
    with enrolment.opened(config) as hub:
        assert hub.store.devices() == []
        left = [each / "skerry.0" for each in hub.bundles.iterdir() if each.is_dir()]
        halves = [chain_in(each.parent) for each in left if each.exists() and each.stat().st_size]
        assert [found_by(hub.store, schedule.pseudonym(each.chain_key)) for each in halves] == [
            [] for _ in halves
        ]
        done = enrolment.enroll(hub, "lamp", address=ADDRESS)
        assert sorted(os.listdir(hub.bundles)) == [".gitignore", "lamp"]
        pid = schedule.pseudonym(chain_in(done.bundle_path).chain_key)
        assert [each.name for each in found_by(hub.store, pid)] == ["lamp"]


@pytest.mark.parametrize("asked", ["lamp", "door"])
def test_a_crash_after_the_commit_is_made_good(config, asked):
    crash(config, "lamp", "bundles.put_in_place")
    with enrolment.opened(config) as hub:
        assert not (hub.bundles / "lamp").exists()
        done = enrolment.enroll(hub, asked, address=ADDRESS)
        assert done.fingerprint == hub.store.device(asked).fingerprint
        pid = schedule.pseudonym(chain_in(hub.bundles / "lamp").chain_key)
        assert [each.name for each in found_by(hub.store, pid)] == ["lamp"]
        with pytest.raises(DuplicateDevice):
            enrolment.enroll(hub, "lamp", address=ADDRESS)


def test_what_a_crash_left_of_another_key_is_removed(config):
    """As when the database was restored, or the device enrolled from another copy of it."""
    crash(config, "lamp", "bundles.put_in_place")
    with enrolment.opened(config) as hub:
        hub.store._db.execute("UPDATE device SET fingerprint = 'another'")
        with pytest.raises(DuplicateDevice):
            enrolment.enroll(hub, "lamp", address=ADDRESS)
    assert sorted(os.listdir(config.bundles)) == [".gitignore"]


def test_enrolments_of_one_id_at_the_same_time_make_one_device(config):
    script = (
        "import sys\n"
        "from skerry_hub import enrolment\n"
        "from skerry_hub.config import Config\n"
        "with enrolment.opened(Config.of(data=sys.argv[1], environ={})) as hub:\n"
        "    enrolment.enroll(hub, 'lamp', address=('192.0.2.7', 5683))\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, str(config.data)]
    running = [
        subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    said = [each.communicate()[1] for each in running]
    assert sorted(each.returncode for each in running) == [0, 1, 1, 1]
    assert sum("DuplicateDevice" in each for each in said) == 3
    with enrolment.opened(config) as hub:
        pid = schedule.pseudonym(chain_in(hub.bundles / "lamp").chain_key)
        assert [each.name for each in found_by(hub.store, pid)] == ["lamp"]


def test_a_bundle_for_another_hub_is_refused(hub, tmp_path):
    done = enrolment.enroll(hub, "lamp", address=ADDRESS)
    assert bundles.check(done.bundle_path, hub.id).device == "lamp"
    with pytest.raises(BundleError, match=f"for hub {hub.id}, this is h-other"):
        bundles.check(done.bundle_path, "h-other")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"address": 3}', "\x00", '{"address": [1]}'])
def test_a_damaged_bundle_is_refused(tmp_path, text):
    (tmp_path / "skerry.json").write_text(text)
    with pytest.raises(BundleError, match="damaged"):
        bundles.check(tmp_path, "h-test")
    with pytest.raises(BundleError, match="no bundle"):
        bundles.check(tmp_path / "none", "h-test")


def test_recovery_pseudonyms_end_with_the_last_era():
    chain = Chain(MAX_ERA - 2, 5, bytes(32), bytes(32))
    assert [era for _, era in enrolment.coming(chain)] == [MAX_ERA - 1, MAX_ERA]


def encodings(key):
    yield from (key, key[::-1], key.hex().encode(), key.hex().upper().encode())
    yield from (key[::-1].hex().encode(), base64.b64encode(key)[:42])
    yield base64.urlsafe_b64encode(key)[:42]


def test_no_key_is_in_clear_but_in_the_bundle_and_the_kek(config, monkeypatch):
    drawn = []
    random = os.urandom
    monkeypatch.setattr(os, "urandom", lambda n: drawn.append(random(n)) or drawn[-1])
    with enrolment.opened(config) as hub:
        drawn.clear()  # the check key
        done = enrolment.enroll(hub, "lamp", address=ADDRESS)
        master = next(each for each in drawn if len(each) == 32)
        chain = chain_in(done.bundle_path)
        ctx = schedule.context(0, b"lamp", hub.id.encode())
        assert provisioning.first_epoch(master, ctx).pack() == chain.pack()
        epoch = schedule.epoch_key(chain.chain_key)
        (candidate,) = found_by(hub.store, schedule.pseudonym(chain.chain_key))
        following = chain.next_step()
        sealed = hub.vault.seal(b"chain", b"lamp", following.pack())
        pending = hub.vault.seal(b"pending", b"lamp", epoch)
        pid = schedule.pseudonym(following.chain_key)
        assert hub.store.write(
            [Advance(candidate, 0, 1, pid, sealed, candidate.pid, pending, [])]
        ) == [True]
        files = {each: each.read_bytes() for each in config.data.rglob("*") if each.is_file()}
    assert len(files) >= 7  # with the journal
    keys = [master, chain.chain_key, chain.pack()[-32:], epoch, following.chain_key]
    kek = bytes.fromhex(Path(config.kek.said).read_text())
    for path, content in files.items():
        for key in [*keys, kek]:
            if path.name == "skerry.0" and key in (chain.chain_key, chain.pack()[-32:]):
                continue
            if path == Path(config.kek.said) and key == kek:
                continue
            assert not any(each in content for each in encodings(key)), path


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_git_takes_nothing_of_a_data_folder(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    config = config_of(tmp_path / "hub")
    enrolment.init(config)
    with enrolment.opened(config) as hub:
        enrolment.enroll(hub, "lamp", address=ADDRESS)
        copied = shutil.copytree(hub.bundles, tmp_path / "bundles")
    assert copied.exists()
    subprocess.run(["git", "-C", tmp_path, "add", "-A"], check=True)
    listed = subprocess.run(["git", "-C", tmp_path, "ls-files"], check=True, capture_output=True)
    assert listed.stdout == b""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hub.local:7000", ("hub.local", 7000)),
        ("192.0.2.7", ("192.0.2.7", 5683)),
        ("[2001:db8::1]:0", ("2001:db8::1", 0)),
        ("[fe80::1%eth0]", ("fe80::1%eth0", 5683)),
        (":7000", ("::", 7000)),
    ],
)
def test_addresses_are_read(text, expected):
    config = Config.of(data="/x", listen=[text], environ={})
    assert config.listen == [expected]


@pytest.mark.parametrize("text", ["", "a:b", "::1", "[::1", "a:65536", "a:1:2", "a b:1", "[]:1"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ConfigError, match="HOST:PORT"):
        Config.of(data="/x", listen=[text], environ={})


def test_flags_win_over_the_environment(tmp_path):
    environ = {"SKERRY_DATA": "/env", "SKERRY_LISTEN": "a:1, b:2", "SKERRY_ADDRESS": "c:3"}
    config = Config.of(environ=environ)
    assert (str(config.data), config.listen) == ("/env", [("a", 1), ("b", 2)])
    assert (config.advertised, config.reachable) == (("c", 3), ("a", 1))
    config = Config.of("/flag", ["d:4"], "e:5", environ=environ)
    assert (str(config.data), config.listen, config.address) == ("/flag", [("d", 4)], ("e", 5))
    default = Config.of(environ={"SKERRY_DATA": "", "SKERRY_LISTEN": "", "SKERRY_ADDRESS": ""})
    assert default.listen == [("::", 5683)]
    assert default.reachable == ("127.0.0.1", 5683)
    assert default.advertised[0] not in ("::", "0.0.0.0")
    with pytest.raises(HubError):
        Config.of(address="0.0.0.0:5683", environ={})
