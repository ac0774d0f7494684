"""The figures of docs/sizes.md are still true, and the budget holds."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "sizes"))

import measure  # noqa: E402

BUDGET = 12 * 1024  # free heap for a handshake and a request
WRITE = "python tests/sizes/measure.py writes the tables anew"


@pytest.fixture(scope="module")
def heaps(tmp_path_factory):
    """The least of three measurements: how the heap falls into pieces is left to chance."""
    runs = [measure.heap(tmp_path_factory.mktemp("sizes")) for _ in range(3)]
    return {name: min(each[name] for each in runs) for name in runs[0]}


def close(new, old, part, least):
    return abs(new - old) <= max(old * part, least)


def test_code(tmp_path):
    sizes, old = measure.code(tmp_path), measure.written()
    for name, size in sizes.items():
        assert f"`{name}`" in old, f"{name}: {WRITE}"
        assert close(size, old[f"`{name}`"], 0.05, 100), f"{name} has {size} bytes: {WRITE}"
    assert set(old) == {f"`{name}`" for name in sizes} | {"all"} | set(measure.HEAP_ROWS.values())
    assert close(sum(sizes.values()), old["all"], 0.03, 0)


def test_heap(heaps):
    """What lies where in the heap differs from run to run: only growth is told."""
    old = measure.written()
    for name, text in measure.HEAP_ROWS.items():
        assert heaps[name] <= max(1.25 * old[text], old[text] + 1536), f"{name}: {WRITE}"


def test_budget(heaps):
    """Kept with objects of twice the size; tests/firmware has the Cortex-M3."""
    assert heaps["handshake and request"] <= BUDGET
    assert heaps["handshake and request"] >= max(heaps["handshake"], heaps["request"])
