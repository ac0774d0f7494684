"""The commands that keep a hub running for years: parse, call a service, print."""

import argparse
import json
from collections.abc import Mapping
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

from skerry_hub import audit, backup, enrolment, policy, rotation
from skerry_hub.config import Config
from skerry_hub.errors import ControlError, HubError
from skerry_hub.keysource import KINDS, KeySource
from skerry_hub.shown import moment
from skerry_hub.store import Store, named
from skerry_hub.store.ledger import Entry
from skerry_hub.store.places import open_store

_EXPLAIN_WITHIN_S = 10.0
_KEYS_WITHIN_S = 90.0  # somebody may have to type a passphrase for the hub


def tell(config: Config, said: Mapping[str, object]) -> None:
    """Print one thing: its values by their names."""
    if config.json:
        print(json.dumps(said))
        return
    for key, value in said.items():
        if value not in ("", None, []):
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            print(f"{key:12} {shown}")


def opened(config: Config) -> closing[Store]:
    """Open the store alone, for what needs no key."""
    return closing(open_store(config))


def _audit(config: Config, args: argparse.Namespace) -> int:
    with opened(config) as store:
        if args.verify or args.head:
            tell(config, vars(audit.verified(store, args.head)))
            return 0
        for entry in audit.entries(store, args.after, args.device):
            print(_json_line(entry) if config.json else _line(entry))
    return 0


def _json_line(entry: Entry) -> str:
    return json.dumps({**entry._asdict(), "detail": entry.said, "hash": entry.hash.hex()})


def _line(entry: Entry) -> str:
    said = " ".join(f"{key}={value}" for key, value in entry.said.items() if value != "")
    about = f"{entry.who}  {entry.action}  {entry.subject}  {said}"
    # Whoever wrote it: an entry is one line, and no escape sequence reaches a terminal.
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in about)
    return f"{entry.id:6}  {moment(entry.at)}  {shown}".rstrip()


def _rotate_key(config: Config, args: argparse.Namespace) -> int:
    said = [KeySource(kind, getattr(args, f"to_{kind}")) for kind in KINDS
            if getattr(args, f"to_{kind}")]  # fmt: skip
    if len(said) > 1:
        raise HubError("name one new key")
    if args.to_file:
        said = [KeySource("file", str(Path(args.to_file).absolute()))]
    with enrolment.opened(config) as hub:
        done = rotation.rotate(hub, said[0] if said else None, partial(_tell_hub, config))
    tell(config, vars(done))
    if not done.finished and not config.json:
        print(f"Now name {done.kek} in the settings as kek_{said[0].kind}, run skerry rotate-key")
        print("once more, restart the hub, and destroy the old key.")
    return 0


def _tell_hub(config: Config) -> None:
    """Have a running hub take the new row key; it does so by itself a little later."""
    from skerry_hub import control  # as for restore

    with suppress(ControlError):
        control.ask_all(config.control, {"do": "keys"}, _KEYS_WITHIN_S)


def _backup(config: Config, args: argparse.Namespace) -> int:
    with opened(config) as store:
        done = backup.backup(store, Path(args.file).absolute())
    tell(config, vars(done))
    return 0


def _restore(config: Config, args: argparse.Namespace) -> int:
    from skerry_hub import restoring  # asyncio, beside it, takes long to import

    call = restoring.check if args.check else restoring.restore
    listed = Path(args.revocations) if args.revocations else None
    done = call(config, Path(args.file).absolute(), listed)
    said = vars(done)
    if not config.json:
        said = {**{key.replace("_", " "): value for key, value in said.items()},
                "made at": moment(done.made_at)}  # fmt: skip
    tell(config, said)
    if not config.json and not done.compared:
        print("The present database cannot be read: compare with a list of devices, and name a")
        print("revocation list with --revocations, or who was revoked since is back.")
    return 0


def _migrate(config: Config, args: argparse.Namespace) -> int:
    from skerry_hub import migrating  # as for restore

    done = migrating.migrate(config, args.to)
    tell(config, vars(done))
    if not config.json:
        print(f'Now set database = "{args.to}" in the settings and start the hub. The file')
        print("skerry.db has old keys, sealed: remove it when all is well.")
    return 0


def _explain(config: Config, args: argparse.Namespace) -> int:
    from skerry_hub import control, explain  # as for restore

    seen = None
    with suppress(ControlError):
        asked = {"do": "explain", "device": args.name}
        seen = explain.together(control.ask_all(config.control, asked, _EXPLAIN_WITHIN_S))
    with opened(config) as store:
        found = explain.explain(store, args.name, seen)
    if config.json:
        print(json.dumps([vars(each) for each in found]))
        return 0
    for each in found:
        print(f"{args.name} {each.text}.")
        if each.remedy:
            print(f"    {each.remedy}")
    return 0


