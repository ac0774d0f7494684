"""Honest devices under a flood of first messages: python bench/flood.py [--seconds 20].

The hub has one core; the flood, as fast as one process in C can send it, and the devices share
the other one. A device sends as a real one does: a first message three times, 2 s apart, one of
the coming era, and then the next attempt, until its first request is answered. It is in then. They
begin at any time within the first 2 s.

    unknown     random pseudonyms
    forged      pseudonyms of these very devices, as they are on the air, with wrong tags
    replayed    first messages of other devices whose first request never came
    sessions    requests in sessions that nobody knows
"""

import argparse
import json
import os
import random
import select
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fleet
import servers

from skerry import coap
from skerry.errors import SkerryError

HERE = Path(__file__).parent
HONEST, VICTIMS, IDLE = 50, 50, 50
PAUSE_S = 2.0  # between two transmissions: a quarter of the device's timeout
BODY = 23  # bytes of message 1 of suite 0


def generator() -> Path:
    """Compile the load generator."""
    program = HERE.parent / "build" / "bench" / "flood"
    program.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cc", "-O2", "-o", program, HERE / "flood.c"], check=True)
    return program


class Flood:
    """A running flood of these datagrams; the bytes from `random_from` on are random in each."""

    def __init__(
        self, program: Path, port: int, seconds: float, datagrams: list[bytes], random_from: int
    ) -> None:
        self.seconds = seconds
        length = len(datagrams[0])
        values = [str(each) for each in (port, seconds, 0, length, random_from)]
        self._process = subprocess.Popen(
            [program, *values], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._process.stdin.write(b"".join(datagrams))
        self._process.stdin.close()

    def rate(self) -> float:
        """Wait for its end and return datagrams a second."""
        sent = int(self._process.stdout.read())
        self._process.stdout.close()
        assert self._process.wait() == 0
        return sent / self.seconds


class Honest:
    """A device that wants to get in."""

    pause = PAUSE_S

    def __init__(self, peer: fleet.Peer, address: tuple[str, int]) -> None:
        self.peer = peer
        self.wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.wire.connect(address)
        self.wire.setblocking(False)
        self.sent = 0
        self.due = 0.0
        self.request: bytes | None = None
        self.in_at: float | None = None

    def act(self, now: float) -> None:
        """Send what is due."""
        if self.in_at is not None or now < self.due:
            return
        if self.request is None:
            self._attempt()
        else:
            self.wire.send(self.request)
        self.due = now + self.pause

    def _attempt(self) -> None:
        turn = self.sent % 4
        if turn in (0, 3):  # three times the same, then one of the coming era
            self.datagram = self.peer.attempt(b"hone", recover=turn == 3)
        self.sent += 1
        self.wire.send(self.datagram)

    def take(self, now: float) -> None:
        """Take what came."""
        try:
            datagram = self.wire.recv(2048)
        except OSError:
            return
        try:
            if self.request is None:
                self.peer.accept(datagram)
                self.request = self.peer.request(b"hone")
                self.due = now
                self.act(now)
            elif self.in_at is None:
                self.peer.check(datagram)
                self.in_at = now
        except SkerryError:
            return  # not the answer to this attempt


class Idle:
    """A device in a session, which goes on to post; `waits` are how long its answers took."""

    pause = 0.5

    def __init__(self, peer: fleet.Peer, wire: socket.socket) -> None:
        self.peer, self.wire = peer, wire
        self.due = 0.0
        self.asked: float | None = None
        self.posted = 0
        self.waits: list[float] = []

    def act(self, now: float) -> None:
        """Post again; what was not answered is lost."""
        if now >= self.due:
            self.posted += 1
            self.asked, self.due = now, now + self.pause
            self.wire.send(self.peer.request(b"idle"))

    def take(self, now: float) -> None:
        """Take an answer, if it is the one that is waited for."""
        try:
            self.peer.check(self.wire.recv(2048))
        except (OSError, SkerryError):
            return
        if self.asked is not None:
            self.waits.append(now - self.asked)
            self.asked = None


def run(devices: list[Honest | Idle], seconds: float) -> float:
    """Let devices act for so long, or until all that want to get in are; return the seconds."""
    begun = time.monotonic()
    waiting = {each.wire: each for each in devices}
    for each in devices:
        each.due = begun + random.uniform(0, each.pause)
    want = [each for each in devices if isinstance(each, Honest)]
    while (now := time.monotonic()) < begun + seconds:
        if want and all(each.in_at is not None for each in want):
            break
        for each in devices:
            each.act(now)
        for ready in select.select(list(waiting), [], [], 0.02)[0]:
            waiting[ready].take(time.monotonic())
    return time.monotonic() - begun


def datagrams(kind: str, honest: list[Honest], victims: list[bytes]) -> tuple[list[bytes], int]:
    """Return what a flood is made of, and from which byte on it is random."""
    path = coap.path_options("k")
    if kind == "sessions":
        option = bytes((0x09, 0)) + b"kid"
        message = coap.Message(coap.POST, [(coap.OSCORE, option)], bytes(20), token=b"none")
        made = [coap.encode(message)]
        return made, made[0].index(b"kid")
    if kind == "replayed":
        return victims, len(victims[0])
    if kind == "unknown":
        message = coap.Message(coap.POST, path, b"\x10" + bytes(BODY - 1), token=b"none")
        made = [coap.encode(message)]
        return made, len(made[0]) - BODY + 1
    made = [each.peer.attempt(b"none") for each in honest]
    return made, len(made[0]) - BODY + 7


@contextmanager
def hub(folder: Path, enrolled: int) -> Iterator[tuple[servers.Server, fleet.Config]]:
    """Run a hub."""
    config = fleet.hub(folder, enrolled)
    command = [sys.executable, "-m", "skerry_hub", "run", "--json", "--data", str(folder),
               "--listen", "127.0.0.1:0"]  # fmt: skip
    with servers.server(command) as running:
        yield running, config


def one(kind: str, program: Path, folder: Path, seconds: float) -> dict[str, float]:
    """Measure one kind of flood."""
    with hub(folder, HONEST + VICTIMS + IDLE) as (running, config):
        address = tuple(json.loads(running.greeting)["listening"][0])
        peers = fleet.peers(config, list(range(1, HONEST + VICTIMS + IDLE + 1)))
        honest = [Honest(each, address) for each in peers[:HONEST]]
        settled = [Honest(each, address) for each in peers[HONEST : HONEST + IDLE]]
        wire = fleet.Wire(address)
        victims = [
            each.attempt(token)
            for each, token in zip(peers[HONEST + IDLE :], fleet.tokens(VICTIMS), strict=True)
        ]
        assert len(wire.exchange(victims)) == VICTIMS
        run(settled, 10)
        idle = [Idle(each.peer, each.wire) for each in settled]
        before = running.resident()
        flood = None
        if kind != "none":
            flood = Flood(program, address[1], seconds, *datagrams(kind, honest, victims))
            time.sleep(1)
        begun = time.monotonic()
        run([*honest, *idle], seconds - 2)
        rate = flood.rate() if flood else 0.0
        found = sorted(each.in_at - begun for each in honest if each.in_at is not None)
        waits = [wait for each in idle for wait in each.waits]
        for each in (*honest, *idle):
            each.wire.close()
        return {
            "rate": rate,
            "in": len(found),
            "median_s": statistics.median(found) if found else float("nan"),
            "last_s": found[-1] if found else float("nan"),
            "posted": sum(each.posted for each in idle),
            "answered": len(waits),
            "wait_ms": statistics.median(waits) * 1e3 if waits else float("nan"),
            "grown": (running.resident() - before) / 1024,
        }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("kinds", nargs="*", default=[])
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {servers.LOAD_CORE})
    program = generator()
    folder = HERE.parent / "build" / "bench" / "flood.data"
    print(f"{'flood':>9}  {'a second':>8}  {'in':>5}  {'median':>7}  {'last':>7}"
          f"  {'live answered':>14}  {'after':>8}  {'memory':>9}")  # fmt: skip
    for kind in arguments.kinds or ["none", "unknown", "forged", "replayed", "sessions"]:
        found = one(kind, program, folder, arguments.seconds)
        print(
            f"{kind:>9}  {found['rate']:8.0f}  {found['in']:2.0f}/{HONEST}"
            f"  {found['median_s']:5.1f} s  {found['last_s']:5.1f} s"
            f"  {found['answered']:6.0f}/{found['posted']:.0f}  {found['wait_ms']:5.1f} ms"
            f"  {found['grown']:+6.0f} KiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
