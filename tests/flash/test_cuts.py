"""skerry flash is killed, or its board loses power, at every step; the same command goes on."""

import json
import subprocess
import sys

import pytest
from bench import MAIN

from skerry_hub.flash.compile import sources

# Ends the process, as if killed, before the step of this number: an exchange with the board, of
# which a file that is written has several, or a transaction of the database, and behind that.
KILLED = """
import os, sys
from mpremote.transport_serial import SerialTransport
from skerry_hub import cli
from skerry_hub.store.sqlite import SqliteStore
left, steps = int(sys.argv[1]), 0
def step():
    global steps
    steps += 1
    if steps == left:
        os._exit(9)
run, writing = SerialTransport.exec_raw_no_follow, SqliteStore._writing
SerialTransport.exec_raw_no_follow = lambda self, command: (step(), run(self, command))[1]
class Writing:
    def __init__(self, store): self.inner = writing(store)
    def __enter__(self): step(); return self.inner.__enter__()
    def __exit__(self, *error): done = self.inner.__exit__(*error); step(); return done
SqliteStore._writing = lambda self: Writing(self)
sys.exit(cli.main(sys.argv[2:]))
"""


def flash(hub, left, *arguments, timeout=90):
    """Flash, killed before a step with the exit status 9; return the exit status."""
    host, port = hub.address
    done = subprocess.run(
        [
            sys.executable, "-c", KILLED, str(left), "--data", hub.data, "--json", "flash",
            "--address", f"{host}:{port}", *arguments,
        ],
        capture_output=True, text=True, timeout=timeout,
    )  # fmt: skip
    return done.returncode


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(MAIN)
    return str(path)


def test_killed_before_every_step_of_a_new_device(hub, bench):
    """The library is there already: what is left are the steps of the identity."""
    hub.flash("first", "--port", bench.board("spare").port)
    bench.off("spare")
    for k in range(1, 400):
        name, board = f"d-{k}", f"b-{k}"
        bench.clone("spare", board)
        (bench.folder / board / "chip").write_text(f"{k:016x}")
        on = bench.board(board)
        status = flash(hub, k, name, "--port", on.port, "--replace", "first", "--no-restart")
        if status == 0:
            break
        assert status == 9, k
        if k % 3 == 0:
            on = bench.restart(board)
        said = hub.flash(name, "--port", on.port, "--replace", "first", "--no-restart")
        assert said["name"] == name
        row = hub.row(name)
        assert (row["state"], row["chip"], row["fingerprint"]) == (
            "active", on.chip, said["fingerprint"]
        )  # fmt: skip
        described = json.loads(bench.files(board)["/skerry.json"])
        assert (described["device"], described["fingerprint"]) == (name, said["fingerprint"])
        bench.off(board)
    assert k > 20, "these are the steps there are"
    rows = [row for row in hub("list") if row["name"].startswith("d-")]
    assert {row["state"] for row in rows} == {"active"}
    assert len({row["fingerprint"] for row in rows}) == len(rows) == k


def test_killed_while_the_library_is_copied(hub, bench, program):
    """At steps spread over all of it, one after the other on one board."""
    board = bench.board("a")
    for k in (12, 13, 14, 15, 30, 40, 50):
        status = flash(hub, k, "kitchen", "--port", board.port, "--main", program)
        assert status == 9
        assert [row["state"] for row in hub("list")] in ([], ["pending"])
    said = hub.flash("kitchen", "--port", board.port, "--main", program)
    assert 0 < said["copied"] < len(sources()) - 5
    hub.until("kitchen", readings=1)


def test_killed_before_every_step_of_a_replacement(hub, bench, program):
    """Until the new board has proved its key, the old one is the device."""
    board = bench.board("a")
    hub.flash("kitchen", "--port", board.port, "--main", program)
    first = hub.until("kitchen", readings=1)["fingerprint"]
    for k in range(1, 400):
        on = bench.on["a"]
        status = flash(hub, k, "--port", on.port, "--replace", "kitchen", "--no-restart")
        if status == 0:
            break
        row = hub.row("kitchen")
        assert row["state"] == "active"
        if row["fingerprint"] != first:  # it is done, but for the command's own end
            assert status in (0, 9)
            break
    assert k > 15, "these are the steps there are"
    said = hub.flash("kitchen", "--port", bench.on["a"].port)
    assert said["fingerprint"] == hub.row("kitchen")["fingerprint"]
    hub.until("kitchen", readings=2)


@pytest.mark.parametrize("delay", [0.5, 0.9, 1.3, 1.7, 2.1])
def test_the_board_loses_power(hub, bench, program, delay):
    board = bench.board("a")
    host, port = hub.address
    command = hub.command("flash", "kitchen", "--address", f"{host}:{port}", "--port", board.port)
    running = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        running.wait(delay)
    except subprocess.TimeoutExpired:
        bench.off("a")
    _, error = running.communicate(timeout=60)
    assert running.returncode == 0 or error.count("\n") == 1, error
    board = bench.restart("a") if "a" in bench.on else bench.board("a")
    said = hub.flash("kitchen", "--port", board.port, "--main", program)
    assert said["name"] == "kitchen"
    hub.until("kitchen", readings=1)
