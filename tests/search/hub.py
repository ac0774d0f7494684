"""The hub's end: the real Front, Handshakes, Sessions and SQL; the database is in memory.

How durable a commit of SQLite is, is not searched here. A commit either happened, and then any
later fault finds it, or it did not.
"""

import copyreg
import math
import sqlite3
from pathlib import Path
from types import SimpleNamespace

from search.device import HUB, NAME, SUITE, PowerCut
from search.watch import WATCH, Violation

from skerry import coap, responder, schedule
from skerry.chain import Chain
from skerry_hub import enrolment
from skerry_hub.errors import StoreError
from skerry_hub.front import Front
from skerry_hub.handshakes import Handshakes
from skerry_hub.remote import Remote
from skerry_hub.sessions import Live, Sessions
from skerry_hub.sieve import Sieve
from skerry_hub.store import Advance, NewDevice, sqlite
from skerry_hub.store.moves import Moves
from skerry_hub.vault import Vault, new_row_key

Rows = tuple[tuple, tuple, tuple]  # of device, coming and meta

_SCHEMA = Path(sqlite.__file__).with_name("schema.sql").read_text()


class Database(sqlite.SqliteStore):
    """The real store on a database in memory that can be put back to any earlier commit."""

    def __init__(self, chain: Chain) -> None:
        self._path, self._file = Path(":memory:"), None
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        self._db.executescript(_SCHEMA)
        self._moves = Moves(self._db)
        self._ledger, self._seals = sqlite.Ledger(self._db), sqlite.Seals(self._db)
        kek = bytes(32)
        self.vault = Vault(kek, HUB, new_row_key(kek, HUB))
        sealed = self.vault.seal(b"chain", NAME.encode(), chain.pack())
        pid = schedule.pseudonym(chain.chain_key)
        new = NewDevice(NAME, "", SUITE, chain.era, chain.step, pid, sealed, "00000000", 0.0)
        self.enroll(new, enrolment.coming(chain))
        described = self._db.execute("PRAGMA table_info(device)")
        self._columns = [row[1] for row in described]
        self._rows: Rows | None = None

    def __reduce__(self) -> tuple:
        return _the_database, ()

    def rows(self) -> Rows:
        """Return all that the database holds of devices."""
        if self._rows is None:
            read = self._db.execute
            self._rows = (
                read("SELECT * FROM device").fetchone(),
                tuple(read("SELECT pid, device, era FROM coming ORDER BY pid").fetchall()),
                tuple(read("SELECT * FROM meta").fetchall()),
            )
        return self._rows

    def restore(self, rows: Rows) -> None:
        """Put an image back."""
        if rows is self._rows:
            return
        with self._writing() as db:
            for table in ("coming", "device", "meta"):
                db.execute(f"DELETE FROM {table}")
            marks = ",".join("?" * len(rows[0]))
            db.execute(f"INSERT INTO device VALUES ({marks})", rows[0])
            db.executemany("INSERT INTO coming VALUES (?,?,?)", rows[1])
            db.executemany("INSERT INTO meta VALUES (?,?)", rows[2])
        self._moves.pseudonyms.load()  # as after any restore: tests/hub/test_store_batches.py
        self._rows = rows

    def _writing(self):
        self._rows = None
        return super()._writing()

    def hub_row(self) -> SimpleNamespace:
        """Return the device's row by column."""
        return SimpleNamespace(**dict(zip(self._columns, self.rows()[0], strict=True)))


def _the_database() -> Database:
    return WATCH.database


def _the_vault() -> Vault:
    return WATCH.database.vault


copyreg.pickle(Vault, lambda vault: (_the_vault, ()))


