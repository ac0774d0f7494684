"""The chain as a log on raw flash: power cuts at every step, broken bytes, wear in ten years."""

from flash import Flash, raises
from nor import ERASE, Nor, PowerCut

from skerry import record
from skerry_device.errors import NotProvisioned, StoreFailed
from skerry_device.logslots import LogStore
from skerry_device.store import ChainStore

PAGES = (1, 4, 8, 16, 32, 256)
PLACES = {1: 47, 4: 46, 8: 46, 16: 42, 32: 42, 256: 46}  # in a sector of 4,096 bytes
BLANK = bytes(record.LENGTH)


def chain(number):
    return bytes([(number * 7 + each * 13 + each) & 255 for each in range(72)])


def started(page=256, torn=0, saves=0, size=4096):
    """Return flash that a bundle was moved to, and its store after so many saves."""
    flash = Nor(page, torn, size)
    store = LogStore(flash, page, Flash(record.pack(1, chain(0))))
    assert store.load() == chain(0)
    for number in range(saves):
        assert store.save(chain(number + 1)) == chain(number + 1)
    return flash, store


def records(flash):
    """Return all valid records, and check that nothing of any other is left."""
    store = LogStore(flash, flash.page)
    places = [store._at(place) for place in range(2 * store._places)]
    found = [each for each in places if record.unpack(each)]
    for each in places:
        assert each in found or not any(each) or min(each) == 0xFF
    return [record.unpack(each) for each in found]


def test_a_bundle_is_moved():
    source = Flash(record.pack(7, chain(3)))
    flash = Nor()
    assert LogStore(flash, 256, source).load() == chain(3)
    assert source.slots == [BLANK, b""]
    assert records(flash) == [(0, chain(3))]
    assert LogStore(flash, 256, source).load() == chain(3)
    raises(NotProvisioned, ChainStore(source).load)


def test_a_new_bundle_replaces_what_is_there():
    flash, _ = started(saves=5)
    source = Flash(b"", record.pack(0, chain(77)))
    assert LogStore(flash, 256, source).load() == chain(77)
    assert source.slots == [b"", BLANK]
    assert records(flash) == [(6, chain(77))]


def test_a_bundle_that_stays_where_it_was():
    """It would come back: nothing is used, and it is moved again."""
    source = Flash(record.pack(1, chain(3)))
    source.keeps = lambda data: record.pack(1, chain(3))
    flash = Nor()
    assert "replace" in str(raises(StoreFailed, LogStore(flash, 256, source).load))
    source.keeps = lambda data: data
    assert LogStore(flash, 256, source).load() == chain(3)
    assert [each[1] for each in records(flash)] == [chain(3)]


def test_nothing_to_load():
    for source in (None, Flash()):
        flash = Nor()
        store = LogStore(flash, 256, source)
        assert "provision" in str(raises(NotProvisioned, store.load))
        assert flash.erases == [0, 0]
        assert flash.programs == 0


def test_a_store_that_starts_empty():
    """As that of sessions does: it erases first, though the flash may read as if it were."""
    for before in (0xA5, 0xFF):
        flash = Nor()
        for sector in flash.sectors:
            sector[:] = bytes([before]) * 4096
        store = LogStore(flash)
        raises(NotProvisioned, store.load)
        assert store.save(chain(1)) == chain(1)
        assert flash.erases == [1, 0]
        assert LogStore(flash).load() == chain(1)


