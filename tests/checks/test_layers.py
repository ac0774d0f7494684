"""What the core and the device may import, and that no assert guards anything in them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMON = sorted((ROOT / "common" / "skerry").glob("*.py"))
DEVICE = sorted((ROOT / "device").rglob("*.py"))

IN_COMMON = {"hashlib", "cryptolib", "micropython", "skerry", "struct"}
IN_BACKEND_CPYTHON = {"hashlib", "hmac", "cryptography", "skerry"}
# What MicroPython's ports have, under the names that they have everywhere.
IN_DEVICE = {
    "asyncio",
    "binascii",
    "bluetooth",
    "collections",
    "cryptolib",
    "errno",
    "esp",
    "esp32",
    "gc",
    "hashlib",
    "io",
    "json",
    "machine",
    "micropython",
    "network",
    "ntptime",
    "os",
    "platform",
    "random",
    "re",
    "rp2",
    "select",
    "skerry",
    "skerry_device",
    "socket",
    "struct",
    "sys",
    "time",
    "uctypes",
    "vfs",
}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, top-level module) of every import; later.py names modules beside itself."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.lineno, (node.module or "").split(".")[0]
        elif isinstance(node, ast.Name) and node.id == "__import__" and path.name != "later.py":
            yield node.lineno, "__import__"


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_is_something_to_check() -> None:
    assert len(COMMON) >= 15


@pytest.mark.parametrize("path", COMMON + DEVICE, ids=relative)
def test_imports(path: Path) -> None:
    allowed = IN_COMMON if path in COMMON else IN_DEVICE
    if path.name == "backend_cpython.py":
        allowed = IN_BACKEND_CPYTHON
    wrong = [f"{relative(path)}:{line}: {name}" for line, name in imports(path)]
    wrong = [each for each in wrong if each.rsplit(" ", 1)[1] not in allowed]
    assert not wrong


def test_only_the_door_knows_the_backends() -> None:
    for path in COMMON:
        if path.name != "primitives.py":
            assert "skerry.backend_" not in path.read_text(), path.name


@pytest.mark.parametrize("path", COMMON + DEVICE, ids=relative)
def test_no_asserts(path: Path) -> None:
    tree = ast.parse(path.read_text())
    lines = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    assert not lines, "mpy-cross -O3 drops them"
