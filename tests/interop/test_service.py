"""The hub as systemd sees it: the unit is valid and tight, and the hub says how it is."""

import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "docs" / "examples" / "skerry.service"
ANALYZE = shutil.which("systemd-analyze")


@pytest.mark.skipif(ANALYZE is None, reason="apt-get install systemd")
def test_the_unit_is_valid(tmp_path):
    unit = tmp_path / "skerry.service"
    unit.write_text(UNIT.read_text().replace("/opt/skerry/bin/skerry", "/bin/true"))
    done = subprocess.run([ANALYZE, "verify", unit], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "skerry.service" in line]
    assert (done.returncode, said) == (0, [])


@pytest.mark.skipif(ANALYZE is None, reason="apt-get install systemd")
def test_the_unit_is_tight(tmp_path):
    shutil.copy(UNIT, tmp_path / "skerry.service")
    command = [ANALYZE, "security", "--offline=yes", str(tmp_path / "skerry.service")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    level = re.search(r"exposure level for skerry.service: ([0-9.]+)", done.stdout)
    print(level[0])
    assert float(level[1]) <= 1.5


def test_it_tells_when_it_is_ready_alive_and_ending(hub, tmp_path, monkeypatch):
    hub.stop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        hub.start()
        assert manager.recv(100) == b"READY=1"
        assert manager.recv(100) == manager.recv(100) == b"WATCHDOG=1"

        hub.process.send_signal(signal.SIGTERM)
        said = b""
        while said != b"STOPPING=1":
            said = manager.recv(100)
        assert hub.process.wait(10) == 0
