"""The device's chain on raw flash: two sectors as a log, which spreads wear and really wipes.

    sector 0   00 00 | 00 00 | record n | FF FF | FF FF     record n+1 goes behind record n,
    sector 1   00 00 | 00 00 | 00 00    | 00 00 | 00 00     or, at the end, here: erased before

A record is programmed where the flash is erased and read back; then the record before is
overwritten with zeros, which NOR flash takes without an erase. A sector is erased only when the
first record goes into it, and never while it holds the one that counts, which is the valid one
with the highest sequence number. So a power cut costs a place and no record.

With sectors of 4,096 bytes there are 84 to 94 places: 525,600 handshakes, one every ten minutes
for ten years, erase each sector 5,592 to 6,257 times (tests/device/test_logslots.py counts).
"""

from skerry import record
from skerry.primitives import const
from skerry_device.errors import NotProvisioned, StoreFailed
from skerry_device.store import ChainStore

_COUNT = const(4)  # ioctl of vfs.AbstractBlockDev: blocks, bytes in each, erase one
_SIZE = const(5)
_ERASE = const(6)
_ERASED = b"\xff" * record.LENGTH
_WIPED = bytes(record.LENGTH)
_WORN = "flash fails: replace this board"
_NOT_NOR = "flash does not take zeros over data: use files, or replace this board"


class LogStore:
    """Does what store.ChainStore does, in the first two blocks of a block device of its own.

    `flash` has readblocks, writeblocks with an offset, and ioctl, as rp2.Flash and esp32.Partition
    have. A chain that `source` holds, FileSlots for instance, is a new one from the hub: `load`
    moves it here. `sequence` counts the records that were ever written.
    """

    def __init__(self, flash, page: int = 256, source=None) -> None:
        """`page`: bytes that are programmed at once; a power of two, 1 to 256.

        Pages above 32 bytes hold several records, so the flash has to let bytes be programmed in
        a page that holds others, as serial NOR flash does.
        """
        self._flash = flash
        self._page = page
        self._source = source
        step = page if page <= 32 else 8
        self._stride = -(-record.LENGTH // step) * step
        self._places = flash.ioctl(_SIZE, 0) // self._stride  # in each of the two
        self._read = bytearray(record.LENGTH)

    def load(self) -> bytes:
        """Return the chain, and wipe what else is there. Raises NotProvisioned or StoreFailed."""
        try:
            chain = self._newest()
            if self._source:
                chain = self._move() or chain
            if not chain:
                raise NotProvisioned("provision this board")
            for place in range(2 * self._places):
                if place != self._place and self._at(place) not in (_ERASED, _WIPED):
                    self._wipe(place)
        except OSError:
            raise StoreFailed(_WORN)
        return chain

    def save(self, chain: bytes) -> bytes:
        """Replace the chain; return it as read back. One record, one wipe, seldom an erase.

        Raises StoreFailed; the chain before is wiped only once the new one is there.
        """
        if self.sequence == 0xFFFFFFFF:  # more writes than any flash bears
            raise StoreFailed(_WORN)
        before = self._place
        try:
            written = self._append(chain)
            self._wipe(before)
        except OSError:
            raise StoreFailed(_WORN)
        return record.unpack(written)[1]

    def wipe(self) -> None:
        """Erase the chain for good. Raises StoreFailed."""
        try:
            for block in (0, 1):
                self._flash.ioctl(_ERASE, block)
            if self._newest():
                raise StoreFailed(_WORN)
        except OSError:
            raise StoreFailed(_WORN)

    def _newest(self) -> bytes:
        """Find the record that counts; return its chain, b"" if there is none."""
        self.sequence, self._place, chain = -1, 2 * self._places - 1, b""
        for place in range(2 * self._places):
            found = record.unpack(self._at(place))
            if found and found[0] > self.sequence:
                self.sequence, chain = found
                self._place = place
        return chain

    def _move(self) -> bytes:
        """Move the chain over from the source, if it holds one; return it.

        Should the power go before the source is wiped, it is moved again: nothing was used yet.
        """
        source, self._source = self._source, None
        try:
            chain = ChainStore(source).load()
        except NotProvisioned:
            return b""
        self._append(chain)
        for slot in (0, 1):
            if source.read(slot):
                source.write(slot, _WIPED)
                if any(source.read(slot)):
                    raise StoreFailed(_WORN)
        return chain

    def _append(self, chain: bytes) -> bytes:
        """Write a record to the next place that takes it; return it as read back."""
        self.sequence += 1  # whatever comes of it: no two records have the same
        data = record.pack(self.sequence, chain)
        place = self._place
        while True:
            place = (place + 1) % (2 * self._places)
            if place % self._places == 0:
                if place // self._places == self._place // self._places:
                    raise StoreFailed(_WORN)  # around, and at the record that counts
                self._flash.ioctl(_ERASE, place // self._places)
            if self._at(place) == _ERASED:
                self._program(place, data)
                if self._at(place) == data:
                    self._place = place
                    return data
                self._wipe(place)

    def _wipe(self, place: int) -> None:
        self._program(place, bytes(self._stride))
        if self._at(place) != _WIPED:
            raise StoreFailed(_NOT_NOR)

    def _at(self, place: int) -> bytes:
        """Return what stands at a place."""
        block, index = place // self._places, place % self._places
        self._flash.readblocks(block, self._read, index * self._stride)
        return bytes(self._read)

    def _program(self, place: int, data: bytes) -> None:
        """Program whole pages; bytes of FF leave what is there as it is."""
        block, start = place // self._places, place % self._places * self._stride
        first = start // self._page * self._page
        end = -(-(start + len(data)) // self._page) * self._page
        pages = bytearray(b"\xff" * (end - first))
        pages[start - first : start - first + len(data)] = data
        self._flash.writeblocks(block, pages, first)
