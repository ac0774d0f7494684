"""The review's findings (C1, H3, ...) as traces over the real code; checks run after each step.

Not here, because our design has none of it: H2 (no pokes), H6 to H9, C3, C4 (no tickets), M4 (no
limit on junk), M5. Elsewhere: H10 in tests/hub/test_store.py, M1 and M2 in tests/hub/test_front.py.
H1 and M9 are out of claim, and the trace of H1 says so.
"""

import pytest
from search.checks import Checks, out_of_reach
from search.device import CUTS
from search.watch import WATCH, controlled
from search.world import World

from skerry import coap, record
from skerry.responder import RECOVERY_ERAS


class Play:
    """Each method is a step of World, and everything is checked after it."""

    def __init__(self, runs: int = 1) -> None:
        self.world = World(runs)
        self.checks = Checks()

    def __getattr__(self, verb: str):
        def step(*arguments) -> None:
            self.world.do((verb, *arguments))
            self.checks.everything(self.world)

        return step

    @property
    def air(self) -> dict[str, bytes]:
        return self.world.air

    @property
    def device(self):
        return self.world.devices[0]

    def handshake(self, epoch: str, run: int = 0) -> None:
        """An attempt of the first device in an epoch that the hub waits for; no request yet."""
        self.attempt(0)
        attempt = self.device.attempt
        assert attempt.startswith(epoch + ":")
        self.deliver(run, f"1 {attempt}")
        self.hear(0, f"2 {attempt}/{self.world.processes[run].number}/")
        assert self.device.of == attempt

    def replay_everything(self) -> None:
        """Deliver all that was ever sent, twice, to every hub."""
        for message in [each for each in self.air if each[0] in "1q"] * 2:
            for run in range(len(self.world.processes)):
                self.deliver(run, message)


@pytest.fixture
def play():
    with controlled():
        yield Play()


@pytest.fixture
def two_hubs():
    with controlled():
        yield Play(runs=2)


def executed() -> int:
    return len(WATCH.history.executed)


def test_C1_flash_comes_back(play):
    """The slot before the handshake is back: N_D is new, so the key is, and PIV 0 is harmless."""
    play.handshake("0.0")
    play.request(0)
    play.rollback(0, 0)
    play.handshake("0.0")
    play.request(0)
    assert len(WATCH.history.derived) == 2
    assert len({key for key, _ in WATCH.history.sealed}) == 2


def test_C1_two_boards_of_one_image(play):
    """Both get a key of their own in the same epoch. The one that recovers shuts the other out."""
    play.clone(0)
    play.handshake("0.0")
    play.request(0)
    play.attempt(1)
    play.deliver(0, "1 0.0:1")
    play.hear(1, "2 0.0:1/1/")
    play.request(1)
    assert len({key for key, _ in WATCH.history.sealed}) == 2
    play.deliver(0, "q 0.0:1#0")
    play.session(1, 0)
    play.session(0, 0)  # it stands at (0, 1), which its twin used: it recovers into era 1
    play.session(1, 0)
    assert out_of_reach(play.world, play.world.devices[1])


@pytest.mark.parametrize("image", [0, 1, 2])
@pytest.mark.parametrize("restarted", [False, True])
def test_C2_restored_hub_and_the_whole_recorded_session(play, image, restarted):
    """Before the epoch, while it is pending, after it: nothing is carried out again."""
    play.handshake("0.0")
    play.request(0)
    play.deliver(0, "q 0.0:0#0")
    play.hear(0, "r 0.0:0#0/1/")
    for number in (1, 2):
        play.request(0)
        play.deliver(0, f"q 0.0:0#{number}")
    play.restore(image)
    if restarted:
        play.restart(0)
    play.replay_everything()
    assert executed() == 3
    play.session(0, 0)
    assert executed() == 4


def test_C2_overtaken_session_under_a_restored_database(play):
    """Found by this search: a hub that dropped an overtaken session forgot where it had stood."""
    play.session(0, 0)
    play.handshake("0.1")
    play.request(0)
    play.restore(0)
    play.deliver(0, "q 0.1:0#0")  # of an epoch that the database does not know any more
    play.deliver(0, "1 0.0:0")
    play.deliver(0, "q 0.0:0#0")
    assert executed() == 1


def test_C2_crash_between_commit_and_effect(play):
    """The confirmation is durable, the request was not carried out, and it never will be."""
    play.handshake("0.0")
    play.request(0)
    play.die(0, "q 0.0:0#0")
    play.replay_everything()
    assert executed() == 0
    play.session(0, 0)
    assert executed() == 1


def test_H1_a_replayed_message_1_tells_whether_its_epoch_is_pending(play):
    """Out of claim: unlinkability holds against who only listens. Decoy answers are not built."""
    play.attempt(0)
    play.deliver(0, "1 0.0:0")
    process = play.world.processes[0]
    assert process.receive(play.air["1 0.0:0"])  # still pending: answered
    play.session(0, 0)
    assert not process.receive(play.air["1 0.0:0"])  # it has moved on: silence


def test_H3_restores_upon_restores(play):
    """However often and far a hub goes back, each time the next era is met at once."""
    for _ in range(4):
        play.session(0, 0)
    for image in (5, 3, 1, 7, 0):
        play.restore(image)
        play.restart(0)
        play.session(0, 0)
        play.session(0, 0)
    assert play.device.confirmed


def test_H3_too_many_recoveries_since_the_image(play):
    """16 eras are as far as a hub reaches; the limit is documented, and it is exactly there."""
    for recoveries in range(1, RECOVERY_ERAS + 1):
        play.attempt(0)
        play.recover(0)
        attempt = play.device.attempt
        play.deliver(0, f"1 {attempt}")
        play.hear(0, f"2 {attempt}/1/")
        play.request(0)
        play.deliver(0, f"q {attempt}#0")
        saved = play.world.save()
        play.restore(0)
        assert out_of_reach(play.world, play.device) == (recoveries == RECOVERY_ERAS)
        play.world.load(saved)


