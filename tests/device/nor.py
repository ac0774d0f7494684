"""NOR flash in memory, as a block device: programming clears bits, erasing sets a sector to FF.

The power can be cut after any number of steps, a byte to program or a sixteenth of an erase each.
What a cut leaves depends on `torn`:

    0   done up to the cut, nothing behind it
    1   and some bits of the page, or of all the sector, are changed as well
    2   likewise, other bits; a sector of which anything was erased reads as if all were
"""

SECTOR = 4096
ERASE = 16  # steps of an erase


class PowerCut(Exception):
    """The power is gone: not an error that any code handles."""


class Nor:
    """Two sectors, `page`: bytes programmed at once. Erases are counted, and stores of a page.

    As flash with an ECC has it, a page of up to 32 bytes takes only zeros once it holds data. No
    data may go into a sector whose erase was cut, until it is erased again.
    """

    def __init__(self, page=256, torn=0, size=SECTOR):
        self.page = page
        self.torn = torn
        self.size = size
        self.sectors = [bytearray(b"\xa5" * size), bytearray(b"\xa5" * size)]
        self.sound = [False, False]  # erased completely, whatever came then
        self.erases = [0, 0]
        self.programs = 0
        self.stuck = None  # (sector, offset, value) of a byte that is broken
        self.budget = None  # steps until the power goes
        self.error = PowerCut

    def ioctl(self, op, arg):
        if op == 6:
            self._erase(arg)
        return {4: 2, 5: self.size, 6: 0}[op]

    def readblocks(self, block, buffer, offset=0):
        buffer[:] = self.sectors[block][offset : offset + len(buffer)]

    def writeblocks(self, block, buffer, offset):
        assert offset % self.page == 0
        assert len(buffer) % self.page == 0
        assert offset + len(buffer) <= self.size
        self.programs += 1
        sector = self.sectors[block]
        if self.page <= 32:
            self._check_pages(sector, buffer, offset)
        assert self.sound[block] or set(buffer) <= {0, 0xFF}
        left = self._steps(len(buffer))
        sector[offset : offset + left] = _and(sector[offset : offset + left], buffer[:left])
        self._break(block)
        if left < len(buffer):
            end = (left // self.page + 1) * self.page
            for i in range(left, end if self.torn else left):
                sector[offset + i] &= buffer[i] | (0xA5 if (i + self.torn) & 1 else 0x5A)
            raise self.error("cut")

    def _check_pages(self, sector, buffer, offset):
        for at in range(0, len(buffer), self.page):
            there = sector[offset + at : offset + at + self.page]
            comes = buffer[at : at + self.page]
            assert not any(comes) or min(there) == 0xFF, "data over data"

    def _erase(self, block):
        self.erases[block] += 1
        sector = self.sectors[block]
        left = self._steps(ERASE)
        self.sound[block] = left == ERASE
        part = self.size * left // ERASE
        if self.torn == 1:
            sector[:] = bytes([each | 0x5A for each in sector])
        elif self.torn == 2 and left:
            part = self.size
        sector[:part] = b"\xff" * part
        self._break(block)
        if left < ERASE:
            raise self.error("cut")

    def _steps(self, wanted):
        """Return how many steps there is power for."""
        if self.budget is None:
            return wanted
        left = min(wanted, self.budget)
        self.budget -= left
        return left

    def _break(self, block):
        if self.stuck and self.stuck[0] == block:
            self.sectors[block][self.stuck[1]] = self.stuck[2]


def _and(old, new):
    """Return old & new, byte for byte, in one operation: a test makes a million of them."""
    both = int.from_bytes(old, "big") & int.from_bytes(new, "big")
    return both.to_bytes(len(new), "big")
