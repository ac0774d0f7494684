"""skerry sim N: enrol N emulated devices if need be, run them against this hub, sum up."""

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from skerry_hub import bundles, enrolment
from skerry_hub.config import Config
from skerry_hub.errors import HubError
from skerry_hub.sim.fleet import Device, interpreter, library, place
from skerry_hub.sim.table import Table

_LIMIT_S = 120.0  # for devices that never get an answer


def status(device: Device) -> dict[str, Any]:
    """Return a table row from what a device said last."""
    row: dict[str, Any] = {"device": device.name}
    for line in list(device.lines):
        row.update({key: line[key] for key in line if key not in ("event", "n", "error")})
        if line["event"] == "reading":
            row["readings"] = row.get("readings", 0) + 1
    last = device.last
    row["now"] = last.get("error") or last.get("event", "starting")
    return row


@contextmanager
def switched_on(devices: list[Device]) -> Iterator[list[Device]]:
    """Run devices, and leave none behind."""
    try:
        yield devices
    finally:
        for each in devices:
            each.kill()


def run(config: Config, args: argparse.Namespace) -> int:
    """Run the command; the exit status tells whether every device posted all its readings."""
    interpreter()  # before anything is enrolled
    if args.count < 1:
        raise HubError("how many devices? a number from 1 on")
    names = [f"sim-{number}" for number in range(1, args.count + 1)]
    with enrolment.opened(config) as hub:
        for name in names:
            if hub.store.device(name) is None:
                enrolment.enroll(hub, name, label="emulated", address=config.reachable)
    lib = library(config.data / "sim")
    started = []
    for name in names:
        bundle, folder = config.bundles / name, config.data / "sim" / name
        place(bundle, folder)
        bundles.check(folder, hub.id)
        started.append(Device(folder, lib, [str(args.readings), str(args.interval)]))
    with switched_on(started) as devices:
        return _watch(devices, args)


def _watch(devices: list[Device], args: argparse.Namespace) -> int:
    table = Table()
    end = time.monotonic() + _LIMIT_S + args.readings * args.interval / 1000
    statuses: dict[str, int | None] = {}
    while len(statuses) < len(devices) and time.monotonic() < end:
        for each in devices:
            if each.name not in statuses and (result := each.wait(0.02)) is not None:
                statuses[each.name] = result
        if not args.json:
            table.draw([status(each) for each in devices])
    rows = [status(each) for each in devices]
    good = [row["now"] == "done" and row.get("readings") == args.readings for row in rows]
    if args.json:
        print(json.dumps(rows))
    else:
        table.draw(rows, last=True)
        print(f"{sum(good)} of {len(rows)} devices posted all their readings")
        for each in devices:
            if each.noise:
                print(f"{each.name}: {each.noise[-1]}")
    return 0 if all(good) else 1
