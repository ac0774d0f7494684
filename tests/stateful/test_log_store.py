"""The chain as a log on raw flash against a model, with power cuts in any write and erase.

As in test_chain_store.py: `old` is the chain that was loaded or saved last; a `save` that was cut
or failed leaves either `old` or the new one, and `load` settles which. After a `load` or a `save`
without fault nothing of any other chain is left in either sector.
"""

from contextlib import suppress

import fuzz.ticks  # noqa: F401 - before skerry_device
import pytest
from device.flash import Flash
from device.nor import ERASE, Nor, PowerCut
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from skerry import record
from skerry_device.errors import NotProvisioned, StoreFailed
from skerry_device.logslots import LogStore

SIZE = 512  # bytes in a sector: five places, so that every few saves change sectors
BLANK = (bytes(record.LENGTH), b"\xff" * record.LENGTH)
cuts = st.integers(0, ERASE + 1100)


class LogStoreMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.count = self.saves = self.mishaps = 0
        self.store = None

    def chain(self):
        self.count += 1
        return bytes([self.count & 255, self.count >> 8, *range(70)])

    @initialize(page=st.sampled_from([1, 4, 16, 32, 256]), torn=st.integers(0, 2))
    def power_on(self, page, torn):
        self.flash = Nor(page, torn, SIZE)
        self.old = self.chain()
        self.possible = {self.old}
        self.source = Flash(record.pack(1, self.old))
        self.load()

    def load(self):
        self.flash.budget, self.flash.error = None, PowerCut
        self.store = None
        store = LogStore(self.flash, self.flash.page, self.source)
        chain = store.load()
        assert chain in self.possible
        assert not any(any(slot) for slot in self.source.slots)
        self.settled(chain)
        self.store = store

    def places(self):
        store = LogStore(self.flash, self.flash.page)
        return [store._at(place) for place in range(2 * store._places)]

    def blank(self, place):
        """All erased or all wiped, but for a byte that is broken."""
        return place in BLANK or (self.flash.stuck and place.count(0xFF) == len(place) - 1)

    def settled(self, chain):
        self.old, self.possible = chain, {chain}
        held = [each for each in self.places() if not self.blank(each)]
        assert [record.unpack(each)[1] for each in held] == [chain]

    @rule()
    def reboot(self):
        self.load()

    @precondition(lambda self: self.store)
    @rule(times=st.integers(1, 7))
    def save(self, times):
        for _ in range(times):
            chain = self.chain()
            assert self.store.save(chain) == chain
            self.saves += 1
            self.settled(chain)

    @precondition(lambda self: self.store)
    @rule(cut=cuts, torn=st.integers(0, 2))
    def save_and_power_cut(self, cut, torn):
        chain = self.chain()
        self.flash.budget, self.flash.torn = cut, torn
        self.possible = {self.old, chain}
        self.mishaps += 1
        try:
            assert self.store.save(chain) == chain
            self.settled(chain)
        except PowerCut:
            self.store = None
        self.flash.budget = None

    @precondition(lambda self: self.store)
    @rule(cut=cuts, torn=st.integers(0, 2), goes_on=st.booleans())
    def save_and_write_error(self, cut, torn, goes_on):
        """The store goes on from where it is, and what was half done is wiped at the next load."""
        chain = self.chain()
        self.flash.budget, self.flash.torn, self.flash.error = cut, torn, OSError
        self.possible = {self.old, chain}
        self.mishaps += 1
        try:
            assert self.store.save(chain) == chain
            self.settled(chain)
        except StoreFailed:
            pass
        self.flash.budget, self.flash.error = None, PowerCut
        if len(self.possible) == 2 and goes_on:
            chain = self.chain()
            assert self.store.save(chain) == chain
            self.possible = {chain}
        self.load()

    @rule(cut=cuts, torn=st.integers(0, 2))
    def power_cut_in_load(self, cut, torn):
        self.flash.budget, self.flash.torn = cut, torn
        store, self.store = LogStore(self.flash, self.flash.page, self.source), None
        self.mishaps += 1
        with suppress(PowerCut):
            assert store.load() in self.possible
        self.flash.budget = None

    @rule(cut=cuts, torn=st.integers(0, 2))
    def a_bundle_comes_and_the_power_goes(self, cut, torn):
        """The chain of a new bundle replaces what is there, however often the move is cut."""
        chain = self.chain()
        self.source = Flash(record.pack(1, chain))
        self.possible = {chain}
        self.power_cut_in_load(cut, torn)

    @precondition(lambda self: self.store)
    @rule(place=st.integers(0, 9), at=st.integers(0, 86))
    def a_byte_breaks_where_nothing_is(self, place, at):
        """It reads as 0 from now on: at the next change of sectors, or here, it is passed by."""
        places = self.places()
        if self.flash.stuck or places[place] not in BLANK:
            return
        block, index = divmod(place, len(places) // 2)
        offset = index * self.store._stride + at
        self.flash.stuck = (block, offset, 0)
        self.flash.sectors[block][offset] = 0
        self.load()

    @invariant()
    def something_is_left(self):
        """Wear, too: an erase for every change of sectors, and not more than one for a mishap."""
        if not self.count:
            return
        held = {record.unpack(each)[1] for each in self.places() if record.unpack(each)}
        held |= {record.unpack(each)[1] for each in self.source.slots if record.unpack(each)}
        assert held & self.possible
        worked = self.saves + 2 * self.mishaps + self.count
        assert sum(self.flash.erases) <= 2 + worked // 3 + 2 * self.mishaps


def test_empty_flash_is_not_provisioned():
    with pytest.raises(NotProvisioned):
        LogStore(Nor()).load()


TestLogStore = LogStoreMachine.TestCase
TestLogStore.settings = settings(stateful_step_count=40)
