"""The chain store under power cuts, worn flash and slots that come back."""

import os

from flash import Flash, PowerCut, raises

from skerry import record
from skerry_device import store as store_module
from skerry_device.errors import NotProvisioned, StoreFailed
from skerry_device.store import ChainStore, FileSlots

FOLDER = "/tmp/skerry-" + os.urandom(6).hex() + "/"
OLD = bytes([each * 7 & 255 for each in range(72)])
NEW = bytes([each * 5 + 1 & 255 for each in range(72)])
BLANK = bytes(record.LENGTH)


def loaded(flash):
    store = ChainStore(flash)
    store.load()
    return store


def test_save_takes_turns():
    flash = Flash(record.pack(1, OLD))
    store = loaded(flash)
    assert flash.writes == []
    assert store.save(NEW) == NEW
    assert flash.writes == [1, 0]  # one record, one wipe
    assert flash.slots == [BLANK, record.pack(2, NEW)]
    assert store.save(OLD) == OLD
    assert flash.writes == [1, 0, 0, 1]
    assert flash.slots == [record.pack(3, OLD), BLANK]
    assert ChainStore(flash).load() == OLD


def holds(flash, old_allowed, new_allowed):
    """Load as after a power cut; nothing of the chain that lost may be left."""
    chain = ChainStore(flash).load()
    assert (chain == OLD and old_allowed) or (chain == NEW and new_allowed)
    current = [record.unpack(each) for each in flash.slots]
    assert (current[0] is None) != (current[1] is None)
    other = flash.slots[0 if current[0] is None else 1]
    assert not any(other)
    return chain


def cut_save(cut, erases):
    """Return flash whose power went after `cut` bytes of save's two writes."""
    flash = Flash(record.pack(8, OLD), BLANK, erases)
    store = loaded(flash)
    flash.budget = cut
    raises(PowerCut, store.save, NEW)
    flash.budget = None
    return flash


def test_power_cut_at_every_byte_of_save():
    for erases in (False, True):
        for cut in range(2 * record.LENGTH):
            flash = cut_save(cut, erases)
            holds(flash, cut < record.LENGTH, cut >= record.LENGTH)
            assert loaded(flash).save(OLD) == OLD


def test_power_cut_at_every_byte_of_load():
    """The wipe that load makes up for is cut again: whatever was cut before it."""
    for erases in (False, True):
        for first in (0, 1, 40, 80, 86, 87, 88, 130, 172):
            for cut in range(record.LENGTH):
                flash = cut_save(first, erases)
                flash.budget = cut
                try:
                    ChainStore(flash).load()
                except PowerCut:
                    assert flash.writes[-1] == (1 if first < 87 else 0)
                flash.budget = None
                holds(flash, first < 87, first >= 87)


def test_write_error_keeps_the_old_chain():
    for cut in range(record.LENGTH):
        flash = Flash(record.pack(8, OLD))
        store = loaded(flash)
        flash.budget = cut
        flash.error = OSError
        raises(StoreFailed, store.save, NEW)
        flash.budget = None
        assert flash.writes == [1]
        assert flash.slots[0] == record.pack(8, OLD)
        assert store.save(NEW) == NEW  # the store goes on from where it was
        holds(flash, False, True)


def test_failed_wipe_is_told_and_made_up_for():
    flash = Flash(record.pack(8, OLD))
    store = loaded(flash)
    flash.budget = record.LENGTH
    flash.error = OSError
    raises(StoreFailed, store.save, NEW)
    raises(StoreFailed, ChainStore(flash).load)
    flash.budget = None
    holds(flash, False, True)


def test_bad_read_back():
    for keeps in (lambda data: b"", lambda data: data[:-1] + b"\0", lambda data: data[:40]):
        flash = Flash(record.pack(8, OLD))
        store = loaded(flash)
        flash.keeps = keeps
        raises(StoreFailed, store.save, NEW)
        assert flash.writes == [1]
        assert ChainStore(Flash(*flash.slots)).load() == OLD


def test_old_slot_comes_back():
    for slots in (
        (record.pack(4, OLD), record.pack(5, NEW)),
        (record.pack(5, NEW), record.pack(4, OLD)),
    ):
        flash = Flash(*slots)
        holds(flash, False, True)
        assert len(flash.writes) == 1


def test_flipped_bits():
    """A flip in the newest slot leads back to the other one, or nowhere."""
    newest = record.pack(5, NEW)
    for bit in range(8 * record.LENGTH):
        flipped = bytearray(newest)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        flipped = bytes(flipped)
        holds(Flash(flipped, record.pack(4, OLD)), True, False)
        raises(NotProvisioned, ChainStore(Flash(BLANK, flipped)).load)


def test_nothing_to_load():
    for slots in (
        (b"", b""),
        (BLANK, BLANK),
        (b"\xff" * 87, b"x"),
        (record.pack(1, OLD)[:-1], b""),
    ):
        flash = Flash(*slots)
        assert "provision" in str(raises(NotProvisioned, ChainStore(flash).load))
        assert flash.writes == []


def test_a_store_that_starts_empty():
    """As that of sessions does."""
    for before in (b"", BLANK, b"x"):
        flash = Flash(before, before)
        store = ChainStore(flash)
        raises(NotProvisioned, store.load)
        assert store.save(NEW) == NEW
        assert flash.slots == [record.pack(0, NEW), BLANK]


def test_wipe():
    for slots in ((record.pack(4, OLD), BLANK), (BLANK, record.pack(4, OLD))):
        flash = Flash(*slots)
        loaded(flash).wipe()
        assert flash.slots == [BLANK, BLANK]
        assert flash.writes == [0, 1]
        raises(NotProvisioned, ChainStore(flash).load)


def test_last_sequence_number():
    flash = Flash(record.pack(0xFFFFFFFE, OLD))
    store = loaded(flash)
    store.save(NEW)
    assert "replace" in str(raises(StoreFailed, store.save, OLD))
    assert len(flash.writes) == 2
    assert ChainStore(flash).load() == NEW


def test_files():
    """The same in a file system: files change in place, whatever size they had."""
    os.mkdir(FOLDER[:-1])
    slots = FileSlots(FOLDER)
    try:
        assert slots.read(0) == b""
        raises(NotProvisioned, ChainStore(slots).load)
        slots.write(0, record.pack(1, OLD))
        store = loaded(slots)
        assert store.save(NEW) == NEW
        assert slots.read(0) == BLANK
        modes = []
        store_module.open = lambda path, mode: modes.append(mode) or open(path, mode)
        assert store.save(OLD) == OLD
        assert modes.count("r+b") == 2
        assert "wb" not in modes
        slots.write(1, bytes(200))
        assert store.save(NEW) == NEW
        assert ChainStore(slots).load() == NEW
    finally:
        store_module.open = open
        for name in os.listdir(FOLDER[:-1]):
            os.remove(FOLDER + name)
        os.rmdir(FOLDER[:-1])
    raises(OSError, slots.write, 0, BLANK)
