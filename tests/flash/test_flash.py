"""skerry flash against MicroPython's unix port as a board, and the device that comes of it."""

import json
import os
import sqlite3

import pytest
from bench import MAIN, BenchHub

from skerry import record
from skerry.chain import Chain
from skerry_hub.flash import unix


@pytest.fixture
def main(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(MAIN)
    return str(path)


def keys_in(slot):
    """Return the keys of a record, whole, and its pieces that a wrong tool might show."""
    chain = Chain.unpack(record.unpack(slot)[1])
    return chain.chain_key, chain.pack()[-32:]


def test_from_a_blank_board_to_readings(hub, bench, main):
    board = bench.board("a")
    said = hub.flash(
        "kitchen", "--port", board.port, "--main", main, "--label", "lamp", "--tag", "x"
    )
    assert (said["name"], said["state"], said["action"]) == ("kitchen", "active", "enrol")
    assert said["chip"] == board.chip
    assert said["copied"] >= 20
    row = hub.until("kitchen", readings=1)
    assert (row["fingerprint"], row["chip"], row["label"], row["tags"]) == (
        said["fingerprint"], board.chip, "lamp", "x"
    )  # fmt: skip
    assert row["session_fingerprint"]
    bench.restart("a")  # what it was given outlives a power cut
    hub.until("kitchen", readings=2, step=2)


def test_the_same_chip_again_is_the_same_device(hub, bench, main):
    """Before its first session, after it, and with its last answer lost: one identity."""
    board = bench.board("a")
    first = hub.flash("--port", board.port, "--main", main, "--no-restart")
    for readings in (1, 2):
        again = hub.flash("--port", board.port)
        assert (again["action"], again["copied"]) == ("keep", 0)
        assert (again["name"], again["fingerprint"]) == (first["name"], first["fingerprint"])
        hub.until(first["name"], readings=readings)
    assert [row["name"] for row in hub("list")] == [first["name"]]
    # Answered and not confirmed: the device stands where the hub calls it pending.
    before = (bench.folder / "a" / "flash").read_bytes()
    bench.restart("a")
    hub.until(first["name"], readings=3)
    bench.off("a")
    with sqlite3.connect(hub.data / "skerry.db") as db:
        assert db.execute("SELECT era, step FROM device").fetchone() == (0, 3)
    (bench.folder / "a" / "flash").write_bytes(before)
    board = bench.board("a")  # recovers by itself into the next era
    hub.until(first["name"], readings=4, era=1)
    assert hub.flash("--port", board.port, "--no-restart")["action"] == "keep"


def test_an_erased_board_gets_a_new_key_only_when_that_is_said(hub, bench, main):
    board = bench.board("a")
    first = hub.flash("kitchen", "--port", board.port, "--main", main, "--label", "lamp")
    hub.until("kitchen", readings=1)
    bench.off("a")
    (bench.folder / "a" / "flash").unlink()
    board = bench.board("a")
    assert "--replace kitchen" in hub.flash("--port", board.port, ok=False)
    assert hub.row("kitchen")["fingerprint"] == first["fingerprint"]
    said = hub.flash("--port", board.port, "--main", main, "--replace", "kitchen")
    assert said["action"] == "replace"
    assert said["fingerprint"] != first["fingerprint"]
    row = hub.until("kitchen", readings=2)  # its history is kept
    assert (row["label"], row["chip"]) == ("lamp", board.chip)
    assert [each["state"] for each in hub("list")] == ["revoked", "active"]
    assert "rollback" not in hub.log.read_text()
    assert "back in time" not in hub.log.read_text()


def test_a_copy_of_a_board_is_refused(hub, bench):
    hub.flash("kitchen", "--port", bench.board("a").port)
    bench.off("a")
    bench.clone("a", "b")
    board = bench.board("b")
    error = hub.flash("--port", board.port, ok=False)
    assert "copy of kitchen" in error
    assert "--replace kitchen" in error
    assert "copy of kitchen" in hub.flash("hall", "--port", board.port, ok=False)
    assert hub.flash("hall", "--port", board.port, "--replace", "kitchen")["action"] == "enrol"
    assert [(row["name"], row["state"]) for row in hub("list")] == [
        ("kitchen", "active"), ("hall", "active")
    ]  # fmt: skip
    assert json.loads(bench.files("b")["/skerry.json"])["device"] == "hall"


def test_another_board_takes_a_name_over_only_when_that_is_said(hub, bench, main):
    hub.flash("kitchen", "--port", bench.board("a").port, "--main", main)
    hub.until("kitchen", readings=1)
    board = bench.board("b")
    error = hub.flash("kitchen", "--port", board.port, ok=False)
    assert bench.on["a"].chip in error
    assert "--replace kitchen" in error
    hub.flash("kitchen", "--port", board.port, "--replace", "kitchen", "--main", main)
    hub.until("kitchen", readings=2, chip=board.chip)
    bench.restart("a")  # its key is void
    row = hub.until("kitchen", readings=2, chip=board.chip)
    assert row["state"] == "active"


def test_a_board_of_another_hub_is_refused(hub, bench, tmp_path):
    other = BenchHub(tmp_path / "other")
    other.address = ("127.0.0.1", 9)
    board = bench.board("a")
    other.flash("lamp", "--port", board.port)
    before = bench.files("a")
    assert "lamp of hub h-" in hub.flash("--port", board.port, ok=False)
    assert bench.files("a") == before
    assert hub("list") == []
    assert hub.flash("door", "--port", board.port, "--replace", "lamp")["name"] == "door"
    other.stop()


def test_a_board_that_is_a_device_does_not_become_another_one_unsaid(hub, bench):
    board = bench.board("a")
    hub.flash("kitchen", "--port", board.port)
    assert "this board is kitchen" in hub.flash("hall", "--port", board.port, ok=False)
    hub.flash("hall", "--port", board.port, "--replace", "kitchen")
    assert [(row["name"], row["state"]) for row in hub("list")] == [
        ("kitchen", "revoked"), ("hall", "active")
    ]  # fmt: skip


def test_two_boards_are_named_and_not_guessed_between(hub, bench):
    a, b = bench.board("a"), bench.board("b")
    env = {"SKERRY_PORTS": f"{a.port}, {b.port}"}
    error = hub.flash(ok=False, env=env)
    assert a.port in error
    assert b.port in error
    assert "--port" in error
    assert hub.flash(env={"SKERRY_PORTS": a.port})["chip"] == a.chip
    assert "no board found" in hub.flash("--port", "id:none", ok=False)


def test_enrolled_before_and_flashed_later(hub, bench, main):
    """The key that `skerry enroll` made goes to the board, and its copy on the disk goes away."""
    bundle = hub.enroll("kitchen")
    (key, _) = keys_in((bundle / "skerry.0").read_bytes())
    fingerprint = hub.row("kitchen")["fingerprint"]
    board = bench.board("a")
    said = hub.flash("kitchen", "--port", board.port, "--main", main)
    assert (said["action"], said["fingerprint"]) == ("bind", fingerprint)
    assert not bundle.exists()
    hub.until("kitchen", readings=1, chip=board.chip)
    assert not any(key in path.read_bytes() for path in hub.data.rglob("*") if path.is_file())


def test_provisioned_by_hand_and_adopted(hub, bench, main):
    bundle = hub.enroll("kitchen")
    board = bench.board("a")
    for name in ("skerry.json", "skerry.0"):
        bench.put("a", name, (bundle / name).read_bytes())
    board = bench.on["a"]
    said = hub.flash("--port", board.port, "--main", main)
    assert (said["action"], said["name"], said["chip"]) == ("adopt", "kitchen", board.chip)
    hub.until("kitchen", readings=1)


def test_a_board_that_only_says_that_it_is_a_device_gets_no_key(hub, bench):
    """A claim in skerry.json is no reason to hand out the key of an enrolled device."""
    bundle = hub.enroll("kitchen")
    bench.board("a")
    bench.put("a", "skerry.json", (bundle / "skerry.json").read_text())
    board = bench.on["a"]
    assert "does not have its key" in hub.flash("--port", board.port, ok=False)
    assert "/skerry.0" not in bench.files("a")
    assert hub.row("kitchen")["chip"] is None


def test_dry_run_changes_nothing(hub, bench):
    board = bench.board("a")
    bench.put("a", "notes.txt", "mine")
    board = bench.on["a"]
    before = bench.files("a")
    said = hub.flash("kitchen", "--port", board.port, "--dry-run")
    assert said["dry_run"] is True
    assert (said["action"], said["chip"]) == ("enrol", board.chip)
    assert "/lib/skerry/chain.mpy" in said["write"]
    assert bench.files("a") == before
    assert hub("list") == []


def test_only_what_differs_is_copied_and_nothing_else_is_touched(hub, bench, main):
    bench.board("a", main=MAIN)
    bench.put("a", "notes.txt", "mine")
    hub.flash("kitchen", "--port", bench.on["a"].port)
    before = bench.files("a")
    assert before["/main.py"] == MAIN.encode()
    bench.put("a", "lib/skerry/chain.py", "raise SystemExit  # would be imported before ours")
    bench.put("a", "lib/skerry/wire.mpy", "torn")
    bench.put("a", "lib/mine.py", "x = 1")
    said = hub.flash("--port", bench.on["a"].port, "--dry-run")
    assert said["write"] == ["/lib/skerry/wire.mpy"]
    assert said["remove"] == ["/lib/skerry/chain.py"]
    assert hub.flash("--port", bench.on["a"].port, "--no-restart")["copied"] == 1
    after = bench.files("a")
    assert after.pop("/lib/mine.py") == b"x = 1"
    assert after.pop("/notes.txt") == b"mine"
    for name in ("/notes.txt", "/skerry.0", "/skerry.1"):
        before.pop(name, None)
        after.pop(name, None)
    assert after == before


def test_no_key_is_told_or_left_in_clear(hub, bench, monkeypatch):
    """Not by the command, not on the way back from the board, not in the hub's files."""
    board = bench.board("a")
    came_back = []
    write = os.write

    def spy(file, data):
        if file == board._host:
            came_back.append(data)
        return write(file, data)

    monkeypatch.setattr(unix.os, "write", spy)
    said = hub.flash("kitchen", "--port", board.port)
    monkeypatch.undo()
    slot = bench.files("a")["/skerry.0"]
    back = b"".join(came_back)
    assert len(back) > 1000
    for key in keys_in(slot):
        for text in (
            key,
            key.hex().encode(),
            repr(key)[2:-1].encode(),
            repr(key[:8])[2:-1].encode(),
        ):
            assert text not in back
            assert text not in json.dumps(said).encode()
            assert not any(
                text in each.read_bytes() for each in hub.data.rglob("*") if each.is_file()
            )


def test_a_full_flash_is_an_error_and_a_bigger_one_goes_on(hub, bench):
    board = bench.board("a", size=6 * 4096)
    error = hub.flash("kitchen", "--port", board.port, ok=False)
    assert "ENOSPC" in error or "28" in error
    assert hub.row("kitchen")["state"] == "pending"
    bench.off("a")
    (bench.folder / "a" / "flash").write_bytes(bytes(64 * 4096))
    board = bench.board("a")
    assert hub.flash("--port", board.port)["name"] == "kitchen"


def test_a_pending_name_on_another_board(hub, bench):
    board = bench.board("a", size=6 * 4096)
    hub.flash("kitchen", "--port", board.port, ok=False)
    other = bench.board("b")
    assert "being flashed" in hub.flash("kitchen", "--port", other.port, ok=False)
    assert "being made into kitchen" in hub.flash("hall", "--port", board.port, ok=False)
    hub.flash("kitchen", "--port", other.port, "--replace", "kitchen")
    assert hub.row("kitchen")["chip"] == other.chip


LOOPS = {
    "endless": "while True: pass",
    "crashes": "raise ValueError('oops')",
    "resets": "import machine, time\ntime.sleep(0.3)\nmachine.reset()",
    "catches": "import time\nwhile True:\n try:\n  time.sleep(1)\n except Exception: pass",
    "catches all": "while True:\n try:\n  x = 1\n except: pass",
    "prints": "while True: print('x' * 1000)",
    "fills the heap": "held = []\nwhile True: held.append(bytearray(100))",
}


@pytest.mark.parametrize("program", LOOPS.values(), ids=LOOPS.keys())
def test_whatever_its_program_does_it_is_taken_over(hub, bench, program):
    bench.board("a", main=program)
    assert hub.flash("kitchen", "--port", bench.on["a"].port, "--no-restart")["state"] == "active"
    assert bench.files("a")["/main.py"].decode() == program