def test_around_the_log():
    """Each place of each sector in turn; one record, one wipe, an erase where a sector begins."""
    for page in PAGES:
        flash, store = started(page)
        places = PLACES[page]
        assert store._places == places
        for number in range(1, 2 * places + 3):
            before = flash.programs
            assert store.save(chain(number)) == chain(number)
            assert flash.programs == before + 2
            assert flash.erases == [1 + number // (2 * places), (number + places) // (2 * places)]
            if number % 9 == 0:
                assert records(flash) == [(number, chain(number))]
                programs = flash.programs
                store = LogStore(flash, page)
                assert store.load() == chain(number)
                assert flash.programs == programs


def steps_of(page, saves):
    """Return how many steps the next save takes."""
    flash, store = started(page, 0, saves, 512)
    flash.budget = 1 << 20
    store.save(chain(500))
    return (1 << 20) - flash.budget


def test_power_cut_at_every_step_of_save():
    """In the middle of a sector, and where the other one is erased; each way to tear.

    With pages of 256 bytes every fifth: tests/stateful has them all.
    """
    for page, torn in ((1, 0), (8, 1), (256, 1), (256, 2)):
        for saves in (1, 4):  # 5 places in 512 bytes
            whole = steps_of(page, saves)
            assert whole >= (ERASE if saves == 4 else 0) + 2 * record.LENGTH
            switched = False
            for cut in range(0, whole, 1 if page < 256 else 5):
                flash, store = started(page, torn, saves, 512)
                flash.budget = cut
                raises(PowerCut, store.save, chain(500))
                flash.budget = None
                store = LogStore(flash, page)
                found = store.load()
                assert found == chain(saves) or found == chain(500)
                assert not switched or found == chain(500)  # from some step on, it is the new one
                switched = found == chain(500)
                assert [each[1] for each in records(flash)] == [found]
                assert store.save(chain(501)) == chain(501)
                assert [each[1] for each in records(flash)] == [chain(501)]
            assert switched


def test_power_cut_in_load():
    """The wipe that load makes up for is cut again."""
    for torn in (0, 1, 2):
        for first in range(3, steps_of(256, 1), 41):
            for second in range(0, 512, 31):
                flash, store = started(256, torn, 1, 512)
                flash.budget = first
                raises(PowerCut, store.save, chain(500))
                flash.budget = second
                try:
                    LogStore(flash).load()
                except PowerCut:
                    pass
                flash.budget = None
                assert LogStore(flash).load() in (chain(1), chain(500))
                assert len(records(flash)) == 1


def test_power_cut_while_a_bundle_is_moved():
    for torn in (0, 1, 2):
        for cut in range(0, ERASE + 256):
            flash, source = Nor(256, torn, 512), Flash(record.pack(1, chain(0)))
            flash.budget = cut
            raises(PowerCut, LogStore(flash, 256, source).load)
            flash.budget = None
            assert LogStore(flash, 256, source).load() == chain(0)
            assert [each[1] for each in records(flash)] == [chain(0)]
            assert source.slots[0] == BLANK


def test_a_broken_byte_is_passed_by():
    """A place that keeps no record is given up; the next one takes it."""
    flash, store = started(256, 0, 1)
    flash.stuck = (0, 2 * 88 + 20, 0)
    assert store.save(chain(2)) == chain(2)
    assert store._place == 3
    assert [each[1] for each in records(flash)] == [chain(2)]


def test_a_byte_that_cannot_be_wiped():
    """Flash that does not take zeros over data, such as an encrypted one, is refused."""
    flash, store = started(256, 0, 1)
    flash.stuck = (0, 88 + 20, record.pack(1, chain(1))[20])
    assert "zeros" in str(raises(StoreFailed, store.save, chain(2)))
    assert "zeros" in str(raises(StoreFailed, LogStore(flash).load))
    flash.stuck = None
    assert LogStore(flash).load() == chain(2)
    assert [each[1] for each in records(flash)] == [chain(2)]


def test_the_sector_that_counts_is_never_erased():
    """All other places are broken: the record stays where it is, in either sector."""
    for sector, saves in ((0, 1), (1, 7)):
        flash, store = started(256, 0, saves, 512)
        data = record.pack(saves, chain(saves))
        for each in (0, 1):
            flash.sectors[each][:] = bytes(512)
        at = saves % 5 * 88
        flash.sectors[sector][at : at + len(data)] = data
        erased = []
        flash._erase = erased.append
        assert "replace" in str(raises(StoreFailed, store.save, chain(99)))
        assert erased == [1 - sector]
        assert LogStore(flash).load() == chain(saves)


def test_the_last_place_of_all():
    """All others are broken: it is found."""
    flash, store = started(256, 0, 0, 512)
    for each in (0, 1):
        flash.sectors[each][:] = bytes(512)
    data = record.pack(0, chain(0))
    flash.sectors[0][: len(data)] = data
    flash.sectors[1][352:440] = b"\xff" * 88

    def erased(block):
        flash.sound[block] = True

    flash._erase = erased
    assert store.save(chain(1)) == chain(1)
    assert store._place == 9
    assert records(flash) == [(1, chain(1))]


def test_write_errors():
    """Also one after which the record is there all the same."""
    for cut in (0, 200, 263, 264, 300, 512, 600):
        flash, store = started(256, 0, 1)
        flash.budget = cut
        flash.error = OSError
        raises(StoreFailed, store.save, chain(2))
        flash.budget = None
        twin = Nor()
        twin.sectors = [bytearray(each) for each in flash.sectors]
        assert LogStore(twin).load() == chain(2 if cut >= 263 else 1)
        assert store.save(chain(3)) == chain(3)
        assert LogStore(flash).load() == chain(3)
        assert len(records(flash)) == 1


def test_errors_in_load():
    flash, store = started(256, 0, 1)
    flash.budget = 300
    raises(PowerCut, store.save, chain(2))
    flash.budget, flash.error = 0, OSError
    assert "replace" in str(raises(StoreFailed, LogStore(flash).load))
    flash.budget = None
    assert LogStore(flash).load() == chain(2)


def test_wipe():
    flash, store = started(256, 0, 50)
    assert store.sequence == 50
    store.wipe()
    assert flash.sectors == [bytearray(b"\xff" * 4096)] * 2
    raises(NotProvisioned, LogStore(flash).load)
    raises(NotProvisioned, store.load)
    assert store.save(chain(1)) == chain(1)


def test_wipe_of_flash_that_keeps():
    flash, store = started()
    flash._erase = lambda block: None
    assert "replace" in str(raises(StoreFailed, store.wipe))
    flash, store = started()
    flash.budget, flash.error = 0, OSError
    assert "replace" in str(raises(StoreFailed, store.wipe))


def test_last_sequence_number():
    flash, store = started()
    store.sequence = 0xFFFFFFFE
    store.save(chain(1))
    assert "replace" in str(raises(StoreFailed, store.save, chain(2)))
    assert LogStore(flash).load() == chain(1)
