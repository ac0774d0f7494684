"""Sessions in flash: numbers are reserved before use, whatever the cut; writes in a year."""

from flash import Flash, PowerCut, raises
from nor import Nor

from skerry import record, schedule
from skerry.errors import Exhausted
from skerry.replay import NOTHING
from skerry.session import Session
from skerry.session_record import SessionRecord
from skerry_device.errors import StoreFailed
from skerry_device.flash_session import FlashSession
from skerry_device.logslots import LogStore
from skerry_device.store import ChainStore

CTX = schedule.context(0, b"d-1", b"h-1")
SECRET = bytes([each * 3 + 1 & 255 for each in range(32)])
OTHER = bytes([each * 5 + 2 & 255 for each in range(32)])
A_YEAR = 365 * 24 * 60


class Life:
    """One time that the device is on: it resumes what is stored, or has a session of its own."""

    def __init__(self, store, secret=SECRET, step=0, chunk=1024):
        self.memory = FlashSession(store, chunk)
        self.record = SessionRecord.unpack(CTX, self.memory.take())
        self.resumed = bool(self.record)
        if not self.record:
            self.record = SessionRecord(0, 0, step, secret)
        session, self.window = self.record.restore()
        self.oscore = session.oscore
        self.memory.guard(CTX, self.record, self.oscore)

    def use(self, times):
        """Return the numbers that were used."""
        return [int.from_bytes(self.oscore.take_partial_iv(), "big") for _ in range(times)]


def test_numbers_are_reserved_by_writes():
    flash = Flash()
    life = Life(ChainStore(flash), chunk=8)
    assert len(flash.writes) == 2  # a record, a wipe
    assert life.use(8) == list(range(8))
    assert len(flash.writes) == 2
    assert life.use(1) == [8]
    assert len(flash.writes) == 4
    life = Life(ChainStore(flash), chunk=8)
    assert life.resumed
    assert life.window.pack() == NOTHING
    assert life.oscore.sequence == 16
    assert len(flash.writes) == 6
    assert life.use(9) == list(range(16, 25))
    assert Life(ChainStore(flash), chunk=8).use(1) == [32]


def test_a_first_request_in_memory():
    """The session is stored once it is confirmed, so its first number is used by then."""
    session = Session(SECRET, 0)
    session.oscore.take_partial_iv()
    flash = Flash()
    memory = FlashSession(ChainStore(flash), 8)
    assert memory.take() == b""
    memory.guard(CTX, SessionRecord(0, 0, 0, SECRET), session.oscore)
    for _ in range(8):
        session.oscore.take_partial_iv()
    assert len(flash.writes) == 2
    assert SessionRecord.unpack(CTX, memory.take()).sequence == 9
    assert memory.keep(b"anything")
    assert SessionRecord.unpack(CTX, memory.take()).sequence == 9


def secrets(flash):
    """Return which secrets stand anywhere in the slots."""
    return [secret for secret in (SECRET, OTHER) if secret[:8] in b"|".join(flash.slots)]


def test_the_next_session_wipes_the_one_before():
    flash = Flash()
    store = ChainStore(flash)
    life = Life(store)
    assert secrets(flash) == [SECRET]
    life.memory.guard(CTX, SessionRecord(0, 0, 1, OTHER), Session(OTHER, 0).oscore)
    assert secrets(flash) == [OTHER]
    assert SessionRecord.unpack(CTX, life.memory.take()).step == 1


def test_forget():
    flash = Flash()
    life = Life(ChainStore(flash))
    life.memory.forget()
    assert secrets(flash) == []
    assert not Life(ChainStore(flash)).resumed


def test_power_cut_at_every_byte_of_a_reserve():
    """Between any two cuts no number comes twice."""
    for erases in (False, True):
        for cut in range(2 * record.LENGTH):
            flash = Flash(erases=erases)
            used = Life(ChainStore(flash), chunk=4).use(4)
            life = Life(ChainStore(flash), chunk=4)
            used += life.use(4)
            flash.budget = cut
            raises(PowerCut, life.use, 1)
            flash.budget = None
            used += Life(ChainStore(flash), chunk=4).use(9)
            used += Life(ChainStore(flash), chunk=4).use(1)
            assert len(set(used)) == len(used) == 18


def test_power_cut_while_it_is_stored_or_resumed():
    for cut in range(2 * record.LENGTH):
        flash = Flash()
        flash.budget = cut
        raises(PowerCut, Life, ChainStore(flash))
        flash.budget = None
        life = Life(ChainStore(flash), chunk=4)  # nothing was used, so either is right
        assert life.resumed == (cut >= record.LENGTH)
        used = life.use(3)
        flash.budget = cut
        raises(PowerCut, Life, ChainStore(flash), SECRET, 0, 4)
        flash.budget = None
        used += Life(ChainStore(flash), chunk=4).use(3)
        assert len(set(used)) == 6


def test_flash_that_fails_uses_no_number():
    flash = Flash()
    life = Life(ChainStore(flash), chunk=4)
    life.use(4)
    flash.keeps = lambda data: b""
    for _ in range(3):
        raises(StoreFailed, life.use, 1)
    assert life.oscore.sequence == 4
    flash.keeps = lambda data: data
    assert life.use(1) == [4]


def test_last_numbers():
    flash = Flash()
    life = Life(ChainStore(flash))
    life.oscore.sequence = life.oscore.limit = (1 << 40) - 3
    assert life.use(2) == [(1 << 40) - 3, (1 << 40) - 2]
    raises(Exhausted, life.use, 1)
    raises(Exhausted, Life, ChainStore(flash))


def test_foreign_and_torn_records_are_no_session():
    for packed in (bytes(72), SessionRecord(0, 0, 0, SECRET).pack(b"another pair")):
        flash = Flash(record.pack(3, packed))
        assert not Life(ChainStore(flash)).resumed


def test_a_year_at_a_message_a_minute():
    assert A_YEAR == 525_600
    flash = Flash()
    life = Life(ChainStore(flash))
    for _ in range(A_YEAR):
        life.oscore.take_partial_iv()
    assert len(flash.writes) // 2 == 514  # the first one, and 513 more
    assert A_YEAR // 1024 == 513


def test_in_a_log():
    flash = Nor()
    used = []
    for _ in range(60):
        life = Life(LogStore(flash), chunk=4)
        used += life.use(5)
    assert len(set(used)) == len(used) == 300
    assert flash.erases == [2, 1]
