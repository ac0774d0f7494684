"""The command line: parse, call, print. No key is ever printed."""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from skerry.wire import SUITES
from skerry_hub import cli_devices, cli_operate, cli_tokens, enrolment
from skerry_hub.config import Config
from skerry_hub.errors import HubError
from skerry_hub.flash import parsers
from skerry_hub.shown import moment
from skerry_hub.store import Device, Reading, Store, named

_POLL_S = 0.2
_HEAD = ("device", "label", "state", "epoch", "key", "session", "readings", "last seen")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 for an error, 130 if interrupted."""
    unsaid = argparse.Namespace(
        data=None, json=False, listen=None, address=None, config=None, app=None, web=None
    )
    args = _parser().parse_args(argv, unsaid)
    try:
        config = Config.of(args.data, args.listen, args.address, args.json, args.config, args.app,
                           web=args.web)  # fmt: skip
        status: int = args.command(config, args)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough; the interpreter flushes once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except HubError as error:
        return _failed(str(error))
    except OSError as error:
        return _failed(f"{error.filename or 'system'}: {error.strerror or error}")
    except KeyboardInterrupt:
        return 130
    return status


def _failed(text: str) -> int:
    print("skerry:", text, file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    # Every command takes the common flags, before its name or after it.
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--data", metavar="DIR", help="the hub's data folder")
    common.add_argument("--config", metavar="FILE", help="a settings file: see skerry config")
    common.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser = argparse.ArgumentParser(
        "skerry", description="Session keys for small devices: the hub.", parents=[common]
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_commands(commands, common)
    return parser


def _add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    def command(name: str, call: Any, summary: str) -> Any:
        added = commands.add_parser(name, help=summary, description=summary, parents=[common])
        added.set_defaults(command=call)
        return added

    new = command("init", _init, "Make a hub in the data folder.")
    new.add_argument("--id", help="the hub's id (one is made up otherwise)")

    said = command("config", _config, "Print all settings, explained, or check them.")
    said.add_argument("what", nargs="?", choices=("print", "check"), default="print")

    device = command("enroll", _enroll, "Enrol a device and write its bundle.")
    device.add_argument("name", nargs="?", help="the device's id (one is made up otherwise)")
    device.add_argument("--label", default="", help="a text for people")
    device.add_argument("--address", metavar="HOST:PORT", help="where the device finds the hub")
    device.add_argument("--suite", type=int, choices=range(len(SUITES)), default=0)

    command("list", _list, "List all devices.")

    hub = command("run", _run, "Run the hub.")
    hub.add_argument("--listen", metavar="HOST:PORT", action="append", help="may be repeated")
    hub.add_argument("--app", metavar="MODULE:FUNCTION", help="adds resources: docs/hub-api.md")

    hub.add_argument("--web", metavar="HOST:PORT", help="serve the web interface: docs/web.md")

    tail = command("tail", _tail, "Print readings as they arrive.")
    tail.add_argument("--device", metavar="NAME", help="of one device only")
    tail.add_argument("--count", type=int, metavar="N", help="end after so many")
    tail.add_argument("--from-start", action="store_true", help="begin with the first one stored")

    sim = command("sim", _sim, "Run emulated devices against the running hub.")
    sim.add_argument("count", type=int, metavar="N", help="how many devices")
    sim.add_argument("--readings", type=int, default=5, metavar="N", help="of each (5)")
    sim.add_argument("--interval", type=int, default=1000, metavar="MS", help="between two (1000)")

    parsers.add(command)
    cli_devices.add(command)
    cli_operate.add(command)
    cli_tokens.add(command, common)

    gone = command("revoke", _revoke, "Erase a device's keys and end its session.")
    gone.add_argument("name")


def _init(config: Config, args: argparse.Namespace) -> int:
    hub = enrolment.init(config, args.id)
    said = {"hub": hub, "data": str(config.data), "kek": str(config.kek)}
    _tell(config, said)
    if not config.json:
        print("Back up the kek apart from the data: without it no device's key opens.")
    return 0


def _config(config: Config, args: argparse.Namespace) -> int:
    # What is wrong in the settings themselves was an error before we came here.
    if args.what == "check":
        from skerry_hub.outgoing import running  # aiohttp takes long to import

        running.destinations(config, "", "")
        _tell(config, {"settings": str(config.file or "none"), "result": "ok"})
    elif config.json:
        print(json.dumps({name: str(value) for name, value in vars(config).items()}))
    else:
        print(config.explained(), end="")
    return 0


def _enroll(config: Config, args: argparse.Namespace) -> int:
    with enrolment.opened(config) as hub:
        done = enrolment.enroll(
            hub, args.name, label=args.label, address=config.advertised, suite=args.suite
        )
    said = {"name": done.name, "label": done.label, "fingerprint": done.fingerprint}
    _tell(config, {**said, "bundle": str(done.bundle_path)})
    return 0


def _tell(config: Config, said: dict[str, str]) -> None:
    """Print one thing: its values by their names."""
    if config.json:
        print(json.dumps(said))
        return
    for key, value in said.items():
        if value:
            print(f"{key:12} {value}")


def _list(config: Config, args: argparse.Namespace) -> int:
    with cli_operate.opened(config) as store:
        devices = store.devices()
    if config.json:
        print(json.dumps([vars(each) for each in devices]))
        return 0
    rows = [_HEAD, *map(_row, devices)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    return 0


def _row(device: Device) -> tuple[str, ...]:
    return (
        device.name, device.label or "-", device.state, f"{device.era}.{device.step}",
        device.fingerprint, device.session_fingerprint or "-", str(device.readings),
        "never" if device.seen_at is None else moment(device.seen_at),
    )  # fmt: skip


def _run(config: Config, args: argparse.Namespace) -> int:
    from skerry_hub import app  # aiocoap takes long to import: the other commands do without

    return app.serve(config)


def _sim(config: Config, args: argparse.Namespace) -> int:
    from skerry_hub.sim import command

    return command.run(config, args)


def _tail(config: Config, args: argparse.Namespace) -> int:
    with cli_operate.opened(config) as store, suppress(KeyboardInterrupt):  # how one ends it
        _follow(store, args)
    return 0


def _follow(store: Store, args: argparse.Namespace) -> None:
    device = None if args.device is None else named(store, args.device).id
    last = 0 if args.from_start else store.last_reading_id()
    left = args.count
    while left is None or left > 0:
        found = store.readings_after(last, device, 1000 if left is None else min(left, 1000))
        for each in found:
            print(_json_line(each) if args.json else _line(each), flush=True)
            last = each.id
        if left is not None:
            left -= len(found)
        if not found:
            time.sleep(_POLL_S)


def _text(reading: Reading) -> str | None:
    try:
        return reading.payload.decode()
    except UnicodeDecodeError:
        return None


def _line(reading: Reading) -> str:
    text = _text(reading)
    # What a terminal would obey is shown as hexadecimal digits.
    shown = text if text is not None and text.isprintable() else "0x" + reading.payload.hex()
    return f"{moment(reading.at)}  {reading.name}  {reading.path}  {shown}"


def _json_line(reading: Reading) -> str:
    return json.dumps(
        {
            "id": reading.id,
            "device": reading.name,
            "at": reading.at,
            "path": reading.path,
            "format": reading.format,
            "text": _text(reading),
            "hex": reading.payload.hex(),
        }
    )


def _revoke(config: Config, args: argparse.Namespace) -> int:
    with cli_operate.opened(config) as store:
        revoked = store.revoke(args.name)
    if config.json:
        print(json.dumps({"name": args.name, "state": "revoked", "changed": revoked}))
    elif revoked:
        print(f"{args.name} is revoked: its keys are erased, a running hub ends its session.")
    else:
        print(f"{args.name} was revoked before.")
    return 0
