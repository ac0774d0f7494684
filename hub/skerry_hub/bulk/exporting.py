"""skerry export: all devices as CSV, or as JSON Lines with --json; keys only wrapped.

With --transport-key it writes what skerry import takes into another database of this very hub. Of
the two, one alone may then run: they would hold the same devices, and their chains would part.
"""

import argparse
import csv
import io
import json
import os
import sys
from pathlib import Path

from skerry_hub import enrolment
from skerry_hub.bulk.transport import Transport
from skerry_hub.config import Config
from skerry_hub.errors import HubError
from skerry_hub.store import Device

_COLUMNS = (
    "id", "label", "tags", "state", "suite", "board", "chip", "fingerprint", "enrolled_at",
    "seen_at",
)  # fmt: skip


def run(config: Config, args: argparse.Namespace) -> int:
    """Write all devices to a new file, or to standard output."""
    with enrolment.opened(config) as hub:
        key = args.transport_key
        transport = Transport(Path(key), hub.id) if key else None
        columns = (*_COLUMNS, "wrapped_key") if transport else _COLUMNS
        rows = [_row(hub, each, transport) for each in hub.store.devices()]
    text = _json_lines(columns, rows) if config.json else _csv(columns, rows)
    if args.output is None:
        sys.stdout.write(text)
        return 0
    try:
        file = os.open(args.output, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise HubError(f"{args.output} is there already: choose another name") from None
    with open(file, "w", newline="", encoding="utf-8") as opened:
        opened.write(text)
    return 0


def _row(hub: enrolment.Hub, device: Device, transport: Transport | None) -> dict[str, object]:
    row = {"id": device.name, **{name: getattr(device, name) for name in _COLUMNS[1:]}}
    if transport is not None:
        stored = hub.store.keys(device.name)
        wrapped = ""
        if stored is not None and device.state == "active":
            chain = hub.vault.open(b"chain", device.name.encode(), stored.chain)
            wrapped = transport.wrap_chain(device.name, chain)
        row["wrapped_key"] = wrapped
    return row


def _csv(columns: tuple[str, ...], rows: list[dict[str, object]]) -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _json_lines(columns: tuple[str, ...], rows: list[dict[str, object]]) -> str:
    return "".join(json.dumps({each: row[each] for each in columns}) + "\n" for row in rows)
