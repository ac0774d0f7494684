"""Messages 1 in, messages 2 out: the hub's handshake as a list of steps.

    again       message 2 as it was sent before, to the very same message 1
    verify      identify, look up, check the tag: a Reply, and nothing has changed
    (front.py)  make its write durable, together with those of others
    answer      message 2, and the session that it offers

Everything that fails is silent on the air. The new state is durable before message 2 exists.
"""

import hashlib
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from skerry import responder, schedule
from skerry.chain import MAX_STEP, Chain
from skerry.errors import Malformed, SkerryError
from skerry.primitives import hmac_sha256
from skerry_hub.bucket import Bucket
from skerry_hub.enrolment import coming
from skerry_hub.failures import Failures
from skerry_hub.oscore_bytes import HubSession
from skerry_hub.sessions import Live, Sessions
from skerry_hub.sieve import Sieve
from skerry_hub.store import Advance, Candidate, Store
from skerry_hub.vault import Vault, VaultError

_WARNINGS_PER_S = 5.0
_AGAIN_S = 10.0  # retransmissions come within it; later ones ask the store whether all still holds
_CLOCK_IS_SET = 1_735_689_600  # 2025-01-01: a clock before that was never set

Found = dict[bytes, list[Candidate]]
Reached = tuple[responder.Epoch | None, Chain | None]
Tried = dict[bytes, dict[int, Reached]]  # by pseudonym and number of the device
Search = Callable[[Collection[bytes]], Found]

log = logging.getLogger(__name__)


def fresh_nonce_key(starts: int) -> bytes:
    """Return NK, 32 bytes, the key of this process's nonces N_H.

    The start counter and the clock keep it from repeating should the generator do so.
    """
    clock = time.time_ns().to_bytes(16, "big")
    return hashlib.sha256(os.urandom(32) + starts.to_bytes(8, "big") + clock).digest()


def hub_time() -> int:
    """Return the time in 1/256 s since 1970, or 0 if this machine's clock cannot be right."""
    now = int(time.time() * 256)
    return now if _CLOCK_IS_SET * 256 < now < 1 << 40 else 0


def _coming(candidate: Candidate, chain: Chain) -> list[tuple[bytes, int]]:
    """Return the pseudonyms (pid, era) of the eras that come into reach with a chain."""
    if chain.era == candidate.era:
        return []
    reach = candidate.era + responder.RECOVERY_ERAS
    return [each for each in coming(chain) if each[1] > reach]


def _look_up(search: Search, hellos: Iterable[responder.Hello | None]) -> Found:
    return search({hello.pid for hello in hellos if hello is not None})


class Reply(NamedTuple):
    """A message 1 that verified. `write` has to be done before it is answered, if there is one."""

    hello: responder.Hello
    candidate: Candidate
    verified: responder.Verified
    write: Advance | None


