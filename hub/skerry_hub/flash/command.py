"""skerry flash [NAME]: a board on a serial line becomes an enrolled device."""

import argparse
import json
from pathlib import Path

from skerry_hub import enrolment
from skerry_hub.config import Config
from skerry_hub.errors import BoardError, HubError
from skerry_hub.flash import board, burn, ports
from skerry_hub.flash.plan import Wish
from skerry_hub.flash.provision import Settings, Work, inspect, provision
from skerry_hub.flash.report import Report
from skerry_hub.store import Device


def run(config: Config, args: argparse.Namespace) -> int:
    """Flash one board; raises HubError, after which the same command goes on."""
    if args.burn:
        return burn.run(config, args.burn)
    wish = Wish(args.name, frozenset(args.replace))
    settings = _settings(config, args)
    report = Report(quiet=config.json)
    with enrolment.opened(config) as hub, ports.powered(args.port) as port:
        report.step(f"board on {port}")
        with board.opened(port) as opened:
            work = inspect(hub, opened, wish, settings)
            if args.dry_run:
                _tell(config, {**_planned(work), "dry_run": True})
                return 0
            device = provision(hub, opened, work, settings, report)
            if not args.no_restart:
                opened.restart()
    _tell(config, _done(work, device))
    if not (work.has_main or settings.main):
        report.step("it has no main.py yet: copy yours with --main FILE")
    return 0


def _settings(config: Config, args: argparse.Namespace) -> Settings:
    enrolment.check_label(args.label)
    tags = " ".join(args.tag)
    if not tags.isprintable():
        raise BoardError("a tag is one word of printable characters")
    return Settings(
        address=config.advertised,
        address_said=config.address is not None,
        label=args.label,
        tags=tags,
        suite=args.suite,
        chip=args.chip,
        main=read_program(args.main) if args.main else None,
    )


def read_program(path: str) -> bytes:
    """Read a program; raise HubError if it is none."""
    content = Path(path).read_bytes()
    try:
        compile(content, path, "exec")
    except (SyntaxError, ValueError) as error:
        raise HubError(f"{path} is no program: {error}") from None
    return content


def _planned(work: Work) -> dict[str, object]:
    return {
        "name": work.plan.name,
        "action": str(work.plan.action),
        "board": work.board,
        "firmware": work.firmware.version,
        "chip": work.chip,
        "write": list(work.files.write),
        "remove": work.files.remove,
    }


def _done(work: Work, device: Device) -> dict[str, object]:
    return {
        "name": device.name,
        "label": device.label,
        "state": device.state,
        "fingerprint": device.fingerprint,
        "action": str(work.plan.action),
        "board": device.board,
        "chip": work.chip,
        "copied": len(work.files.write),
    }


def _tell(config: Config, said: dict[str, object]) -> None:
    if config.json:
        print(json.dumps(said))
        return
    for key, value in said.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        if shown not in ("", None):
            print(f"{key:12} {shown}")
