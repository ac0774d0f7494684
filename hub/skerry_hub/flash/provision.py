"""The steps from a board to an enrolled device.

    decide -> record pending -> copy -> write the key -> challenge and response -> active

Wherever it is cut off, the same command goes on: a pending device either proves its key, or gets a
new one. No key is written to two boards, and none is read back.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from skerry import further, schedule
from skerry.chain import Chain
from skerry.errors import Exhausted
from skerry.primitives import equal
from skerry.responder import RECOVERY_ERAS
from skerry_hub import bundles, enrolment
from skerry_hub.endpoints import Endpoint
from skerry_hub.errors import BoardError
from skerry_hub.flash import library
from skerry_hub.flash.board import Board, Firmware, printable
from skerry_hub.flash.plan import Action, Found, Plan, Wish, check_chip, decide
from skerry_hub.flash.report import Report
from skerry_hub.store import Candidate, Device, named

_CHALLENGE_LENGTH = 16  # bytes
_NEEDED = ("hashlib", "json", "os", "struct", "time")
_MAIN = "/main.py"
_DESCRIPTION = "/skerry.json"


@dataclass(frozen=True)
class Settings:
    """What a new device gets. `address_said` if somebody named the address."""

    address: Endpoint
    address_said: bool = False
    label: str = ""
    tags: str = ""
    suite: int | None = None
    chip: str | None = None
    main: bytes | None = None


@dataclass(frozen=True)
class Work:
    """Everything that is to be done with one board."""

    firmware: Firmware
    chip: str
    plan: Plan
    files: library.Changes
    has_main: bool

    @property
    def board(self) -> str:
        """What kind of board it is."""
        return self.firmware.board or self.firmware.machine


def inspect(hub: enrolment.Hub, board: Board, wish: Wish, settings: Settings) -> Work:
    """Look a board over and decide; raise HubError if nothing may be done. Changes nothing."""
    firmware = board.firmware()
    missing = [each for each in _NEEDED if each in firmware.missing]
    if missing:
        raise BoardError(f"the firmware lacks {', '.join(missing)}: install a full MicroPython")
    chip = settings.chip or firmware.chip
    check_chip(chip)
    told = board.call("tell_identity")
    said = told.get("identity")
    identity = None
    if isinstance(said, list) and len(said) == 2:
        identity = printable(said[0]), printable(said[1])
    plan = decide(hub.store, hub.id, Found(chip, identity), wish)
    files = library.changes(board, firmware.mpy)
    return Work(firmware, chip, plan, files, told.get("main") is True)


def provision(
    hub: enrolment.Hub, board: Board, work: Work, settings: Settings, report: Report
) -> Device:
    """Do the work and return who the board is now; raises HubError, and can be done again."""
    plan = work.plan
    if plan.discard:
        hub.store.discard(plan.discard)
    chain = None
    if plan.action in (Action.ENROL, Action.REPLACE):
        chain = _record(hub, work, settings)
    _copy(board, work.files, settings.main, report)
    if chain is None and not _proves(hub, board, plan):
        chain = _other_key(hub, work, settings)
    if chain is not None:
        report.step("writing the key")
        _write_key(board, _bundle(hub, plan, settings.address), chain)
        if not _proves(hub, board, plan):
            raise BoardError(
                "the board did not keep its key, and is not enrolled: its flash may be full or"
                " worn; try again, or take another board"
            )
    elif settings.address_said:
        board.write(_DESCRIPTION, bundles.description(_bundle(hub, plan, settings.address)))
    report.step("the board proved its key")
    return _activate(hub, work)


def _record(hub: enrolment.Hub, work: Work, settings: Settings) -> Chain:
    """Record a pending device with a new key, in place of one that waits under this name."""
    plan = work.plan
    waiting = hub.store.device(plan.row)
    before = waiting or hub.store.device(plan.name)  # who it was, for what was not said now
    if waiting is not None:
        hub.store.discard(plan.row)
    suite = settings.suite
    if suite is None:
        suite = before.suite if before else 0
    label = settings.label or (before.label if before else "")
    tags = settings.tags or (before.tags if before else "")
    key = enrolment.new_master_key()
    made, chain = enrolment.new_device(hub, plan.name, key, label=label, suite=suite)
    row = replace(
        made, name=plan.row, state="pending", chip=work.chip, board=work.board, tags=tags
    )  # fmt: skip
    hub.store.enroll(row, enrolment.coming(chain))
    return chain


def _other_key(hub: enrolment.Hub, work: Work, settings: Settings) -> Chain:
    """Return the chain for a board that has not proved its key; raise BoardError if none."""
    plan = work.plan
    if plan.action == Action.FINISH:
        return _record(hub, work, settings)
    stored = hub.store.keys(plan.row)
    if plan.action == Action.BIND and stored is not None:
        return _opened(hub, plan.name, stored)
    raise BoardError(
        f"this board should be {plan.name} but does not have its key (was it erased?):"
        f" --replace {plan.name} gives it a new one"
    )


def _copy(board: Board, files: library.Changes, main: bytes | None, report: Report) -> None:
    """Write what the board lacks of the library, remove what is in its way; then main.py."""
    total = sum(map(len, files.write.values())) + len(main or b"")
    if files.write:
        report.step(f"copying {len(files.write)} files, {total} bytes; {files.kept} are there")
    done = 0
    for path in files.remove:
        board.call("remove", path)
    for path, content in files.write.items():
        board.write(path, content, _counted(report, path, done, total))
        done += len(content)
    if main is not None:
        board.write(_MAIN, main, _counted(report, _MAIN, done, total))
    board.call("forget_library")


def _counted(report: Report, path: str, before: int, total: int) -> Callable[[int, int], None]:
    return lambda done, _: report.progress(path, before + done, total)


def _bundle(hub: enrolment.Hub, plan: Plan, address: Endpoint) -> bundles.Bundle:
    device = named(hub.store, plan.row)
    return bundles.Bundle(plan.name, hub.id, address, device.suite, device.fingerprint)


def _write_key(board: Board, bundle: bundles.Bundle, chain: Chain) -> None:
    """Write a key and whose it is. What was there goes first, or its higher number would count."""
    for slot in ("/skerry.1", "/skerry.0"):
        board.call("wipe", slot)
    files = bundles.files(bundle, chain)
    board.write(_DESCRIPTION, files["skerry.json"])
    board.write("/skerry.0", files["skerry.0"])


def _proves(hub: enrolment.Hub, board: Board, plan: Plan) -> bool:
    """Tell whether a board holds the key of the device: a fresh challenge, one answer."""
    challenge = os.urandom(_CHALLENGE_LENGTH)
    told = board.call("tell_proof", challenge.hex()).get("proof")
    try:
        proof = bytes.fromhex(str(told))
    except ValueError:
        return False
    stored = hub.store.keys(plan.row)
    return stored is not None and holds(hub, plan.name, stored, challenge, proof)


def holds(
    hub: enrolment.Hub, name: str, stored: Candidate, challenge: bytes, proof: bytes
) -> bool:
    """Tell whether a proof was made with the key of an epoch that this device may stand at."""
    ctx = schedule.context(stored.suite, name.encode(), hub.id.encode())
    return any(
        equal(further.proof(ek, ctx, challenge), proof) for ek in _epoch_keys(hub, name, stored)
    )


def _epoch_keys(hub: enrolment.Hub, name: str, stored: Candidate) -> Iterator[bytes]:
    """Yield EK of the expected epoch, of the pending one, and of the eras that it can be ahead."""
    chain = _opened(hub, name, stored)
    yield schedule.epoch_key(chain.chain_key)
    if stored.pending_key is not None:
        yield hub.vault.open(b"pending", name.encode(), stored.pending_key)
    with suppress(Exhausted):
        for _ in range(RECOVERY_ERAS):
            chain = chain.next_era()
            yield schedule.epoch_key(chain.chain_key)


def _opened(hub: enrolment.Hub, name: str, stored: Candidate) -> Chain:
    return Chain.unpack(hub.vault.open(b"chain", name.encode(), stored.chain))


def _activate(hub: enrolment.Hub, work: Work) -> Device:
    """Make it official; what a cut leaves undone here, the next run does."""
    plan = work.plan
    if plan.action in (Action.ADOPT, Action.BIND):
        hub.store.describe(plan.name, work.chip, work.board)
    elif plan.action != Action.KEEP:
        hub.store.activate(plan.row)
    hub.store.note("flash", plan.name, {"chip": work.chip, "board": work.board})
    # Whoever has the bundle has the key, and the board does not need it any more.
    bundles.shred(hub.bundles / plan.name)
    return named(hub.store, plan.name)
