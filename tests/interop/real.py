"""A real hub process on loopback, and real MicroPython processes behind a relay that misbehaves."""

import json
import os
import subprocess
import sys
from pathlib import Path

from ports import free_port

from skerry_hub.sim.fleet import Device, library, place
from skerry_hub.sim.relay import Relay, Rule, passing

LIBRARY = library(Path(__file__).parents[2] / "build")


class Hub:
    """A hub's data folder, its command line and its process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "hub"
        self.process: subprocess.Popen[str] | None = None
        self.address = ("127.0.0.1", free_port())
        self.log = folder / "hub.log"
        self.web = ""
        self.relays: list[Relay] = []
        self.devices: list[Device] = []
        self("init")

    def __call__(self, *arguments: str, ok: bool = True):
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=60)
        assert (done.returncode == 0) == ok, done.stderr
        return json.loads(done.stdout) if ok and done.stdout else done.stderr

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "skerry_hub", "--data", str(self.data), "--json", *arguments]

    def start(self) -> None:
        host, port = self.address
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                self.command("run", "--listen", f"{host}:{port}"),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONFAULTHANDLER": "1"},
            )
        said = self.process.stdout.readline()
        assert said, self.log.read_text()
        self.address = tuple(json.loads(said)["listening"][0])
        self.web = json.loads(said).get("web", "")

    def kill(self) -> None:
        """Cut the hub's power."""
        self.process.kill()
        self.process.wait()

    def enroll(self, name: str) -> Path:
        self("enroll", name)
        return self.data / "bundles" / name

    def relay(self, rule: Rule = passing) -> Relay:
        relay = Relay(self.address, rule)
        self.relays.append(relay)
        relay.start()
        return relay

    def board(self, name: str, relay: Relay | None = None, source: Path | None = None) -> Path:
        """Enrol and flash a device, or copy another's image; return its folder."""
        bundle = source or self.enroll(name)
        folder = self.folder / "boards" / name
        folder.parent.mkdir(exist_ok=True)
        place(bundle, folder, relay.address if relay else self.address)
        return folder

    def power(self, folder: Path, readings: int = 2, timeout_ms: int = 2000, **options) -> Device:
        """Switch a device on."""
        arguments = [str(readings), str(options.pop("interval", 0)), str(timeout_ms), "500"]
        device = Device(folder, LIBRARY, arguments, **options)
        self.devices.append(device)
        return device

    def row(self, name: str) -> dict:
        return next(row for row in self("list") if row["name"] == name)

    def stop(self) -> None:
        for device in self.devices:
            device.kill()
        for relay in self.relays:
            relay.stop()
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            assert self.process.wait(10) == 0, self.log.read_text()


def finish(device: Device, limit: float = 30) -> list[dict]:
    """Wait for a good end; return the errors the device told on the way."""
    status = device.wait(limit)
    assert status == 0, (device.lines[-3:], device.noise[-5:])
    assert device.last["event"] == "done"
    return [line for line in device.lines if line["event"] == "error"]
