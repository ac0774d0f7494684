"""What a device notices of people who look at pages.

    python bench/pages.py [--devices 20000] [--rounds 6] [--seconds 3] [--browsers 4]

One device after the other posts a reading and waits for the answer. In every second round so many
browsers ask, without a pause, for what the page shows and for a search that finds nothing. The hub
has one core; devices and browsers share the other one, so that they disturb each other too.
"""

import argparse
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
import urllib.request
from multiprocessing import Event, Process, Value
from pathlib import Path

import fleet
import servers

from skerry_hub import enrolment, tokens

CONNECTED = 64
ASKED = (
    "/status", "/rates?hours=24", "/devices?limit=200", "/devices?text=nobody", "/audit?limit=200",
    "/devices/d-0000001", "/devices/d-0000001/readings?limit=200",
)  # fmt: skip


def browse(url, token, looking, answered) -> None:
    """Ask for everything again and again while somebody looks."""
    for path in itertools.cycle(ASKED):
        looking.wait()
        headers = {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(url + "api/v1" + path, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            answer.read()
        with answered.get_lock():
            answered.value += 1


def post(wire, peers, seconds: float) -> list[float]:
    """Return the milliseconds from each reading to its answer."""
    took, end = [], time.perf_counter() + seconds
    for number, peer in enumerate(itertools.cycle(peers)):
        token = (number & 0xFFFFFF | 1 << 24).to_bytes(4, "big")
        datagram = peer.request(token)
        begun = time.perf_counter()
        answers = wire.exchange([datagram])
        took.append((time.perf_counter() - begun) * 1000)
        peer.check(answers[token])
        if time.perf_counter() > end:
            return took
    return took


def measure(args, config, said) -> dict[str, list[float]]:
    """Return the times of rounds without and with browsers."""
    with enrolment.opened(config) as hub:
        token = tokens.new(hub.store, f"bench-{os.urandom(4).hex()}", ["read"])[1]
    wire = fleet.Wire(tuple(said["listening"][0]), 1)
    peers = fleet.peers(config, list(range(1, CONNECTED + 1)))
    for peer, number in zip(peers, fleet.tokens(CONNECTED), strict=True):
        peer.accept(wire.exchange([peer.attempt(number)])[number])
    looking, answered = Event(), Value("q", 0)
    told = (said["web"], token, looking, answered)
    browsers = [Process(target=browse, args=told, daemon=True) for _ in range(args.browsers)]
    for each in browsers:
        each.start()
    took: dict[str, list[float]] = {"alone": [], "with browsers": []}
    for _ in range(args.rounds):
        took["alone"] += post(wire, peers, args.seconds)
        looking.set()
        took["with browsers"] += post(wire, peers, args.seconds)
        looking.clear()
        time.sleep(0.5)  # for the answers that are under way
    for each in browsers:
        each.terminate()
    took["answers"] = [answered.value / (args.rounds * args.seconds)]
    return took


def main() -> None:
    """Print a line a kind of round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--browsers", type=int, default=4)
    args = parser.parse_args()
    os.sched_setaffinity(0, {servers.LOAD_CORE})
    with tempfile.TemporaryDirectory() as folder:
        config = fleet.hub(Path(folder), args.devices)
        command = [sys.executable, "-m", "skerry_hub", "run", "--json", "--data", folder,
                   "--listen", "127.0.0.1:0", "--web", "127.0.0.1:0"]  # fmt: skip
        with servers.server(command) as running:
            took = measure(args, config, json.loads(running.greeting))
    (pages,) = took.pop("answers")
    for kind, times in took.items():
        cuts = statistics.quantiles(times, n=1000)
        print(f"{kind:14} {len(times):6} readings: median {statistics.median(times):.2f} ms,"
              f" 99 % {cuts[989]:.2f} ms, most {max(times):.1f} ms")  # fmt: skip
    print(f"{pages:.0f} pages a second")


if __name__ == "__main__":
    main()
