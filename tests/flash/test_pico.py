"""skerry flash against the Pico's real firmware image, which rp2040py runs on its own terminal.

skerry flash -- pty, USB --> Pico -- UART 1, pty --> skerry gateway -- UDP --> hub
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_cuts import flash as flash_killed

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "build" / "firmware" / "rpi-pico.uf2"
SPEC = Path(__file__).with_name("pico.py")
CHIP = "shelf-1"  # the emulated flash has no id of its own
SLOW = 1800  # seconds of a host that emulates far more slowly than a Pico runs
EVERY = os.environ.get("SKERRY_PICO") == "all"

pytest.importorskip("rp2040py", reason="needs pip install rp2040py==0.3.6")
pytestmark = pytest.mark.skipif(not IMAGE.exists(), reason="needs boards/build.sh pico")

MAIN = """
import skerry_device
from machine import UART, Pin
from skerry_device.links.serial import SerialLink
uart = UART(1, 115200, tx=Pin(4), rx=Pin(5), timeout=0, rxbuf=512)
while True:
    try:
        hub = skerry_device.connect(link=SerialLink(uart), timeout_ms=20000, ack_timeout_ms=20000)
        break
    except skerry_device.HubSilent:
        pass
print(hub.era, hub.step, hub.fingerprint, hub.post("readings", {"c": 21.5}).code)
"""


class Pico:
    """An emulated Pico; its flash is kept in a file when it is switched off."""

    def __init__(self, folder):
        self.folder = folder
        self.uart = folder / "uart"
        self.flash = folder / "flash.img"

    def on(self):
        log = self.folder / "log"
        command = [
            Path(sys.executable).with_name("rp2040py"), "micropython", "--board-spec",
            f"{SPEC}:board", "--image", IMAGE, "--pty", "--dump-fs", self.flash,
        ]  # fmt: skip
        if self.flash.exists():
            command += ["--littlefs", self.flash]
        with log.open("w") as out:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=out, env={**os.environ, "PICO_UART": str(self.uart)}
            )
        end = time.monotonic() + 30
        while not (found := re.search(r"/dev/pts/\d+", log.read_text())):
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        self.port = found[0]
        return self

    def off(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)

    def mpremote(self, *arguments):
        command = [Path(sys.executable).with_name("mpremote"), "connect", self.port, *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=SLOW)


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    monkeypatch.setenv("SKERRY_SLOW", "20")


@pytest.fixture
def pico(tmp_path):
    made = Pico(tmp_path).on()
    yield made
    if made.process.poll() is None:
        made.off()


@pytest.fixture
def gateway(hub, pico):
    while not pico.uart.exists():
        time.sleep(0.1)
    host, port = hub.address
    command = hub.command("gateway", "--address", f"{host}:{port}", str(pico.uart))
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert running.stdout.readline()
    yield running
    running.terminate()
    assert running.wait(10) == 0


@pytest.fixture
def asked(pico, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(MAIN)
    return ("pico-1", "--port", pico.port, "--chip", CHIP, "--main", str(program))


def test_flash_handshake_reboot(hub, pico, gateway, asked):
    assert "--chip" in hub.flash("pico-1", "--port", pico.port, ok=False, timeout=SLOW)
    said = hub.flash(*asked, timeout=SLOW)
    assert (said["action"], said["copied"], said["board"]) == ("enrol", 0, "RPI_PICO")
    row = hub.until("pico-1", limit=SLOW, readings=1)
    assert (row["fingerprint"], row["step"]) == (said["fingerprint"], 1)
    pico.off()
    pico.on()  # what it was given, and the epoch after, are in its flash
    hub.until("pico-1", limit=SLOW, readings=2, step=2)
    again = hub.flash("--port", pico.port, "--chip", CHIP, timeout=SLOW)
    assert (again["action"], again["fingerprint"]) == ("keep", said["fingerprint"])


@pytest.mark.skipif(not EVERY, reason="takes minutes: SKERRY_PICO=all")
def test_a_firmware_with_another_library_gets_ours(hub, pico, gateway, asked, tmp_path):
    """Compiled, copied before the firmware's own, and what proves the key."""
    named = tmp_path / "named.py"
    named.write_text("DIGEST = 'that of an older one'\n")
    pico.mpremote("cp", str(named), ":skerry_library.py")
    said = hub.flash(*asked, timeout=SLOW)
    assert said["copied"] >= 20
    hub.until("pico-1", limit=SLOW, readings=1)
    assert hub.flash("--port", pico.port, "--chip", CHIP, timeout=SLOW)["copied"] == 0


@pytest.mark.parametrize("step", [8, 12, 16, 20] if EVERY else [12])
def test_killed_and_run_again(hub, pico, asked, step):
    assert flash_killed(hub, step, *asked, timeout=SLOW) == 9
    said = hub.flash(*asked, "--no-restart", timeout=SLOW)
    assert (said["name"], said["state"]) == ("pico-1", "active")
    assert hub.flash("--port", pico.port, "--chip", CHIP, timeout=SLOW)["action"] == "keep"
