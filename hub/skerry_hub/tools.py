"""Programs and libraries that come with an extra of ours."""

import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from skerry_hub.errors import MissingExtra

_EXTRAS = dict.fromkeys(("mpremote", "serial", "littlefs", "fpdf"), "flash")
_EXTRAS["paho"] = "mqtt"


def find_tool(name: str, extra: str) -> str:
    """Find a program beside this Python or on the path; raise MissingExtra."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise _missing(name, extra)
    return found


def load(module: str) -> Any:
    """Import a module of ours, whose own imports an extra may bring; raise MissingExtra."""
    try:
        return import_module("skerry_hub." + module)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRAS:
            raise
        raise _missing(error.name, _EXTRAS[error.name]) from None


def _missing(what: str, extra: str) -> MissingExtra:
    return MissingExtra(f"no {what} found: pip install 'skerry[{extra}]'")
