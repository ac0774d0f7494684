"""The hub's store, through two connections and with stale reads, against a model in memory.

The model says in a few lines what schema.sql and sqlite.py say in SQL: who is found by which
pseudonym, that a device moves only from where its candidate was read, and that what was
overwritten is gone.
"""

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cluster import WANTED
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from stores import Place

from skerry_hub.errors import DuplicateDevice, UnknownDevice
from skerry_hub.store import Advance, Candidate, Confirmation, NewDevice, NewReading

NAMES = ("a", "b", "c")
pids = st.integers(0, 7).map(lambda number: b"pid-%02d" % number)  # so few that they collide
handles = st.integers(0, 1)
learned = st.lists(st.tuples(pids, st.integers(0, 3)), max_size=4)


@dataclass
class Row:
    """A device as the model has it."""

    id: int
    name: str
    era: int
    step: int
    chain: bytes
    active: bool = True
    pid: bytes = b""  # of the expected epoch
    pending: tuple | None = None  # (pid, key)
    coming: dict = field(default_factory=dict)  # pid -> era
    session: tuple = (None, None, None)
    seen_at: float | None = None
    readings: int = 0


class StoreMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        place = Place(self.folder)
        self.stores = [place.open(), place.open()]
        self.rows = {}
        self.reads = []
        self.count = self.starts = 0
        self.values = {"hub": b"h-test"}
        self.seen = [each.changes() for each in self.stores]
        self.foreign = [False, False]

    def teardown(self):
        for each in self.stores:
            each.close()
        shutil.rmtree(self.folder)

    def wrote(self, handle):
        """What one writes, the other one has to notice."""
        self.foreign[1 - handle] = True

    def key(self):
        self.count += 1
        return b"sealed-%d." % self.count

    def expected(self, pid):
        """Return (of now, of coming eras): the devices that a pseudonym stands for."""
        now, coming = [], []
        for row in self.rows.values():
            pending = row.pending or (None, None)
            found = Candidate(
                row.id, row.name, 0, row.era, row.step, row.pid, row.chain, *pending, row.era
            )
            if row.active and pid in (row.pid, pending[0]):
                now.append(found)
            if row.active and pid in row.coming:
                coming.append(found._replace(pid_era=row.coming[pid]))
        return sorted(now), sorted(coming)

    def found(self, handle, pid):
        store = self.stores[handle]
        return sorted(store.candidates([pid])[pid]), sorted(store.coming([pid])[pid])

    @rule(handle=handles, name=st.sampled_from(NAMES), pid=pids, coming=learned)
    def enroll(self, handle, name, pid, coming):
        new = NewDevice(name, "", 0, 0, 0, pid, self.key(), "f", 1.0)
        if name in self.rows:
            with pytest.raises(DuplicateDevice):
                self.stores[handle].enroll(new, coming)
            return
        number = self.stores[handle].enroll(new, coming)
        assert number not in [row.id for row in self.rows.values()]
        self.rows[name] = Row(number, name, 0, 0, new.chain, pid=pid, coming=dict(coming))
        self.wrote(handle)

    @initialize(first=learned, second=learned)
    def two_devices(self, first, second):
        self.enroll(0, "a", b"pid-00", first)
        self.enroll(1, "b", b"pid-00", second)

    @rule(handle=handles, pid=pids)
    def candidates(self, handle, pid):
        found = self.found(handle, pid)
        assert found == self.expected(pid)
        self.reads += [each for part in found for each in part]

    @rule(handle=handles, asked=st.lists(pids, max_size=6, unique=True))
    def many_candidates(self, handle, asked):
        """Many in one look-up are what they are one by one."""
        found = self.stores[handle].candidates(asked), self.stores[handle].coming(asked)
        for pid in asked:
            assert tuple(sorted(each[pid]) for each in found) == self.expected(pid)

    def read(self, choice, old):
        """A candidate as it is now, or as it was read long ago; None if there is none."""
        reads = self.reads
        if not old:
            known = {pid for row in self.rows.values() for pid in (row.pid, *row.coming)}
            reads = [each for pid in sorted(known) for part in self.found(1, pid) for each in part]
            self.reads += reads
        return reads[choice % len(reads)] if reads else None

    def advance(self, read, ahead, pid, following, learn):
        """Return a move and whether it is to succeed, and what the model is after it."""
        era, step = read.era + ahead, 1 if ahead else read.step + 1
        to = Advance(read, era, step, following, self.key(), pid, self.key(), learn)
        row = self.rows[read.name]
        pending = row.pending[0] if row.pending else None
        as_read = (row.era, row.step, pending) == (read.era, read.step, read.pending_pid)

        def then():
            row.era, row.step, row.pid, row.chain = era, step, following, to.chain
            row.pending = (pid, to.pending_key)
            if ahead:
                row.coming = {each: at for each, at in row.coming.items() if at > era}
                row.coming |= dict(learn)

        return to, row.active and as_read, then

    def confirmation(self, row, pid, payload):
        """Return a confirmation, whether it is to succeed, and what the model is after it."""
        pid = pid or (row.pending[0] if row.pending else b"none")
        session = (f"{self.count:08x}", row.era, row.step)
        reading = None if payload is None else self.new_reading(row, payload)
        of = Confirmation(row.id, pid, *session, self.count, reading)

        def then():
            row.pending, row.session, row.seen_at = None, session, of.at
            row.readings += payload is not None

        return of, row.active and row.pending is not None and row.pending[0] == pid, then

    @staticmethod
    def new_reading(row, payload):
        return NewReading(row.id, 1.0, "readings", None, payload)

    @rule(
        handle=handles,
        kinds=st.lists(st.sampled_from(["move", "confirm", "read"]), min_size=1, max_size=3),
        data=st.data(),
    )
    def write(self, handle, kinds, data):
        """A batch for up to three devices, from what was read now or long ago."""
        batch, devices = [], set()
        for kind in kinds:
            each = self.one(kind, data)
            device = each and self.device_of(each[0])
            if each is not None and device not in devices:
                batch.append(each)
                devices.add(device)
        done = self.stores[handle].write([write for write, _, _ in batch])
        assert done == [expected for _, expected, _ in batch]
        for _, expected, then in batch:
            if expected:
                then()
                self.wrote(handle)

    def one(self, kind, data):
        if kind == "move":
            old = data.draw(st.booleans())
            read = self.read(data.draw(st.integers(0, 1 << 16)), old)
            ahead = data.draw(st.sampled_from([0, 0, 1, 3]))
            pid = data.draw(pids)
            following = data.draw(pids.filter(lambda each: each != pid))
            learn = data.draw(learned) if ahead else []
            return read and self.advance(read, ahead, pid, following, learn)
        row = self.rows.get(data.draw(st.sampled_from(NAMES)))
        payload = data.draw(st.binary(max_size=3))
        if row is None:
            return None
        if kind == "confirm":
            pid = data.draw(st.one_of(st.none(), st.none(), pids))
            return self.confirmation(row, pid, payload or None)

        def then():
            row.readings += 1

        return self.new_reading(row, payload), row.active, then

    @staticmethod
    def device_of(write):
        return write.candidate.id if isinstance(write, Advance) else write.device

    @rule(handle=handles, name=st.sampled_from(NAMES))
    def revoke(self, handle, name):
        row = self.rows.get(name)
        if row is None:
            with pytest.raises(UnknownDevice):
                self.stores[handle].revoke(name)
            return
        assert self.stores[handle].revoke(name) == row.active
        revoked, row.active = row.active, False
        row.chain, row.pid, row.pending, row.coming = b"", b"", None, {}
        if revoked:
            self.wrote(handle)
            self.only_live_keys()  # at once, without waiting for a scrub

    @rule(handle=handles, name=st.sampled_from(NAMES), payload=st.binary(max_size=3))
    def reading(self, handle, name, payload):
        row = self.rows.get(name)
        if row is None:
            return
        number = self.stores[handle].add_reading(row.id, 1.0, "readings", None, payload)
        assert (number != 0) == row.active
        if not number:
            return
        self.wrote(handle)
        row.readings += 1
        last = self.stores[1 - handle].last_reading(row.id)
        assert (last.id, last.payload, last.name) == (number, payload, name)
        assert self.stores[1 - handle].last_reading_id() == number
        own = self.stores[1 - handle].readings_after(0, row.id)
        assert [each.name for each in own] == [name] * row.readings
        assert self.stores[handle].readings_after(number - 1) == [last]

    @rule(handle=handles)
    def next_start(self, handle):
        self.starts += 1
        assert self.stores[handle].next_start() == self.starts
        self.wrote(handle)

    @rule(handle=handles, key=st.sampled_from(["x", "y"]), value=st.binary(max_size=3))
    def put(self, handle, key, value):
        self.stores[handle].put(key, value)
        self.values[key] = value
        self.wrote(handle)

    @rule(handle=handles)
    def changes(self, handle):
        """It is another number if the other one has written since."""
        now = self.stores[handle].changes()
        if self.foreign[handle]:
            assert now != self.seen[handle]
        self.seen[handle], self.foreign[handle] = now, False

    @rule(handle=handles)
    def scrub(self, handle):
        assert self.stores[handle].scrub()
        self.only_live_keys()

    def only_live_keys(self):
        """Nothing that was overwritten is left, in no file of the database."""
        if WANTED:  # a server has them for a while: docs/operating.md
            return
        held = {row.chain for row in self.rows.values()}
        held |= {row.pending[1] for row in self.rows.values() if row.pending}
        everything = b"".join(each.read_bytes() for each in self.folder.iterdir())
        for number in range(1, self.count + 1):
            key = b"sealed-%d." % number
            assert (key in everything) == (key in held)

    @invariant()
    def all_devices(self):
        for store in self.stores:
            found = store.devices()
            assert [each.name for each in found] == list(self.rows)
            for each in found:
                row = self.rows[each.name]
                said = (each.id, each.era, each.step, each.state == "active", each.readings)
                assert said == (row.id, row.era, row.step, row.active, row.readings)
                session = (each.session_fingerprint, each.session_era, each.session_step)
                assert (session, each.seen_at) == (row.session, row.seen_at)
            revocations = store.revoked_after(0)
            assert revocations == sorted(revocations)
            gone = {row.id for row in self.rows.values() if not row.active}
            assert sorted(device for _, device in revocations) == sorted(gone)
            assert store.last_revocation() == max((n for n, _ in revocations), default=0)
            for key, value in self.values.items():
                assert store.get(key) == value

    @invariant()
    def all_pseudonyms(self):
        known = {b"nobody"}
        for row in self.rows.values():
            known |= {row.pid, *row.coming} | ({row.pending[0]} if row.pending else set())
        for pid in known:
            for handle in (0, 1):
                assert self.found(handle, pid) == self.expected(pid)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(stateful_step_count=30)
