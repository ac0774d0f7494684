"""What idle sessions cost a busy one: CPU of a request, as a ratio to a hub without them.

    PYTHONPATH=tests/hub python bench/idle_sessions.py [IDLE ...]      (100 1000 10000)

The request is a GET that aiocoap answers with 4.04: front, OSCORE, bridge, aiocoap, no database.
Rounds are interleaved, and the figure is the median of the ratios within a round.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from desk import DeskDevice, DeskHub, enrolled, made

from skerry import coap
from skerry_hub import enrolment
from skerry_hub.oscore_bytes import HubSession
from skerry_hub.sessions import Live

ROUNDS = 15
REQUESTS = 200


def fill(hub: DeskHub, idle: int) -> None:
    """Give other devices a session."""
    for number in range(idle):
        secret = number.to_bytes(32, "big")
        live = Live(1000 + number, f"x-{number}", b"pid", (0, 0), HubSession(secret, 0))
        hub.sessions.offer(live, secret, b"message 2")
        hub.sessions.promote(live)


async def prepared(folder: Path, idle: int) -> tuple[DeskHub, DeskDevice]:
    """Return a hub with idle sessions, and a device in one."""
    opened = enrolment.open_hub(made(folder))
    hub, device = DeskHub(opened), enrolled(opened, "d-1")
    await device.connect(hub)
    device.response(await hub.ask(device.request()))
    fill(hub, idle)
    return hub, device


async def one_round(hub: DeskHub, device: DeskDevice) -> float:
    """Return the CPU seconds of one request."""
    datagrams = [device.request(b"", coap.GET, "nothing") for _ in range(REQUESTS)]
    start = time.process_time()
    for each in datagrams:
        assert await hub.ask(each)
    return (time.process_time() - start) / REQUESTS


async def main(counts: list[int]) -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        hubs = []
        for idle in (0, *counts):
            place = Path(folder) / str(idle)
            place.mkdir()
            hubs.append(await prepared(place, idle))
        rounds = [[await one_round(*each) for each in hubs] for _ in range(ROUNDS)]
    print(f"{'idle sessions':>14}  {'us a request':>12}  {'ratio':>6}  {'10-90 %':>12}")
    for at, idle in enumerate((0, *counts)):
        ratios = sorted(each[at] / each[0] for each in rounds)
        low, high = ratios[ROUNDS // 10], ratios[-1 - ROUNDS // 10]
        spent = statistics.median(each[at] for each in rounds) * 1e6
        ratio = statistics.median(ratios)
        print(f"{idle:14}  {spent:12.0f}  {ratio:6.2f}  {low:5.2f}-{high:5.2f}")


if __name__ == "__main__":
    asyncio.run(main([int(each) for each in sys.argv[1:]] or [100, 1000, 10_000]))
