"""Processes of emulated devices: compiled library, folders, output."""

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

from skerry_hub.flash.compile import compile_file, sources
from skerry_hub.tools import find_tool

HEAP = "64k"  # of the 64-bit unix port: objects are twice as large as on a microcontroller
_PROGRAM = "skerry_sim"


def interpreter() -> str:
    """Return the MicroPython binary."""
    return find_tool("micropython", "sim")


def library(folder: Path) -> Path:
    """Compile what a device needs, as for a board, into `folder`/lib; return that."""
    lib = folder / "lib"
    files = {**sources(), f"{_PROGRAM}.py": Path(__file__).with_name("device.py")}
    for name, file in files.items():
        target = (lib / name).with_suffix(".mpy")
        if not target.exists() or target.stat().st_mtime <= file.stat().st_mtime:
            compile_file(file, target)
    return lib


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
        program: Path | None = None,
        heap: str = HEAP,
    ) -> None:
        """Start it in its folder, with the compiled `library`; `program` if not device.py."""
        self.folder = folder
        self.name = folder.name
        self.lines: list[dict[str, Any]] = []
        self.noise: list[str] = []
        run = ["-m", _PROGRAM] if program is None else [str(program)]
        self._process = subprocess.Popen(  # noqa: S603 - our interpreter, our program
            [interpreter(), "-X", f"heapsize={heap}", *run, *arguments],
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
