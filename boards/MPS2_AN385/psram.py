"""What survives: a part of the board's memory, which QEMU keeps in a file or fills from one.

0 slot 0 | 256 slot 1 | 512 bundle, JSON, then zeros | 1024 what main.py shall do, likewise
"""

import uctypes
from soc import MEMORY

_ROOM = 512


def _text(offset: int) -> str:
    return str(uctypes.bytes_at(MEMORY + offset, _ROOM).rstrip(b"\0"), "utf-8")


def bundle() -> str:
    """Return what the hub's enrolment wrote as skerry.json; "" on a blank board."""
    return _text(512)


def options() -> str:
    """Return what main.py shall do; a test writes it before it switches the board on."""
    return _text(1024)


class Slots:
    """A medium for skerry_device.store.ChainStore."""

    def read(self, slot: int) -> bytes:
        """Return what the slot holds."""
        return uctypes.bytes_at(MEMORY + 256 * slot, 87)

    def write(self, slot: int, data: bytes) -> None:
        """Fill the slot, in place."""
        uctypes.bytearray_at(MEMORY + 256 * slot, len(data))[:] = data
