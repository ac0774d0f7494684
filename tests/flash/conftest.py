"""A hub that runs, and boards of MicroPython's unix port that lie on the bench."""

import sys
from pathlib import Path

import pytest

for each in ("interop", "flash"):
    folder = str(Path(__file__).parents[1] / each)
    if folder not in sys.path:
        sys.path.insert(0, folder)


@pytest.fixture
def hub(tmp_path):
    """A hub that runs."""
    from bench import BenchHub

    made = BenchHub(tmp_path)
    made.start()
    yield made
    made.stop()
    assert "Traceback" not in made.log.read_text()


@pytest.fixture
def bench(tmp_path):
    """Make boards, each under a name; none is left on."""
    from bench import Bench

    made = Bench(tmp_path / "bench")
    yield made
    made.clear()


@pytest.fixture
def lying():
    """Make boards that say what they are told to say."""
    from liar import Liar

    made = []

    def make(chip, **answers):
        made.append(Liar(chip, **answers))
        return made[-1]

    yield make
    for each in made:
        each.close()
