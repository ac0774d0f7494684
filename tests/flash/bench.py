"""A bench with unix boards on it, and the command line that flashes them."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from littlefs import LittleFS, UserContext
from real import Hub

from skerry_hub.flash.unix import UnixBoard

BLOCK = 4096

# Connects and posts one reading, whenever the board starts.
MAIN = """
import skerry_device
hub = skerry_device.connect(timeout_ms=2000, ack_timeout_ms=500)
print("posted", hub.post("readings", {"c": 21.5}).code)
"""


class BenchHub(Hub):
    """A hub whose devices find it where it listens."""

    def flash(self, *arguments, ok=True, env=None, timeout=90):
        """Flash a board; return what the command says, or its one line of an error."""
        host, port = self.address
        command = self.command("flash", "--address", f"{host}:{port}", *arguments)
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **(env or {})},
        )
        assert done.returncode == (0 if ok else 1), (done.returncode, done.stderr)
        if ok:
            assert done.stderr == ""
            return json.loads(done.stdout)
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("skerry: ")
        return done.stderr

    def until(self, name, limit=20, **expected):
        """Wait until a device's row has these values."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            row = self.row(name)
            if all(row[key] == value for key, value in expected.items()):
                return row
            time.sleep(0.1)
        raise AssertionError((expected, row, self.log.read_text()[-500:]))


class Memory(UserContext):
    """A flash image for littlefs-python to read."""

    def __init__(self, image: bytes) -> None:
        self.buffer = bytearray(image)


def files_of(image: Path) -> dict[str, bytes]:
    """Return all files of a flash image, read by an implementation that is not MicroPython's."""
    content = image.read_bytes()
    if not any(content):
        return {}
    fs = LittleFS(
        context=Memory(content), block_size=BLOCK, block_count=len(content) // BLOCK, mount=True
    )
    found = {}
    for folder, _, names in fs.walk("/"):
        for name in names:
            path = folder.rstrip("/") + "/" + name
            with fs.open(path, "rb") as file:
                found[path] = file.read()
    return found


class Bench:
    """Unix boards by name; what is on a board stays when it is switched off."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.on: dict[str, UnixBoard] = {}

    def board(self, name: str, main: str | None = None, size: int | None = None) -> UnixBoard:
        """Switch a board on."""
        place = self.folder / name
        if size is not None:
            place.mkdir(parents=True)
            (place / "flash").write_bytes(bytes(size))
        self.on[name] = UnixBoard(place)
        if main is not None:
            self.put(name, "main.py", main)
        return self.on[name]

    def put(self, name: str, path: str, content: str | bytes) -> None:
        """Write a file with mpremote itself, and start the board anew."""
        source = self.folder / "put"
        source.write_bytes(content.encode() if isinstance(content, str) else content)
        command = [Path(sys.executable).with_name("mpremote"), "connect", self.on[name].port]
        subprocess.run([*command, "cp", source, f":{path}"], check=True, capture_output=True)
        self.restart(name)

    def off(self, name: str) -> None:
        """Cut its power."""
        self.on.pop(name).close()

    def restart(self, name: str) -> UnixBoard:
        self.off(name)
        return self.board(name)

    def files(self, name: str) -> dict[str, bytes]:
        return files_of(self.folder / name / "flash")

    def clone(self, name: str, other: str, chip: bool = False) -> None:
        """Copy a board's flash to another one that is off; its chip too, as no chip allows."""
        (self.folder / other).mkdir(parents=True)
        for each in ("flash", "chip") if chip else ("flash",):
            shutil.copy(self.folder / name / each, self.folder / other / each)

    def clear(self) -> None:
        for name in list(self.on):
            self.off(name)
