"""Every module of the core has its own test file, which runs on both interpreters."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
# Names without behaviour; the two backends, which tests/dual/test_primitives.py tests, on
# each interpreter the one that belongs to it; and what is tested with its other half: the
# server's side with the client's, wire_hub with wire, provisioning and further with schedule.
WITHOUT = {"__init__", "errors", "backend_cpython", "backend_micropython"}
WITHOUT |= {"coap_server", "further", "oscore_server", "provisioning", "wire_hub"}


def test_each_module_has_its_test() -> None:
    modules = {path.stem for path in (ROOT / "common" / "skerry").glob("*.py")}
    tested = {path.stem.removeprefix("test_") for path in (ROOT / "tests/dual").glob("test_*.py")}
    assert modules - WITHOUT <= tested