def _quarantine(config: Config, args: argparse.Namespace) -> int:
    enrolment.check_reason(args.reason)
    with opened(config) as store:
        return _told(
            config, store, args.name, store.quarantine(args.name, args.reason), "quarantined"
        )


def _release(config: Config, args: argparse.Namespace) -> int:
    with opened(config) as store:
        return _told(config, store, args.name, store.release(args.name), "active")


def _told(config: Config, store: Store, name: str, changed: bool, wanted: str) -> int:
    """Print which state a device is in now; return 0 if it is the one that was wanted."""
    state = named(store, name).state
    tell(config, {"name": name, "state": state, "changed": changed})
    return 0 if state == wanted else 1


def _undelete(config: Config, args: argparse.Namespace) -> int:
    with enrolment.opened(config) as hub:
        done = enrolment.undelete(hub, args.name, config.advertised)
    tell(config, {"name": done.name, "fingerprint": done.fingerprint,
                  "bundle": str(done.bundle_path)})  # fmt: skip
    if not config.json:
        print("Its former key is erased for good: copy this bundle to the board.")
    return 0


def _tag(config: Config, args: argparse.Namespace) -> int:
    tags = enrolment.checked_tags(args.tag)
    with opened(config) as store:
        if args.tag or args.none:
            store.set_tags(args.name, tags)
        tell(config, {"name": args.name, "tags": named(store, args.name).tags})
    return 0


def _policy(config: Config, args: argparse.Namespace) -> int:
    with opened(config) as store:
        if args.may:
            policy.check_devices(store, *args.may)
        if args.set:
            policy.put(store, policy.parse(Path(args.set).read_text()))
        made = [str(each) for each in policy.rules(store)]
    if config.json:
        print(json.dumps({"rules": made}))
    elif not args.may:
        print("\n".join(made) or "No rules: everybody may talk to everybody.")
    return 0


def add(command: Any) -> None:
    """Add the commands; `command(name, call, summary)` returns a parser."""
    log = command("audit", _audit, "Print the audit log, or verify that it is whole.")
    log.add_argument("--verify", action="store_true", help="check the chain and print its head")
    log.add_argument("--head", metavar="N:HASH", help="verify that the log holds a kept head")
    log.add_argument("--device", metavar="NAME", help="entries about one device")
    log.add_argument("--after", type=int, default=0, metavar="N", help="behind this entry")

    turned = command("rotate-key", _rotate_key, "Exchange the keys that the database is under.")
    turned.add_argument("--to-file", metavar="FILE", help="a new KEK instead of a made-up one")
    turned.add_argument(
        "--to-command", metavar="COMMAND", help="a program that prints the new KEK"
    )
    turned.add_argument("--to-pkcs11", metavar="URI", help="a key in a token: skerry config")

    kept = command("backup", _backup, "Copy the database to a file, while the hub runs.")
    kept.add_argument("file", metavar="FILE", help="a new file")
    back = command("restore", _restore, "Put a backup in the database's place.")
    back.add_argument("file", metavar="FILE", help="what skerry backup wrote")
    back.add_argument("--check", action="store_true", help="only tell what it would do")
    back.add_argument("--revocations", metavar="FILE", help="lines of skerry audit --json")
    moved = command("migrate", _migrate, "Move the hub from its file into a PostgreSQL.")
    moved.add_argument("to", metavar="postgresql://HOST/NAME", help="an empty database")
    _add_devices(command)


def _add_devices(command: Any) -> None:
    why = command("explain", _explain, "Tell why nothing arrives from a device, and what to do.")
    why.add_argument("name")
    held = command("quarantine", _quarantine, "Cut a device off and keep its keys.")
    held.add_argument("name")
    held.add_argument("--reason", default="", help="for the audit log")
    command("release", _release, "Let a device out of quarantine.").add_argument("name")
    anew = command("undelete", _undelete, "Give a revoked device a new key under its id.")
    anew.add_argument("name")
    anew.add_argument("--address", metavar="HOST:PORT", help="where the device finds the hub")
    tagged = command("tag", _tag, "Set a device's tags, or print them.")
    tagged.add_argument("name")
    tagged.add_argument("tag", nargs="*", metavar="TAG")
    tagged.add_argument("--none", action="store_true", help="take them all away")
    rules = command("policy", _policy, "Print, set or ask who may talk to whom, by tags.")
    rules.add_argument("--set", metavar="FILE", help="lines of TAG -> TAG; replaces all rules")
    rules.add_argument(
        "--may", nargs=2, metavar=("NAME", "NAME"), help="may one talk to the other"
    )
