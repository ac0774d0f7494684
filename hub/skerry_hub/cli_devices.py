"""The commands that speak to devices: set, request, poke. The last two need a running hub."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from skerry_hub import device_config, enrolment
from skerry_hub.config import Config
from skerry_hub.errors import HubError

_SLACK_S = 5.0  # for the running hub to say that a device did not answer


def set_value(config: Config, args: argparse.Namespace) -> int:
    """Set a value of a device, or print what is set."""
    with enrolment.opened(config) as hub:
        if args.value is None and not args.remove:
            found = device_config.values(hub.store, hub.vault, args.name)
            shown = [each for each in found if args.path in (None, each.path)]
            for each in shown:
                _print(config, {"path": each.path, "format": each.format}, each.payload)
            return 0 if shown or args.path is None else 1
        if args.path is None:
            raise HubError("which value? name its PATH")
        payload = None if args.remove else _payload(args.format, args.value)
        device_config.set_value(hub.store, hub.vault, args.name, args.path, args.format, payload)
    return 0


def request(config: Config, args: argparse.Namespace) -> int:
    """Have the running hub send a request to a device; print the response."""
    payload = b"" if args.value is None else _payload(args.format, args.value)
    hub, left = _holder(config, args.name, args.timeout)
    said = {
        "do": "request",
        "device": args.name,
        "method": args.method.upper(),
        "path": args.path,
        "payload": payload.hex(),
        "format": None if args.value is None else device_config.FORMATS[args.format],
        "timeout": left,
    }
    answer = ask(hub, said, left + _SLACK_S)
    about = {"code": answer["code"], "format": answer["format"]}
    _print(config, about, bytes.fromhex(answer["payload"]))
    return 0 if answer["ok"] else 1


def poke(config: Config, args: argparse.Namespace) -> int:
    """Have the running hub ask a device for a new session."""
    from skerry_hub import control  # as below

    hubs = control.running(config.control) or [config.control]
    for each in hubs:  # whoever it is in a session with knows best where it is
        if len(hubs) > 1 and ask(each, {"do": "holds", "device": args.name}, _SLACK_S):
            hubs = [each]
    said = ask(hubs[0], {"do": "poke", "device": args.name}, _SLACK_S)
    if config.json:
        print(json.dumps({"name": args.name, **said}))
    else:
        print(f"{args.name} was asked for a new session at {said['address']}.")
    return 0


def _holder(config: Config, name: str, timeout: float) -> tuple[Path, float]:
    """Do what control.holder does."""
    from skerry_hub import control  # as below

    return control.holder(config.control, name, timeout)


def ask(path: Path, said: dict[str, Any], timeout: float) -> Any:
    """Do what control.ask does."""
    from skerry_hub import control  # asyncio takes long to import

    return control.ask(path, said, timeout)


def _payload(format: str, value: str) -> bytes:
    """Read a value: as text, or in hexadecimal digits if its format is binary; - is the input."""
    text = sys.stdin.read() if value == "-" else value
    if format not in ("bytes", "cbor"):
        return text.encode()
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise HubError(f"a value in {format} is written in hexadecimal digits") from None


def _print(config: Config, about: dict[str, Any], payload: bytes) -> None:
    try:
        text: str | None = payload.decode()
    except UnicodeDecodeError:
        text = None
    if config.json:
        print(json.dumps({**about, "text": text, "hex": payload.hex()}))
        return
    # What a terminal would obey is shown as hexadecimal digits.
    shown = text if text is not None and text.isprintable() else "0x" + payload.hex()
    first = next(iter(about.values()))
    print(f"{first}  {shown}".rstrip())


def add(command: Any) -> None:
    """Add the commands; `command(name, call, summary)` returns a parser."""
    formats = list(device_config.FORMATS)
    new = command("set", set_value, "Set what a device fetches at config/PATH, or print it.")
    new.add_argument("name")
    new.add_argument("path", nargs="?", metavar="PATH", help="such as interval or led/colour")
    new.add_argument("value", nargs="?", metavar="VALUE", help="- reads it from the input")
    new.add_argument("--format", choices=formats, default="text", help="text if not said")
    new.add_argument("--remove", action="store_true", help="unset it")

    sent = command("request", request, "Have the running hub send a request to a device.")
    sent.add_argument("name")
    sent.add_argument("method", choices=("get", "post", "put", "delete"))
    sent.add_argument("path", metavar="PATH")
    sent.add_argument("value", nargs="?", metavar="VALUE", help="- reads it from the input")
    sent.add_argument("--format", choices=formats, default="text", help="text if not said")
    sent.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds (60)")

    poked = command("poke", poke, "Have the running hub ask a device for a new session.")
    poked.add_argument("name")
