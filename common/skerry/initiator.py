"""The device's side of the handshake: one class a state, one method that leads on.

    Start.send(n_d) -> message 1, WaitMessage2
                                  WaitMessage2.receive(message 2) -> Accepted
                                  (a bad message raises; the state still waits)
                                       Accepted.persisted(read back) -> session secret

The session secret comes out only against the record of the next epoch as it was read back from
the store: a key that is used before its chain has moved on cannot be written.
"""

from skerry import schedule, wire
from skerry.chain import Chain
from skerry.errors import BadTag, Malformed, NotPersisted
from skerry.primitives import equal


class Start:
    """An epoch that no message was sent in yet. To recover, start from `chain.next_era()`."""

    def __init__(self, ctx: bytes, suite: int, chain: Chain) -> None:
        """Take CTX (schedule.context), the suite's number and the device's chain."""
        self._ctx = ctx
        self._suite = suite
        self._chain = chain

    def send(self, n_d: bytes, time: bool = True) -> "tuple[bytes, WaitMessage2]":
        """Return message 1 and the next state. N_D: 8 bytes, never used before.

        The message may be sent any number of times; a new attempt takes a new N_D.
        """
        ek = schedule.epoch_key(self._chain.chain_key)
        pid = schedule.pseudonym(self._chain.chain_key)
        body = wire.body_1(wire.header_1(self._suite, time), pid, n_d)
        tag = schedule.tag_1(ek, self._ctx, body, wire.SUITES[self._suite][0])
        return body + tag, WaitMessage2(self._ctx, self._chain, ek, body)


class WaitMessage2:
    """Message 1 is on its way; only an answer to this very attempt leads on."""

    def __init__(self, ctx: bytes, chain: Chain, ek: bytes, body_1: bytes) -> None:
        """Made by Start.send."""
        self._ctx = ctx
        self._chain = chain
        self._ek = ek
        self._body_1 = body_1

    def receive(self, message_2: bytes) -> "Accepted":
        """Return the next state; raise Malformed or BadTag and go on waiting."""
        body, n_h, time, tag = wire.decode_message_2(message_2)
        header = body[0]
        if (header ^ self._body_1[0]) & 0x0F:
            raise Malformed("suite or time bit")
        if not equal(tag, schedule.tag_2(self._ek, self._ctx, self._body_1, body, len(tag))):
            raise BadTag("message 2")
        secret = schedule.session_secret(self._ek, self._ctx, self._body_1, header, n_h)
        return Accepted(self._chain.next_step().pack(), secret, time)


class Accepted:
    """The hub is authenticated. `record` has to be stored before the secret may be used.

    `record`: the chain at the next epoch, packed, 72 bytes. `time`: the hub's time in 1/256 s
    since 1970, 0 if the hub does not know it, None if it was not asked for.
    """

    def __init__(self, record: bytes, secret: bytes, time: int | None) -> None:
        """Made by WaitMessage2.receive."""
        self.record = record
        self.time = time
        self._secret = secret

    def persisted(self, read_back: bytes) -> bytes:
        """Return the session secret MS, 32 bytes, or raise NotPersisted."""
        if read_back != self.record:
            raise NotPersisted("epoch not stored")
        return self._secret
