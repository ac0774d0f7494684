"""The device's store against a model, with power cuts in any write and flash that fails.

The model: `old` is the chain that was loaded or saved last; a `save` that was cut or failed leaves
either `old` or the new one, and `load` settles which. Nothing else may ever come out, and after a
`load` or a `save` without fault nothing of any other chain is left in either slot.
"""

import fuzz.ticks  # noqa: F401 - before skerry_device
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from skerry import record
from skerry_device.errors import NotProvisioned, StoreFailed
from skerry_device.store import ChainStore

BLANK = bytes(record.LENGTH)
cuts = st.one_of(st.integers(0, 2 * record.LENGTH), st.sampled_from([0, 1, 86, 87, 88, 173, 174]))


class PowerCut(BaseException):
    """The power is gone: no code may handle it."""


class Medium:
    """Two slots in memory. After `budget` bytes a write stops; what it leaves depends on `torn`:
    the rest of the slot is as before, erased to FF or 00, or the file ends there."""

    def __init__(self, first):
        self.slots = [first, b""]
        self.budget, self.error, self.torn = None, PowerCut, "old"

    def read(self, slot):
        return self.slots[slot]

    def write(self, slot, data):
        if self.budget is None or self.budget >= len(data):
            if self.budget is not None:
                self.budget -= len(data)
            self.slots[slot] = data
            return
        old = self.slots[slot]
        rest = {"old": old, "ff": b"\xff" * len(data), "00": bytes(len(data)), "end": b""}
        self.slots[slot] = data[: self.budget] + rest[self.torn][self.budget :]
        self.budget = 0
        raise self.error

    def fault(self, budget, error, torn):
        self.budget, self.error, self.torn = budget, error, torn


class ChainStoreMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.count = 0
        self.old = self.chain()
        self.medium = Medium(record.pack(1, self.old))
        self.possible = {self.old}
        self.store = None

    def chain(self):
        self.count += 1
        return bytes([self.count & 255, self.count >> 8, *range(70)])

    def newest(self):
        """The slot that counts; there are two records if a wipe failed."""
        found = [record.unpack(each) for each in self.medium.slots]
        return max((0, 1), key=lambda slot: found[slot] or (-1, b""))

    @initialize()
    def power_on(self):
        self.load()

    def load(self):
        self.store = None
        store = ChainStore(self.medium)
        chain = store.load()
        assert chain in self.possible
        self.settled(chain)
        self.store = store

    def settled(self, chain):
        self.old, self.possible = chain, {chain}
        slots = list(self.medium.slots)
        held = [each for each in slots if record.unpack(each)]
        assert [record.unpack(each)[1] for each in held] == [chain]
        slots.remove(held[0])
        assert not any(slots[0])

    @rule()
    def reboot(self):
        self.medium.budget = None
        self.load()

    @precondition(lambda self: self.store)
    @rule()
    def save(self):
        self.medium.budget = None
        chain = self.chain()
        assert self.store.save(chain) == chain
        self.settled(chain)

    @precondition(lambda self: self.store)
    @rule(cut=cuts, torn=st.sampled_from(["old", "ff", "00", "end"]))
    def save_and_power_cut(self, cut, torn):
        chain = self.chain()
        self.medium.fault(cut, PowerCut, torn)
        self.possible = {self.old, chain}
        try:
            assert self.store.save(chain) == chain
            assert cut >= 2 * record.LENGTH
            self.settled(chain)
        except PowerCut:
            self.store = None
            # A cut in the first write leaves the old chain, one in the wipe the new one.
            self.possible = {chain} if cut >= record.LENGTH else {self.old}
        self.medium.budget = None

    @precondition(lambda self: self.store)
    @rule(cut=cuts, torn=st.sampled_from(["old", "ff", "00", "end"]))
    def save_and_write_error(self, cut, torn):
        chain = self.chain()
        self.medium.fault(cut, OSError, torn)
        try:
            assert self.store.save(chain) == chain
            self.settled(chain)
        except StoreFailed:
            if cut >= record.LENGTH:  # the wipe failed: the device is at the new chain
                self.old = chain
            self.possible = {self.old}
        self.medium.budget = None

    @rule(cut=st.integers(0, record.LENGTH), torn=st.sampled_from(["old", "ff", "00", "end"]))
    def power_cut_in_load(self, cut, torn):
        self.medium.fault(cut, PowerCut, torn)
        try:
            self.load()
        except PowerCut:
            self.store = None
        self.medium.budget = None

    @precondition(lambda self: self.store)
    @rule(bad=st.sampled_from([b"", b"\0", b"\xff" * record.LENGTH]))
    def flash_that_forgets(self, bad):
        """A write that reports success and keeps something else: the old chain stays."""
        chain, write = self.chain(), self.medium.write
        self.medium.write = lambda slot, data: self.medium.slots.__setitem__(slot, bad)
        with pytest.raises(StoreFailed):
            self.store.save(chain)
        self.medium.write = write

    @precondition(lambda self: self.store)
    @rule(junk=st.one_of(st.binary(max_size=90), st.integers(0, record.LENGTH * 8 - 1)))
    def junk_in_the_other_slot(self, junk):
        """Bytes of nobody, or the current record with one bit flipped, beside it."""
        at = self.newest()
        if isinstance(junk, int):
            flipped = bytearray(self.medium.slots[at])
            flipped[junk >> 3] ^= 1 << (junk & 7)
            junk = bytes(flipped)
        self.medium.slots[1 - at] = junk
        self.load()

    @precondition(lambda self: self.store)
    @rule()
    def older_record_in_the_other_slot(self):
        """A file system gives an old block back."""
        at = self.newest()
        sequence = record.unpack(self.medium.slots[at])[0]
        self.medium.slots[1 - at] = record.pack(max(sequence - 2, 0), self.chain())
        if sequence > 1:
            self.load()
        else:
            self.medium.slots[1 - at] = BLANK

    @invariant()
    def something_is_left(self):
        held = {record.unpack(each)[1] for each in self.medium.slots if record.unpack(each)}
        assert held & self.possible


def test_empty_flash_is_not_provisioned():
    with pytest.raises(NotProvisioned):
        ChainStore(Medium(b"")).load()


TestChainStore = ChainStoreMachine.TestCase
TestChainStore.settings = settings(stateful_step_count=40)