class Handshakes:
    """Answers message 1. `counts` tells what became of each, by cause."""

    def __init__(self, hub: str, store: Store, vault: Vault, sessions: Sessions) -> None:
        """Take the hub's id and the parts it works on."""
        self._hub = hub.encode()
        self._store = store
        self._vault = vault
        self._sessions = sessions
        self._nonce_key = fresh_nonce_key(store.next_start())
        self._warnings = Bucket(_WARNINGS_PER_S)
        self.failures = Failures(store, sessions)
        self.sieve = Sieve()
        self.counts: Counter[str] = Counter()

    def again(self, message_1: bytes) -> bytes | None:
        """Return message 2 if this very message 1 was answered just now and is not confirmed."""
        live = self._sessions.offered(message_1)
        if live is None or time.monotonic() - live.answered_at > _AGAIN_S:
            return None
        self.counts["answered again"] += 1
        return live.answered

    def verify(self, messages_1: Sequence[bytes]) -> list[Reply | None]:
        """Return for each message 1 what it leads to, or None to stay silent. Nothing changes."""
        hellos = [self._identify(each) for each in messages_1]
        tried: Tried = {}
        found = _look_up(self._store.candidates, hellos)
        replies = [self._verify(hello, found, tried) for hello in hellos]
        left = [None if reply else hello for hello, reply in zip(hellos, replies, strict=True)]
        if any(left):  # unknown, or of a device that recovers
            ahead = _look_up(self._store.coming, left)
            replies = [old or self._verify(hello, ahead, tried)
                       for old, hello in zip(replies, left, strict=True)]  # fmt: skip
            self._note_failed([hello.pid for hello, reply in zip(left, replies, strict=True)
                               if hello and not reply], tried)  # fmt: skip
        return replies

    def _note_failed(self, pids: list[bytes], tried: Tried) -> None:
        """Count what is of nobody, and remember the epochs that all of them were tried for."""
        self.counts["unknown"] += sum(pid not in tried for pid in pids)
        for pid in tried.keys() & pids:
            epochs = [epoch for epoch, _ in tried[pid].values() if epoch]
            if len(epochs) == len(tried[pid]):  # none whose key does not open, for now
                self.sieve.keep(pid, epochs)

    def _identify(self, message_1: bytes) -> responder.Hello | None:
        """Take a message 1 apart; None if it is none, or is known to be forged."""
        try:
            hello = responder.identify(message_1)
        except Malformed:
            self.counts["malformed"] += 1
            return None
        if self.sieve.stops(hello):
            self.counts["bad tag"] += 1
            return None
        return hello

    def _verify(self, hello: responder.Hello | None, found: Found, tried: Tried) -> Reply | None:
        """Find out which device made a message 1."""
        if hello is None:
            return None
        for candidate in found[hello.pid]:
            epochs = tried.setdefault(hello.pid, {})
            if candidate.id not in epochs:
                epochs[candidate.id] = self._epoch(candidate, hello.pid)
            epoch, reached = epochs[candidate.id]
            try:
                verified = epoch and epoch.verify(hello, reached)
            except SkerryError:
                self.counts["bad tag"] += 1
                continue
            if verified:
                self._guard_against_rollback(candidate)
                return Reply(hello, candidate, verified, self._advance(candidate, verified))
        return None

    def _epoch(self, candidate: Candidate, pid: bytes) -> Reached:
        """Return what a pseudonym stands for if it is a candidate's; (None, None) for nothing."""
        try:
            return self._known(candidate).epoch(pid, candidate.pid_era)
        except SkerryError:  # an era out of reach
            return None, None
        except VaultError:
            self.counts["unreadable"] += 1
            if self._warnings.take():
                log.error(
                    "its stored key does not open: wrong row key",
                    extra={"device": candidate.name},
                )
            return None, None

    def answer(self, reply: Reply) -> bytes:
        """Return message 2 and offer its session, now that the reply's write is done."""
        candidate, verified, write = reply.candidate, reply.verified, reply.write
        if write is not None:
            self._sessions.note(candidate.id, (write.era, write.step, False))
            for pid in (candidate.pid, candidate.pending_pid) if self.sieve else ():
                if pid != reply.hello.pid:
                    self.sieve.forget(pid)
            if candidate.pid_era != candidate.era:
                self.failures.recovered(candidate)
                self._warn_of_recovery(write)
        self.counts["answered" if write is not None else "answered again"] += 1
        message_2, secret = verified.answer(self._nonce(reply.hello.pid), hub_time())
        self._offer(reply, message_2, secret)
        return message_2

    def confirmed(self, live: Live) -> None:
        """Drop the epoch key of a session that was confirmed."""
        self.sieve.forget(live.pid)

    def _warn_of_recovery(self, write: Advance) -> None:
        self.counts["recovered"] += 1
        if self._warnings.take():
            log.warning(
                "recovered from epoch %d.%d into era %d (losses, or a hub restored, or a device"
                " write lost, or a copy of the device)",
                write.candidate.era, write.candidate.step, write.era,
                extra={"device": write.candidate.name},
            )  # fmt: skip

    def _known(self, candidate: Candidate) -> responder.Known:
        """Unwrap what the store holds of the device."""
        name = candidate.name.encode()
        ctx = schedule.context(candidate.suite, name, self._hub)
        chain = Chain.unpack(self._vault.open(b"chain", name, candidate.chain))
        pending = None
        if candidate.pending_pid is not None and candidate.pending_key is not None:
            key = self._vault.open(b"pending", name, candidate.pending_key)
            pending = responder.Pending(candidate.pending_pid, key)
        return responder.Known(ctx, candidate.suite, chain, pending)

    def _guard_against_rollback(self, candidate: Candidate) -> None:
        """Start afresh if the store shows a device where it does not stand any more."""
        standing = (candidate.era, candidate.step, candidate.pending_pid is None)
        if not self._sessions.note(candidate.id, standing):
            log.critical("the database went back in time: all sessions end")
            self.counts["rollback"] += 1
            self._nonce_key = fresh_nonce_key(self._store.next_start())
            self._sessions.clear()
            self.sieve.clear()
            self._sessions.note(candidate.id, standing)

    def _advance(self, candidate: Candidate, verified: responder.Verified) -> Advance | None:
        """Return what makes the next epoch durable, unless this one is pending already."""
        chain = verified.chain
        if chain is None:
            return None
        name = candidate.name.encode()
        return Advance(
            candidate,
            chain.era,
            chain.step,
            schedule.pseudonym(chain.chain_key),
            self._vault.seal(b"chain", name, chain.pack()),
            verified.pending.pid,
            self._vault.seal(b"pending", name, verified.pending.ek),
            _coming(candidate, chain),
        )

    def _nonce(self, pid: bytes) -> bytes:
        """N_H: one value for an epoch as long as this process lives, never again after it."""
        return hmac_sha256(self._nonce_key, b"N" + pid)[:8]

    def _offer(self, reply: Reply, message_2: bytes, secret: bytes) -> None:
        """Keep the session that this answer leads to, unless it is only sent again."""
        hello, candidate = reply.hello, reply.candidate
        message_1 = hello.body + hello.tag
        offered = self._sessions.offered(message_1)
        if offered is not None:
            offered.answer(message_2)
            return
        following = reply.verified.chain or candidate
        epoch = (following.era, following.step - 1)
        if following.step == 0:
            epoch = (following.era - 1, MAX_STEP)
        session = HubSession(secret, candidate.suite)
        live = Live(candidate.id, candidate.name, hello.pid, epoch, session)
        self._sessions.offer(live, message_1, message_2)
