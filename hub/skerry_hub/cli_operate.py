"""The commands that keep a hub running for years: parse, call a service, print."""

import argparse
import json
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from skerry_hub import audit
from skerry_hub.config import Config
from skerry_hub.store.ledger import Entry
from skerry_hub.store.sqlite import SqliteStore


def tell(config: Config, said: Mapping[str, object]) -> None:
    """Print one thing: its values by their names."""
    if config.json:
        print(json.dumps(said))
        return
    for key, value in said.items():
        if value not in ("", None, []):
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            print(f"{key:12} {shown}")


def opened(config: Config) -> closing[SqliteStore]:
    """Open the store alone, for what needs no key."""
    return closing(SqliteStore(config.database))


def _audit(config: Config, args: argparse.Namespace) -> int:
    with opened(config) as store:
        if args.verify or args.head:
            tell(config, vars(audit.verified(store, args.head)))
            return 0
        last = args.after
        while found := store.audit_after(last, subject=args.device):
            for entry in found:
                print(_json_line(entry) if config.json else _line(entry))
            last = found[-1].id
    return 0


def _json_line(entry: Entry) -> str:
    return json.dumps({**entry._asdict(), "detail": entry.said, "hash": entry.hash.hex()})


def _line(entry: Entry) -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.at))
    said = " ".join(f"{key}={value}" for key, value in entry.said.items() if value != "")
    return f"{entry.id:6}  {at}  {entry.who}  {entry.action}  {entry.subject}  {said}".rstrip()


def add(command: Any) -> None:
    """Add the commands; `command(name, call, summary)` returns a parser."""
    log = command("audit", _audit, "Print the audit log, or verify that it is whole.")
    log.add_argument("--verify", action="store_true", help="check the chain and print its head")
    log.add_argument("--head", metavar="N:HASH", help="verify that the log holds a kept head")
    log.add_argument("--device", metavar="NAME", help="entries about one device")
    log.add_argument("--after", type=int, default=0, metavar="N", help="behind this entry")
