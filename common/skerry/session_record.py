"""A device's session as bytes: to outlive deep sleep or, where that is asked for, a power cut.

magic 1 | layout version 1 | suite 1 | era 4 | step 4 | MS 32 | next Partial IV 5 | window 9 |
failures 3 | age 4 | SHA-256 of CTX and all that, cut to 8                          = 72 bytes

The OSCORE keys follow from MS again. Whoever reads the record has the session, so it is wiped
wherever it was, and it is in one place at a time: who packs a session stops using it, who unpacks
one has wiped it first, or has reserved the Partial IVs before use (RFC 8613 appendix B.1.1).
"""

from hashlib import sha256

from skerry import replay
from skerry.chain import Chain
from skerry.errors import Exhausted
from skerry.primitives import const
from skerry.session import Session

LENGTH = const(72)
_HEAD = b"S\x01"
_MAX_FAILURES = const(0xFFFFFF)
_MAX_AGE = const(0xFFFFFFFF)
_MAX_SEQUENCE = const(0xFFFFFFFFFF)


def _check(ctx: bytes, body: bytes) -> bytes:
    return sha256(ctx + body).digest()[:8]


class SessionRecord:
    """What is left of a session when its keys are dropped.

    `era` and `step`: the epoch of its handshake; `sequence`: the first Partial IV that was not
    used; `window`: the hub's Partial IVs, packed (replay.py); `failures`: messages that did not
    verify; `age`: seconds since the handshake.
    """

    def __init__(
        self,
        suite: int,
        era: int,
        step: int,
        secret: bytes,
        sequence: int = 0,
        window: bytes = bytes(9),
        failures: int = 0,
        age: int = 0,
    ) -> None:
        """Take the session secret MS, 32 bytes, and where the session stands."""
        self.suite = suite
        self.era = era
        self.step = step
        self.secret = secret
        self.sequence = sequence
        self.window = window
        self.failures = failures
        self.age = age

    def pack(self, ctx: bytes) -> bytes:
        """Return 72 bytes that only the pair of this CTX unpacks; raise Exhausted."""
        if self.sequence > _MAX_SEQUENCE:
            raise Exhausted("Partial IVs used up: connect again")
        body = _HEAD + bytes((self.suite,))
        body += self.era.to_bytes(4, "big") + self.step.to_bytes(4, "big") + self.secret
        body += self.sequence.to_bytes(5, "big") + self.window
        body += min(self.failures, _MAX_FAILURES).to_bytes(3, "big")
        body += min(self.age, _MAX_AGE).to_bytes(4, "big")
        return body + _check(ctx, body)

    @staticmethod
    def unpack(ctx: bytes, packed: bytes) -> "SessionRecord | None":
        """Return the record, or None if the bytes are torn, foreign or of another length."""
        body = packed[:-8]
        if len(packed) != LENGTH or packed[:2] != _HEAD or packed[-8:] != _check(ctx, body):
            return None
        era, step = int.from_bytes(body[3:7], "big"), int.from_bytes(body[7:11], "big")
        sequence = int.from_bytes(body[43:48], "big")
        failures, age = int.from_bytes(body[57:60], "big"), int.from_bytes(body[60:], "big")
        return SessionRecord(body[2], era, step, body[11:43], sequence, body[48:57], failures, age)

    def leads_to(self, chain: Chain) -> bool:
        """Tell whether this chain stands where the session's handshake left it.

        If not, another handshake came after it, or the chain is another one: no session then.
        """
        return (self.era, self.step + 1) == (chain.era, chain.step)

    def restore(self) -> tuple[Session, replay.ReplayWindow]:
        """Return the session, which goes on at `sequence`, and its replay window."""
        session = Session(self.secret, self.suite)
        session.oscore.sequence = self.sequence
        return session, replay.ReplayWindow.unpack(self.window)
