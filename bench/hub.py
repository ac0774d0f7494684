"""What a handshake and a protected request cost the hub, beside its peers and the floor.

    python bench/hub.py [--rounds 5] [--devices 1000] [--operations 2000]

Real datagrams on loopback. Each server has one core, its load comes from the other one, and what
counts is the server's own processor time. In each round all are measured one after the other, so
that a slow minute of the machine is slow for all: the ratios are of one round each.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import aiocoap_oscore
import fleet
import libcoap
import servers

from skerry import coap
from skerry.oscore import SecurityContext

HERE = Path(__file__).parent
ECHO_PORT, HUB_PORT, AIOCOAP_PORT = 5790, 5791, 5792
CONTEXTS = 64  # of aiocoap's server

HANDSHAKE, FIRST, LIVE = "skerry handshake", "skerry handshake and request", "skerry request"
DTLS, EDHOC = "libcoap DTLS-PSK handshake and request", "lakers EDHOC responder"
OSCORE, ECHO = "aiocoap OSCORE request", "uvloop echo"
RATIOS = {
    "ratio_to_libcoap_dtls_psk": (FIRST, DTLS),
    "ratio_to_lakers_edhoc": (FIRST, EDHOC),
    "ratio_to_aiocoap_oscore": (LIVE, OSCORE),
    "ratio_of_two_echoes": (FIRST, ECHO),
}


class HubLoad:
    """The hub's own process, and devices that it knows."""

    def __init__(self, folder: Path, devices: int, operations: int) -> None:
        self.config = fleet.hub(folder, devices)
        numbers = random.sample(range(1, devices + 1), min(devices, operations))
        self.peers = fleet.peers(self.config, numbers)
        self.tokens = fleet.tokens(len(self.peers))
        self.command = [sys.executable, "-m", "skerry_hub", "run", "--json", "--data", str(folder),
                        "--listen", f"127.0.0.1:{HUB_PORT}"]  # fmt: skip

    def connect(self) -> None:
        """Open the socket that all devices share."""
        self.wire = fleet.Wire(("127.0.0.1", HUB_PORT))

    def _each(
        self, running: servers.Server, make: Callable[..., bytes], take: Callable[..., None]
    ) -> float:
        """Let every peer send one datagram and take its answer; return seconds for each."""
        pairs = list(zip(self.peers, self.tokens, strict=True))
        datagrams = [make(peer, token) for peer, token in pairs]
        before = running.cpu()
        answers = self.wire.exchange(datagrams)
        spent = running.cpu() - before
        assert len(answers) == len(pairs), f"{len(answers)} answers to {len(pairs)}"
        for peer, token in pairs:
            take(peer, answers[token])
        return spent / len(pairs)

    def costs(self, running: servers.Server) -> dict[str, float]:
        """Return seconds: every peer makes a handshake, its first request, and another one."""
        handshake = self._each(running, fleet.Peer.attempt, fleet.Peer.accept)
        first = self._each(running, fleet.Peer.request, fleet.Peer.check)
        live = self._each(running, fleet.Peer.request, fleet.Peer.check)
        return {HANDSHAKE: handshake, FIRST: handshake + first, LIVE: live}


class OscoreLoad:
    """Requests to aiocoap's OSCORE server, prepared with our own context."""

    def __init__(self, operations: int) -> None:
        self.command = [
            sys.executable,
            str(HERE / "aiocoap_oscore.py"),
            str(AIOCOAP_PORT),
            str(CONTEXTS),
        ]
        self.operations = operations
        self.contexts = [
            SecurityContext(secret, aiocoap_oscore.SALT, kid, b"")
            for kid, secret in aiocoap_oscore.contexts(CONTEXTS).items()
        ]
        self.mid = 0

    def cost(self, running: servers.Server) -> float:
        """Return the server's processor time for a request, in seconds."""
        wire = fleet.Wire(("127.0.0.1", AIOCOAP_PORT), window=8)
        datagrams = []
        for number, token in enumerate(fleet.tokens(self.operations)):
            self.mid = (self.mid + 1) & 0xFFFF
            path = coap.path_options("readings")
            inner = coap.Message(coap.POST, path, bytes(32), coap.CON, self.mid, token)
            outer, _ = self.contexts[number % CONTEXTS].protect_request(inner)
            datagrams.append(coap.encode(outer))
        before = running.cpu()
        answers = wire.exchange(datagrams)
        spent = running.cpu() - before
        wire.close()
        assert all(each[1] == coap.CHANGED for each in answers.values())
        assert len(answers) > 0.98 * self.operations, f"{len(answers)} answers of aiocoap"
        return spent / len(answers)


