"""Ten years of a node that wakes every ten minutes and makes a handshake each time: counted."""

from flash import Flash
from nor import Nor

from skerry import record
from skerry_device.logslots import LogStore

A_YEAR = 365 * 24 * 6
CYCLES = 10_000  # erases that a sector of the cheapest NOR flash bears


class Counting(Nor):
    """Only counts: whether bytes are programmed where they may be, test_logslots.py asks."""

    def writeblocks(self, block, buffer, offset):
        self.programs += 1
        self.sectors[block][offset : offset + len(buffer)] = buffer


def erases(flash, handshakes):
    """Return how often each sector was erased."""
    page = flash.page
    store = LogStore(flash, page, Flash(record.pack(1, bytes(72))))
    store.load()
    for number in range(1, handshakes + 1):
        chain = number.to_bytes(4, "big") * 18
        store.save(chain)
        if number % 20_000 == 0:  # it starts anew; a start that finds all well writes nothing
            programs = flash.programs
            store = LogStore(flash, page)
            assert store.load() == chain
            assert flash.programs == programs
    return flash.erases


def test_ten_years():
    """With pages of 32 bytes, which leave the fewest places."""
    handshakes = 10 * A_YEAR
    assert handshakes == 525_600
    counted = erases(Counting(32), handshakes)
    assert counted == [6258, 6257]
    assert max(counted) <= CYCLES


def test_a_year_of_a_pico():
    """Ten of them are 5,714."""
    counted = erases(Nor(256), A_YEAR)
    assert counted == [572, 571]
    assert 10 * max(counted) <= CYCLES
