"""A hub with devices in every state, the same bytes in every process, and what they have sent.

    d-new    never connected           d-live   in a session, four requests answered
    d-wait   answered, not confirmed   d-long   the same in suite 1
    d-gone   revoked

`spent`: datagrams that the hub has had; it may answer some again but must not act on them.
`fresh`: datagrams that it has not had. Only their payloads, as they are, may move anything.
"""

import asyncio
import logging
import shutil
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

from desk import DeskDevice, DeskHub, SocketPath

from skerry import coap, provisioning, schedule
from skerry.session import Session
from skerry_hub import enrolment
from skerry_hub.config import Config
from skerry_hub.enrolment import coming
from skerry_hub.oscore_bytes import HubSession
from skerry_hub.sessions import Live
from skerry_hub.store import NewDevice

HUB = "hub.example"
DEVICES = {"d-new": 0, "d-wait": 0, "d-live": 0, "d-long": 1, "d-gone": 0}
LIVES = 2000  # datagrams until aiocoap's memory of them is thrown away


class Loud(logging.Handler):
    """Keeps what is logged as an error: aiocoap catches what a resource raises, and logs it."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.records = []

    def emit(self, record):
        if record.exc_info or not record.name.endswith("blockwise-requester"):
            self.records.append(record)  # that one complains of what a device answers


class Device(DeskDevice):
    """A device of a known key, without a bundle."""

    def __init__(self, name, suite):
        self.suite = suite
        self.ctx = schedule.context(suite, name.encode(), HUB.encode())
        self.chain = provisioning.first_epoch(schedule.sha256(name.encode()).digest(), self.ctx)
        self.session = None
        self.mid = self.nonce = 0


class World:
    """Use `receive`; call `close` at the end."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.trouble = []
        self.count = 100
        self.loop.set_exception_handler(lambda loop, context: self.trouble.append(context))
        self.loud = Loud()
        for name in ("coap", "coap-server"):
            logging.getLogger(name).addHandler(self.loud)
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        self._fill(self.folder)

    def _fill(self, folder):
        config = Config.of(data=str(folder / "data"), environ={})
        enrolment.init(config, HUB)
        self.opened = enrolment.open_hub(config)
        self.db = self.opened.store._db
        self.devices = {name: self._enrolled(name, suite) for name, suite in DEVICES.items()}
        self.loop.run_until_complete(self._begin())

    def _enrolled(self, name, suite):
        device = Device(name, suite)
        chain, vault = device.chain, self.opened.vault
        row = NewDevice(
            name, "", suite, 0, 0, schedule.pseudonym(chain.chain_key),
            vault.seal(b"chain", name.encode(), chain.pack()), "", 0.0,
        )  # fmt: skip
        self.opened.store.enroll(row, coming(chain))
        return device

    async def _begin(self):
        self.desk = DeskHub(self.opened)
        self.desk.handshakes._nonce_key = bytes(32)
        self.spent, self.answers, self.fresh = [], [], []
        for name, device in self.devices.items():
            attempt = device.attempt()
            if name == "d-new":
                self.fresh += [attempt, device.attempt(recover=True)]
                continue
            answers = await self._spend(attempt)
            device.accept(answers)
            if name == "d-wait":
                self.fresh += [device.request(), device.attempt(), device.attempt(recover=True)]
                continue
            for number in range(4):
                code = coap.GET if number == 3 else coap.POST
                device.response(await self._spend(device.request(b"%d" % number, code)))
            self.fresh += [device.request(), device.request(b"", coap.GET, ".well-known/core")]
            if name == "d-gone":
                self.opened.store.revoke(name)
                self.desk.sessions.drop(self.opened.store.device(name).id)
        self.authentic = {coap.decode(each).payload for each in self.fresh}

    async def _spend(self, datagram):
        self.spent.append(datagram)
        answers = await self.desk.ask(datagram)
        self.answers += answers
        return answers

    def rows(self):
        """Everything that the database holds, readings last; how many a device has is not there."""
        columns = [row[1] for row in self.db.execute("PRAGMA table_info(device)")]
        of_device = ", ".join(each for each in columns if "reading" not in each)
        tables = ("coming", "meta", "reading")
        return [self.db.execute(f"SELECT {of_device} FROM device").fetchall()] + [
            self.db.execute(f"SELECT * FROM {each}").fetchall() for each in tables
        ]

    def sessions(self):
        """Everything that memory holds of sessions."""
        found = []
        for number, known in sorted(self.desk.sessions._devices.items()):
            every = [*known.offered.values(), *([known.current] if known.current else [])]
            held = [
                (
                    each.session.kid,
                    each.confirmed,
                    each.session.oscore.sequence,
                    each.session.oscore.window._highest,
                    each.session.oscore.window._seen,
                    list(each.recent),
                )
                for each in every
            ]
            found.append((number, known.seen, list(known.offered), held))
        return found, {kid: len(each) for kid, each in self.desk.sessions._by_kid.items()}

    def session(self, name):
        """Give a device a new session without a handshake; return it."""
        self.count += 1
        secret, row = self.count.to_bytes(32, "big"), self.opened.store.device(name)
        live = Live(row.id, name, b"pid", (row.era, row.step), HubSession(secret, row.suite))
        self.desk.sessions.offer(live, secret, b"message 2")
        self.desk.sessions.promote(live)
        with self.opened.store._writing() as db:
            noted = live.session.fingerprint, row.id
            db.execute("UPDATE device SET session_fingerprint = ? WHERE id = ?", noted)
        return Session(secret, row.suite)

    def receive(self, datagram, peer=None):
        """Give the hub a datagram, of a new peer unless named; return its answers.

        What fails inside is raised here.
        """
        self.count += 1
        peer = self.count if peer is None else peer
        answers = self.loop.run_until_complete(self._receive(datagram, peer))
        assert not self.trouble, self.trouble
        assert not self.loud.records, [each.getMessage() for each in self.loud.records]
        return answers

    async def _receive(self, datagram, peer):
        self.desk.front._plain.left = 200.0  # the limit would hide what lies behind it
        self.desk.front.receive([(datagram, SocketPath(self.desk._ours, ("fuzz", peer), ()))])
        for _ in range(6):
            await asyncio.sleep(0)
        answers = []
        with suppress(BlockingIOError):
            while True:
                answers.append(self.desk._theirs.recv(4096))
        return answers

    def close(self):
        for name in ("coap", "coap-server"):
            logging.getLogger(name).removeHandler(self.loud)
        with suppress(Exception):
            self.loop.run_until_complete(self.desk.front._bridge.close())
        for each in asyncio.all_tasks(self.loop):
            each.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()
        self.opened.close()
        for each in (self.desk._ours, self.desk._theirs):
            each.shutdown(socket.SHUT_RDWR)
            each.close()
        shutil.rmtree(self.folder)


class Worlds:
    """The world of now: a new one after some datagrams, or when one of them moved it."""

    def __init__(self):
        self._world = None
        self._lives = 0

    def __call__(self):
        if self._world is None:
            self._world, self._lives = World(), LIVES
        self._lives -= 1
        return self._world

    def end(self, now=False):
        """Say that a datagram is done, and whether the world has to end `now`."""
        if self._world is not None and (now or self._lives <= 0):
            world, self._world = self._world, None
            world.close()