def test_H4_a_rebooted_device_uses_its_message_id_again(play):
    """All messages 1 here have message id 0 and one token: each attempt gets its own answer."""
    play.attempt(0)
    play.deliver(0, "1 0.0:0")
    play.deliver(0, "1 0.0:0")
    play.reboot(0)
    play.attempt(0)
    first, second = (coap.decode(play.air[f"1 0.0:{n}"]) for n in (0, 1))
    assert (first.mid, first.token) == (second.mid, second.token)
    play.deliver(0, "1 0.0:1")
    assert len([name for name in play.air if name.startswith("2 0.0:0/1/")]) == 1
    play.hear(0, "2 0.0:0/1/")
    assert play.device.session is None
    play.hear(0, "2 0.0:1/1/")
    assert play.device.session is not None


def test_H5_any_number_of_forged_answers(play):
    play.attempt(0)
    play.deliver(0, "1 0.0:0")
    good = coap.decode(play.air["2 0.0:0/1/"]).payload
    for forged in range(1000):
        assert not play.device.receive(good[:-2] + forged.to_bytes(2, "big"), 1)
    play.hear(0, "2 0.0:0/1/")
    assert play.device.session is not None


def test_H11_both_hubs_answer(two_hubs):
    """Each has its own N_H, so each its own session; the device takes one, the other is dead."""
    play = two_hubs
    play.attempt(0)
    play.deliver(0, "1 0.0:0")
    play.deliver(1, "1 0.0:0")
    play.hear(0, "2 0.0:0/2/")
    play.request(0)
    play.deliver(0, "q 0.0:0#0")
    assert executed() == 0
    play.deliver(1, "q 0.0:0#0")
    play.hear(0, "r 0.0:0#0/2/")
    assert (executed(), play.device.confirmed) == (1, True)


def test_H11_a_slow_hub_does_not_move_the_chain_back(two_hubs):
    play = two_hubs
    play.attempt(0)
    play.look_up(1, "1 0.0:0")
    play.session(0, 0)
    play.session(0, 0)
    before = play.world.database.rows()
    play.go_on(1)
    assert play.world.database.rows() == before
    play.session(0, 1)
    assert play.device.confirmed


def test_H11_a_former_session_lives_on_at_the_other_hub(two_hubs):
    """A limit: processes share the database, not their sessions. What the device sent in its
    former session and the network held back is still carried out there, once."""
    play = two_hubs
    play.session(0, 0)
    play.request(0)
    play.session(0, 1)
    play.deliver(0, "q 0.0:0#1")
    assert executed() == 3
    play.restart(0)
    play.replay_everything()
    assert executed() == 3


def test_H12_kids_are_new_and_an_unprotected_answer_changes_nothing(play):
    play.session(0, 0)
    first = play.device.session.oscore.sender_id
    play.restart(0)
    play.request(0)
    play.deliver(0, "q 0.0:0#1")  # answered with 4.01, which is a hint and no more
    assert play.device.session is not None
    play.session(0, 0)
    assert play.device.session.oscore.sender_id != first


def test_H13_nothing_more_is_sent_before_the_first_answer(play):
    """And once the request is carried out, the hub holds nothing of the session's epoch."""
    play.handshake("0.0")
    play.request(0)
    assert not play.device.may_request()
    assert play.world.database.hub_row().pending_key is not None
    play.deliver(0, "q 0.0:0#0")
    assert play.world.database.hub_row().pending_key is None
    play.handshake("0.1")  # nobody answered: the device gives the session up
    assert executed() == 1


def test_H13_message_2_is_blocked_for_ever(play):
    """Nothing expires: however long that lasts, the device is answered afterwards."""
    for _ in range(20):
        play.attempt(0)
        play.deliver(0, f"1 {play.device.attempt}")
        play.recover(0)
        play.deliver(0, f"1 {play.device.attempt}")
    play.session(0, 0)
    assert play.device.confirmed


@pytest.mark.parametrize("where", CUTS)
def test_M7_power_cut_at_each_point_of_a_save(play, where):
    """The record of before or the next one, never none, and one of two before anything is sent."""
    play.session(0, 0)
    play.attempt(0)
    play.deliver(0, "1 0.1:0")
    play.cut(0, "2 0.1:0/1/", where)
    assert play.device.stored().step == (2 if where in ("written", "half wiped") else 1)
    play.attempt(0)
    assert len([each for each in play.device.flash.slots if record.unpack(each)]) == 1


def test_M7_and_again_in_the_wipe_at_boot(play):
    play.attempt(0)
    play.deliver(0, "1 0.0:0")
    play.cut(0, "2 0.0:0/1/", "written")
    play.cut_load(0)
    play.session(0, 0)
    assert play.device.confirmed


def test_delayed_recovery_message(play):
    """A second attempt that arrives late moves the hub to the next era; the device follows."""
    play.attempt(0)
    play.recover(0)
    play.session(0, 0)
    play.deliver(0, "1 1.0:0")
    play.session(0, 0)
    assert play.device.stored().era == 1


def test_a_store_that_fails_around_its_commit(play):
    play.attempt(0)
    play.fail(0, "1 0.0:0", "fails")
    play.fail(0, "1 0.0:0", "fails late")
    play.deliver(0, "1 0.0:0")
    play.hear(0, "2 0.0:0/1/")
    play.request(0)
    play.fail(0, "q 0.0:0#0", "fails")
    play.deliver(0, "q 0.0:0#0")
    assert executed() == 1
