"""The examples of docs/, each as a MicroPython process against the real hub."""

import json
import os
import subprocess
import time
from pathlib import Path

from real import LIBRARY, Hub

from skerry_hub.sim.fleet import interpreter

HEAP = "128k"  # they are compiled on the way in: on a board mpy-cross does that before
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
BOARD = '''
"""What a board's `machine` has and the unix port has not: its RTC memory is a file here."""
import sys


def deepsleep(ms):
    print("sleeps", ms)
    sys.exit(0)


class RTC:
    def memory(self, data=None):
        if data is not None:
            with open("rtc", "wb") as file:
                file.write(data)
            return None
        try:
            with open("rtc", "rb") as file:
                return file.read()
        except OSError:
            return b""
'''


class Node:
    """A board whose main.py is an example."""

    def __init__(self, hub: Hub, example: str) -> None:
        self.folder = hub.board("node")
        (self.folder / "main.py").write_text((EXAMPLES / f"{example}.py").read_text())
        (self.folder / "machine.py").write_text(BOARD)

    def start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [interpreter(), "-X", f"heapsize={HEAP}", "main.py"],
            cwd=self.folder,
            env={**os.environ, "MICROPYPATH": f":{LIBRARY}:.frozen"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self) -> str:
        output, _ = self.start().communicate(timeout=60)
        return output


def readings(hub: Hub) -> list[dict]:
    """Return what the hub stored, oldest first."""
    count = hub.row("node")["readings"]
    if not count:
        return []
    command = hub.command("tail", "--from-start", "--count", str(count))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [json.loads(json.loads(line)["text"]) for line in done.stdout.splitlines()]


def wait_for(wanted, limit: float = 60):
    end = time.monotonic() + limit
    while not (found := wanted()):
        assert time.monotonic() < end
        time.sleep(0.2)
    return found


def test_battery_node_sleeps_with_its_session(hub):
    node = Node(hub, "battery_node")
    first = node.run()
    assert "posted" in first
    assert first.rstrip().endswith("sleeps 600000")
    epoch = hub.row("node")["step"]
    hub("set", "node", "led", "on")
    second = node.run()
    assert "led on" in second
    assert second.split()[1] == first.split()[1]  # the session's fingerprint
    assert hub.row("node")["step"] == epoch
    assert len(readings(hub)) == 2


def test_battery_node_sleeps_without_a_hub_too(hub):
    node = Node(hub, "battery_node")
    hub.kill()
    assert node.run().rstrip().endswith("sleeps 600000")
    hub.start()
    assert "posted" in node.run()


def test_async_node(hub):
    process = Node(hub, "async_node").start()
    try:
        wait_for(lambda: len(readings(hub)) > 1)
        hub("set", "node", "led", "green")
        assert process.stdout is not None
        for line in process.stdout:
            if line == "led green\n":
                break
        before = len(readings(hub))
        wait_for(lambda: len(readings(hub)) > before)
        asked = hub("request", "node", "get", "state")
        assert "green" in json.dumps(asked)
    finally:
        process.kill()
        process.wait()


def test_export_key(hub):
    node = Node(hub, "export_key")
    sessions = [node.run().split()[-1] for _ in range(2)]
    told = readings(hub)
    assert [each["session"] for each in told] == sessions
    assert len({each["tag"] for each in told}) == 2
