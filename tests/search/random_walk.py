"""Random walks through the same steps as the exhaustive search, much longer and all at once.

    python tests/search/random_walk.py --steps 10000000 --seed 1 --jobs 2

Each walk draws anew which faults it has, how likely each step is, how long it goes on, and the
numbers of the protocol that a short walk would never reach. It prints how far it got, and on a
violation the steps that lead there; then it ends with status 1.
"""

import argparse
import random
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

if __name__ == "__main__":
    root = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(root / each) for each in ("common", "device", "hub", "tests")]

from search.checks import Checks
from search.explore import OPTIONS
from search.shrink import shrink
from search.watch import Violation, controlled
from search.world import Move, World

from skerry import chain, responder
from skerry_hub import handshakes

USUAL = ("attempt", "recover", "request", "deliver", "hear", "session")
FAULTS = tuple(verb for verb in OPTIONS if verb not in (*USUAL, "go_on"))
_MOST_BOARDS = 3


@dataclass
class Walked:
    """What walks did: steps by verb, and the way to a violation."""

    steps: int = 0
    walks: int = 0
    verbs: Counter[str] = field(default_factory=Counter)
    world: World | None = None
    violation: str = ""
    trace: list[Move] = field(default_factory=list)

    def add(self, other: "Walked") -> None:
        self.steps += other.steps
        self.walks += other.walks
        self.verbs += other.verbs
        if other.violation:
            self.violation, self.trace = other.violation, other.trace


def _weights(source: random.Random) -> dict[str, float]:
    """Draw how likely each verb is: all usual ones, and some of the faults."""
    weights = {verb: source.uniform(1, 10) for verb in USUAL}
    weights |= {"session": source.uniform(0, 3), "go_on": 5}
    faults = source.sample(FAULTS, source.randint(1, len(FAULTS)))
    weights |= {verb: source.choice((0.2, 1, 3)) for verb in faults}
    return weights | {"cut": 10 * weights.get("cut", 0)}  # there is seldom something to cut


def _sample(world: World, verb: str, source: random.Random) -> tuple | None:
    """Draw what a step is made with; late messages and images are likelier than early ones."""
    if verb == "clone" and len(world.devices) == _MOST_BOARDS:
        return None
    options = list(OPTIONS[verb](world))
    if not options:
        return None
    if source.random() < 0.5:
        return options[-1 - min(int(source.expovariate(0.3)), len(options) - 1)]
    return source.choice(options)


def walk(source: random.Random, length: int, checks: Checks, done: Walked) -> None:
    """Walk once; raise Violation with the trace in `done`."""
    weights = _weights(source)
    runs = 1 + ("look_up" in weights or source.random() < 0.2)
    world = World(runs, erases=source.random() < 0.5)
    done.world, done.trace = world, []
    done.walks += 1
    for _ in range(length):
        (verb,) = source.choices(list(weights), list(weights.values()))
        arguments = _sample(world, verb, source)
        if arguments is None:
            continue
        move = (verb, *arguments)
        done.trace.append(move)
        done.steps += 1
        done.verbs[verb] += 1
        world.do(move)
        checks.everything(world)


def run(steps: int, seed: int) -> Walked:
    """Walk until so many steps are made, or to the first violation."""
    done = Walked()
    source = random.Random(seed)
    with controlled():
        while done.steps < steps:
            with ExitStack() as stack:
                eras = source.choice((2, 3, 16))
                last = source.choice((2, 3, chain.MAX_STEP))
                stack.enter_context(patch.object(responder, "RECOVERY_ERAS", eras))
                for module in (chain, handshakes):
                    stack.enter_context(patch.object(module, "MAX_STEP", last))
                length = min(source.choice((20, 60, 200)), steps - done.steps)
                try:
                    walk(source, length, Checks(), done)
                except Violation as violation:
                    runs, erases = len(done.world.processes), done.world.devices[0].flash.erases
                    done.trace = shrink(done.trace, violation.rule, runs, erases)
                    done.violation = (
                        f"{violation} ({runs} processes, {eras} eras ahead, {last} the last step)"
                    )
                    done.world = None
                    return done
    done.world, done.trace = None, []
    return done


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    began, done, part = time.monotonic(), Walked(), 50_000
    sizes = [min(part, arguments.steps - at) for at in range(0, arguments.steps, part)]
    seeds = [arguments.seed * 1_000_000 + i for i in range(len(sizes))]
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for each in pool.map(run, sizes, seeds):
            done.add(each)
            print(f"{done.steps} steps", file=sys.stderr, flush=True)
            if each.violation:
                pool.shutdown(cancel_futures=True)
                break
    rate = done.steps / (time.monotonic() - began)
    print(f"{done.steps} steps in {done.walks} walks, {rate:.0f} a second, seed {arguments.seed}")
    print(", ".join(f"{verb} {count}" for verb, count in done.verbs.most_common()))
    for move in done.trace:
        print("   ", move)
    print(done.violation or "no violation")
    return bool(done.violation)


if __name__ == "__main__":
    sys.exit(main())
