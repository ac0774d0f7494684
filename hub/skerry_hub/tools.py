"""Programs that come with an extra of ours."""

import shutil
import sys
from pathlib import Path

from skerry_hub.errors import HubError


def find_tool(name: str, extra: str) -> str:
    """Find a program beside this Python or on the path; raise HubError, which names the extra."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise HubError(f"no {name} found: pip install 'skerry[{extra}]'")
    return found
