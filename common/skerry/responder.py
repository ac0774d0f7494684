"""The hub's side of the handshake. Identify, look up and verify are three separate steps.

    identify(message 1) -> Hello       unauthenticated: the caller looks its pseudonym up
    Known(...).verify(hello, era) -> Verified   raises BadTag; nothing has changed. In two steps:
        Known(...).epoch(pid, era) -> Epoch     and Epoch.verify(hello)
    Verified.answer(n_h, time) -> message 2, session secret

The caller stores `Verified.chain` and `Verified.pending` durably before message 2 leaves.
"""

from skerry import schedule, wire, wire_hub
from skerry.chain import Chain
from skerry.errors import BadTag, Malformed
from skerry.oscore_server import ServerContext
from skerry.primitives import const, equal

RECOVERY_ERAS = const(16)  # how far a device may be ahead of its hub


class Hello:
    """Message 1 taken apart; `pid` is the pseudonym, 6 bytes."""

    def __init__(self, body: bytes, pid: bytes, tag: bytes) -> None:
        """Made by identify."""
        self.body = body
        self.pid = pid
        self.tag = tag


def identify(message_1: bytes) -> Hello:
    """Take message 1 apart; raise Malformed."""
    body, pid, tag = wire_hub.decode_message_1(message_1)
    return Hello(body, pid, tag)


class Pending:
    """An epoch that was answered and not yet confirmed: its pseudonym and its key EK."""

    def __init__(self, pid: bytes, ek: bytes) -> None:
        """Take 6 and 32 bytes."""
        self.pid = pid
        self.ek = ek


class Known:
    """What the hub holds of one device: the chain at the epoch it expects, and the one pending."""

    def __init__(self, ctx: bytes, suite: int, chain: Chain, pending: Pending | None) -> None:
        """Take CTX, the suite's number, and what was stored last."""
        self._ctx = ctx
        self._suite = suite
        self._chain = chain
        self._pending = pending

    def verify(self, hello: Hello, era: int) -> "Verified":
        """Authenticate message 1, whose pseudonym was looked up as one of `era`.

        Raises Malformed, or BadTag if it is not of this device. Costs 2 HMACs in the expected
        epoch, 1 in the pending one, and 2 more for each era that the device is ahead.
        """
        _refuse_other(hello, self._suite)
        epoch, reached = self.epoch(hello.pid, era)
        return epoch.verify(hello, reached)

    def epoch(self, pid: bytes, era: int) -> "tuple[Epoch, Chain | None]":
        """Return what a pseudonym stands for, and the chain there unless it is pending.

        Raises BadTag if that is no epoch within reach.
        """
        if self._pending is not None and self._pending.pid == pid:
            return Epoch(self._ctx, self._suite, self._pending), None
        reached = self._reach(era)
        pending = Pending(pid, schedule.epoch_key(reached.chain_key))
        return Epoch(self._ctx, self._suite, pending), reached

    def _reach(self, era: int) -> Chain:
        """Return the expected epoch, or the first one of a coming era."""
        if not 0 <= era - self._chain.era <= RECOVERY_ERAS:
            raise BadTag("an era out of reach")
        chain = self._chain
        while chain.era != era:
            chain = chain.next_era()
        return chain


class Epoch:
    """One epoch of one device, without its chain: enough to tell who made a message 1."""

    def __init__(self, ctx: bytes, suite: int, pending: Pending) -> None:
        """Made by Known.epoch."""
        self._ctx = ctx
        self._suite = suite
        self._pending = pending

    def made(self, hello: Hello) -> bool:
        """Tell whether the tag of a message 1 is this epoch's. Costs 1 HMAC."""
        expected = schedule.tag_1(self._pending.ek, self._ctx, hello.body, len(hello.tag))
        return equal(hello.tag, expected)

    def verify(self, hello: Hello, reached: Chain | None) -> "Verified":
        """Authenticate message 1: see Known. `reached` is what Known.epoch gave beside this."""
        _refuse_other(hello, self._suite)
        if not self.made(hello):
            raise BadTag("message 1")
        return Verified(self._ctx, hello, self._pending, reached)


def _refuse_other(hello: Hello, suite: int) -> None:
    if wire.suite_of(hello.body[0]) != suite:
        raise Malformed("another suite than provisioned")


class Verified:
    """A message 1 that its device made.

    `pending` is the epoch to keep until it is confirmed; `chain` the chain to store with it, or
    None if this epoch was stored before and the answer is only sent again.
    """

    def __init__(self, ctx: bytes, hello: Hello, pending: Pending, reached: Chain | None) -> None:
        """Made by Known.verify."""
        self._ctx = ctx
        self._hello = hello
        self.pending = pending
        self.chain = None if reached is None else reached.next_step()

    def answer(self, n_h: bytes, time: int) -> tuple[bytes, bytes]:
        """Return message 2 and the session secret MS (32 bytes).

        N_H: 8 bytes, the same for an epoch as long as this process lives and never after it.
        `time`: 1/256 s since 1970, or 0 if unknown; sent if the device asked for it.
        """
        body_1, ek = self._hello.body, self.pending.ek
        header = wire_hub.header_2(wire.suite_of(body_1[0]), wire_hub.wants_time(body_1[0]))
        body_2 = wire_hub.body_2(header, n_h, time)
        tag = schedule.tag_2(ek, self._ctx, body_1, body_2, len(self._hello.tag))
        return body_2 + tag, schedule.session_secret(ek, self._ctx, body_1, header, n_h)


class HubSession:
    """The hub's end of a session.

    `kid`: the device's Sender ID, 3 bytes; `oscore`: the security context; `fingerprint`: eight
    hexadecimal digits that both ends show; `secret`: MS, kept for what is exported from it.
    """

    def __init__(
        self, secret: bytes, suite: int, context: "type[ServerContext]" = ServerContext
    ) -> None:
        """Derive everything from the session secret MS (32 bytes)."""
        self.secret = secret
        key, salt, self.kid = schedule.oscore_secrets(secret)
        self.oscore = context(key, salt, b"", self.kid, None, wire.SUITES[suite][1])
        self.fingerprint = schedule.fingerprint(secret)
