"""A backup put back: skerry restore, and restore --check, which only tells.

    copy      the backup, beside the database; checked, and brought to the schema of today
    compare   with the database as it is now, if it can be read, and with a revocation list
    merge     what was revoked or quarantined since, into the copy; tokens that are none any more
    replace   the database by the copy, in one rename, or PostgreSQL's tables in one transaction;
              the former one stays as skerry.db.before

Nobody else writes from `compare` on (store/replacing.py), and no hub runs. No session is in a
backup. Where the devices stand now they meet the hub again by a recovery, if that is in reach
(docs/protocol.md section 7).
"""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from skerry.responder import RECOVERY_ERAS
from skerry_hub import audit
from skerry_hub.backup import MADE_AT
from skerry_hub.config import Config
from skerry_hub.control import alive
from skerry_hub.enrolment import row_keys
from skerry_hub.errors import HubError, NotInitialised, StoreError, VaultError
from skerry_hub.files import beside, keep_from_git, locked, write_private
from skerry_hub.outgoing.logs import carried_over
from skerry_hub.store import RESTORED_AT, Device, Store, places
from skerry_hub.store.database import remove
from skerry_hub.store.replacing import present
from skerry_hub.store.sqlite import SqliteStore
from skerry_hub.vault import Vault

_CUT_OFF = {"revoked", "quarantined"}


@dataclass
class Report:
    """What a backup would do, or did: devices by their ids.

    `revoked` and `quarantined` were cut off since and are so again; `missing` were enrolled since;
    `out_of_reach` recovered too often since: both kinds have to be provisioned again.
    """

    hub: str
    made_at: float
    devices: int
    compared: bool
    revoked: list[str] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    out_of_reach: list[str] = field(default_factory=list)
    readings_lost: int = 0
    restored: bool = False


def check(config: Config, file: Path, revocations: Path | None = None) -> Report:
    """Tell what `restore` would do; change nothing. Raises what it raises."""
    opening = partial(places.open_store, config)
    with _copied(config, file) as copy, present(opening) as now:
        return _compared(config, copy, now, _listed(revocations))


def restore(config: Config, file: Path, revocations: Path | None = None) -> Report:
    """Put a backup in the database's place.

    Raises HubError if a hub runs or the backup is another hub's, StoreError if it is damaged or
    of a newer schema, VaultError if its keys are under a key-encryption key that is no more.
    """
    with _copied(config, file) as copy:
        if alive(config.control):  # none starts meanwhile: it waits for the folder
            raise HubError(f"a hub runs on {config.data}: end it first")
        with places.held(config) as held:
            report = _compared(config, copy, held.now, _listed(revocations))
            _merge(copy, held.now, report, file)
            copy.close_alone()
            before = beside(config.database, ".before")
            held.replace(_part(config), before)
    report.restored = True
    return report


def _part(config: Config) -> Path:
    return config.database.with_name("restore.part")


@contextmanager
def _copied(config: Config, file: Path) -> Iterator[SqliteStore]:
    """Copy a backup and open it, as a store of today."""
    if not file.is_file():
        raise HubError(f"no backup at {file}: name the file that skerry backup wrote")
    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = _part(config)
    with locked(config.data):
        keep_from_git(config.data)
        remove(part)
        try:
            write_private(part, b"")
            shutil.copyfile(file, part)
            copy = SqliteStore(part)
            try:
                copy.check()
                yield copy
            finally:
                copy.close()
        except NotInitialised:
            raise HubError(f"{file} is no backup of a hub") from None
        except StoreError as error:
            raise StoreError(str(error).replace(str(part), str(file))) from None
        finally:
            remove(part)


def _compared(
    config: Config, copy: Store, now: Store | None, listed: set[tuple[str, str]]
) -> Report:
    hub = (copy.get("hub") or b"").decode()
    if now is not None and (now.get("hub") or b"").decode() != hub:
        raise HubError(f"the backup is of hub {hub}, and this is another one: choose its --data")
    _opens(config, copy, hub)
    devices = copy.devices()
    report = Report(hub, float(copy.get(MADE_AT) or 0), len(devices), now is not None)
    present: dict[tuple[str, str], Device] = {}
    if now is not None:
        present = {_key(each): each for each in now.devices()}
        report.readings_lost = max(0, now.last_reading_id() - copy.last_reading_id())
    for then in devices:
        _compare(report, then, present.pop(_key(then), None), _key(then) in listed)
    report.missing = [each.name for each in present.values() if each.state not in _CUT_OFF]
    return report


def _compare(report: Report, then: Device, now: Device | None, listed: bool) -> None:
    """Add to the report what one device of the backup needs."""
    if then.state == "revoked":
        return
    if listed or (now is not None and now.state == "revoked"):
        report.revoked.append(then.name)
        return
    if now is not None and now.state == "quarantined" != then.state:
        report.quarantined.append(then.name)
    # It tries the first epoch of the era behind its own.
    if now is not None and now.era + 1 > then.era + RECOVERY_ERAS:
        report.out_of_reach.append(then.name)


def _key(device: Device) -> tuple[str, str]:
    """Return what tells a key apart: the id it was made for, and its fingerprint."""
    return device.name.partition("~")[0], device.fingerprint


def _opens(config: Config, copy: Store, hub: str) -> None:
    try:
        Vault(config.kek.read(), hub, *row_keys(copy))
    except VaultError as error:
        raise VaultError(
            f"the keys in this backup do not open: {error}; or they were exchanged since, and it"
            " is unreadable for good: take a newer backup"
        ) from None


def _listed(file: Path | None) -> set[tuple[str, str]]:
    """Read a revocation list: lines of skerry audit --json; all but revocations is left out."""
    if file is None:
        return set()
    found = set()
    try:
        for line in file.read_text().splitlines():
            said = json.loads(line)
            if said["action"] == "revoke":
                name = said["subject"].partition("~")[0]
                found.add((name, said["detail"]["fingerprint"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise HubError(f"{file} is no list as skerry audit --json prints it") from None
    return found


def _merge(copy: Store, now: Store | None, report: Report, file: Path) -> None:
    """Bring into the copy what must not be undone, and say in its log that it was restored."""
    if now is not None:
        carried_over(now, copy)  # before any entry, so that all destinations get all of them
    for name in report.revoked:
        copy.revoke(name)
    for name in report.quarantined:
        copy.quarantine(name, "as before the restore")
    valid = {each.name: each.hash for each in now.tokens()} if now is not None else {}
    for token in copy.tokens():
        if valid.get(token.name) != token.hash:
            copy.revoke_token(token.name)
    detail = {"file": file.name, "made_at": report.made_at}
    if now is not None:
        starts = max(now.get("starts") or b"", copy.get("starts") or b"")  # 8 bytes each
        copy.put("starts", starts)
        detail["former_log"] = audit.head_of(now.last_audit())
    copy.put(RESTORED_AT, repr(time.time()).encode())
    copy.note("restore", "", detail)
