"""What a device and a handshake cost in each store: SQLite, and PostgreSQL on the same disk.

    python bench/postgres.py [--devices 2000] [--rounds 2000] [--folder /var/tmp]

A handshake is what the hub asks of its store for one: look the pseudonym up, move, confirm with a
reading. A batch does it for many devices in one transaction each. Needs Debian's postgresql.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from cluster import Cluster

from skerry_hub.store import Advance, Confirmation, NewDevice, NewReading, Store, database, server
from skerry_hub.store.postgres import PostgresStore
from skerry_hub.store.sqlite import SqliteStore

BATCHES = (1, 16, 64)
ERAS = 16


def pid(device: int, step: int) -> bytes:
    """Return a pseudonym, 6 bytes."""
    return (device * 1_000_003 + step).to_bytes(6, "big")


def enrol(store: Store, devices: int) -> None:
    """Enrol devices with as many bytes as true ones have."""
    for device in range(1, devices + 1):
        new = NewDevice(f"d-{device}", "", 0, 0, 0, pid(device, 0), os.urandom(66), "f00dbeef",
                        1.0, key_check=os.urandom(16))  # fmt: skip
        store.enroll(new, [(os.urandom(6), era) for era in range(1, ERAS + 1)])


def handshakes(store: Store, devices: list[int], steps: dict[int, int]) -> None:
    """Lead some devices one step on, all in one batch."""
    pids = {device: pid(device, steps[device]) for device in devices}
    found = store.candidates(list(pids.values()))
    moves, confirmed = [], []
    for device, old_pid in pids.items():
        (old,) = found[old_pid]
        steps[device] = step = old.step + 1
        moves.append(Advance(old, 0, step, pid(device, step), os.urandom(66), old_pid,
                             os.urandom(49), []))  # fmt: skip
        reading = NewReading(device, 2.0, "readings", 50, b'{"c": 21.5}')
        confirmed.append(Confirmation(device, old_pid, "beefbeef", 0, old.step, 2.0, reading))
    assert all(store.write(moves))
    assert all(store.write(confirmed))


def cpu_of(folder: Path) -> float:
    """Return the seconds of CPU of all processes of a cluster that live, so far."""
    total = 0.0
    main = (folder / "data" / "postmaster.pid").read_text().split()[0]
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = each.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[1] == main or each.parent.name == main:
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def own_cpu() -> float:
    """Return the seconds of CPU of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def readings(store: Store, devices: list[int], _: dict[int, int]) -> None:
    """Add a reading of each device, all in one batch."""
    found = [NewReading(device, 2.0, "readings", 50, b'{"c": 21.5}') for device in devices]
    assert all(store.write(found))


def measured(store: Store, devices: int, total: int, other: Callable[[], float]) -> list[dict]:
    """Return what each costs in batches of several sizes; `other` is the server's CPU."""
    found, steps = [], dict.fromkeys(range(1, devices + 1), 0)
    for do, batch in [*((handshakes, each) for each in BATCHES), (readings, BATCHES[-1])]:
        count = max(1, total // batch)
        began, cpu, theirs = time.monotonic(), own_cpu(), other()
        for number in range(count):
            do(store, [1 + (number * batch + k) % devices for k in range(batch)], steps)
        wall, done = time.monotonic() - began, count * batch
        found.append({
            "what": do.__name__,
            "batch": batch,
            "per_s": round(done / wall),
            "commits_per_s": round((2 if do is handshakes else 1) * count / wall),
            "hub_cpu_us": round((own_cpu() - cpu) / done * 1e6),
            "server_cpu_us": round((other() - theirs) / done * 1e6),
        })  # fmt: skip
    return found


def main() -> None:
    """Measure and print one line for each store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder) / "skerry.db"
        database.create(path, {"hub": b"h"})
        with closing(SqliteStore(path)) as store:
            enrol(store, args.devices)
            store.scrub()
            size = path.stat().st_size
            costs = measured(store, args.devices, args.rounds, lambda: 0.0)
    print(json.dumps({"store": "sqlite", "bytes_a_device": size // args.devices, "costs": costs}))
    own = Cluster({"fsync": "on", "shared_buffers": "256MB"}, args.folder)
    server.create(own.url("postgres"), {"hub": b"h"})
    with closing(PostgresStore(own.url("postgres"))) as store:
        enrol(store, args.devices)
        tables = "unnest('{device,coming,audit}'::regclass[])"
        size = int(own.sql(f"SELECT sum(pg_total_relation_size(c)) FROM {tables} AS c")[0][0])
        costs = measured(store, args.devices, args.rounds, lambda: cpu_of(own.folder))
    own.remove()
    print(
        json.dumps({"store": "postgresql", "bytes_a_device": size // args.devices, "costs": costs})
    )


if __name__ == "__main__":
    main()
