"""A program on a real MicroPython, in a provisioned folder; its lines are read while it runs."""

import os
import subprocess
import threading
import time
from pathlib import Path

from real import LIBRARY

from skerry_hub.sim.fleet import interpreter


class Program:
    """`lines` are what it printed so far."""

    def __init__(self, source: Path, folder: Path, heap: str = "128k") -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [interpreter(), "-X", f"heapsize={heap}", str(source)],
            cwd=folder,
            env={**os.environ, "MICROPYPATH": f"{LIBRARY}:.frozen"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self.lines.append(line.rstrip())

    def says(self, start: str, count: int = 1, limit: float = 30) -> str:
        """Wait for the count-th line that starts so, and return it."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            found = [line for line in self.lines if line.startswith(start)]
            if len(found) >= count:
                return found[count - 1]
            time.sleep(0.02)
        raise AssertionError((start, count, self.lines[-20:]))

    def ends(self, limit: float = 30) -> list[str]:
        """Wait for a good end; return all lines."""
        assert self._process.wait(limit) == 0, self.lines[-20:]
        self._reader.join()
        return self.lines

    def kill(self) -> None:
        """Cut its power."""
        self._process.kill()
        self._process.wait()
        self._reader.join()


def run(hub, tmp_path: Path, folder: Path, text: str, heap: str = "128k") -> list[str]:
    """Run a program of this text to its end; return its lines."""
    source = tmp_path / "program.py"
    source.write_text(text)
    program = Program(source, folder, heap)
    try:
        return program.ends()
    finally:
        program.kill()
