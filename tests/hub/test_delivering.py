"""Several processes on one store: one of them delivers, and another one when it is gone."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager, closing

import pytest
from stores import Place, at, enrol, sqlite_only, where
from test_cli import ENV

from skerry_hub.errors import StoreError
from skerry_hub.outgoing.destination import Undelivered
from skerry_hub.outgoing.logs import Bookmark, Position
from skerry_hub.outgoing.running import Outgoing


class Taker:
    """A destination that takes what it gets, or fails after some of it."""

    name, send, begin = "taker", ("readings",), "now"

    def __init__(self, fails_at=None):
        self.fails_at = fails_at
        self.got = []
        self.open_now = False

    async def open(self):
        self.open_now = True

    async def deliver(self, batch):
        numbers = [each.number for each in batch.items]
        if self.fails_at in numbers:
            accepted = numbers.index(self.fails_at)
            self.got += numbers[:accepted]
            raise Undelivered("refuses", accepted)
        self.got += numbers

    async def close(self):
        await asyncio.sleep(0)
        self.open_now = False


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    with closing(made.open()) as store:
        enrol(store)
    return made


@asynccontextmanager
async def process(place, **how):
    """What a process has of it; the store is closed as if it ended."""
    store, taker = place.open(), Taker(**how)
    outgoing = Outgoing(store, [taker])
    outgoing.start()
    try:
        yield outgoing, taker, store
    finally:
        await outgoing.stop()
        store.close()


async def read(store, count, *outgoing):
    """Store readings, and have all processes look for them."""
    for _ in range(count):
        assert store.add_reading(1, 1.0, "r", None, b"x")
    await look(*outgoing)


async def look(*outgoing, times=4):
    for _ in range(times):
        for each in outgoing:
            each.look()
        for _ in range(10):
            await asyncio.sleep(0)


def test_one_of_two_delivers_and_the_other_takes_over(place):
    asyncio.run(taken_over(place))


async def taken_over(place):
    async with AsyncExitStack() as second:
        async with process(place) as (one, first, store):
            two, other, _ = await second.enter_async_context(process(place))
            await read(store, 5, one, two)
            assert (one.delivers, two.delivers) == (True, False)
            assert (first.got, other.got) == ([1, 2, 3, 4, 5], [])
            assert (first.open_now, other.open_now) == (True, False)
        await look(two)
        assert two.delivers
        await read(two._store, 2, two)
        assert other.got == [6, 7]  # and not again what the first one had delivered
        assert two.followers[0].counts == {"delivered": 2}


def test_a_new_destination_misses_nothing_whoever_delivers(place):
    asyncio.run(new_destination(place))


async def new_destination(place):
    async with AsyncExitStack() as second:
        async with process(place) as (one, _, store):
            one._tasks[0].cancel()  # it gets to nothing
            await read(store, 3, one)
            two, taker, _ = await second.enter_async_context(process(place))
        await look(two)
        assert taker.got == [1, 2, 3]


def test_who_lost_its_place_stops_and_begins_where_others_were(place, monkeypatch):
    asyncio.run(lost(place, monkeypatch))


async def lost(place, monkeypatch):
    async with process(place) as (one, taker, store):
        await read(store, 3, one)
        monkeypatch.setattr(store, "lead", lambda: False)
        await look(one)
        assert (one.delivers, taker.open_now) == (False, False)
        await read(store, 3, one)
        assert taker.got == [1, 2, 3]
        assert one.warnings == []
        Bookmark(store, "taker").write(Position(5, 1))  # another process
        monkeypatch.undo()
        await look(one)
        assert one.delivers
        assert taker.got == [1, 2, 3, 6]


def test_who_cannot_ask_delivers_nothing_and_says_so(place, monkeypatch, caplog):
    asyncio.run(cannot_ask(place, monkeypatch, caplog))


async def cannot_ask(place, monkeypatch, caplog):
    async with process(place) as (one, taker, store):
        monkeypatch.setattr(store, "lead", fails)
        await read(store, 1, one)
        assert taker.got == []
        assert one.warnings == ["nothing is delivered: the disk is gone"]
        assert caplog.text.count("the disk is gone") == 1
        monkeypatch.undo()
        await look(one)
        assert (taker.got, one.warnings) == ([1], [])


def fails():
    raise StoreError("the disk is gone")


def test_what_was_accepted_of_a_batch_is_kept_at_once(place):
    asyncio.run(part_of_a_batch(place))


async def part_of_a_batch(place):
    async with process(place, fails_at=4) as (one, taker, store):
        await read(store, 6, one)
        assert taker.got == [1, 2, 3]
        assert Bookmark(store, "taker").read().reading == 3
        assert one.followers[0].counts == {"delivered": 3, "failed": 1}
        assert one.followers[0].behind == 3


def test_one_leads_until_it_is_closed(place):
    with closing(place.open()) as two:
        with closing(place.open()) as one:
            assert one.lead()
            assert one.lead()
            assert not two.lead()
        assert two.lead()
        assert two.lead()


LEADS = """
import sys
from stores import at
store = at(sys.argv[1])
print(store.lead(), flush=True)
sys.stdin.read()
"""


def test_one_that_is_killed_leads_no_more(place):
    with closing(place.open()) as store:
        process = subprocess.Popen(
            [sys.executable, "-c", LEADS, where(store)], env={**os.environ, **ENV},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        with process:
            assert process.stdout.readline() == "True\n"
            assert not store.lead()
            process.kill()
            process.wait()
        for _ in range(100):
            if store.lead():
                break
            asyncio.run(asyncio.sleep(0.05))
        assert store.lead()
        with closing(at(where(store))) as other:
            assert not other.lead()


@sqlite_only
def test_the_file_that_is_held(place):
    """It is its owner's alone, and holding it takes no lock of SQLite's or of the folder's."""
    with closing(place.open()) as store:
        assert store.lead()
        held = place.path.with_name("skerry.db.lead")
        assert held.stat().st_mode & 0o777 == 0o600
        with closing(sqlite3.connect(place.path)) as other:
            other.execute("UPDATE device SET label = 'x'")
            other.commit()
    held.unlink()
    held.mkdir()
    with closing(place.open()) as store, pytest.raises(StoreError, match=r"skerry\.db\.lead"):
        store.lead()
