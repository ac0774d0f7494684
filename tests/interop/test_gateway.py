"""A board without a network: MicroPython on one end of a serial line, a gateway on the other."""

import json
import os
import pty
import select
import signal
import subprocess
import threading
import tty

import pytest
from real import LIBRARY

from skerry_hub.sim.fleet import interpreter, place

PROGRAM = """
import select, sys, json
import skerry_device
from skerry_device.links.serial import SerialLink

class Uart:
    def __init__(self, path):
        self.file = open(path, "r+b")
        self.poll = select.poll()
        self.poll.register(self.file, select.POLLIN)
    def read(self):
        if self.poll.poll(1):
            return self.file.read(1)
    def write(self, data):
        self.file.write(data)

link = SerialLink(Uart(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    try:
        hub = skerry_device.connect(link=link, timeout_ms=8000, ack_timeout_ms=1000)
    except skerry_device.HubSilent:
        continue
    print(json.dumps([hub.era, hub.step, hub.fingerprint, hub.post("readings", {"c": 21.5}).code]))
"""


class Wire:
    """Two serial ports that are connected, by a thread that may add noise."""

    def __init__(self, noise=b""):
        self.noise = noise
        self.masters, self.ends = zip(*[pty.openpty() for _ in range(2)], strict=True)
        for each in self.ends:
            tty.setraw(each)
        self.ports = [os.ttyname(each) for each in self.ends]
        self.plugged = True
        self.thread = threading.Thread(target=self._carry, daemon=True)
        self.thread.start()

    def _carry(self):
        while self.plugged:
            for one in select.select(self.masters, [], [], 0.05)[0]:
                other = self.masters[one == self.masters[0]]
                os.write(other, self.noise + os.read(one, 256))

    def unplug(self):
        """Take both ports away."""
        self.plugged = False
        self.thread.join()
        for each in self.masters + self.ends:
            os.close(each)


@pytest.fixture
def wires():
    made = []

    def make(noise=b""):
        made.append(Wire(noise))
        return made[-1]

    yield make
    for each in made:
        if each.plugged:
            each.unplug()


@pytest.fixture
def gateway(hub):
    """Start gateways; return the process."""
    running = []

    def start(*ports):
        host, port = hub.address
        command = hub.command("gateway", "--address", f"{host}:{port}", *ports)
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert json.loads(running[-1].stdout.readline())["ports"] == list(ports)
        return running[-1]

    yield start
    for each in running:
        each.send_signal(signal.SIGTERM)
        assert each.wait(10) == 0


def board(hub, name, port, times=1):
    """Run a device on a serial port; return what it printed."""
    folder = hub.folder / "boards" / name
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        place(hub.enroll(name), folder)
    (folder / "main.py").write_text(PROGRAM)
    return subprocess.Popen(
        [interpreter(), "-X", "heapsize=128k", "main.py", port, str(times)],
        cwd=folder, env={**os.environ, "MICROPYPATH": str(LIBRARY)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def said(process):
    lines = process.communicate(timeout=60)[0].splitlines()
    assert process.returncode == 0, lines
    return [json.loads(each) for each in lines]


def test_boards_on_two_lines_join_through_one_gateway(hub, wires, gateway):
    two = [wires(), wires(noise=b"\xc0\xdb boot loader says hello \xc0")]
    gateway(*[each.ports[0] for each in two])
    started = [board(hub, f"d-{i}", each.ports[1], 2) for i, each in enumerate(two)]
    for i, each in enumerate(started):
        lines = said(each)
        row = hub.row(f"d-{i}")
        assert [line[:2] + line[3:] for line in lines] == [[0, 0, 68], [0, 1, 68]]
        assert lines[-1][2] == row["session_fingerprint"]
        assert row["readings"] == 2


def test_the_gateway_is_told_what_is_wrong(hub):
    assert "nowhere" in hub("gateway", "/dev/nowhere", ok=False)


def test_a_gateway_started_late_and_killed(hub, wires, gateway):
    wire = wires()
    waits = board(hub, "d-1", wire.ports[1], 3)  # its first attempts are lost
    first = gateway(wire.ports[0])
    assert said(waits)[-1][3] == 68
    first.kill()
    first.wait()
    first.wait = lambda limit: 0
    gateway(wire.ports[0])
    assert said(board(hub, "d-1", wire.ports[1]))[0][3] == 68


def test_a_board_that_is_unplugged_comes_back(hub, wires, gateway, tmp_path):
    one, other = wires(), wires()
    port = tmp_path / "port"
    port.symlink_to(one.ports[0])
    gateway(str(port))
    assert said(board(hub, "d-1", one.ports[1]))[0][3] == 68
    port.unlink()
    port.symlink_to(other.ports[0])
    one.unplug()
    assert said(board(hub, "d-1", other.ports[1], 3))[-1][3] == 68
