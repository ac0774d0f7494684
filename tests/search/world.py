"""A device, a hub and an attacker between them; every step is one of the methods `do` names.

The attacker keeps every message ever sent (`air`) and delivers any of them, at any time, any
number of times, to any run of the hub or any device: so messages are dropped, replayed, doubled,
reordered and delayed. It also keeps every state of a store, and puts back what it likes.
"""

import pickle
from collections import Counter
from io import BytesIO

from search.device import CTX, CUTS, Device, Flash, PowerCut
from search.hub import Database, Process
from search.watch import WATCH, History

from skerry import coap, provisioning, record
from skerry.chain import Chain

_MASTER_KEY = bytes(range(32))
Move = tuple  # (verb, arguments...)


class World:
    """One state. `save` and `load` take it back and forth."""

    def __init__(self, runs: int = 1, erases: bool = False) -> None:
        """`runs`: how many processes of the hub share the database."""
        chain = provisioning.first_epoch(_MASTER_KEY, CTX)
        WATCH.history, WATCH.drawn = History(), 0
        self.database = WATCH.database = Database(chain)
        self.starts = 0
        self.processes = [self._started() for _ in range(runs)]
        self.devices = [Device(Flash(record.pack(1, chain.pack()), erases))]
        self.air: dict[str, bytes] = {}
        self.images = (self.database.rows(),)  # of the hub's database, one a commit
        self.flashes: tuple[tuple[bytes, bytes], ...] = ()  # of devices, before each save
        self.restored = self.cloned = False
        self.used: Counter[str] = Counter()  # how often the attacker did what

    def _started(self) -> Process:
        self.starts += 1
        return Process(self.database, self.starts)

    def do(self, move: Move) -> None:
        """Make one step."""
        self.used[move[0]] += 1
        getattr(self, move[0])(*move[1:])

    # What devices do by themselves.

    def attempt(self, device: int) -> None:
        """Connect: first attempt."""
        board = self.devices[device]
        try:
            chain = board.connect()
        except PowerCut:
            board.boot()
        else:
            self._send_1(board, chain)

    def recover(self, device: int) -> None:
        """Connect: second attempt, after the first one stayed silent."""
        board = self.devices[device]
        self._send_1(board, board.recovery_epoch())

    def _send_1(self, board: Device, chain: Chain) -> None:
        epoch = f"1 {chain.era}.{chain.step}:"
        number = sum(name.startswith(epoch) for name in self.air)
        n_d = b"".join(n.to_bytes(2, "big") for n in (chain.era, chain.step, number, 0))
        attempt = f"{epoch[2:]}{number}"
        message_1 = board.send(chain, n_d, attempt)
        outer = coap.Message(coap.POST, coap.path_options("k"), message_1, token=b"t")
        self._put("1 " + attempt, coap.encode(outer))

    def request(self, device: int) -> None:
        """Send a request in the session there is."""
        board = self.devices[device]
        number, datagram = board.request()
        self._put(f"q {board.of}#{number}", datagram)

    # What the network does.

    def deliver(self, run: int, message: str) -> None:
        """Give a message 1 or a request to a hub."""
        self._answered(run, message, self.processes[run].receive(self.air[message]))

    def hear(self, device: int, message: str) -> bool:
        """Give a message 2 or a response to a device; tell whether it led on."""
        board, datagram = self.devices[device], self.air[message]
        if message[0] == "r":
            return board.response(datagram)
        before = board.flash.slots
        try:
            accepted = board.receive(coap.decode(datagram).payload, int(message.split("/")[1]))
        except PowerCut:
            accepted = True
            board.boot()
        if accepted and before not in self.flashes:
            self.flashes += (before,)
        return accepted

    def _answered(self, run: int, message: str, answers: list[bytes]) -> None:
        """Record what a hub sent; an unprotected 4.01 is a hint and carries nothing."""
        kind = {"1": "2", "q": "r"}[message[0]]
        for each in answers:
            if coap.decode(each).code != coap.UNAUTHORIZED:
                self._put(f"{kind}{message[1:]}/{self.processes[run].number}/", each)
        self._note_commit()

    def _put(self, name: str, datagram: bytes) -> None:
        while self.air.get(name, datagram) != datagram:
            name += "'"
        if name not in self.air:
            self.air = dict(sorted([*self.air.items(), (name, datagram)]))

    def _note_commit(self) -> None:
        rows = self.database.rows()
        if rows not in self.images:
            self.images += (rows,)

    # What goes wrong.

    def cut(self, device: int, message: str, where: str) -> None:
        """Give a message 2 to a device whose power goes while it stores."""
        self.devices[device].flash.budget = CUTS[where]
        self.hear(device, message)
        self.devices[device].flash.budget = None

    def cut_load(self, device: int) -> None:
        """The power goes at boot, in the wipe that an earlier cut left to do."""
        self.devices[device].flash.budget = CUTS["torn"]
        self.attempt(device)
        self.devices[device].flash.budget = None

    def reboot(self, device: int) -> None:
        """A device loses its RAM."""
        self.devices[device].boot()

    def rollback(self, device: int, image: int) -> None:
        """A device's flash shows an older image, and it starts from there."""
        board = self.devices[device]
        board.flash.slots = self.flashes[image]
        board.crossed = board.stored().era < board.highest_era
        board.boot()

    def clone(self, device: int) -> None:
        """A second board is made from the image of one."""
        board = self.devices[device]
        twin = Flash(b"", board.flash.erases)
        twin.slots = board.flash.slots
        self.devices.append(Device(twin))
        self.devices[-1].highest_era = board.highest_era
        self.cloned = True

    def restart(self, run: int) -> None:
        """A hub ends, and starts again."""
        self.processes[run] = self._started()

    def die(self, run: int, message: str) -> None:
        """A hub dies after its commit, before it answers or acts; then it starts again."""
        try:
            self.processes[run].receive(self.air[message], "dies")
        except PowerCut:
            self._note_commit()
        self.restart(run)

    def fail(self, run: int, message: str, how: str) -> None:
        """A hub's store fails, before or after its commit; the hub goes on."""
        self._answered(run, message, self.processes[run].receive(self.air[message], how))

    def restore(self, image: int) -> None:
        """The database shows an older commit, under hubs that run on."""
        self.database.restore(self.images[image])
        self.restored = True
        for process in self.processes:
            process.undisturbed = False

    def look_up(self, run: int, message: str) -> None:
        """A slow hub reads what a message 1 asks for, and then others are faster."""
        self.processes[run].look_up(self.air[message])
        self.processes[run].slow = message

    def go_on(self, run: int) -> None:
        """The slow hub goes on from what it read."""
        process = self.processes[run]
        message, process.slow = process.slow, None
        self._answered(run, message, process.go_on(self.air[message]))

    def session(self, device: int, run: int) -> None:
        """A connect and a request that nobody disturbs."""
        if self.connects(device, run):
            self.exchange(device, run)

    # Steps of many, which `session` and the checks make.

    def connects(self, device: int, run: int) -> bool:
        """Both attempts of a connect, undisturbed; tell whether there is a session."""
        for attempt in (self.attempt, self.recover):
            before = set(self.air)
            attempt(device)
            (message,) = set(self.air) - before
            if self._round_trip(device, run, message, "2"):
                return True
        return False

    def exchange(self, device: int, run: int) -> bool:
        """A request and its response, undisturbed; tell whether it verified."""
        board = self.devices[device]
        number = board.session.oscore.sequence
        self.request(device)
        message = f"q {board.of}#{number}"
        while message + "'" in self.air:
            message += "'"
        return self._round_trip(device, run, message, "r")

    def _round_trip(self, device: int, run: int, message: str, kind: str) -> bool:
        """Deliver a message and its answer; tell whether the device took it."""
        self.deliver(run, message)
        answers = f"{kind}{message[1:]}/{self.processes[run].number}/"
        return any(self.hear(device, name) for name in self.air if name.startswith(answers))

    # Back and forth.

    def save(self) -> tuple:
        """Return this state as a value."""
        return (
            self.used.copy(), self.starts, WATCH.drawn, self.restored, self.cloned, self.air,
            self.images, self.flashes, self.database.rows(), WATCH.history.copy(),
            pickle.dumps((self.devices, self.processes), 5),
        )  # fmt: skip

    def load(self, saved: tuple) -> None:
        """Go to a state that was saved."""
        (
            used, self.starts, WATCH.drawn, self.restored, self.cloned, self.air,
            self.images, self.flashes, rows, history, ends,
        ) = saved  # fmt: skip
        self.used, WATCH.history = used.copy(), history.copy()
        self.database.restore(rows)
        WATCH.database = self.database
        self.devices, self.processes = pickle.loads(ends)

    def key(self) -> int:
        """Return a hash of all that makes a state, the attacker's memory included."""
        return hash((
            tuple(sorted(self.used.items())), self.restored, self.cloned, tuple(self.air.items()),
            self.images, self.flashes, self.database.rows(), WATCH.history.key(),
            *map(content, (*self.devices, *self.processes)),
        ))  # fmt: skip


def content(end: Device | Process) -> bytes:
    """Return all that is in the memory of an end, and in flash: the same bytes for equal ends."""
    out = BytesIO()
    pickler = pickle.Pickler(out, 5)
    pickler.fast = True  # what several share is written several times
    pickler.dump(end)
    return out.getvalue()
