"""skerry token: who may use the web interface (tokens.py)."""

import argparse
import json
import re
from typing import Any

from skerry_hub import tokens
from skerry_hub.cli_operate import opened, tell
from skerry_hub.config import Config
from skerry_hub.errors import HubError
from skerry_hub.shown import moment
from skerry_hub.store import Token

_UNITS = {"h": 3600.0, "d": 86400.0}


def _new(config: Config, args: argparse.Namespace) -> int:
    with opened(config) as store:
        token, text = tokens.new(store, args.name, args.scope, args.expires)
    if config.json:
        print(json.dumps({**_said(token), "token": text}))
    else:
        print(text)  # alone, so that it can go where it belongs: it is shown only now
    return 0


def _list(config: Config, args: argparse.Namespace) -> int:
    with opened(config) as store:
        found = store.tokens()
    if config.json:
        print(json.dumps([_said(each) for each in found]))
    elif not found:
        print("No tokens: skerry token new NAME --scope read makes one.")
    for each in () if config.json else found:
        until = "for good" if each.expires_at is None else "until " + moment(each.expires_at)
        used = "never used" if each.used_at is None else "used " + moment(each.used_at)
        print(f"{each.name:20} {each.scopes:20} {until}{_state(each)}, {used}")
    return 0


def _state(token: Token) -> str:
    return " (expired)" if tokens.expired(token) else ""


def _revoke(config: Config, args: argparse.Namespace) -> int:
    with opened(config) as store:
        if not store.revoke_token(args.name):
            raise HubError(f"no token {args.name!r}: skerry token list names all there are")
    tell(config, {"name": args.name, "state": "revoked"})
    return 0


def _said(token: Token) -> dict[str, Any]:
    said = {key: value for key, value in vars(token).items() if key != "hash"}
    return {**said, "scopes": token.scopes.split()}


def _duration(text: str) -> float:
    match = re.fullmatch(r"([1-9][0-9]{0,4})([hd])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r}: write hours or days, such as 12h or 90d")
    return int(match[1]) * _UNITS[match[2]]


def add(command: Any, common: argparse.ArgumentParser) -> None:
    """Add the command; `command(name, call, summary)` returns a parser."""
    parser = command("token", _list, "Make, list or revoke tokens of the web interface.")
    what = parser.add_subparsers(metavar="WHAT", required=True)

    def kind(name: str, call: Any, summary: str) -> Any:
        added = what.add_parser(name, help=summary, description=summary, parents=[common])
        added.set_defaults(command=call)
        return added

    made = kind("new", _new, "Make a token and print it, this once.")
    made.add_argument("name", help="what the audit log calls it")
    made.add_argument(
        "--scope", action="append", choices=list(tokens.SCOPES), required=True,
        help="; ".join(f"{name}: {text}" for name, text in tokens.SCOPES.items()),
    )  # fmt: skip
    made.add_argument("--expires", type=_duration, metavar="TIME", help="such as 12h or 90d")
    kind("list", _list, "Print all tokens.")
    kind("revoke", _revoke, "Make a token worthless at once.").add_argument("name")
