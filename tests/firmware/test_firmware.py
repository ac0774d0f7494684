"""The image on a Cortex-M3, over its serial line to the real hub process."""

import shutil
import time

import pytest
from bridge import BUNDLE, IMAGES, OPTIONS, Board, microbit, needs_firmware, without_cryptolib

from skerry import coap, wire, wire_hub

pytestmark = needs_firmware


@pytest.fixture
def boards(hub, tmp_path):
    """Make boards; none is left on."""
    made: list[Board] = []

    def make(name: str, **options) -> Board:
        board = Board(tmp_path / "boards" / name, hub.address, **options)
        board.provision(hub.enroll(name))
        made.append(board)
        return board

    yield make
    for each in made:
        each.kill()


def finished(board: Board, limit: float = 60) -> dict:
    """Wait for a good end; return the last line."""
    assert board.finish(limit) == 0, (board.lines, board.noise)
    assert board.lines[-1]["event"] == "done"
    return board.lines[-1]


def errors(board: Board) -> int:
    return sum(line["event"] == "error" for line in board.lines)


def test_handshake_and_protected_requests(hub, boards):
    board = boards("d-1").power(readings=3)
    last = finished(board)
    (_, one), (_, two) = board.seen[:2]
    assert len(coap.decode(one).payload) + len(coap.decode(two).payload) == 45
    assert wire.decode_message_2(coap.decode(two).payload)[2] > 1_700_000_000 * 256
    assert [direction for direction, _ in board.seen] == ["up", "down"] * 4
    assert all(coap.decode(each).option(coap.OSCORE) is not None for _, each in board.seen[2:])
    row = hub.row("d-1")
    assert (row["readings"], row["session_fingerprint"]) == (3, last["fingerprint"])


@pytest.mark.parametrize("machine", [microbit, without_cryptolib])
def test_other_firmware(hub, boards, machine):
    """A Cortex-M0, and a build that lacks AES: as above, and recovery."""
    board = boards("d-1", machine=machine)
    for era in range(2):  # the memory of both goes back
        image = board.slots()
        last = finished(board.power(readings=3, timeout=2000))
        assert last["epoch"] == f"{era}.0"
        assert errors(board) == 0
        assert hub.row("d-1")["session_fingerprint"] == last["fingerprint"]
        board.poke(0, image)
    assert hub.row("d-1")["readings"] == 6


def test_state_survives_a_kill(hub, boards):
    """Killed in mid-session, again and again: each start is one step further, without an error."""
    board = boards("d-1")
    for step in range(5):
        board.power(readings=1000, interval=10)
        assert board.until("reading")["epoch"] == f"0.{step}"
        board.kill()
        assert errors(board) == 0
    last = finished(board.power())
    assert last["epoch"] == "0.5"
    assert hub.row("d-1")["session_fingerprint"] == last["fingerprint"]


def test_killed_while_it_waits(boards):
    """The epoch was answered, nothing came back: the same epoch, another N_D, another key."""
    board = boards("d-1")
    board.rule = lambda direction, datagram: datagram if direction == "up" else None
    board.power()
    while not any(direction == "down" for direction, _ in board.seen):
        assert board.process.poll() is None
        time.sleep(0.002)
    board.kill()
    board.rule = lambda direction, datagram: datagram
    assert finished(board.power())["epoch"] == "0.0"
    sent = [
        wire_hub.decode_message_1(coap.decode(each).payload)[0] for each in (board.seen[0][1],)
    ]
    sent += [wire_hub.decode_message_1(coap.decode(board.seen[2][1]).payload)[0]]
    assert sent[0][:7] == sent[1][:7]
    assert sent[0][7:] != sent[1][7:]


def test_recovers_into_the_next_era(hub, boards):
    """An old image in a board's memory: its epoch is over, so it moves to the next era."""
    board = boards("d-1")
    image = board.folder / "image"
    shutil.copy(board.psram, image)
    for _ in range(2):
        finished(board.power())
    shutil.copy(image, board.psram)
    assert finished(board.power(timeout=1000))["epoch"] == "1.0"
    assert errors(board) == 0


def test_a_line_that_makes_noise(boards):
    """Bytes between frames, broken frames and datagrams of nobody: each costs nothing."""

    board = boards("d-1")
    board.junk = bytes(range(200)) + b"\xc0\xdb\xc0\xdb" + b"\xc0\xc0"
    finished(board.power())
    assert errors(board) == 0


def test_fleet(hub, boards):
    names = [f"d-{i}" for i in range(24)]
    fleet = [boards(name) for name in names]
    for board in fleet:
        board.power(readings=1000, interval=50, timeout=20000)
    for board in fleet:
        board.until("reading", 60)
    assert all(board.process.poll() is None for board in fleet)  # all of them at once
    rows = {row["name"]: row for row in hub("list")}
    for board in fleet:
        told = board.lines[-1]
        assert rows[board.folder.name]["session_fingerprint"] == told["fingerprint"]
        assert errors(board) == 0
    assert len({row["session_fingerprint"] for row in rows.values()}) == len(fleet)


def test_blank_board_and_dead_generator(boards, tmp_path):
    blank = Board(tmp_path / "blank").power()
    assert blank.finish() == 1
    assert "NotProvisioned" in "\n".join(blank.noise)
    board = boards("d-1")
    (board.folder / "noise").unlink()
    assert board.power().finish() == 1
    assert "OSError" in "\n".join(board.noise)
    assert board.seen == []


def test_no_secret_in_the_images(boards):
    """What makes a board this one is in its memory alone: the images are the same for all."""
    images = b"".join(image.read_bytes() for image in IMAGES.glob("*.elf"))
    assert images.count(b"skerry_device/client.py") >= 3  # a secret would be seen like this
    memory = boards("d-1").psram.read_bytes()[:OPTIONS]
    for at in range(15, 79, 8):  # CK and the next RK in the record of slot 0
        assert any(memory[at : at + 8])
        assert memory[at : at + 8] not in images
    assert memory[BUNDLE:].rstrip(b"\0").startswith(b"{")
