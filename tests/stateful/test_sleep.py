"""Sessions that sleep, wake up and survive power cuts: no nonce is used twice, at either end.

The world of tests/search with its real hub, its attacker and its faults, and devices that keep
their sessions: one in the memory of its clock, one in flash. What seals is watched: one key and
nonce with two plaintexts is a violation. The hub asks the device as well, and whatever it ever
asked is delivered again at any time; a device's answer is sealed under the nonce of the question,
so a question that was answered twice would be found there.

A flash session may not be rolled back or copied: that is its limit (docs/sleep.md).
"""

from contextlib import ExitStack
from unittest.mock import patch

import pytest
from device.chip import Rtc
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from search.device import CTX, CUTS, SUITE, Device, Flash, PowerCut
from search.watch import Violation, controlled
from search.world import World

from skerry import coap, record
from skerry.chain import Chain
from skerry.errors import SkerryError
from skerry.oscore_server import protect_response, unprotect_request
from skerry.replay import NOTHING, ReplayWindow
from skerry.session_record import SessionRecord
from skerry_device import flash_session
from skerry_device.flash_session import FlashSession
from skerry_device.rtc import RtcMemory
from skerry_device.store import ChainStore

CHUNK = 3  # so that every few requests reserve anew


class Sleeper(Device):
    """A board that keeps its session. `served` counts the answers it gave, over all its lives."""

    def __init__(self, flash: Flash, kind: str) -> None:
        self.kind = kind
        self.chip = Rtc()
        self.chip.error = PowerCut
        self.vault = Flash(b"", flash.erases)
        self.known: dict[str, tuple] = {}  # what the test remembers of each session
        self.served = 0
        super().__init__(flash)

    def boot(self) -> None:
        self.vault.budget = self.chip.writes = None
        super().boot()
        self.memory = (
            RtcMemory(self.chip)
            if self.kind == "rtc"
            else FlashSession(ChainStore(self.vault), CHUNK)
        )
        self.taken = False  # `connect` was called: it takes what is kept

    def _take(self) -> SessionRecord | None:
        self.taken = True
        kept = SessionRecord.unpack(CTX, self.memory.take())
        chain = Chain.unpack(self.store.load())
        return kept if kept and kept.leads_to(chain) else None

    def connect(self) -> Chain:
        """A connect that makes a handshake: what was kept is over."""
        if not self.taken:
            self._take()
        return super().connect()

    def wake(self) -> bool:
        """A connect that goes on in the session that was kept; tell whether there is one."""
        if self.taken:
            return False
        kept = self._take()
        if kept is None:
            return False
        try:
            self.session, self.window = kept.restore()
            self.memory.guard(CTX, kept, self.session.oscore)
        except SkerryError:
            self.drop_session()
            return False
        self.of, self.used, self.answerer = self.known[self.session.fingerprint]
        self.confirmed = True
        return True

    def receive(self, message_2: bytes, answerer: int) -> bool:
        accepted = super().receive(message_2, answerer)
        if accepted:
            self.window = ReplayWindow()
            self.known[self.session.fingerprint] = (self.of, self.used, self.answerer)
        return accepted

    def response(self, datagram: bytes) -> bool:
        before = self.confirmed
        verified = super().response(datagram)
        if verified and not before:
            self.memory.guard(CTX, self._record(), self.session.oscore)
        return verified

    def _record(self) -> SessionRecord:
        return SessionRecord(
            SUITE, self.used.era, self.used.step, self.session.secret,
            self.session.oscore.sequence, self.window.pack(),
        )  # fmt: skip

    def sleep(self) -> None:
        """Keep a confirmed session; RAM is lost."""
        if self.session and self.confirmed:
            self.memory.keep(self._record().pack(CTX))
        self.boot()

    def serve(self, datagram: bytes) -> bytes | None:
        """Answer a question of the hub's; never the same twice."""
        if self.session is None:
            return None
        try:
            _, binding = unprotect_request(self.session.oscore, self.window, coap.decode(datagram))
        except SkerryError:
            return None
        self.served += 1
        answer = coap.Message(coap.CONTENT, [], b"%d" % self.served)
        return coap.encode(protect_response(self.session.oscore, answer, binding))


