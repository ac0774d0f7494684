"""What a board's library lacks, found by hash.

The library is in /lib. A firmware may have it frozen, and says which one it is by
`skerry_library.DIGEST`. If that is another one than ours, ours goes into the root folder, which is
searched before the firmware.
"""

import hashlib
from dataclasses import dataclass

from skerry_hub.errors import BoardError
from skerry_hub.flash.board import Board
from skerry_hub.flash.compile import MPY, compiled, digest


@dataclass(frozen=True)
class Changes:
    """What a board's library lacks: files to write and to remove, by their path there."""

    write: dict[str, bytes]
    remove: list[str]
    kept: int
    frozen: bool


def changes(board: Board, mpy: int) -> Changes:
    """Compare a board's library with ours, by hash; raise BoardError or HubError."""
    if mpy != MPY:
        what = "upgrade its MicroPython to 1.19 or later" if mpy < MPY else "upgrade skerry"
        raise BoardError(f"the firmware on {board.port} runs bytecode {mpy}, not {MPY}: {what}")
    told = board.call("tell_library")
    place = str(told.get("place"))
    if place == "firmware":
        if told.get("digest") == digest():
            return Changes({}, [], 0, True)
        place = ""
    elif place not in ("", "/lib"):
        place = "/lib"
    ours = {f"{place}/{name}": content for name, content in compiled().items()}
    theirs = board.call("tell_hashes", place).get("hashes")
    if not isinstance(theirs, dict):
        raise BoardError(f"the board on {board.port} does not list its files: reset it")
    write = {
        path: content
        for path, content in ours.items()
        if theirs.get(path) != hashlib.sha256(content).hexdigest()
    }
    folders = (f"{place}/skerry/", f"{place}/skerry_device/")
    strange = [
        path
        for path in theirs
        if path not in ours and path.startswith(folders) and path.isprintable()
    ]
    return Changes(write, strange, len(ours) - len(write), False)
