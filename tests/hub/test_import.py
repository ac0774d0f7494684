"""Devices in bulk: tables as people and spreadsheets make them, and keys that travel wrapped."""

import hashlib
import json
import os
import signal
import subprocess

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from test_cli import Hub

from skerry.chain import Chain
from skerry_hub import enrolment
from skerry_hub.bulk.transport import Transport
from skerry_hub.bulk.weak import refuse
from skerry_hub.config import Config
from skerry_hub.errors import BadKey

TRANSPORT_KEY = os.urandom(32)


@pytest.fixture
def hub(tmp_path):
    hub = Hub(tmp_path / "hub")
    hub.good("init", "--id", "h-1")
    return hub


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "transport"
    path.write_text(TRANSPORT_KEY.hex() + "\n")
    path.chmod(0o600)
    return str(path)


def wrapped(name, key=None):
    """Wrap a key as a factory would that knows only docs/flashing.md."""
    import base64

    key = os.urandom(32) if key is None else key
    sealed = AESSIV(TRANSPORT_KEY).encrypt(key, [b"skerry key", name.encode()])
    return "siv1.k." + base64.urlsafe_b64encode(sealed).decode()


def table(tmp_path, text, name="devices.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def wrong(hub, *arguments):
    """Return the problems of an import that fails as a whole."""
    done = hub.run("import", *arguments)
    assert done.returncode == 1
    return done.stderr.splitlines()


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_csv_as_spreadsheets_write_it(hub, tmp_path, key_file, separator, mark, newline):
    rows = [["ID ", "Label", "vendor", "wrapped_key"]]
    rows += [[f"d-{i}", f'"lamp, the {i}; big"', "x", wrapped(f"d-{i}")] for i in range(3)]
    text = mark + newline.join(separator.join(row) for row in rows) + newline * 2
    said = hub.json("import", table(tmp_path, text), "--transport-key", key_file)
    assert (said["new"], said["there"], said["wrong"]) == (3, 0, 0)
    rows = hub.json("list")
    assert [(row["name"], row["label"]) for row in rows] == [
        (f"d-{i}", f"lamp, the {i}; big") for i in range(3)
    ]


def test_json_lines(hub, tmp_path, key_file):
    lines = [
        {"id": f"d-{i}", "tags": "roof", "suite": 1, "wrapped_key": wrapped(f"d-{i}")}
        for i in range(2)
    ]
    text = "\n".join(map(json.dumps, lines))
    assert hub.json("import", table(tmp_path, text), "--transport-key", key_file)["new"] == 2
    assert [(row["suite"], row["tags"]) for row in hub.json("list")] == [(1, "roof")] * 2


def test_the_same_file_again_changes_nothing(hub, tmp_path, key_file):
    text = "id,wrapped_key\n" + "".join(f"d-{i},{wrapped(f'd-{i}')}\n" for i in range(20))
    arguments = ("import", table(tmp_path, text), "--transport-key", key_file)
    assert hub.json(*arguments)["new"] == 20
    before = hub.json("list")
    said = hub.json(*arguments)
    assert (said["new"], said["there"]) == (0, 20)
    assert hub.json("list") == before


def test_killed_and_started_again(hub, tmp_path, key_file):
    count = 400
    text = "id,wrapped_key\n" + "".join(f"d-{i},{wrapped(f'd-{i}')}\n" for i in range(count))
    arguments = ("import", table(tmp_path, text), "--transport-key", key_file)
    running = subprocess.Popen(hub.command(*arguments), env=hub.env, stdout=subprocess.PIPE)
    while not (rows := hub.json("list")):
        assert running.poll() is None
    running.send_signal(signal.SIGKILL)
    running.communicate()
    said = hub.json(*arguments)
    assert (said["new"] + said["there"], said["wrong"]) == (count, 0)
    after = hub.json("list")
    assert len(after) == count
    assert after[: len(rows)] == rows


def test_every_mistake_has_its_line_and_column(hub, tmp_path, key_file):
    hub.good("enroll", "taken")
    twice = os.urandom(32)
    rows = [
        "id,label,suite,fingerprint,wrapped_key",
        f"good,,,,{wrapped('good')}",
        f"Bad Name,,,,{wrapped('x')}",
        f"1E+05,,,,{wrapped('x')}",
        f",,,,{wrapped('x')}",
        f"d-5,,7,,{wrapped('d-5')}",
        f"d-6,,,,{wrapped('another')}",
        "d-7,,,,0123456789abcdef",
        "d-8,,,,siv1.k.AAAA",
        f"d-9,,,,{wrapped('d-9', twice)}",
        f"d-10,,,,{wrapped('d-10', twice)}",
        f"d-11,,,00000000,{wrapped('d-11')}",
        f"good,,,,{wrapped('good')}",
        f"taken,,,,{wrapped('taken')}",
        f"d-14,,,,{wrapped('d-14')},more",
        f"d-15,\x07,,,{wrapped('d-15')}",
        f"d-16,,,,{wrapped('d-16', bytes(32))}",
        f"d-17,,,,{wrapped('d-17', b'short')}",
        f"d-18,,,,{wrapped('d-18', TRANSPORT_KEY)}",
    ]
    path = table(tmp_path, "\n".join(rows))
    found = wrong(hub, path, "--transport-key", key_file)
    expected = [
        "3, id", "4, id", "5, id", "6, suite", "7, wrapped_key", "8, wrapped_key",
        "9, wrapped_key", "11, wrapped_key", "12, fingerprint", "13, id", "14, id", "15, row",
        "16, label", "17, wrapped_key", "18, wrapped_key", "19, wrapped_key",
    ]  # fmt: skip
    assert [line.split(":")[0].removeprefix("line ") for line in found] == expected
    assert "line 10" in found[7]
    assert "spreadsheet" in found[1]
    assert [row["name"] for row in hub.json("list")] == ["taken"]
    done = hub.run("import", path, "--transport-key", key_file, "--keep-going", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["new"] == 2
    assert [row["name"] for row in hub.json("list")] == ["taken", "good", "d-9"]
    for secret in (twice, TRANSPORT_KEY):
        assert secret.hex()[:16] not in hub.said


def test_dry_run(hub, tmp_path, key_file):
    path = table(tmp_path, f"id,wrapped_key\nd-1,{wrapped('d-1')}\n")
    said = hub.json("import", path, "--transport-key", key_file, "--dry-run")
    assert (said["new"], said["taken"]) == (1, False)
    assert hub.json("list") == []


def test_a_key_is_taken_once_even_across_files(hub, tmp_path, key_file):
    key = os.urandom(32)
    first = table(tmp_path, f"id,wrapped_key\nd-1,{wrapped('d-1', key)}\n")
    assert hub.json("import", first, "--transport-key", key_file)["new"] == 1
    second = table(tmp_path, f"id,wrapped_key\nd-2,{wrapped('d-2', key)}\n", "two.csv")
    (line,) = wrong(hub, second, "--transport-key", key_file)
    assert "d-1" in line


def test_files_that_are_no_tables(hub, tmp_path, key_file):
    for text in (b"", b"\xff\xfe", b"name;key\na;b\n"):
        hub.fails("import", table(tmp_path, text))
    hub.fails("import", str(tmp_path / "none.csv"))
    (line,) = wrong(hub, table(tmp_path, f"id,wrapped_key\nd-1,{wrapped('d-1')}\n"))
    assert "--transport-key" in line
    assert "transport key" in hub.fails(
        "import", table(tmp_path, "id\nd-1\n"), "--transport-key", str(tmp_path / "none")
    )
    assert len(wrong(hub, table(tmp_path, '{"id": "a"}\n[1]\n{"id"\n'))) == 2
    assert len(wrong(hub, table(tmp_path, 'id\n"a\n'))) == 1


def test_a_row_without_a_key_gets_a_new_one(hub, tmp_path):
    path = table(tmp_path, "id,label\nd-1,one\nd-2,two\n")
    assert hub.json("import", path)["new"] == 2
    rows = hub.json("list")
    assert len({row["fingerprint"] for row in rows}) == 2
    assert hub.json("import", path)["there"] == 2
    assert hub.json("list") == rows


def test_exported_and_imported_on_another_disk(hub, tmp_path, key_file):
    """What the second database holds is what the first one held, epoch by epoch."""
    for name in ("lamp", "door", "gone"):
        hub.good("enroll", name, "--label", name + ", big")
    hub.good("revoke", "gone")
    for form in ("csv", "json"):
        path = tmp_path / ("out." + form)
        flag = ["--json"] if form == "json" else []
        hub.good("export", "-o", str(path), "--transport-key", key_file, *flag)
        assert path.stat().st_mode & 0o777 == 0o600
        other = Hub(tmp_path / form)
        other.good("init", "--id", "h-1")
        assert other.json("import", str(path), "--transport-key", key_file)["new"] == 2
        chains = []
        for each in (hub, other):
            with enrolment.opened(Config.of(data=str(each.data), environ={})) as opened:
                found = [opened.store.keys(name) for name in ("lamp", "door")]
                chains.append(
                    [opened.vault.open(b"chain", row.name.encode(), row.chain) for row in found]
                )
        assert chains[0] == chains[1]
        for packed in chains[0]:
            chain = Chain.unpack(packed)
            assert chain.chain_key not in path.read_bytes()
            assert chain.chain_key.hex() not in path.read_text()
        fingerprints = {row["name"]: row["fingerprint"] for row in hub.json("list")}
        assert all(fingerprints[row["name"]] == row["fingerprint"] for row in other.json("list"))
    stranger = Hub(tmp_path / "stranger")
    stranger.good("init", "--id", "h-2")
    lines = wrong(stranger, str(tmp_path / "out.csv"), "--transport-key", key_file)
    assert all("another hub" in line for line in lines)
    assert "there already" in hub.fails("export", "-o", str(tmp_path / "out.csv"))
    assert "wrapped_key" not in hub.good("export")


def test_rows_that_changed_places_do_not_open(tmp_path, key_file):
    from pathlib import Path

    transport = Transport(Path(key_file), "h-1")
    text = transport.wrap_key("d-1", bytes(range(32)))
    assert transport.unwrap("d-1", text) == (False, bytes(range(32)))
    with pytest.raises(BadKey, match="another device"):
        transport.unwrap("d-2", text)
    with pytest.raises(BadKey):
        transport.unwrap("d-1", "siv1.c." + text[7:])


def _noise(length):
    """Return bytes that look random and are the same in each process that collects the tests."""
    return hashlib.shake_128(length.to_bytes(1, "big")).digest(length)


@pytest.mark.parametrize(
    "key",
    [
        bytes(32), b"\xff" * 32, b"\x00\xff" * 16, bytes(range(32)), bytes(range(255, 223, -1)),
        b"correct horse battery staple 123", b"0123456789abcdef0123456789abcdef",
        hashlib.sha256(b"lamp").digest(), hashlib.sha256(b"fleet key, 32 bytes, of no one!!lamp").digest(),
        bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"),
        b"lamp" + bytes(28), _noise(31), _noise(33), _noise(16) * 2,
        b"fleet key, 32 bytes, of no one!!",
    ],
)  # fmt: skip
def test_keys_that_no_device_may_have(key):
    with pytest.raises(BadKey):
        refuse(key, "lamp", {"the fleet's key": b"fleet key, 32 bytes, of no one!!"})


def test_random_keys_are_taken():
    for _ in range(2000):
        refuse(os.urandom(32), "lamp", {"another": os.urandom(32)})
