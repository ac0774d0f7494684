"""The device's chain in flash: two slots, written in turn, so that a power cut costs neither.

    slot A (n) | slot B blank --write B--> A (n) | B (n+1) --wipe A--> A blank | B (n+1)

The valid slot with the highest sequence number counts. A wipe overwrites the file; a file system
that never writes in place keeps the old block until it reuses it. Where that matters, or wear
does, logslots.py keeps the chain on raw flash.
"""

from skerry import record
from skerry_device.errors import NotProvisioned, StoreFailed

_WORN = "flash fails: replace this board"


class FileSlots:
    """Two slots as the files skerry.0 and skerry.1; `write` raises OSError."""

    def __init__(self, folder: str, name: str = "skerry.") -> None:
        """Take a folder that ends in "/", or "" for the current one."""
        self._path = folder + name

    def read(self, slot: int) -> bytes:
        """Return what the slot holds; b"" if it was never written or cannot be read."""
        try:
            with open(self._path + str(slot), "rb") as file:
                return file.read()
        except OSError:
            return b""

    def write(self, slot: int, data: bytes) -> None:
        """Fill the slot, in place if its size stays."""
        mode = "r+b" if len(self.read(slot)) == len(data) else "wb"
        with open(self._path + str(slot), mode) as file:
            file.write(data)
            file.flush()


class ChainStore:
    """Keeps 72 bytes, a packed chain, on a medium such as FileSlots. `load` comes first.

    `sequence` counts the records that were ever written.
    """

    def __init__(self, medium: FileSlots) -> None:
        self.medium = medium
        self._slot = 1

    def load(self) -> bytes:
        """Return the chain, and wipe what else is there. Raises NotProvisioned or StoreFailed."""
        newest = (-1, b"")
        for slot in (0, 1):
            found = record.unpack(self.medium.read(slot))
            if found and found > newest:
                newest = found
                self._slot = slot
        self.sequence, chain = newest
        if not chain:
            raise NotProvisioned("provision this board")
        if any(self.medium.read(1 - self._slot)):  # a cut came before a wipe or into a write
            self._write(1 - self._slot)
        return chain

    def save(self, chain: bytes) -> bytes:
        """Replace the chain; return it as read back. One write, one wipe.

        Raises StoreFailed; the chain before is wiped only once the new one is there.
        """
        if self.sequence == 0xFFFFFFFF:  # more writes than any flash bears
            raise StoreFailed(_WORN)
        before = self._slot
        written = self._write(1 - before, record.pack(self.sequence + 1, chain))
        self._slot = 1 - before
        self.sequence += 1
        self._write(before)
        return record.unpack(written)[1]

    def wipe(self) -> None:
        """Erase the chain for good. Raises StoreFailed."""
        for slot in (0, 1):
            self._write(slot)

    def _write(self, slot: int, data: bytes = bytes(record.LENGTH)) -> bytes:
        """Write a slot, or wipe it; return it as read back, which is `data`."""
        try:
            self.medium.write(slot, data)
            written = self.medium.read(slot)
            if written == data:
                return written
        except OSError:
            pass
        raise StoreFailed(_WORN)
