"""What deliveries cost devices: how long a reading takes while the hub delivers a backlog.

    PYTHONPATH=tests:tests/interop python bench/deliveries.py [ITEMS]      (100000)

One MicroPython device posts without a pause, to a hub that has nothing to deliver and to one that
delivers as fast as it can; the receiver of tests/outgoing takes it all. Needs `make test-outgoing`
to have run once.
"""

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

from outgoing.parts import Receiver, configure, fill, firsts, metric, stored, until
from real import Hub, finish

READINGS = 500
ROUNDS = 3


def reading_ms(hub: Hub, board: Path) -> float:
    """Return how long one reading of many takes, the start of the process included."""
    began = time.monotonic()
    finish(hub.power(board, readings=READINGS))
    return (time.monotonic() - began) / READINGS * 1e3


def measure(hub: Hub, receiver: Receiver, items: int) -> None:
    """Print both, and how fast the backlog went."""
    boards = [hub.board(f"d-{number}") for number in range(2 * ROUNDS)]
    idle = [reading_ms(hub, each) for each in boards[:ROUNDS]]
    receiver.kill()
    for _ in range(items // 1000):
        fill(hub, 1000, "d-0")
    began = time.monotonic()
    receiver.start()
    until(lambda: metric(hub, "behind") < items * 0.99, 70)
    rate: list[float] = []

    def watch() -> None:
        start, left = time.monotonic(), metric(hub, "behind")
        until(lambda: metric(hub, "behind") < left / 4, 600)
        rate.append((left - metric(hub, "behind")) / (time.monotonic() - start))

    watching = threading.Thread(target=watch)
    watching.start()
    busy = []
    for each in boards[ROUNDS:]:
        took = reading_ms(hub, each)
        if metric(hub, "behind") > READINGS:  # it was busy all the time
            busy.append(took)
    watching.join()
    until(lambda: metric(hub, "behind") == 0, 600)
    if not busy or firsts(receiver.numbers()) != stored(hub):
        sys.exit("the backlog was delivered too soon, or not whole: take more items")
    print(f"a reading takes {min(idle):.1f} ms, and {min(busy):.1f} ms during a backlog,")
    print(f"which goes at {rate[0]:.0f} items/s: {items} in {time.monotonic() - began:.0f} s")


def main(items: int = 100_000) -> None:
    """Run hub and receiver in a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        hub, receiver = Hub(Path(folder)), Receiver(Path(folder) / "receiver")
        receiver.start()
        configure(hub, receiver.table())
        hub.start()
        try:
            measure(hub, receiver, items)
        finally:
            hub.stop()
            receiver.kill()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
