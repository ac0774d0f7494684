"""The demonstration: a hub, five MicroPython devices, a power cut and a lost answer.

python -m skerry_hub.sim.demo FOLDER
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from skerry_hub.sim.command import status, switched_on
from skerry_hub.sim.fleet import Device, library, place
from skerry_hub.sim.relay import Relay
from skerry_hub.sim.table import Table

_NAMES = [f"board-{number}" for number in range(1, 6)]
_READINGS = 5


class Demo:
    """One run; `failures` is empty at the end of a good one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "hub"
        self.library = library(folder)
        self.failures: list[str] = []
        self.posted = dict.fromkeys(_NAMES, 0)
        self.started = time.monotonic()

    def skerry(self, *arguments: str) -> Any:
        """Run the command line as anyone would and return what it printed."""
        done = subprocess.run(  # noqa: S603 - our own command
            [*self._command(), *arguments], capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"demo: skerry {' '.join(arguments)}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "skerry_hub", "--data", str(self.data), "--json"]

    def run(self) -> int:
        """Run everything; return the exit status."""
        print("A hub is made, and five boards are enrolled.")
        self.skerry("init")
        for name in _NAMES:
            self.skerry("enroll", name)
        with open(self.folder / "hub.log", "w") as log:
            hub = subprocess.Popen(  # noqa: S603 - our own command
                [*self._command(), "run", "--listen", "127.0.0.1:0"],
                stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
            try:
                assert hub.stdout is not None  # noqa: S101 - for the type checker
                said = hub.stdout.readline()
                if not said:
                    sys.exit(
                        "demo: the hub did not start: " + (self.folder / "hub.log").read_text()
                    )
                self._with_hub(tuple(json.loads(said)["listening"][0]))
            finally:
                hub.terminate()
                hub.wait(10)
        return self._sum_up()

    def _with_hub(self, address: tuple[str, int]) -> None:
        relays = {name: Relay(address) for name in _NAMES}
        for relay in relays.values():
            relay.start()
        try:
            self._fleet(relays)
            self._power_cut(_NAMES[3], relays[_NAMES[3]])
            self._lost_answer(_NAMES[4], relays[_NAMES[4]])
        finally:
            for relay in relays.values():
                relay.stop()

    def _start(self, name: str, relay: Relay, readings: int = _READINGS) -> Device:
        folder = self.folder / "boards" / name
        folder.parent.mkdir(exist_ok=True)
        place(self.data / "bundles" / name, folder, relay.address)
        return Device(folder, self.library, [str(readings), "200"])

    def _finish(self, device: Device, readings: int) -> None:
        result = device.wait(30)
        if result != 0 or device.last.get("event") != "done":
            said = device.noise[-1] if device.noise else device.last
            self.failures.append(f"{device.name} did not finish: {said}")
            return
        self.posted[device.name] += readings
        at_hub = self._at_hub()[device.name]
        if at_hub["session_fingerprint"] != device.last["fingerprint"]:
            self.failures.append(f"{device.name}: the two ends hold different keys")

    def _at_hub(self) -> dict[str, Any]:
        return {row["name"]: row for row in self.skerry("list")}

    def _rows(self, devices: list[Device]) -> list[dict[str, Any]]:
        at_hub = self._at_hub()
        rows = [status(each) for each in devices]
        for row in rows:
            row["hub"] = at_hub[row["device"]]["session_fingerprint"] or "-"
            row["readings"] = at_hub[row["device"]]["readings"]
        return rows

    def _fleet(self, relays: dict[str, Relay]) -> None:
        print("Five MicroPython processes agree on sessions with the hub and post readings.\n")
        table = Table()
        with switched_on([self._start(name, relays[name]) for name in _NAMES]) as devices:
            while any(each.last.get("event") != "done" for each in devices):
                table.draw(self._rows(devices))
                if all(each.wait(0.05) is not None for each in devices):
                    break
            for each in devices:
                self._finish(each, _READINGS)
            table.draw(self._rows(devices), last=True)
        first = relays[_NAMES[0]].seen[:2]
        sizes = " and ".join(str(len(datagram)) for _, datagram in first)
        print(f"\nA handshake takes {len(first)} datagrams, {sizes} bytes: one round trip.")

    def _power_cut(self, name: str, relay: Relay) -> None:
        print(f"\n{name} loses power in mid-handshake: the hub has answered, nothing came back.")
        before = len(relay.seen)
        relay.rule = lambda direction, index, datagram: [] if direction == "down" else [0.0]
        device = self._start(name, relay)
        while not any(direction == "down" for direction, _ in relay.seen[before:]):
            if device.wait(0.01) is not None:
                break
        device.kill()
        relay.rule = lambda direction, index, datagram: [0.0]
        self._recovery(name, relay)

    def _lost_answer(self, name: str, relay: Relay) -> None:
        print(f"{name}: the hub's answer is lost, and so is the next one.")
        lost: list[int] = []

        def rule(direction: str, index: int, datagram: bytes) -> list[float]:
            if direction == "down" and len(lost) < 2:
                lost.append(index)
                return []
            return [0.0]

        relay.rule = rule
        self._recovery(name, relay)
        if len(lost) != 2:
            self.failures.append(f"{name}: nothing was lost")

    def _recovery(self, name: str, relay: Relay) -> None:
        with switched_on([self._start(name, relay, readings=2)]) as (device,):
            self._finish(device, 2)
            said = device.last
            errors = sum(line["event"] == "error" for line in device.lines)
        print(
            f"  back by itself: epoch {said.get('epoch')}, key {said.get('fingerprint')} at the"
            f" device and {self._at_hub()[name]['session_fingerprint']} at the hub,"
            f" {errors} failed connects"
        )

    def _sum_up(self) -> int:
        for name, row in self._at_hub().items():
            if row["readings"] != self.posted[name]:
                self.failures.append(
                    f"{name}: {self.posted[name]} readings posted, {row['readings']} stored"
                )
        total = sum(self.posted.values())
        for failure in self.failures:
            print(f"FAILED: {failure}")
        outcome = "failed" if self.failures else "ok"
        seconds = time.monotonic() - self.started
        print(f"\n{outcome}: 5 devices, {total} readings, {seconds:.0f} s")
        return 1 if self.failures else 0


def main() -> int:
    """Run the demonstration in a temporary folder inside the one that is named."""
    base = Path(sys.argv[1])
    base.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="demo-", dir=base.resolve()) as folder:
        return Demo(Path(folder)).run()


if __name__ == "__main__":
    sys.exit(main())
