"""The device's end: the real initiator, chain and store, in the order of client.py."""

from search.watch import WATCH, Violation

from skerry import coap, record, schedule
from skerry.chain import Chain
from skerry.errors import SkerryError
from skerry.initiator import Start, WaitMessage2
from skerry.session import Session
from skerry_device.errors import NotProvisioned
from skerry_device.store import ChainStore

NAME, HUB, SUITE = "d-1", "h-1", 0
CTX = schedule.context(SUITE, NAME.encode(), HUB.encode())
# Where the power can go, in bytes written since the message came: in the new slot (before it,
# torn, complete) and in the wipe of the old one. After both, it is a reboot.
CUTS = {
    "unwritten": 0,
    "torn": 50,
    "written": record.LENGTH,
    "half wiped": record.LENGTH + 50,
}


class PowerCut(Exception):
    """The power is gone: not an error that any code handles."""


class Flash:
    """Two slots in memory. With a budget, the power goes after so many bytes."""

    def __init__(self, first: bytes, erases: bool) -> None:
        self.slots = (first, b"")
        self.erases = erases  # a write sets the slot to FF first, as raw flash does
        self.budget: int | None = None

    def read(self, slot: int) -> bytes:
        return self.slots[slot]

    def write(self, slot: int, data: bytes) -> None:
        left = len(data)
        if self.budget is not None:
            left = min(left, self.budget)
            self.budget -= left
        before = b"\xff" * len(data) if self.erases else self.slots[slot]
        self._put(slot, data[:left] + before[left:] if left else self.slots[slot])
        if left < len(data):
            raise PowerCut

    def _put(self, slot: int, data: bytes) -> None:
        self.slots = (data, self.slots[1]) if slot == 0 else (self.slots[0], data)


class Device:
    """One board. Its flash outlives `boot`; everything else is RAM."""

    def __init__(self, flash: Flash) -> None:
        self.flash = flash
        self.highest_era = 0  # that was ever stored
        self.crossed = False  # rolled back across a change of era: out of claim
        self.boot()

    def boot(self) -> None:
        """Lose all RAM."""
        self.flash.budget = None
        self.note_era()
        self.store = ChainStore(self.flash)
        self.chain: Chain | None = None  # where the connect that runs began
        self.waiting: WaitMessage2 | None = None
        self.recovering = False  # the connect that runs is at its second attempt
        self.attempt = ""  # name of the last attempt
        self.drop_session()

    def drop_session(self) -> None:
        self.session: Session | None = None
        self.of = ""  # the attempt that the session came from
        self.used: Chain | None = None  # the epoch that the session came from
        self.confirmed = False
        self.answerer = 0  # the run of a hub that answered
        self.binding = None

    def connect(self) -> Chain:
        """Begin a connect and return the epoch of its first attempt. PowerCut."""
        self.waiting = self.chain = None
        self.recovering = False
        try:
            self.chain = Chain.unpack(self.store.load())
        except NotProvisioned:
            raise Violation("recovery", "nothing valid is left in flash") from None
        self._check_flash()
        return self.chain

    def recovery_epoch(self) -> Chain:
        """Return the epoch of the second attempt."""
        self.recovering = True
        return self.chain.next_era()

    def send(self, chain: Chain, n_d: bytes, attempt: str) -> bytes:
        """Return message 1."""
        if self.session is not None and not self.confirmed:
            self.drop_session()
        message_1, self.waiting = Start(CTX, SUITE, chain).send(n_d)
        self.attempt = attempt
        self.tried = chain
        return message_1

    def receive(self, message_2: bytes, answerer: int) -> bool:
        """Take what may be message 2; tell whether it led to a session. PowerCut."""
        if self.waiting is None:
            return False
        try:
            accepted = self.waiting.receive(message_2)
        except SkerryError:
            return False
        secret = accepted.persisted(self.store.save(accepted.record))
        session = Session(secret, SUITE)
        self.drop_session()
        self.session = session
        self.of, self.used, self.answerer = self.attempt, self.tried, answerer
        self.waiting = None
        self._check_flash()
        self.note_era()
        derived = WATCH.history.derived
        if derived.setdefault(session.fingerprint, self.of) != self.of:
            raise Violation("key", f"{self.of} has the key of {derived[session.fingerprint]}")
        return True

    def may_request(self) -> bool:
        """Only one request goes out before the session is confirmed."""
        return self.session is not None and (self.confirmed or not self.session.oscore.sequence)

    def request(self) -> tuple[str, bytes]:
        """Return the number and the datagram of a protected request."""
        self._check_erased()
        number = self.session.oscore.sequence
        payload = f"{self.of}#{number}".encode()
        inner = coap.Message(
            coap.POST, coap.path_options("r"), payload, coap.CON, number, bytes((number & 255,))
        )
        outer, self.binding = self.session.oscore.protect_request(inner)
        WATCH.history.sent[payload] = self.session.fingerprint
        return str(number), coap.encode(outer)

    def response(self, datagram: bytes) -> bool:
        """Take what may be the response to the last request; tell whether it verified."""
        if self.session is None or self.binding is None:
            return False
        try:
            self.session.oscore.unprotect_response(coap.decode(datagram), self.binding)
        except SkerryError:
            return False
        if self.session.fingerprint not in WATCH.history.confirmed:
            raise Violation("agreement", f"{self.of} is confirmed, but at no hub")
        self.confirmed = True
        return True

    def stored(self) -> Chain | None:
        """Return the chain in flash that counts, without touching it."""
        found = [each for each in map(record.unpack, self.flash.slots) if each]
        return Chain.unpack(max(found)[1]) if found else None

    def note_era(self) -> None:
        """Remember the highest era that was ever stored."""
        chain = self.stored()
        self.highest_era = max(self.highest_era, chain.era if chain else 0)

    def _check_flash(self) -> None:
        """After each load and each save, one record is there and nothing else."""
        valid = [each for each in map(record.unpack, self.flash.slots) if each]
        rest = [each for each in self.flash.slots if not record.unpack(each)]
        if len(valid) != 1 or any(map(any, rest)):
            raise Violation("erasure", "more than one record in flash")

    def _check_erased(self) -> None:
        """A session's epoch cannot be computed from flash once the session is used."""
        now = self.stored()
        if now is None or (now.era, now.step) <= (self.used.era, self.used.step):
            raise Violation("erasure", f"{self.of} is used before its epoch is left")
        if any(self.used.chain_key in slot for slot in self.flash.slots):
            raise Violation("erasure", f"{self.of} is used while its chain key is in flash")
