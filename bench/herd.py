"""How soon a herd of MicroPython devices is back after the hub was killed.

    python bench/herd.py [--devices 1000] [--interval 60] [--outage 20] [--micropython PROGRAM]

Real processes of the unix port, which post every so many seconds. Once all have a session the hub
is ended with kill -9, and started again after the outage. Prints how long after that start a
tenth, half, nine tenths and all of them have posted in a new session. The MicroPython that is
installed for the tests lives in a CPython of its own, 15 MB a device: a thousand want a plain one
(`make -C ports/unix` in MicroPython's sources).
"""

import argparse
import resource
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import servers

from skerry_hub import enrolment
from skerry_hub.config import Config
from skerry_hub.sim import fleet
from skerry_hub.sim.command import switched_on
from skerry_hub.sim.fleet import Device, library, place

ADDRESS = ("127.0.0.1", 5793)
LIMIT_S = 300.0
POLL_S = 0.05


def enrolled(folder: Path, count: int) -> list[Path]:
    """Make a hub with so many devices; return the folders of their boards."""
    config = Config.of(data=str(folder / "hub"), environ={})
    enrolment.init(config, "herd")
    names = [f"herd-{number}" for number in range(count)]
    with enrolment.opened(config) as hub:
        for name in names:
            enrolment.enroll(hub, name, address=ADDRESS)
    for name in names:
        place(config.bundles / name, folder / name)
    return [folder / name for name in names]


def key(device: Device) -> str | None:
    """Return the fingerprint of the session in which it last posted, if it has."""
    return next((line["key"] for line in reversed(device.lines) if line["key"]), None)


def back(devices: list[Device], before: dict[str, str | None], since: float) -> list[float]:
    """Wait until each has posted under another key than before; return the seconds it took."""
    waiting, took = {each.name: each for each in devices}, []
    while waiting and time.monotonic() - since < LIMIT_S:
        time.sleep(POLL_S)
        for name, device in list(waiting.items()):
            if key(device) not in (None, before.get(name)):
                took.append(time.monotonic() - since)
                del waiting[name]
    return took


def report(what: str, took: list[float], count: int) -> None:
    """Print when parts of the herd were there."""
    parts = {"a tenth": 0.1, "half": 0.5, "nine tenths": 0.9, "all": 1.0}
    found = [f"{name} {took[int(count * part) - 1]:.1f} s" for name, part in parts.items()
             if len(took) >= int(count * part)]  # fmt: skip
    print(f"{what}: {', '.join(found)} ({len(took)} of {count})", flush=True)


def main() -> int:
    """Run from the command line; the exit status tells whether all came back in five minutes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--interval", type=float, default=60.0, help="seconds between readings")
    parser.add_argument("--outage", type=float, default=20.0, help="seconds without a hub")
    parser.add_argument("--micropython", type=Path, help="the program to run devices with")
    arguments = parser.parse_args()
    if arguments.micropython:
        fleet.interpreter = lambda: str(arguments.micropython.absolute())
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a pipe from each device
    count = arguments.devices
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        boards, lib = enrolled(folder, count), library(folder)
        command = [sys.executable, "-m", "skerry_hub", "run", "--json", "--data",
                   str(folder / "hub"), "--listen", f"{ADDRESS[0]}:{ADDRESS[1]}"]  # fmt: skip
        with servers.server(command) as hub:
            program = Path(__file__).with_name("herd_device.py").absolute()
            interval = int(arguments.interval * 1000)
            devices = stack.enter_context(switched_on([
                Device(board, lib, [str(interval), str(number * interval // count)], program)
                for number, board in enumerate(boards)
            ]))  # fmt: skip
            report("switched on", back(devices, {}, time.monotonic()), count)
            hub.process.send_signal(signal.SIGKILL)
        time.sleep(arguments.outage)
        before = {each.name: key(each) for each in devices}
        begin = time.monotonic()
        with servers.server(command) as hub:
            took = back(devices, before, begin)
            report("after the kill", took, count)
            for each in devices:
                if key(each) in (None, before[each.name]):
                    print(f"{each.name}: {each.noise[-1:] or each.lines[-1:]}")
            print(f"the hub took {hub.cpu():.1f} s of its processor and holds"
                  f" {hub.resident() >> 20} MiB")  # fmt: skip
    return 0 if len(took) == count else 1


if __name__ == "__main__":
    sys.exit(main())
