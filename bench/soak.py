"""Mixed traffic for minutes, and what the hub holds of it: python bench/soak.py [MINUTES].

Handshakes, recoveries, readings, forged and repeated datagrams, from 64 devices at once, while the
operator enrols, revokes, sets values and exchanges the keys. Prints memory and descriptors every
ten seconds; ends with 1 if memory still grows by more than 5 % in the last half.
"""

import random
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / each) for each in ("common", "hub", "tests/hub", "tests/interop")]

import servers  # noqa: E402
from desk import DeskDevice, enrolled  # noqa: E402
from real import Hub  # noqa: E402

from skerry import coap  # noqa: E402
from skerry.errors import SkerryError  # noqa: E402
from skerry_hub import enrolment  # noqa: E402
from skerry_hub.config import Config  # noqa: E402

DEVICES = 64
ROUND_S = 10.0


class Soak:
    """Devices that use a hub as fast as it answers."""

    def __init__(self, devices: list[DeskDevice]) -> None:
        self.devices = devices
        self.counts: Counter[str] = Counter()
        self.random = random.Random(1)
        self.sent = 0
        self.spare: list[bytes] = []

    def rage(self, port: int, seconds: float) -> None:
        """Go on for so long."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as self.wire:
            self.wire.connect(("127.0.0.1", port))
            self.waiting: dict[bytes, tuple[int, bool]] = {}
            for number in range(len(self.devices)):
                self.attempt(number)
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                if select.select([self.wire], [], [], 0.05)[0]:
                    self.take(self.wire.recv(2048))

    def attempt(self, number: int) -> None:
        """Make a handshake, one in fifty by recovering."""
        recover = self.random.random() < 0.02
        self.counts["recoveries"] += recover
        self.send(number, self.devices[number].attempt(recover), False)

    def send(self, number: int, datagram: bytes, request: bool) -> None:
        """Send under a token of our own, now and then with noise."""
        message = coap.decode(datagram)
        self.sent += 1
        message.token = self.sent.to_bytes(4, "big")
        self.waiting[message.token] = number, request
        datagram = coap.encode(message)
        self.wire.send(datagram)
        if self.random.random() < 0.1:
            self.spare = [*self.spare[-50:], datagram]
            forged = datagram[:4] + b"none" + datagram[8:-1] + bytes((datagram[-1] ^ 1,))
            for noise in (forged, self.random.choice(self.spare)):
                self.wire.send(noise)
                self.counts["noise"] += 1

    def take(self, datagram: bytes) -> None:
        """Take an answer, and go on; what answers noise is no answer."""
        number, request = self.waiting.pop(datagram[4:8], (None, False))
        if number is None:
            return None
        device = self.devices[number]
        try:
            if request:
                device.response([datagram])
            else:
                device.accept([datagram])
        except SkerryError:
            self.counts["lost"] += 1
            return self.attempt(number)
        self.counts["readings" if request else "handshakes"] += 1
        if request and self.random.random() < 0.1:
            return self.attempt(number)
        return self.send(number, device.request(b"%d" % self.sent), True)


def operate(hub: Hub, number: int) -> None:
    """Do what an operator does."""
    device = f"d-{number % DEVICES}"
    for command in (("enroll", f"x-{number}"), ("set", device, "led", "1"),
                    ("revoke", f"x-{number}"), ("rotate-key",)):  # fmt: skip
        subprocess.run(hub.command(*command), check=True, capture_output=True)


def main() -> int:
    """Run and print."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    held = []
    with tempfile.TemporaryDirectory() as folder:
        hub = Hub(Path(folder))
        with enrolment.opened(Config.of(data=str(hub.data), environ={})) as opened:
            soak = Soak([enrolled(opened, f"d-{i}") for i in range(DEVICES)])
        hub.start()
        for number in range(1, int(minutes * 60 / ROUND_S) + 1):
            soak.rage(hub.address[1], ROUND_S)
            operate(hub, number)
            held.append(servers.resident(hub.process.pid) // 1024)
            files = len(list(Path(f"/proc/{hub.process.pid}/fd").iterdir()))
            counts = ", ".join(f"{count} {what}" for what, count in soak.counts.items())
            print(
                f"{number * ROUND_S:5.0f} s  {held[-1]} KiB  {files} files  {counts}", flush=True
            )
        hub.stop()
    half = held[len(held) // 2 :]
    grown = half[-1] / half[0] - 1
    print(f"memory in the last half: {grown:+.1%}")
    return 1 if grown > 0.05 else 0


if __name__ == "__main__":
    sys.exit(main())
