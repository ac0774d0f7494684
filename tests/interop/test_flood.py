"""Devices get in, and sessions go on, while a real flood of messages 1 arrives."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from desk import DeskDevice, enrolled

from skerry import coap
from skerry_hub import enrolment
from skerry_hub.config import Config

SOURCE = Path(__file__).parents[2] / "bench" / "flood.c"
RATE, SECONDS, WITHIN_S = 40_000, 12, 6.0
PAUSE_S = 0.5  # between two transmissions


@pytest.fixture(scope="module")
def generator(tmp_path_factory) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    program = tmp_path_factory.mktemp("flood") / "flood"
    subprocess.run(["cc", "-O2", "-o", program, SOURCE], check=True)
    return program


class Client:
    """A device behind a socket of its own that repeats what is not answered."""

    def __init__(self, device: DeskDevice, address: tuple[str, int]) -> None:
        self.device = device
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(address)
        self.socket.settimeout(PAUSE_S)

    def ask(self, datagram: bytes, end: float) -> bytes:
        while time.monotonic() < end:
            self.socket.send(datagram)
            try:
                return self.socket.recv(2048)
            except TimeoutError:
                continue
        raise AssertionError("not answered under a flood")

    def connect(self, end: float) -> None:
        self.device.accept([self.ask(self.device.attempt(), end)])
        self.post(end)

    def post(self, end: float) -> None:
        assert self.device.response([self.ask(self.device.request(), end)]).code == coap.CHANGED


def apart(process: subprocess.Popen, core: int) -> None:
    """Give a process a core of its own, if there are two."""
    if os.cpu_count() > 1:
        os.sched_setaffinity(process.pid, {core})


@pytest.mark.parametrize("kind", ["unknown", "forged", "replayed"])
def test_devices_get_in_under_a_flood(hub, generator, kind):
    with enrolment.opened(Config.of(data=str(hub.data), environ={})) as opened:
        devices = [enrolled(opened, f"d-{i}") for i in range(10)]
    apart(hub.process, 1)
    clients = [Client(each, hub.address) for each in devices]
    settled, victims, honest = clients[0], clients[1:4], clients[4:]
    settled.connect(time.monotonic() + 10)
    attempts = [each.device.attempt() for each in victims]
    for client, attempt in zip(victims, attempts, strict=True):
        client.ask(attempt, time.monotonic() + 10)  # and its first request is lost
    length, fixed = len(attempts[0]), len(attempts[0])
    if kind != "replayed":
        attempts = [each.device.attempt() for each in honest]
        fixed -= 22 if kind == "unknown" else 16  # behind the header, or the pseudonym
    flood = subprocess.Popen(
        [generator, *map(str, (hub.address[1], SECONDS, RATE, length, fixed))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    apart(flood, 0)
    flood.stdin.write(b"".join(attempts))
    flood.stdin.close()
    try:
        time.sleep(1)
        end = time.monotonic() + WITHIN_S
        for each in honest:
            each.connect(end)
            settled.post(end)
        assert flood.poll() is None, "it ended too early"
        assert int(flood.stdout.read()) > RATE * SECONDS / 2, "it was no flood"
    finally:
        flood.kill()
        flood.wait()
        flood.stdout.close()
        for each in clients:
            each.socket.close()
    assert len(hub.log.read_text().splitlines()) < 40
    assert [hub.row(f"d-{i}")["readings"] for i in range(4, 10)] == [1] * 6
