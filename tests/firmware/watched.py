"""The plugin watch.c: compiled, handed to QEMU, and what it wrote read back."""

import re
import subprocess
from pathlib import Path

from bridge import QEMU

CUT = 99  # QEMU's exit status after a cut


def compiled(folder: Path) -> Path:
    """Compile the plugin for the QEMU that is there."""
    said = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=True).stdout
    major = int(re.search(r"version (\d+)", said)[1])
    plugin = folder / "watch.so"
    subprocess.run(
        [
            "cc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-fvisibility=hidden",
            f"-DAPI={2 if major >= 9 else 1}", "-o", plugin, Path(__file__).with_name("watch.c"),
        ],
        check=True,
    )  # fmt: skip
    return plugin


class Trace:
    """The stores into the slots while a board replaced its chain: (instruction, offset, size).

    Counted from the first one. `sent` is the first instruction after them that sends a byte,
    None if the power was cut before.
    """

    def __init__(self, file: Path) -> None:
        rows = [line.split() for line in file.read_text().splitlines()]
        self.sent = int(rows.pop()[0]) if rows[-1][1] == "sent" else None
        self.stores = [(int(at), int(where), int(size)) for at, where, size in rows]
        self.last = self.stores[-1][0]
