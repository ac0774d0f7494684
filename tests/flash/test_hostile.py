"""Boards that lie: what they say costs nobody a file, a key or an identity."""

import pytest
from bench import MAIN


@pytest.fixture
def kitchen(hub, bench, tmp_path):
    """An active device; returns its row."""
    program = tmp_path / "program.py"
    program.write_text(MAIN)
    hub.flash("kitchen", "--port", bench.board("a").port, "--main", str(program))
    return hub.until("kitchen", readings=1)


def test_another_ones_chip(hub, kitchen, lying):
    """Without the key it is not the device, and with --replace the old key stays until a proof."""
    liar = lying(kitchen["chip"], tell_proof={"proof": "00" * 32})
    assert "does not have its key" in hub.flash("--port", liar.port, ok=False)
    assert hub("list") == [kitchen]
    error = hub.flash("--port", liar.port, "--replace", "kitchen", ok=False)
    assert "did not keep its key" in error
    row, waiting = hub("list")
    assert row == kitchen
    assert (waiting["name"], waiting["state"]) == ("kitchen~new", "pending")


@pytest.mark.parametrize(
    "proof", [{"proof": None}, {"proof": 5}, {}, {"proof": "zz"}, {"proof": ""}]
)
def test_no_proof_at_all(hub, kitchen, lying, proof):
    liar = lying(kitchen["chip"], tell_proof=proof)
    assert "does not have its key" in hub.flash("--port", liar.port, ok=False)


def test_a_key_is_never_written_twice(hub, lying):
    """Who claims to be a board that was cut off gets a key of its own."""
    first = lying("0011223344556677")
    hub.flash("hall", "--port", first.port, ok=False)
    one = hub.row("hall")["fingerprint"]
    second = lying("0011223344556677")
    hub.flash("hall", "--port", second.port, ok=False)
    assert hub.row("hall")["fingerprint"] != one
    assert b"SK\\x01" in first.heard
    assert b"SK\\x01" in second.heard


@pytest.mark.parametrize(
    "answers",
    [
        {"tell_board": "x" * 100_000},
        {"tell_board": "\x1b[2J no json"},
        {"tell_board": "[]"},
        {"tell_board": {"version": ["\x1b[2J"]}},
        {"tell_board": {"version": [1, 29, 0], "mpy": 2822, "machine": "m", "board": "b",
                        "chip": "\x1b", "missing": []}},
        {"tell_identity": {"identity": 5, "main": {}}, "tell_hashes": {"hashes": 3}},
        {"tell_identity": {"identity": ["\x1b[2Jkitchen", "h\n-1"]}},
        {"tell_identity": {"identity": [None]}},
        {"tell_library": {"place": "../../etc"}, "tell_hashes": {"hashes": {"/x/../y": None}},
         "tell_proof": {"proof": "00"}},
        {"tell_hashes": {"hashes": {"/lib/skerry/x\x1b[2J.py": "00"}}, "tell_proof": {}},
    ],
)  # fmt: skip
def test_nonsense_is_an_error_in_one_line(hub, lying, answers):
    liar = lying("0011223344556677", **answers)
    error = hub.flash("hall", "--port", liar.port, ok=False)
    assert error[:-1].isprintable()
    assert [row["state"] for row in hub("list")] in ([], ["pending"])


@pytest.mark.parametrize("chip", ["", "00" * 8, "ff" * 8])
def test_a_chip_without_an_id_needs_one(hub, lying, chip):
    liar = lying(chip)
    assert "--chip" in hub.flash("hall", "--port", liar.port, ok=False)
    assert hub("list") == []
    hub.flash("hall", "--port", liar.port, "--chip", "shelf-3", ok=False)
    assert hub.row("hall")["chip"] == "shelf-3"


def test_firmware_that_does_not_fit(hub, lying):
    board = {
        "version": [1, 12, 0],
        "mpy": 5,
        "machine": "m",
        "board": "b",
        "chip": "01",
        "missing": [],
    }
    liar = lying("", tell_board=board)
    assert "MicroPython to 1.19" in hub.flash("hall", "--port", liar.port, ok=False)
    liar = lying("", tell_board={**board, "mpy": 6, "missing": ["hashlib", "network"]})
    error = hub.flash("hall", "--port", liar.port, ok=False)
    assert "lacks hashlib:" in error
    assert hub("list") == []


def test_a_board_that_falls_silent(hub, lying, tmp_path):
    liar = lying("0011223344556677", tell_identity="never ends\x00")
    liar._answer = lambda command, real=liar._answer: (
        b"" if b"tell_identity" in command else real(command)
    )
    error = hub.flash("hall", "--port", liar.port, ok=False, timeout=150)
    assert "run this again" in error