class View:
    """The store as one process sees it. It may be slow; at its next write it may fail or die."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.read = None  # what was looked up before others went on: of now, of coming eras
        self.fate = ""  # "fails", "fails late": after the commit, or "dies" after it

    def next_start(self) -> int:
        return self._write(self.database.next_start)

    def candidates(self, pids):
        return self.database.candidates(pids) if self.read is None else self.read[0]

    def coming(self, pids):
        return self.database.coming(pids) if self.read is None else self.read[1]

    def write(self, batch) -> list[bool]:
        now = self.database.hub_row()
        done = self._write(self.database.write, batch)
        for each, ok in zip(batch, done, strict=True):
            if ok and isinstance(each, Advance) and (each.era, each.step) <= (now.era, now.step):
                raise Violation(
                    "forward", f"the hub goes from {now.era}.{now.step} to {each.era}.{each.step}"
                )
        return done

    def _write(self, write, *arguments):
        if self.fate == "fails":
            raise StoreError("disk full")
        done = write(*arguments)
        if done and done != [False] and self.fate == "fails late":
            raise StoreError("disk failed, but not before the commit")
        if done and done != [False] and self.fate == "dies":
            raise PowerCut
        return done


class Application:
    """Stands where bridge.py stands: notes each request and answers it."""

    def __init__(self, view: View, run: int) -> None:
        self.view = view
        self.run = run

    def receive(self, datagram: bytes, remote: Remote) -> None:
        inner = coap.decode(datagram)
        live, history = remote.live, WATCH.history
        if live is None:
            raise Violation("agreement", "a request came in plain")
        fingerprint = live.session.fingerprint
        if history.sent.get(inner.payload) != fingerprint:
            raise Violation("agreement", "a request that the device never sent")
        if inner.payload in history.executed:
            raise Violation("once", f"request {inner.payload.decode()} is carried out again")
        if fingerprint not in history.executed.values():
            self._first_request(live)
        history.executed[inner.payload] = fingerprint
        answer = coap.Message(
            coap.CHANGED, [], len(history.executed).to_bytes(2, "big"), coap.ACK, inner.mid,
            inner.token,
        )  # fmt: skip
        remote.path.send(live.seal(answer, remote.exchange))

    def _first_request(self, live: Live) -> None:
        """Before the first request counts, its epoch is gone for good."""
        history, fingerprint = WATCH.history, live.session.fingerprint
        if fingerprint not in history.derived:
            raise Violation("agreement", "the hub confirms a session that no device had")
        if fingerprint in history.confirmed:
            raise Violation("once", f"{history.derived[fingerprint]} is confirmed again")
        row = self.view.database.hub_row()
        if row.pending_pid == live.pid:
            raise Violation("erasure", "a request counts before its epoch is erased")
        if (row.era, row.step) <= live.epoch:
            raise Violation("erasure", "the hub can still compute the session it confirms")
        history.confirmed[fingerprint] = self.run


class Air:
    """A way back: collects what the hub sends. Stands where udp.Path stands.

    A session remembers its last one, and they are all alike.
    """

    peer = address = ("air", 1)

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, datagram: bytes) -> None:
        self.sent.append(datagram)

    def __reduce__(self) -> tuple:
        return Air, ()


class _Uncounted(dict):
    """Counters are for people; to states they make no difference."""

    def __missing__(self, cause: str) -> int:
        return 0

    def __setitem__(self, cause: str, count: int) -> None:
        pass

    def __reduce__(self) -> str:
        return "UNCOUNTED"


UNCOUNTED = _Uncounted()


class _Unnoticed:
    """What failed lately is for people, too."""

    def recovered(self, candidate) -> None:
        pass

    def unanswered(self, message_1, path) -> None:
        pass

    def unknown_session(self, path) -> None:
        pass

    def __reduce__(self) -> str:
        return "UNNOTICED"


UNNOTICED = _Unnoticed()


class Process:
    """One run of a hub, from its start on."""

    def __init__(self, database: Database, number: int) -> None:
        self.number = number
        self.view = View(database)
        self.undisturbed = True  # nobody restored its database while it ran
        self.slow: str | None = None  # the message it is at, having read and not written
        self.sessions = Sessions()
        self.handshakes = Handshakes(HUB, self.view, database.vault, self.sessions)
        self.front = Front(
            self.handshakes, self.sessions, self.view, Application(self.view, number)
        )
        self.handshakes.counts = self.front.counts = UNCOUNTED
        self.handshakes.failures = UNNOTICED
        self.handshakes.sieve = Sieve(math.inf)  # no time passes here

    def receive(self, datagram: bytes, fate: str = "") -> list[bytes]:
        """Give the front a datagram and return what it sends. PowerCut if it dies."""
        air = Air()
        self.view.fate = fate
        WATCH.hmacs = 0
        self.front.receive([(datagram, air)])
        self.view.fate = ""
        self.front._next_mid, self.front._next_complaint = 0, 0.0
        for bucket in (self.front._news, self.handshakes._warnings):  # of the log: for people
            bucket.left = bucket.rate
        # Beside the usual 7: 2 for each era to get there, 3 for each new pseudonym.
        if WATCH.hmacs > 7 + 5 * responder.RECOVERY_ERAS:
            raise Violation("bounded", f"{WATCH.hmacs} HMACs for one message")
        return air.sent

    def look_up(self, datagram: bytes) -> None:
        """Read what message 1 asks for, and be slow from then on."""
        pids, database = [coap.decode(datagram).payload[1:7]], self.view.database
        self.view.read = database.candidates(pids), database.coming(pids)

    def go_on(self, datagram: bytes) -> list[bytes]:
        """Handle the message with what was read before."""
        try:
            return self.receive(datagram)
        finally:
            self.view.read = None
