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
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from skerry_hub.errors import DuplicateDevice, UnknownDevice
from skerry_hub.store import Candidate, NewDevice
from skerry_hub.store.sqlite import SqliteStore, create

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
    pending: tuple | None = None  # (pid, key)
    pseudonyms: dict = field(default_factory=dict)  # pid -> era
    session: tuple = (None, None, None)
    seen_at: float | None = None
    readings: int = 0


class SqliteStoreMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        path = self.folder / "skerry.db"
        create(path, {"hub": b"h"})
        self.stores = [SqliteStore(path), SqliteStore(path)]
        self.rows = {}
        self.reads = []
        self.count = self.starts = 0
        self.values = {"hub": b"h"}
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
        found = []
        for row in self.rows.values():
            if row.active and pid in row.pseudonyms:
                pending = row.pending or (None, None)
                found.append(
                    Candidate(
                        row.id, row.name, 0, row.era, row.step, row.chain, *pending,
                        row.pseudonyms[pid],
                    )
                )  # fmt: skip
        return sorted(found, key=lambda each: each.id)

    @rule(handle=handles, name=st.sampled_from(NAMES), pseudonyms=learned)
    def enroll(self, handle, name, pseudonyms):
        new = NewDevice(name, "", 0, 0, 0, self.key(), "f", 1.0)
        if name in self.rows:
            with pytest.raises(DuplicateDevice):
                self.stores[handle].enroll(new, pseudonyms)
            return
        number = self.stores[handle].enroll(new, pseudonyms)
        assert number not in [row.id for row in self.rows.values()]
        self.rows[name] = Row(number, name, 0, 0, new.chain, pseudonyms=dict(pseudonyms))
        self.wrote(handle)

    @initialize(first=learned, second=learned)
    def two_devices(self, first, second):
        self.enroll(0, "a", [(b"pid-00", 0), *first])
        self.enroll(1, "b", [(b"pid-00", 0), *second])

    @rule(handle=handles, pid=pids)
    def candidates(self, handle, pid):
        found = sorted(self.stores[handle].candidates(pid), key=lambda each: each.id)
        assert found == self.expected(pid)
        self.reads += found

    @rule(
        handle=handles,
        choice=st.integers(0, 1 << 16),
        old=st.booleans(),
        ahead=st.sampled_from([0, 0, 1, 3]),
        pid=pids,
        learn=learned,
    )
    def advance(self, handle, choice, old, ahead, pid, learn):
        """With a candidate of now or of long ago."""
        reads = self.reads
        if not old:
            known = {pid for row in self.rows.values() for pid in row.pseudonyms}
            reads = [each for pid in sorted(known) for each in self.stores[1].candidates(pid)]
            self.reads += reads
        if not reads:
            return
        read = reads[choice % len(reads)]
        era, step = read.era + ahead, 1 if ahead else read.step + 1
        chain, key = self.key(), self.key()
        row = self.rows[read.name]
        pending = row.pending[0] if row.pending else None
        as_read = (row.era, row.step, pending) == (read.era, read.step, read.pending_pid)
        moved = self.stores[handle].advance(read, era, step, chain, pid, key, learn)
        assert moved is (row.active and as_read)
        if not moved:
            return
        self.wrote(handle)
        row.era, row.step, row.chain, row.pending = era, step, chain, (pid, key)
        row.pseudonyms = {
            each: at
            for each, at in row.pseudonyms.items()
            if each == pid or (each != pending and at >= era)
        } | dict(learn)

    @rule(handle=handles, name=st.sampled_from(NAMES), pid=st.one_of(st.none(), st.none(), pids))
    def confirm(self, handle, name, pid):
        """The pending epoch, or any other pseudonym; twice is once."""
        row = self.rows.get(name)
        if row is None:
            return
        if pid is None:
            pid = row.pending[0] if row.pending else b"none"
        expected = row.active and row.pending is not None and row.pending[0] == pid
        session = (f"{self.count:08x}", row.era, row.step)
        done = self.stores[handle].confirm(row.id, pid, *session, self.count)
        assert done is expected
        if done:
            self.wrote(handle)
            row.pending, row.session, row.seen_at = None, session, self.count
            row.pseudonyms.pop(pid, None)

    @rule(handle=handles, name=st.sampled_from(NAMES))
    def revoke(self, handle, name):
        row = self.rows.get(name)
        if row is None:
            with pytest.raises(UnknownDevice):
                self.stores[handle].revoke(name)
            return
        assert self.stores[handle].revoke(name) == row.active
        revoked, row.active = row.active, False
        row.chain, row.pending, row.pseudonyms = b"", None, {}
        if revoked:
            self.wrote(handle)
            self.only_live_keys()  # at once, without waiting for a scrub

    @rule(handle=handles, name=st.sampled_from(NAMES), payload=st.binary(max_size=3))
    def reading(self, handle, name, payload):
        row = self.rows.get(name)
        if row is None:
            return
        number = self.stores[handle].add_reading(row.id, 1.0, "readings", None, payload)
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
        """It is another number if the other one has written since, and the same if nobody has."""
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
            assert store.revoked() == [row.id for row in self.rows.values() if not row.active]
            for key, value in self.values.items():
                assert store.get(key) == value

    @invariant()
    def all_pseudonyms(self):
        for pid in {pid for row in self.rows.values() for pid in row.pseudonyms} | {b"nobody"}:
            for store in self.stores:
                found = sorted(store.candidates(pid), key=lambda each: each.id)
                assert found == self.expected(pid)


TestSqliteStore = SqliteStoreMachine.TestCase
TestSqliteStore.settings = settings(stateful_step_count=30)
