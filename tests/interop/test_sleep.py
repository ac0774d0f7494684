"""A battery node's wakes: real MicroPython processes, a real hub, the clock's memory in a file."""

import json
import os
import subprocess
from pathlib import Path

from real import LIBRARY

SLEEPER = Path(__file__).with_name("sleeper.py")


class Node:
    """A board behind a relay, which sees its datagrams."""

    def __init__(self, hub, how):
        self.how = how
        self.relay = hub.relay()
        self.folder = hub.board("node", self.relay)

    def wake(self, *crash):
        """One wake; return (epoch, sequence number, fingerprint, datagrams up and down)."""
        before = len(self.relay.seen)
        done = subprocess.run(
            ["micropython", "-X", "heapsize=96k", SLEEPER, self.how, "4000", *crash],
            cwd=self.folder,
            env={**os.environ, "MICROPYPATH": str(LIBRARY)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["ok"]
        ways = [way for way, _ in self.relay.seen[before:]]
        return told["epoch"], told["sequence"], told["fingerprint"], ways


def test_deep_sleep(hub):
    """One datagram each way for each wake; a crash costs one handshake."""
    node = Node(hub, "rtc")
    _, _, fingerprint, ways = node.wake()
    assert ways == ["up", "down"] * 2
    for wake in range(1, 6):
        assert node.wake() == ("0.0", wake + 1, fingerprint, ["up", "down"])
    node.wake("crash")  # what was read back is not there again
    epoch, sequence, other, ways = node.wake()
    assert (epoch, sequence, ways) == ("0.1", 1, ["up", "down"] * 2)
    assert other != fingerprint
    assert hub.row("node")["readings"] == 8


def test_the_hub_restarts_meanwhile(hub):
    node = Node(hub, "rtc")
    node.wake()
    hub.kill()
    hub.start()
    assert node.wake()[0] == "0.1"
    assert node.wake()[3] == ["up", "down"]


def test_power_cuts_with_a_session_in_flash(hub):
    node = Node(hub, "flash")
    _, _, fingerprint, ways = node.wake("crash")
    assert ways == ["up", "down"] * 2
    for wake in range(1, 4):
        expected = ("0.0", 1024 * wake + 2, fingerprint, ["up", "down"])
        assert node.wake("crash") == expected
    hub.kill()
    hub.start()
    assert node.wake("crash")[0] == "0.1"
    assert node.wake("crash")[3] == ["up", "down"]
