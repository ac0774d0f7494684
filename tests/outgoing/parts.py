"""Processes that a hub delivers to, and what every test of this folder asks of them."""

import base64
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ports import free_port
from real import Hub

from skerry_hub.store import NewReading
from skerry_hub.store.sqlite import SqliteStore


def until(true: Callable[[], Any], limit: float = 20) -> Any:
    """Wait for what has to come true."""
    end = time.monotonic() + limit
    while not (found := true()):
        assert time.monotonic() < end, true
        time.sleep(0.05)
    return found


class Receiver:
    """A webhook's receiver in a process of its own."""

    def __init__(self, folder: Path, *certificate: Path) -> None:
        self.folder = folder
        self.certificate = certificate
        folder.mkdir()
        self.secret = folder / "secret"
        self.secret.touch(0o600)
        self.secret.write_text("whsec_" + base64.b64encode(os.urandom(32)).decode() + "\n")
        self.port = free_port()
        self.behave("ok")
        self.process: subprocess.Popen[str] | None = None

    def behave(self, mode: str) -> None:
        (self.folder / "new").write_text(mode)
        (self.folder / "new").rename(self.folder / "mode")

    def start(self) -> None:
        program = Path(__file__).with_name("receiver.py")
        self.process = subprocess.Popen(
            [sys.executable, program, self.folder, str(self.port), *self.certificate],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @property
    def requests(self) -> list[dict]:
        return lines(self.folder / "requests")

    @property
    def items(self) -> list[dict]:
        return lines(self.folder / "items")

    def numbers(self, type: str = "reading") -> list[int]:
        return [each["number"] for each in self.items if each["type"] == type]

    def table(self, **more: object) -> str:
        """The settings of a hub that delivers here."""
        scheme = "https" if self.certificate else "http"
        said = {"name": "test", "url": f"{scheme}://127.0.0.1:{self.port}/hook",
                "secret_file": str(self.secret), **more}  # fmt: skip
        return "[[webhook]]\n" + "".join(
            f"{key} = {json.dumps(value)}\n" for key, value in said.items()
        )


def lines(path: Path) -> list[dict]:
    """The JSON objects of a file; the last one may still be underway."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


def configure(hub: Hub, *tables: str) -> None:
    """Write a hub's settings, with a monitoring address."""
    port = free_port()
    hub.monitoring = f"http://127.0.0.1:{port}"
    (hub.data / "skerry.toml").write_text(f'monitoring = "127.0.0.1:{port}"\n' + "".join(tables))


def health(hub: Hub) -> dict:
    with urllib.request.urlopen(hub.monitoring + "/health", timeout=10) as answer:
        return json.load(answer)


def metric(hub: Hub, name: str) -> float:
    with urllib.request.urlopen(hub.monitoring + "/metrics", timeout=10) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(f"skerry_outgoing_{name}{{"):
                return float(line.split()[-1])
    raise AssertionError(name)


@contextmanager
def opened(hub: Hub) -> Iterator[SqliteStore]:
    store = SqliteStore(hub.data / "skerry.db")
    try:
        yield store
    finally:
        store.close()


def fill(hub, count, device="kitchen", payload=b'{"c": 21.5}'):
    """Store readings as the hub does."""
    with opened(hub) as store:
        number = store.device(device).id
        new = NewReading(number, time.time(), "readings", 50, payload)
        assert all(store.write([new] * count))


def stored(hub: Hub) -> list[int]:
    """The numbers of all readings."""
    with opened(hub) as store:
        return [each.id for each in store.readings_after(0, limit=1_000_000)]


def firsts(numbers: list[int]) -> list[int]:
    """What is left when repetitions are dropped."""
    return list(dict.fromkeys(numbers))
