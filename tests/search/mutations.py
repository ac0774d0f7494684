"""Rules of the protocol, each broken on purpose, and the scene that has to notice."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from unittest.mock import patch

from search.device import Device
from search.watch import WATCH

from skerry import initiator, record, responder, schedule
from skerry.primitives import hmac_sha256
from skerry.replay import ReplayWindow
from skerry_device.store import ChainStore
from skerry_hub import front, handshakes
from skerry_hub.handshakes import Handshakes
from skerry_hub.sessions import Sessions
from skerry_hub.store.moves import Moves

_advance = Moves._advance
_receive, _note, _secret = initiator.WaitMessage2.receive, Sessions.note, schedule.session_secret


def forget_pending(moves, to):
    moved = _advance(moves, to)
    moves._db.execute("UPDATE device SET pending_pid = NULL, pending_key = NULL")
    return moved


def advance_anyway(moves, to):
    now = WATCH.database.hub_row()
    seen = to.candidate._replace(era=now.era, step=now.step, pending_pid=now.pending_pid)
    return _advance(moves, to._replace(candidate=seen))


def confirm_only(moves, of):
    return WATCH.database.hub_row().pending_pid == of.pid


def answer_anew(hub, message_1):
    hub._nonce_key = hmac_sha256(hub._nonce_key, b"again")


def save_later(store, chain):
    return chain


def wipe_first(store, chain):
    before = store._slot
    store._write(before)
    written = store._write(1 - before, record.pack(store.sequence + 1, chain))
    store._slot = 1 - before
    store.sequence += 1
    return record.unpack(written)[1]


def wipe_never(store, slot, data=None):
    if data is not None:
        store.medium.write(slot, data)
    return store.medium.read(slot)


def unpack_unchecked(slot):
    if len(slot) != record.LENGTH or slot[:3] != b"SK\x01":
        return None
    return int.from_bytes(slot[3:7], "big"), slot[7:-8]


def keep_epoch(waiting, message_2):
    accepted = _receive(waiting, message_2)
    accepted.record = waiting._chain.pack()
    return accepted


def keep_former(sessions, live):
    known = sessions._devices[live.device]
    known.offered.clear()
    known.current = live
    live.confirmed = True


def forget_where_it_stood(sessions, device):
    known = sessions._devices.pop(device, None)
    if known is not None:
        for each in [*known.offered.values(), *([known.current] if known.current else [])]:
            sessions._forget(each)
    return known is not None


@dataclass(frozen=True)
class Mutation:
    """`target.name` becomes `broken`; the search in `scene` violates one of `rules`."""

    target: object
    name: str
    broken: Callable
    scene: str
    rules: str

    def applied(self) -> ExitStack:
        stack = ExitStack()
        stack.enter_context(patch.object(self.target, self.name, self.broken))
        return stack


MUTATIONS = {
    "the hub forgets what is pending": Mutation(
        Moves, "_advance", forget_pending, "everything", "recovery"),
    "the hub moves without looking where it stands": Mutation(
        Moves, "_advance", advance_anyway, "two hubs", "forward"),
    "the hub confirms and erases nothing": Mutation(
        Moves, "_confirm", confirm_only, "everything", "erasure"),
    "the application comes before the confirmation": Mutation(
        front, "_confirmation", lambda live, now, reading: None, "everything", "erasure"),
    "an attempt that comes again is answered anew": Mutation(
        Handshakes, "again", answer_anew, "everything", "promise"),
    "N_H survives restarts": Mutation(
        handshakes, "fresh_nonce_key", lambda starts: bytes(32), "recorded", "once"),
    "N_D is not in the session secret": Mutation(
        schedule, "session_secret",
        lambda ek, ctx, signed, header, n_h: _secret(ek, ctx, signed[:-8], header, n_h),
        "flash", "key nonce"),
    "eras to come are not known": Mutation(
        handshakes, "_coming", lambda candidate, chain: [], "everything", "index recovery"),
    "the hub walks to no other era": Mutation(
        responder.Known, "_reach", lambda known, era: known._chain, "everything", "recovery"),
    "the device does not recover": Mutation(
        Device, "recovery_epoch", lambda device: device.chain, "everything", "recovery"),
    "the device uses a session and stores later": Mutation(
        ChainStore, "save", save_later, "everything", "erasure"),
    "the device stays in its epoch": Mutation(
        initiator.WaitMessage2, "receive", keep_epoch, "everything", "erasure"),
    "the device wipes before it writes": Mutation(
        ChainStore, "save", wipe_first, "flash", "recovery"),
    "the device does not wipe": Mutation(
        ChainStore, "_write", wipe_never, "flash", "erasure"),
    "a torn record counts": Mutation(
        record, "unpack", unpack_unchecked, "flash", "recovery erasure"),
    "the former session lives on": Mutation(
        Sessions, "promote", keep_former, "everything", "erasure"),
    "no replay window": Mutation(
        ReplayWindow, "check", lambda window, number: None, "everything", "once"),
    "a restored database is not noticed": Mutation(
        Sessions, "note", lambda sessions, device, standing: True, "recorded", "once"),
    "a restored database is noticed by its epoch only": Mutation(
        Sessions, "note",
        lambda sessions, device, standing: _note(sessions, device, (*standing[:2], True)),
        "recorded", "once"),
    "a device that was overtaken is forgotten": Mutation(
        Sessions, "drop", forget_where_it_stood, "restored", "once"),
}  # fmt: skip
