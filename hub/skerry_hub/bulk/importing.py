"""skerry import FILE: devices from a table, a hundred rows a transaction.

The whole file is checked first, and nothing is taken if anything is wrong; --keep-going takes the
good rows. What was taken before is left as it is, so a file can be imported again after a cut. A
row without wrapped_key gets a new key, for skerry flash or skerry image. Of an export, only what
was active is taken.
"""

import argparse
import json
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from skerry.chain import Chain
from skerry.errors import SkerryError
from skerry_hub import enrolment
from skerry_hub.bulk import table
from skerry_hub.bulk.table import Problem, Row
from skerry_hub.bulk.transport import Transport
from skerry_hub.bulk.weak import refuse
from skerry_hub.config import Config
from skerry_hub.errors import BadKey, BadName
from skerry_hub.store import NewDevice

_BATCH = 100  # rows: 20 ms in which nobody else writes
_KINDS = ("new", "there", "wrong")
_FINGERPRINT = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True)
class Ready:
    """A row that can be taken."""

    device: NewDevice
    chain: Chain


def run(config: Config, args: argparse.Namespace) -> int:
    """Import a file; the exit status is 1 if a row is wrong."""
    counts = dict.fromkeys(_KINDS, 0)
    rows, problems = table.read(Path(args.file))
    with enrolment.opened(config) as hub:
        key = args.transport_key
        check = _Checker(hub, Transport(Path(key), hub.id) if key else None, config.kek.read())
        checked = [(row, check.row(row)) for row in rows]
        problems += [found for _, found in checked if isinstance(found, Problem)]
        problems.sort(key=lambda each: each.line)
        counts["wrong"] = len(problems)
        counts["there"] = sum(found is None for _, found in checked)
        ready = [found for _, found in checked if isinstance(found, Ready)]
        take = not args.dry_run and (not problems or args.keep_going)
        if ready and take:
            hub.store.note("import", "", {"file": Path(args.file).name, "devices": len(ready)})
        for start in range(0, len(ready) if take else 0, _BATCH):
            some = ready[start : start + _BATCH]
            hub.store.enroll_all([(each.device, enrolment.coming(each.chain)) for each in some])
        counts["new"] = len(ready)
    _tell(config, problems, counts, take)
    return 1 if problems else 0


def _tell(config: Config, problems: list[Problem], counts: dict[str, int], taken: bool) -> None:
    if config.json:
        said = [vars(each) for each in problems]
        print(json.dumps({**counts, "taken": taken, "problems": said}))
        return
    for each in problems:
        print(each, file=sys.stderr)
    verb = "imported" if taken else "could be imported"
    print(f"{counts['new']} {verb}, {counts['there']} were there, {counts['wrong']} are wrong")


class _Checker:
    """Checks rows, against each other too."""

    def __init__(self, hub: enrolment.Hub, transport: Transport | None, kek: bytes) -> None:
        self._hub = hub
        self._transport = transport
        self._others = {"the hub's key-encryption key": kek}
        if transport is not None:
            self._others["the transport key"] = transport.key
        self._ids: dict[str, int] = {}
        self._keys: dict[bytes, int] = {}

    def row(self, row: Row) -> Ready | Problem | None:
        """Return what to enrol, what is wrong, or None if the device is there already."""
        name = row["id"]
        if row["state"] not in ("", "active"):  # of an export
            return None
        try:
            enrolment.device_id(name)
            enrolment.check_label(row["label"])
        except BadName as error:
            return row.problem("id" if name in str(error) else "label", error)
        if name in self._ids:
            return row.problem("id", f"is that of line {self._ids[name]} too")
        self._ids[name] = row.line
        try:
            ready = self._device(row)
        except (BadKey, SkerryError) as error:
            return row.problem("wrapped_key", error)
        return self._known(row, ready)

    def _device(self, row: Row) -> Ready:
        name, suite = row["id"], int(row["suite"] or 0)
        wrapped = row["wrapped_key"]
        is_chain, key = False, b""
        if not wrapped:
            key = enrolment.new_master_key()
        elif self._transport is None:
            raise BadKey("name the key that it is wrapped under with --transport-key FILE")
        else:
            is_chain, key = self._transport.unwrap(name, wrapped)
        if is_chain:
            return self._moved(row, Chain.unpack(key))
        refuse(key, name, self._others)
        made, chain = enrolment.new_device(
            self._hub, name, key, label=row["label"], suite=suite
        )  # fmt: skip
        return Ready(replace(made, tags=row["tags"]), chain)

    def _moved(self, row: Row, chain: Chain) -> Ready:
        """Return a device that another database of this very hub had."""
        name = row["id"]
        if not _FINGERPRINT.fullmatch(row["fingerprint"]):
            raise BadKey("a chain needs its fingerprint, of eight hexadecimal digits, beside it")
        sealed = self._hub.vault.seal(b"chain", name.encode(), chain.pack())
        made, _ = enrolment.new_device(
            self._hub, name, enrolment.new_master_key(), label=row["label"],
            suite=int(row["suite"] or 0),
        )  # fmt: skip
        moved = replace(
            made, chain=sealed, era=chain.era, step=chain.step, fingerprint=row["fingerprint"],
            tags=row["tags"], key_check=None,
        )  # fmt: skip
        return Ready(moved, chain)

    def _known(self, row: Row, ready: Ready) -> Ready | Problem | None:
        """Look for the same device and the same key, in the file and in the store."""
        device = ready.device
        said = row["fingerprint"]
        if row["wrapped_key"] and said and said.lower() != device.fingerprint.lower():
            return row.problem("fingerprint", f"the key's is {device.fingerprint}")
        if device.key_check is not None and row["wrapped_key"]:
            line = self._keys.setdefault(device.key_check, row.line)
            if line != row.line:
                return row.problem("wrapped_key", f"is the key of line {line} too")
        holder = self._hub.store.device(device.name)
        if holder is not None:
            if not row["wrapped_key"] or holder.fingerprint == device.fingerprint:
                return None
            return row.problem("id", f"is enrolled with key {holder.fingerprint}, not this one")
        owner = self._hub.store.of_key(device.key_check) if device.key_check else None
        if owner is not None:
            return row.problem("wrapped_key", f"is the key of {owner}")
        return ready
