"""Emulated devices for benchmarks: the core's initiator in CPython, enrolled in bulk.

They are prepared ahead, so that the load generator never has to be faster than the hub: all
messages 1 exist before the first is sent, and all requests before the first of those.
"""

import select
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from skerry import coap, initiator, schedule
from skerry.chain import Chain
from skerry.session import Session
from skerry_hub import enrolment
from skerry_hub.config import Config
from skerry_hub.store import NewDevice

WINDOW = 256  # datagrams on their way to a server at once
PATIENCE_S = 5.0  # after that, what was not answered is lost


def named(number: int) -> str:
    """Return a device's id."""
    return f"d-{number:07d}"


def hub(folder: Path, devices: int) -> Config:
    """Make a hub with so many devices, or find the one that was made before."""
    config = Config.of(data=str(folder), environ={})
    if not config.database.exists():
        enrolment.init(config, "bench")
    with enrolment.opened(config) as opened:
        _fill(opened, devices)
    return config


def _fill(opened: enrolment.Hub, devices: int) -> None:
    db = opened.store._db
    (known,) = db.execute("SELECT count(*) FROM device").fetchone()
    if known >= devices:
        return
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA cache_size = -1000000")
    db.execute("CREATE TEMP TABLE later (pid, device, era)")
    for first in range(known + 1, devices + 1, 10_000):
        with _one_transaction(opened.store):
            for number in range(first, min(first + 10_000, devices + 1)):
                opened.store.enroll(*_new(opened, named(number)))
        opened.store.scrub()
    with _one_transaction(opened.store):
        db.execute("DROP INDEX coming_by_device")
        db.execute("INSERT INTO coming SELECT * FROM later ORDER BY pid, device")
        db.execute("CREATE INDEX coming_by_device ON coming (device, era)")
    db.execute("DROP TABLE later")
    opened.store.scrub()


class _Later:
    """A connection that keeps pseudonyms of coming eras back, to add all of them in their order.

    At random places of a large index each costs the reading and writing of a page.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.execute = db.execute

    def executemany(self, sql: str, rows: list[tuple]) -> None:
        """Note them for the end."""
        assert "INTO coming" in sql, sql
        self._db.executemany("INSERT INTO later VALUES (?, ?, ?)", rows)


@contextmanager
def _one_transaction(store: object) -> Iterator[None]:
    """Let many enrolments be one: a million syncs would take an hour."""
    writing = store._writing

    @contextmanager
    def joined() -> Iterator[object]:
        yield _Later(store._db)

    with writing():
        store._writing = joined
        try:
            yield
        finally:
            del store._writing


def _new(opened: enrolment.Hub, name: str) -> tuple[NewDevice, list[tuple[bytes, int]]]:
    device, chain = enrolment.new_device(opened, name, sha256(name.encode()).digest())
    return device, enrolment.coming(chain)


class Peer:
    """One device, at the epoch where the hub's database has it."""

    def __init__(self, name: str, ctx: bytes, chain: Chain) -> None:
        self.name = name
        self.ctx = ctx
        self.chain = chain
        self.count = 0

    def attempt(self, token: bytes, recover: bool = False) -> bytes:
        """Return the datagram of a new message 1, maybe one of the coming era."""
        self.count += 1
        chain = self.chain.next_era() if recover else self.chain
        start = initiator.Start(self.ctx, 0, chain)
        message_1, self.waiting = start.send(self.count.to_bytes(8, "big"))
        path = coap.path_options("k")
        return coap.encode(coap.Message(coap.POST, path, message_1, mid=self.mid(), token=token))

    def accept(self, datagram: bytes) -> None:
        """Take message 2 and move on."""
        accepted = self.waiting.receive(coap.decode(datagram).payload)
        self.chain = Chain.unpack(accepted.record)
        self.session = Session(accepted.persisted(accepted.record), 0)

    def request(self, token: bytes, payload: bytes = bytes(32)) -> bytes:
        """Return the datagram of a protected CON POST."""
        self.count += 1
        path = coap.path_options("readings")
        inner = coap.Message(coap.POST, path, payload, coap.CON, self.mid(), token)
        outer, self.binding = self.session.oscore.protect_request(inner)
        return coap.encode(outer)

    def check(self, datagram: bytes) -> None:
        """Verify the answer to the last request."""
        inner = self.session.oscore.unprotect_response(coap.decode(datagram), self.binding)
        assert inner.code == coap.CHANGED, inner.code

    def mid(self) -> int:
        """Return the message id of what is sent now."""
        return self.count & 0xFFFF


def peers(config: Config, numbers: list[int]) -> list[Peer]:
    """Return devices at the epochs that the database expects."""
    found = []
    with enrolment.opened(config) as opened:
        for number in numbers:
            name = named(number)
            row = opened.store._db.execute("SELECT chain FROM device WHERE name = ?", (name,))
            packed = opened.vault.open(b"chain", name.encode(), row.fetchone()[0])
            ctx = schedule.context(0, name.encode(), opened.id.encode())
            found.append(Peer(name, ctx, Chain.unpack(packed)))
    return found


class Wire:
    """A socket to a server, with so many datagrams on their way at once."""

    def __init__(self, address: tuple[str, int], window: int = WINDOW) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.connect(address)
        self.socket.setblocking(False)
        self.window = window

    def exchange(self, datagrams: list[bytes]) -> dict[bytes, bytes]:
        """Send all and return the answers by token; each has a token of 4 bytes of its own."""
        answers: dict[bytes, bytes] = {}
        sent = 0
        while len(answers) < len(datagrams):
            while sent < len(datagrams) and sent - len(answers) < self.window:
                self.socket.send(datagrams[sent])
                sent += 1
            if not select.select([self.socket], [], [], PATIENCE_S)[0]:
                break
            # An empty acknowledgement says that the answer is still to come.
            answers |= {each[4:8]: each for each in self._received() if len(each) > 4}
        return answers

    def _received(self) -> Iterator[bytes]:
        while True:
            try:
                yield self.socket.recv(2048)
            except BlockingIOError:
                return

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


def tokens(count: int) -> list[bytes]:
    """Return tokens of 4 bytes."""
    return [number.to_bytes(4, "big") for number in range(count)]
