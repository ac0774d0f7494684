"""Every module of the core has its own test file, which runs on both interpreters."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
# Names without behaviour; the two backends, which tests/dual/test_primitives.py tests, on
# each interpreter the one that belongs to it; OSCORE's two sides, which are tested together.
WITHOUT = {"__init__", "errors", "backend_cpython", "backend_micropython", "oscore_server"}


def test_each_module_has_its_test() -> None:
    modules = {path.stem for path in (ROOT / "common" / "skerry").glob("*.py")}
    tested = {path.stem.removeprefix("test_") for path in (ROOT / "tests/dual").glob("test_*.py")}
    assert modules - WITHOUT <= tested