class SleepMachine(RuleBasedStateMachine):
    kind = "rtc"

    def __init__(self):
        super().__init__()
        self.stack = ExitStack()
        self.stack.enter_context(controlled())
        self.world = World(1)
        first = Flash(self.world.devices[0].flash.slots[0], False)
        self.world.devices = [Sleeper(first, self.kind)]
        self.asked = []  # questions of the hub's
        self.woke = self.answered = 0

    def teardown(self):
        self.stack.close()

    def board(self, choice=0):
        return self.world.devices[choice % len(self.world.devices)]

    def index(self, board):
        return self.world.devices.index(board)

    # What they do without faults.

    @rule(choice=st.integers(0, 2), requests=st.integers(1, 5))
    def session(self, choice, requests):
        board = self.board(choice)
        if self.world.connects(self.index(board), 0):
            for _ in range(requests):
                assert self.world.exchange(self.index(board), 0)

    @rule(choice=st.integers(0, 2), times=st.integers(1, 4))
    def requests(self, choice, times):
        board = self.board(choice)
        for _ in range(times):
            if board.may_request():
                self.world.exchange(self.index(board), 0)

    @rule(choice=st.integers(0, 2))
    def sleep(self, choice):
        self.board(choice).sleep()

    @rule(choice=st.integers(0, 2))
    def wake(self, choice):
        self.woke += self.board(choice).wake()

    @rule(choice=st.integers(0, 2), times=st.integers(1, 3))
    def nap(self, choice, times):
        """One datagram each way is all that a good nap costs."""
        board = self.board(choice)
        for _ in range(times):
            live = board.session is not None and board.confirmed
            board.sleep()
            if not live:
                continue
            stood = (board.stored().era, board.stored().step)
            if not board.wake():
                assert self.world.flashes or self.kind == "flash"
                return
            self.woke += 1
            self.world.exchange(self.index(board), 0)
            assert (board.stored().era, board.stored().step) == stood

    @rule()
    def hub_asks(self):
        for live in self.world.processes[0].sessions.current():
            question = coap.Message(coap.GET, coap.path_options("q"), b"", coap.CON)
            outer, _ = live.session.oscore.protect_request(question)
            self.asked.append(coap.encode(outer))

    def handshake(self, board):
        """One attempt, which a power cut may end."""
        before = set(self.world.air)
        self.world.attempt(self.index(board))
        for message in set(self.world.air) - before:
            self.world.deliver(0, message)
            for answer in set(self.world.air) - before - {message}:
                self.world.hear(self.index(board), answer)

    @rule(choice=st.integers(0, 2), way=st.sampled_from(["sleep", "boot"]))
    def conversation(self, choice, way):
        """A question, answered; and after a sleep or a reset all questions again, and a new one."""
        board = self.board(choice)
        if not (board.session and board.confirmed):
            return
        self.hub_asks()
        for question in self.asked[-1:]:
            self.answered += board.serve(question) is not None
        getattr(board, way)()
        woke = board.wake()
        self.hub_asks()
        for question in self.asked:
            answer = board.serve(question)
            assert answer is None or (woke and board.window.pack() != NOTHING)

    # What goes wrong.

    @precondition(lambda self: self.asked)
    @rule(choice=st.integers(0, 2), question=st.integers(0, 30))
    def question_arrives(self, choice, question):
        """A new one or an old one."""
        board = self.board(choice)
        answer = board.serve(self.asked[-1 - question % len(self.asked)])
        self.answered += answer is not None
        assert answer is None or board.window.pack() != NOTHING

    @rule(choice=st.integers(0, 2))
    def reset(self, choice):
        """A watchdog: RAM is lost, the clock's memory stays."""
        self.board(choice).boot()

    @rule(choice=st.integers(0, 2), garbage=st.one_of(st.just(b""), st.binary(max_size=90)))
    def power_cut(self, choice, garbage):
        """The clock's memory comes up with anything."""
        board = self.board(choice)
        board.boot()
        board.chip.memory(garbage)

    @rule(choice=st.integers(0, 2), at=st.integers(0, 80), bit=st.integers(0, 7))
    def a_bit_flips_asleep(self, choice, at, bit):
        board = self.board(choice)
        board.boot()
        if board.chip.length:
            board.chip.cells[at % board.chip.length] ^= 1 << bit

    @rule(
        choice=st.integers(0, 2),
        step=st.sampled_from(["wake", "sleep", "requests", "session"]),
        writes=st.integers(0, 2),
        budget=st.integers(0, 2 * record.LENGTH),
    )
    def cut_in(self, choice, step, writes, budget):
        """The power goes at any write to the clock's memory, any byte of the session's flash."""
        board = self.board(choice)
        board.chip.writes, board.vault.budget = writes, budget
        try:
            if step in ("wake", "sleep"):
                getattr(board, step)()
            elif step == "session":
                self.handshake(board)
            if board.may_request() and step != "sleep":
                self.world.exchange(self.index(board), 0)
        except PowerCut:
            board.boot()
        board.chip.writes = board.vault.budget = None

    @rule(choice=st.integers(0, 2), where=st.sampled_from(sorted(CUTS)))
    def cut_in_a_handshake(self, choice, where):
        board = self.board(choice)
        before = set(self.world.air)
        self.world.attempt(self.index(board))
        for message in set(self.world.air) - before:
            self.world.deliver(0, message)
        for answer in [each for each in self.world.air if each.startswith("2")][-1:]:
            self.world.cut(self.index(board), answer, where)

    @rule(choice=st.integers(0, 2), message=st.integers(0, 50), board=st.integers(0, 2))
    def network(self, choice, message, board):
        """Any message again: to the hub, or to a device."""
        if not self.world.air:
            return
        name = list(self.world.air)[-1 - message % len(self.world.air)]
        if name[0] in "1q":
            self.world.deliver(0, name)
        else:
            self.world.hear(self.index(self.board(board)), name)

    @precondition(lambda self: any(name[0] in "1q" for name in self.world.air))
    @rule(message=st.integers(0, 20), how=st.sampled_from(["dies", "fails", "fails late"]))
    def hub_fails(self, message, how):
        names = [name for name in self.world.air if name[0] in "1q"]
        name = names[-1 - message % len(names)]
        if how == "dies":
            self.world.die(0, name)
        else:
            self.world.fail(0, name, how)

    @rule()
    def hub_restarts(self):
        self.world.restart(0)

    @rule(image=st.integers(0, 20))
    def hub_is_restored(self, image):
        self.world.restore(-1 - image % len(self.world.images))

    @precondition(lambda self: self.world.flashes)
    @rule(choice=st.integers(0, 2), image=st.integers(0, 20))
    def chain_is_rolled_back(self, choice, image):
        board = self.board(choice)
        image = -1 - image % len(self.world.flashes)
        self.world.rollback(self.index(board), image)

    @precondition(lambda self: len(self.world.devices) < 3)
    @rule(choice=st.integers(0, 2))
    def chain_is_copied(self, choice):
        """A second board from one image; neither the clock's memory nor a flash session goes along."""
        board = self.board(choice)
        twin = Flash(b"", board.flash.erases)
        twin.slots = board.flash.slots
        self.world.devices.append(Sleeper(twin, self.kind))
        self.world.devices[-1].highest_era = board.highest_era

    # What holds.

    @invariant()
    def kept_once(self):
        """What is used is not kept; in flash stands one session, behind all that was used."""
        for board in self.world.devices:
            kept = SessionRecord.unpack(CTX, board.chip.memory()[-72:])
            if kept and board.session:
                assert kept.secret != board.session.secret
            if self.kind == "flash" and board.session and board.confirmed:
                stored = [each for each in map(record.unpack, board.vault.slots) if each]
                ours = SessionRecord.unpack(CTX, max(stored)[1])
                assert ours.secret == board.session.secret
                assert ours.sequence >= board.session.oscore.sequence


