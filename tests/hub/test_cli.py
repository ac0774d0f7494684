"""The command line in real processes: what it prints, how it ends, what it never shows."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
from stores import environ, sqlite_only

from skerry import record
from skerry.chain import Chain
from skerry_hub.config import Config
from skerry_hub.store.places import open_store

ENV = {
    **{
        key: value for key, value in os.environ.items() if not key.startswith(("SKERRY", "PYTHON"))
    },
    "PYTHONPATH": os.pathsep.join(sys.path),
}


class Hub:
    """The command line on one data folder; `said` is all that it ever printed."""

    def __init__(self, data):
        self.data = data
        self.said = ""
        self.env = {**ENV, **environ()}

    def command(self, *arguments):
        return [sys.executable, "-m", "skerry_hub", "--data", str(self.data), *arguments]

    def run(self, *arguments, env=None):
        done = subprocess.run(
            self.command(*arguments), env=env or self.env, capture_output=True, text=True, timeout=30,
            check=False,
        )  # fmt: skip
        self.said += done.stdout + done.stderr
        return done

    def good(self, *arguments):
        done = self.run(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def json(self, *arguments):
        return json.loads(self.good(*arguments, "--json"))

    def fails(self, *arguments, env=None):
        """Return the one line of an error."""
        done = self.run(*arguments, env=env)
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(r"skerry: [^\n]+\n", done.stderr), done.stderr
        return done.stderr

    def start(self, *arguments):
        return subprocess.Popen(
            self.command(*arguments), env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def post(self, payload, device=1, at=1_700_000_000.0, format=50):
        store = open_store(Config.of(data=str(self.data), environ=self.env))
        store.add_reading(device, at, "readings", format, payload)
        store.close()


@pytest.fixture
def hub(tmp_path):
    hub = Hub(tmp_path / "hub")
    hub.good("init")
    return hub


def test_init_enroll_list_revoke(tmp_path):
    hub = Hub(tmp_path / "hub")
    made = hub.good("init")
    assert re.search(r"^hub +h-\w{8}$", made, re.M)
    assert str(hub.data / "kek") in made
    enrolled = hub.good("enroll", "lamp", "--label", "kitchen lamp")
    fingerprint = re.search(r"^fingerprint +([0-9a-f]{8})$", enrolled, re.M)[1]
    assert f"{hub.data}/bundles/lamp" in enrolled
    head, row = hub.good("list").splitlines()
    assert head.split()[:4] == ["device", "label", "state", "epoch"]
    assert re.split(" {2,}", row) == [
        "lamp", "kitchen lamp", "active", "0.0", fingerprint, "-", "0", "never"
    ]  # fmt: skip
    assert "lamp is revoked" in hub.good("revoke", "lamp")
    assert "revoked before" in hub.good("revoke", "lamp")
    assert "revoked" in hub.good("list")


def test_json_of_everything(tmp_path):
    hub = Hub(tmp_path / "hub")
    assert hub.json("init", "--id", "h-1") == {
        "hub": "h-1", "data": str(hub.data), "kek": str(hub.data / "kek")
    }  # fmt: skip
    enrolled = hub.json("enroll", "lamp", "--label", "x", "--address", "[2001:db8::1]:7")
    assert enrolled["name"] == "lamp"
    assert enrolled["bundle"] == str(hub.data / "bundles" / "lamp")
    bundle = json.loads((hub.data / "bundles" / "lamp" / "skerry.json").read_text())
    assert bundle["address"] == ["2001:db8::1", 7]
    (row,) = hub.json("list")
    assert (row["name"], row["label"], row["state"]) == ("lamp", "x", "active")
    assert (row["era"], row["step"], row["readings"], row["seen_at"]) == (0, 0, 0, None)
    assert (row["fingerprint"], row["session_fingerprint"]) == (enrolled["fingerprint"], None)
    hub.post(b'{"c": 20}')
    assert hub.json("revoke", "lamp") == {"name": "lamp", "state": "revoked", "changed": True}
    assert hub.json("revoke", "lamp")["changed"] is False
    assert hub.json("tail", "--from-start", "--count", "1") == {
        "id": 1, "device": "lamp", "at": 1_700_000_000.0, "path": "readings", "format": 50,
        "text": '{"c": 20}', "hex": b'{"c": 20}'.hex(),
    }  # fmt: skip


def test_errors_are_one_line_and_say_what_to_do(hub):
    hub.good("enroll", "lamp")
    assert "choose another id" in hub.fails("enroll", "lamp")
    assert "is no id" in hub.fails("enroll", "Lamp")
    assert "HOST:PORT" in hub.fails("enroll", "--address", "a:b")
    assert "skerry list" in hub.fails("revoke", "door")
    assert "skerry list" in hub.fails("tail", "--device", "door")
    assert "holds a hub" in hub.fails("init")
    assert "skerry init" in Hub(hub.data / "none").fails("list")
    assert "skerry init" in Hub(hub.data / "none").fails("run")


def test_kek_errors(hub):
    kek = hub.data / "kek"
    kek.chmod(0o644)
    assert "chmod 600" in hub.fails("enroll")
    kek.chmod(0o600)
    other = hub.data.parent / "other"
    env = {**hub.env, "SKERRY_KEK_FILE": str(other)}
    assert str(other) in hub.fails("enroll", env=env)
    other.write_text("not a key\n")
    other.chmod(0o600)
    assert "64 hexadecimal digits" in hub.fails("enroll", env=env)
    other.write_text("00" * 32 + "\n")
    assert "not the one of hub" in hub.fails("enroll", env=env)
    assert "not the one of hub" in hub.fails("run", env=env)
    kek.rename(other)
    assert hub.run("enroll", "lamp", env=env).returncode == 0


def test_usage_errors_end_with_2(hub):
    for arguments in ([], ["bogus"], ["enroll", "a", "--suite", "7"], ["tail", "--count", "x"]):
        done = hub.run(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "usage:" in done.stderr


def test_no_key_is_ever_printed(hub):
    for number in range(3):
        hub.good("enroll", f"lamp-{number}")
        hub.json("enroll", f"door-{number}")
    hub.good("list")
    hub.json("list")
    hub.fails("enroll", "lamp-1")
    hub.good("revoke", "lamp-1")
    keys = [(hub.data / "kek").read_text().strip()]
    for slot in hub.data.glob("bundles/*/skerry.0"):
        chain = Chain.unpack(record.unpack(slot.read_bytes())[1])
        keys += [chain.chain_key.hex(), chain.pack()[-32:].hex()]
    assert len(keys) == 13
    assert all(key[:16] not in hub.said.lower() for key in keys)


def test_tail_prints_readings_as_they_arrive(hub):
    hub.good("enroll", "lamp")
    hub.good("enroll", "door")
    hub.post(b"before")
    tail = hub.start("tail", "--device", "lamp", "--count", "2")
    stop = threading.Timer(60, tail.kill)
    stop.start()
    time.sleep(4)  # it says nothing when it is ready
    hub.post(b"of the door", device=2)
    hub.post(b'{"c": 1}')
    assert tail.stdout.readline().endswith('  lamp  readings  {"c": 1}\n')
    hub.post(b"\x1b[2J")
    assert tail.stdout.readline().endswith("  lamp  readings  0x1b5b324a\n")
    assert tail.wait(10) == 0
    stop.cancel()


def test_tail_from_the_start_in_pieces(hub):
    hub.good("enroll", "lamp")
    for number in range(5):
        hub.post(b"%d" % number)
    lines = hub.good("tail", "--from-start", "--count", "3", "--json").splitlines()
    assert [json.loads(each)["text"] for each in lines] == ["0", "1", "2"]
    assert hub.good("tail", "--count", "0") == ""


def test_ctrl_c_ends_tail_quietly(hub):
    hub.good("enroll", "lamp")
    hub.post(b"x")
    # Where these tests run in the background, it would be started with the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    tail = hub.start("tail", "--from-start")
    signal.signal(signal.SIGINT, before)
    assert tail.stdout.readline()
    tail.send_signal(signal.SIGINT)
    assert tail.communicate(timeout=10) == ("", "")
    assert tail.returncode == 0


@pytest.mark.parametrize("arguments", [["list"], ["tail", "--from-start"]])
def test_a_reader_that_leaves_is_no_error(hub, arguments):
    hub.good("enroll", "lamp")
    hub.post(b"x")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        hub.command(*arguments), env=hub.env, stdout=writing, stderr=subprocess.PIPE, timeout=20,
        check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@sqlite_only
def test_list_does_without_what_only_the_hub_needs(hub):
    script = (
        "import sys; from skerry_hub.cli import main; main(sys.argv[1:]);"
        "sys.exit(any(name in sys.modules for name in ('aiocoap', 'asyncio', 'skerry_hub.app')))"
    )
    command = [sys.executable, "-c", script, "--data", str(hub.data), "list"]
    assert subprocess.run(command, env=hub.env, check=False, capture_output=True).returncode == 0


def test_run_serves_until_it_is_told_to_end(hub):
    running = hub.start("run", "--listen", "127.0.0.1:0", "--json")
    stop = threading.Timer(20, running.kill)
    stop.start()
    said = json.loads(running.stdout.readline())
    assert said["listening"][0][0] == "127.0.0.1"
    hub.good("enroll", "lamp")  # beside the running hub
    running.send_signal(signal.SIGTERM)
    assert running.wait(10) == 0
    stop.cancel()
