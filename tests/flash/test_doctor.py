"""skerry doctor: each thing that is wrong has its line, with a remedy, and the exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from real import Hub

BOARD = {
    "version": [1, 29, 0], "mpy": 2822, "machine": "m", "board": "b", "chip": "0102", "missing": [],
}  # fmt: skip
ROOM = {"disk": 1 << 20, "heap": 1 << 18}
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, *_):
        if name == "mpremote":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from skerry_hub.cli import main
sys.exit(main())
"""


@pytest.fixture
def hub(tmp_path):
    return Hub(tmp_path)


def doctor(hub, *arguments, env=None):
    """Return (exit status, lines by what they are about)."""
    done = subprocess.run(
        hub.command("doctor", *arguments), capture_output=True, text=True, timeout=90,
        env={**os.environ, "SKERRY_ADDRESS": "192.0.2.1", **(env or {})},
    )  # fmt: skip
    assert done.stderr == ""
    lines = json.loads(done.stdout)
    for each in lines:
        assert (each["state"] == "ok") == (each["remedy"] == ""), each
    return done.returncode, {each["what"]: each for each in lines}


def test_a_hub_where_no_boards_are_flashed(hub):
    command = [sys.executable, "-c", WITHOUT, *hub.command("doctor")[3:]]
    environment = {**os.environ, "SKERRY_ADDRESS": "192.0.2.1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.stderr == ""
    lines = {each["what"]: each for each in json.loads(done.stdout)}
    assert lines["database"]["state"] == "ok"
    assert lines["boards"]["state"] == "warn"
    assert lines["boards"]["remedy"] == "pip install 'skerry[flash]'"
    assert done.returncode == 0
    named = subprocess.run([*command, "/dev/ttyACM0"], capture_output=True, env=environment)
    assert named.returncode == 1


def test_a_sound_hub_and_board(hub, bench):
    board = bench.board("a")
    status, lines = doctor(hub, board.port)
    assert status == 0
    wrong = {each["what"] for each in lines.values() if each["state"] != "ok"}
    assert wrong == {"kek", "library", "identity"}  # a KEK beside its database, a blank board
    hub("flash", "kitchen", "--port", board.port)
    status, lines = doctor(hub, board.port)
    assert lines["library"]["state"] == lines["identity"]["state"] == "ok"
    assert "kitchen" in lines["identity"]["said"]


def test_no_hub(tmp_path, hub):
    hub.data = tmp_path / "none"
    status, lines = doctor(hub)
    assert status == 1
    assert "skerry init" in lines["hub"]["remedy"]


def test_the_kek_is_wrong_or_gone(hub, tmp_path):
    kek = hub.data / "kek"
    kek.chmod(0o644)
    status, lines = doctor(hub)
    assert (status, "chmod 600" in lines["hub"]["remedy"]) == (1, True)
    kek.chmod(0o600)
    other = tmp_path / "kek"
    kek.rename(other)
    assert doctor(hub)[0] == 1
    status, lines = doctor(hub, env={"SKERRY_KEK_FILE": str(other)})
    assert lines["kek"]["state"] == "ok"


def test_a_damaged_database(hub):
    for i in range(40):
        hub.enroll(f"d-{i}")
    path = hub.data / "skerry.db"
    content = bytearray(path.read_bytes())
    content[8192:12288] = os.urandom(4096)
    path.write_bytes(content)
    status, lines = doctor(hub)
    assert status == 1
    damaged = lines.get("database") or lines["hub"]
    assert "backup" in damaged["remedy"]


def test_keys_in_clear_and_an_open_folder(hub):
    hub.enroll("kitchen")
    hub.data.chmod(0o755)
    _, lines = doctor(hub)
    assert "kitchen" in lines["bundles"]["said"]
    assert "chmod 700" in lines["data folder"]["remedy"]


def test_no_board_and_two(hub, bench):
    status, lines = doctor(hub)
    assert "cable" in lines["board"]["remedy"]
    ports = ",".join(bench.board(name).port for name in "ab")
    _, lines = doctor(hub, env={"SKERRY_PORTS": ports})
    assert lines["board"]["said"] == "2 boards found"
    status, lines = doctor(hub, "/dev/nowhere")
    assert (status, lines["board"]["state"]) == (1, "fail")


def test_a_port_without_permission(hub, bench):
    if os.geteuid() == 0:
        pytest.skip("nothing is forbidden to root")
    port = bench.board("a").port
    Path(port).chmod(0)
    status, lines = doctor(hub, env={"SKERRY_PORTS": port})
    assert (status, "usermod" in lines["port"]["remedy"]) == (1, True)


def test_firmware_that_lacks_things(hub, lying):
    board = {**BOARD, "missing": ["hashlib", "cryptolib", "socket"], "mpy": 5, "chip": "ffff"}
    liar = lying(
        "", tell_board=board, tell_randomness={"weak": True}, tell_room={"disk": 9, "heap": "x"}
    )
    status, lines = doctor(hub, liar.port)
    assert status == 1
    assert "1.19" in lines["firmware"]["remedy"]
    assert "--chip" in lines["chip"]["remedy"]
    assert "gateway" in lines["module"]["remedy"]
    for what in ("randomness", "disk", "heap"):
        assert lines[what]["state"] != "ok"


def test_text_for_people(hub, lying):
    liar = lying("", tell_board=BOARD, tell_randomness={"weak": False}, tell_room=ROOM)
    command = [each for each in hub.command("doctor", liar.port) if each != "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert any(line.startswith("ok    firmware     MicroPython 1.29.0 on m") for line in lines)
    assert any(line.strip() == "-> run skerry flash" for line in lines)