def echo_cost(running: servers.Server, operations: int) -> float:
    """Return seconds for two datagrams each way, as a handshake and a request have them."""
    wire = fleet.Wire(("127.0.0.1", ECHO_PORT))
    datagrams = [bytes(4) + token + bytes(31) for token in fleet.tokens(operations * 2)]
    before = running.cpu()
    answers = wire.exchange(datagrams)
    spent = running.cpu() - before
    wire.close()
    return spent / len(answers) * 2


def rounds(arguments: argparse.Namespace) -> Iterator[dict[str, float]]:
    """Measure everything once a round, in seconds."""
    count = arguments.operations
    ours, theirs = HubLoad(arguments.data, arguments.devices, count), OscoreLoad(count // 2)
    dtls = libcoap.Load()
    lakers = [sys.executable, str(HERE / "lakers_responder.py"), "200"]
    with ExitStack() as stack:
        hub = stack.enter_context(servers.server(ours.command))
        ours.connect()
        dtls_server = stack.enter_context(servers.server(dtls.command, ready=1.0))
        oscore_server = stack.enter_context(servers.server(theirs.command))
        echo = stack.enter_context(
            servers.server([sys.executable, str(HERE / "echo.py"), str(ECHO_PORT)])
        )
        for warm_up in (True, *[False] * arguments.rounds):
            found = ours.costs(hub)
            found[DTLS] = dtls.cost(dtls_server, count // 4)
            found[OSCORE] = theirs.cost(oscore_server)
            found[ECHO] = echo_cost(echo, count)
            done = subprocess.run(
                ["taskset", "-c", str(servers.SERVER_CORE), *lakers],
                input="\n", capture_output=True, text=True, check=True,
            )  # fmt: skip
            found[EDHOC] = float(done.stdout)
            if not warm_up:
                print(".", end="", file=sys.stderr, flush=True)
                yield found
        print(file=sys.stderr)


def spread(values: list[float]) -> dict[str, float]:
    """Return the median, the least and the greatest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--devices", type=int, default=1000, help="enrolled ones")
    parser.add_argument("--operations", type=int, default=1000, help="of each kind, in a round")
    parser.add_argument("--data", type=Path, help="the hub's folder, kept for the next time")
    parser.add_argument("--output", type=Path, default=HERE / "results" / "hub.json")
    arguments = parser.parse_args()
    arguments.data = arguments.data or HERE.parent / "build" / "bench" / str(arguments.devices)
    arguments.data.parent.mkdir(parents=True, exist_ok=True)
    os.sched_setaffinity(0, {servers.LOAD_CORE})
    measured = list(rounds(arguments))
    result = {
        "devices": arguments.devices,
        "rounds": len(measured),
        "microseconds": {
            name: spread([each[name] * 1e6 for each in measured]) for name in measured[0]
        },
    }
    for name, (one, other) in RATIOS.items():
        result[name] = spread([each[one] / each[other] for each in measured])
    show(result)
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=2) + "\n")


def show(result: dict) -> None:
    """Print the table."""
    print(f"{result['devices']} devices, {result['rounds']} rounds: median (least to greatest)")
    for name, found in result["microseconds"].items():
        print(f"{name:42s}{found['median']:8.1f} us  ({found['min']:.1f} to {found['max']:.1f})")
    for name in RATIOS:
        found = result[name]
        print(f"{name:42s}{found['median']:8.3f}     ({found['min']:.3f} to {found['max']:.3f})")


if __name__ == "__main__":
    main()