class FlashMachine(SleepMachine):
    kind = "flash"


TestRtc = SleepMachine.TestCase
TestRtc.settings = settings(stateful_step_count=40)
TestFlash = FlashMachine.TestCase
TestFlash.settings = settings(stateful_step_count=40)


def reads_without_overwriting(memory):
    """rtc.RtcMemory.take"""
    held = bytes(memory._rtc.memory())
    return held[-72:] if memory._others(held) != held else b""


def reserves_nothing(memory, ctx, record, oscore):
    """flash_session.FlashSession.guard"""
    record.sequence, record.window = oscore.sequence, NOTHING
    memory._store.save(record.pack(ctx))


def reserves_after_use(memory, ctx, record, oscore):
    """flash_session.FlashSession.guard"""

    def reserve(sequence):
        record.sequence, record.window = sequence, NOTHING
        memory._store.save(record.pack(ctx))
        return sequence + CHUNK

    oscore.limit, oscore.reserve = reserve(oscore.sequence), reserve


MISTAKES = {
    "read without overwriting": (SleepMachine, RtcMemory, "take", reads_without_overwriting),
    "a window that forgets": (SleepMachine, ReplayWindow, "pack", lambda window: bytes(9)),
    "nothing reserved": (FlashMachine, FlashSession, "guard", reserves_nothing),
    "reserved after use": (FlashMachine, FlashSession, "guard", reserves_after_use),
    "a fresh window": (FlashMachine, flash_session, "NOTHING", bytes(9)),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found(name):
    machine, where, what, wrong = MISTAKES[name]
    found = settings(stateful_step_count=40, phases=[Phase.generate], max_examples=300)
    with patch.object(where, what, wrong), pytest.raises((Violation, AssertionError)):
        run_state_machine_as_test(machine, settings=found)
