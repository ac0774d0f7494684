"""on_device.py on the real MicroPython."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = ROOT / "tests" / "randomness" / "on_device.py"
PATHS = ("common", "device", "tests/device", "tests")


def test_on_micropython():
    done = subprocess.run(
        ["micropython", "-X", "heapsize=2m", ROOT / "tests" / "run_micropython.py", FILE],
        env={**os.environ, "MICROPYPATH": ":".join(str(ROOT / each) for each in PATHS)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    tests = FILE.read_text().count("\ndef test_")
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert done.stdout.splitlines()[-1] == f"{tests} passed, 0 failed", output
