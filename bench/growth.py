"""What a hub of many devices costs: python bench/growth.py [DEVICES ...]  (1000 to 1000000).

For each number: CPU of a handshake and the first request after it, of devices chosen at random;
from the start of the process to its first answer; resident memory after 12,000 handshakes. Fills
the databases first, which takes a quarter of a millisecond a device, and keeps them in
build/growth.
"""

import argparse
import json
import os
import random
import statistics
import sys
import time
from pathlib import Path

import fleet
import servers

OPERATIONS = 2000  # handshakes in a round
ROUNDS = 5
FOLDER = Path(__file__).parents[1] / "build" / "growth"


def first_answer(command: list[str], peer: fleet.Peer) -> float:
    """Return the seconds from the start of a hub to its answer to a handshake."""
    begun = time.monotonic()
    with servers.server(command) as running:
        wire = fleet.Wire(address(running))
        (answer,) = wire.exchange([peer.attempt(b"frst")]).values()
        took = time.monotonic() - begun
        peer.accept(answer)
        wire.close()
    return took


def address(running: servers.Server) -> tuple[str, int]:
    """Return where a hub says that it listens."""
    return tuple(json.loads(running.greeting)["listening"][0])


def cost(running: servers.Server, peers: list[fleet.Peer]) -> float:
    """Let every peer make a handshake and its first request; return the CPU seconds of both."""
    wire = fleet.Wire(address(running))
    tokens = fleet.tokens(len(peers))
    spent = 0.0
    for make, take in (
        (fleet.Peer.attempt, fleet.Peer.accept), (fleet.Peer.request, fleet.Peer.check)
    ):  # fmt: skip
        datagrams = [make(peer, token) for peer, token in zip(peers, tokens, strict=True)]
        before = running.cpu()
        answers = wire.exchange(datagrams)
        spent += running.cpu() - before
        assert len(answers) == len(peers), f"{len(answers)} answers to {len(peers)}"
        for peer, token in zip(peers, tokens, strict=True):
            take(peer, answers[token])
    wire.close()
    return spent / len(peers)


def measured(devices: int) -> tuple[float, float, int]:
    """Return seconds of CPU, seconds to the first answer and bytes, of a hub of so many."""
    config = fleet.hub(FOLDER / str(devices), devices)
    command = [sys.executable, "-m", "skerry_hub", "run", "--json",
               "--data", str(config.data), "--listen", "127.0.0.1:0"]  # fmt: skip
    operations = min(OPERATIONS, devices)
    count = min(operations * (ROUNDS + 1), devices)
    peers = fleet.peers(config, random.sample(range(1, devices + 1), count))
    took = first_answer(command, peers[0])
    with servers.server(command) as running:
        costs = []
        for number in range(ROUNDS + 1):  # of other devices, if there are as many
            first = number * operations % count
            costs.append(cost(running, peers[first : first + operations]))
        return statistics.median(costs[1:]), took, running.resident()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("devices", type=int, nargs="*")
    sizes = parser.parse_args().devices or [1000, 10_000, 100_000, 1_000_000]
    os.sched_setaffinity(0, {servers.LOAD_CORE})
    print(f"{'devices':>9}  {'both':>10}  {'ratio':>6}  {'first answer':>12}  {'memory':>8}")
    smallest = None
    for devices in sizes:
        spent, took, held = measured(devices)
        smallest = smallest or spent
        print(
            f"{devices:9}  {spent * 1e6:7.1f} us  {spent / smallest:6.2f}  {took:10.2f} s"
            f"  {held >> 20:4} MiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
