"""A package index for mip, in a folder that any web server can serve as it is.

python -m skerry_hub.flash.mip FOLDER
mpremote mip install --index FOLDER skerry       FOLDER, or where it is served

FOLDER/package/6/skerry/latest.json     names and hashes of the compiled files; .../py/... of the
                                        sources
FOLDER/file/ab/ab12cd34                 each file, by the first 8 digits of its SHA-256
"""

import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

from skerry_hub.flash.compile import MPY, compiled, sources

_DIGITS = 8


def build(folder: Path) -> None:
    """Write the index."""
    plain = {name: file.read_bytes() for name, file in sources().items()}
    for kind, files in ((str(MPY), compiled()), ("py", plain)):
        hashes = [[name, _put(folder, content)] for name, content in files.items()]
        package = folder / "package" / kind / "skerry"
        package.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"v": 1, "version": version("skerry"), "hashes": hashes}, indent=1)
        for name in ("latest", version("skerry")):
            (package / f"{name}.json").write_text(text + "\n")


def _put(folder: Path, content: bytes) -> str:
    digits = hashlib.sha256(content).hexdigest()[:_DIGITS]
    path = folder / "file" / digits[:2] / digits
    if path.exists() and path.read_bytes() != content:
        raise ValueError(f"two files begin with {digits}: take more digits")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return digits


if __name__ == "__main__":
    build(Path(sys.argv[1]))
