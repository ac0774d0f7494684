"""Message 1 in, message 2 out: the hub's handshake as a list of steps.

Everything that fails is silent on the air. The new state is durable before message 2 exists.
"""

import hashlib
import logging
import os
import time
from collections import Counter

from skerry import responder, schedule
from skerry.chain import MAX_STEP, Chain
from skerry.errors import Malformed, SkerryError
from skerry.primitives import hmac_sha256
from skerry_hub.enrolment import recovery_pseudonyms
from skerry_hub.sessions import Live, Sessions
from skerry_hub.store import Candidate, Store
from skerry_hub.vault import Vault, VaultError

_CLOCK_IS_SET = 1_735_689_600  # 2025-01-01: a clock before that was never set

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


def _new_pseudonyms(candidate: Candidate, chain: Chain) -> list[tuple[bytes, int]]:
    """Return (pseudonym, era) of the next epoch and of the eras that come into reach with it."""
    new = [(schedule.pseudonym(chain.chain_key), chain.era)]
    if chain.era != candidate.era:
        reach = candidate.era + responder.RECOVERY_ERAS
        coming = recovery_pseudonyms(chain, responder.RECOVERY_ERAS)
        new += [each for each in coming if each[1] > reach]
    return new


class Handshakes:
    """Answers message 1. `counts` tells what became of each, by cause."""

    def __init__(self, hub: str, store: Store, vault: Vault, sessions: Sessions) -> None:
        """Take the hub's id and the parts it works on."""
        self._hub = hub.encode()
        self._store = store
        self._vault = vault
        self._sessions = sessions
        self._nonce_key = fresh_nonce_key(store.next_start())
        self.counts: Counter[str] = Counter()

    def answer(self, message_1: bytes) -> bytes | None:
        """Return message 2, or None to stay silent."""
        try:
            hello = responder.identify(message_1)
        except Malformed:
            self.counts["malformed"] += 1
            return None
        found = self._store.candidates(hello.pid)
        self.counts["unknown"] += not found
        for candidate in found:
            answer = self._answer_as(candidate, hello)
            if answer is not None:
                return answer
        return None

    def _answer_as(self, candidate: Candidate, hello: responder.Hello) -> bytes | None:
        """Answer as the hub of one device, if message 1 is of that device."""
        ctx = schedule.context(candidate.suite, candidate.name.encode(), self._hub)
        try:
            verified = self._known(candidate, ctx).verify(hello, candidate.pid_era)
        except VaultError:
            log.error("%s: its stored key does not open under this row key", candidate.name)
            self.counts["unreadable"] += 1
            return None
        except SkerryError:
            self.counts["bad tag"] += 1
            return None
        self._guard_against_rollback(candidate)
        if verified.chain is not None and not self._advance(candidate, verified):
            self.counts["overtaken"] += 1
            return None
        message_2, secret = verified.answer(self._nonce(hello.pid), hub_time())
        self._offer(candidate, verified, hello, secret)
        self.counts["answered" if verified.chain is not None else "answered again"] += 1
        return message_2

    def _known(self, candidate: Candidate, ctx: bytes) -> responder.Known:
        """Unwrap what the store holds of the device."""
        name = candidate.name.encode()
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
            self._sessions.note(candidate.id, standing)

    def _advance(self, candidate: Candidate, verified: responder.Verified) -> bool:
        """Make the next epoch durable; False if another hub was faster."""
        chain = verified.chain
        assert chain is not None  # noqa: S101 - for the type checker; the caller has asked
        name = candidate.name.encode()
        if candidate.pid_era != candidate.era:
            log.warning(
                "%s: recovered from epoch %d.%d into era %d (a hub restored, or a device write"
                " lost, or a copy of the device)",
                candidate.name, candidate.era, candidate.step, chain.era,
            )  # fmt: skip
            self.counts["recovered"] += 1
        advanced = self._store.advance(
            candidate,
            chain.era,
            chain.step,
            self._vault.seal(b"chain", name, chain.pack()),
            verified.pending.pid,
            self._vault.seal(b"pending", name, verified.pending.ek),
            _new_pseudonyms(candidate, chain),
        )
        if advanced:
            self._sessions.note(candidate.id, (chain.era, chain.step, False))
        return advanced

    def _nonce(self, pid: bytes) -> bytes:
        """N_H: one value for an epoch as long as this process lives, never again after it."""
        return hmac_sha256(self._nonce_key, b"N" + pid)[:8]

    def _offer(
        self,
        candidate: Candidate,
        verified: responder.Verified,
        hello: responder.Hello,
        secret: bytes,
    ) -> None:
        """Keep the session that this answer leads to, unless it is only sent again."""
        if self._sessions.offered(candidate.id, hello.body):
            return
        following = verified.chain or candidate
        epoch = (following.era, following.step - 1)
        if following.step == 0:
            epoch = (following.era - 1, MAX_STEP)
        session = responder.HubSession(secret, candidate.suite)
        live = Live(candidate.id, candidate.name, hello.pid, epoch, session)
        self._sessions.offer(live, hello.body)
