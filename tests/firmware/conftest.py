"""The hub of these tests, and where they find it."""

import sys
from pathlib import Path

import pytest

for each in ("interop", "firmware"):
    folder = str(Path(__file__).parents[1] / each)
    if folder not in sys.path:
        sys.path.insert(0, folder)


@pytest.fixture
def hub(tmp_path):
    """A hub that runs."""
    from real import Hub  # this compiles what emulated devices need

    made = Hub(tmp_path)
    made.start()
    yield made
    made.stop()
    assert "Traceback" not in made.log.read_text()
