"""Which boards there are, and which one is meant.

--port /dev/ttyACM0 | COM3     a serial port
--port id:E6616408437F2B25     the USB serial number
--port unix:FOLDER             MicroPython's unix port with a file as its flash (unix.py)
SKERRY_PORTS                   more ports to look at, by commas: for boards without USB
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from skerry_hub.errors import BoardError

_UNIX = "unix:"
_ID = "id:"


@dataclass(frozen=True)
class Port:
    """A serial port that a board may be on."""

    device: str
    serial: str = ""
    product: str = ""

    def __str__(self) -> str:
        return " ".join(each for each in (self.device, self.product, self.serial) if each)


def found() -> list[Port]:
    """Return the ports of all USB serial devices, and those that SKERRY_PORTS names."""
    from serial.tools.list_ports import comports

    ports = [
        Port(each.device, _shown(each.serial_number), _shown(each.product))
        for each in sorted(comports())
        if each.vid is not None
    ]
    named = [each.strip() for each in os.environ.get("SKERRY_PORTS", "").split(",")]
    return ports + [Port(each) for each in named if each]


def _shown(text: str | None) -> str:
    """Return what a device calls itself, without what a terminal would obey."""
    return "".join(each for each in text or "" if each.isprintable())[:60]


def choose(named: str | None) -> str:
    """Return the serial port that is meant; raise BoardError if none or several could be."""
    ports = found() if named is None or named.startswith(_ID) else [Port(named)]
    if named is not None and named.startswith(_ID):
        ports = [each for each in ports if each.serial == named.removeprefix(_ID)]
    if not ports:
        raise BoardError(
            "no board found: plug it in with a cable that carries data, or name its --port;"
            " skerry doctor tells more"
        )
    if len(ports) > 1:
        raise BoardError(
            f"{len(ports)} boards found ({', '.join(map(str, ports))}): name one with --port"
        )
    return ports[0].device


@contextmanager
def powered(named: str | None) -> Iterator[str]:
    """Yield the port that is meant; a unix board is on meanwhile. Raises BoardError."""
    if named is None or not named.startswith(_UNIX):
        yield choose(named)
        return
    from skerry_hub.flash.unix import UnixBoard

    board = UnixBoard(Path(named.removeprefix(_UNIX)))
    try:
        yield board.port
    finally:
        board.close()
