"""skerry doctor [PORT]: what is wrong with the hub, the ports and the board, and what to do."""

import argparse
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain

from skerry_hub import enrolment, udp
from skerry_hub.config import Config
from skerry_hub.errors import HubError, MissingExtra
from skerry_hub.outgoing import running as outgoing
from skerry_hub.shown import moment
from skerry_hub.store import Store
from skerry_hub.store.places import shown
from skerry_hub.tools import load

OK, WARN, FAIL = "ok", "warn", "fail"
_ROOM = 100 << 20  # bytes that a hub's disk should have free
_WAITING = 200  # items that are underway in a good hub, two batches
_CLOCK_IS_SET = 1_735_689_600  # 2025-01-01


@dataclass(frozen=True)
class Line:
    """One thing that was looked at; `remedy` is "" if nothing is to be done."""

    state: str
    what: str
    said: str
    remedy: str = ""


def run(config: Config, args: argparse.Namespace) -> int:
    """Print all lines; the exit status is 1 if one of them is a failure."""
    lines = []
    for line in chain(_hub(config), _boards(args.port)):
        lines.append(line)
        if not config.json:
            print(f"{line.state:5} {line.what:12} {line.said}")
            if line.remedy:
                print(f"{'':18} -> {line.remedy}", flush=True)
    if config.json:
        print(json.dumps([asdict(each) for each in lines]))
    return 1 if any(each.state == FAIL for each in lines) else 0


def tried(what: str, call: Callable[[], object]) -> Line:
    """Say what a call returns, or why it failed."""
    try:
        return Line(OK, what, str(call()))
    except HubError as error:
        return failed(what, error)


def failed(what: str, error: HubError) -> Line:
    """Return a failure; the part of an error's text behind its last colon is what to do."""
    said, _, remedy = str(error).rpartition(": ")
    return Line(FAIL, what, said or remedy, remedy if said else "")


def _boards(port: str | None) -> Iterator[Line]:
    try:
        boards = load("flash.doctor")
    except MissingExtra as error:  # a hub needs none of it
        line = failed("boards", error)
        yield line if port else replace(line, state=WARN)
    else:
        yield from boards.lines(port)


def _hub(config: Config) -> Iterator[Line]:
    try:
        hub = enrolment.open_hub(config)
    except HubError as error:
        yield failed("hub", error)
        return
    try:
        yield Line(OK, "hub", f"{hub.id} in {config.data}")
        yield tried("database", lambda: f"{hub.store.check()}, {shown(config)}")
        yield from _outgoing(config, hub.store)
    finally:
        hub.close()
    yield _kek(config)
    mode = config.data.stat().st_mode & 0o077
    remedy = f"run chmod 700 '{config.data}'" if mode else ""
    yield Line(WARN if mode else OK, "data folder", f"mode {mode | 0o700:o}", remedy)
    free = shutil.disk_usage(config.data).free
    said = f"{free >> 20} MiB free"
    yield Line(OK, "disk", said) if free > _ROOM else Line(FAIL, "disk", said, "make room")
    yield _clock()
    yield _queue()
    yield _generator()
    yield _bundles(config)
    host, port = config.advertised
    loopback = host in ("127.0.0.1", "::1", "localhost")
    remedy = "boards cannot reach that: name the hub's address with --address" if loopback else ""
    yield Line(WARN if loopback else OK, "address", f"{host} port {port}", remedy)


def _kek(config: Config) -> Line:
    if config.kek.path and config.kek.path.parent == config.data:
        remedy = "put it on another disk and name it in SKERRY_KEK_FILE, or a backup has both"
        return Line(
            WARN, "kek", f"it opens the database, and lies beside it: {config.kek}", remedy
        )
    return Line(OK, "kek", f"it opens the database: {config.kek}")


def _outgoing(config: Config, store: Store) -> Iterator[Line]:
    for name, problem, waiting in outgoing.standing(config, store):
        said = f"{waiting} readings and events wait"
        if problem:
            yield failed(name, problem)
        elif waiting > _WAITING:
            yield Line(WARN, name, said, "the hub's log says why: docs/outgoing.md")
        else:
            yield Line(OK, name, said)


def _clock() -> Line:
    now = time.time()
    said = moment(now)
    if now < _CLOCK_IS_SET:
        return Line(WARN, "clock", said, "set it: until then devices get no time")
    return Line(OK, "clock", said)


def _queue() -> Line:
    """Look at how much the kernel keeps of what arrives while the hub is busy."""
    granted = udp.queue_granted()
    remedy = f"sysctl -w net.core.rmem_max={udp.QUEUE}" if granted < udp.QUEUE else ""
    said = f"{granted >> 10} KiB of {udp.QUEUE >> 10} KiB for what arrives in a burst"
    return Line(WARN if remedy else OK, "queue", said, remedy)


def _generator() -> Line:
    draw = os.urandom(32)
    if draw == os.urandom(32) or len(set(draw)) < 20:
        remedy = "no key may be made here: mend this machine's random number generator"
        return Line(FAIL, "randomness", "the generator repeats itself", remedy)
    return Line(OK, "randomness", "nothing seems wrong with the generator")


def _bundles(config: Config) -> Line:
    waiting = sorted(each.parent.name for each in config.bundles.glob("*/skerry.0"))
    if not waiting:
        return Line(OK, "bundles", "no key lies on this disk in clear")
    said = f"keys in clear for {len(waiting)} boards: {', '.join(waiting[:5])}"
    return Line(WARN, "bundles", said, "flash these boards, then delete their bundles")
