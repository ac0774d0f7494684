"""What is to be done with a board, decided before anything is changed.

    this chip                       and then
    is being flashed                finish      the key it proves, or else a new one
    is an active device             keep        if it proves its key
    carries a device without chip   adopt       if it proves its key
    is new, NAME too                enrol       a new key
    is new, NAME was never used     bind        the key that NAME has
    anything else                   refused, unless --replace names who loses its key: replace

A chip's id and what a board says it is are claims. They can make the hub refuse, and no more: a
key goes to a board only if it is new, or if the device was named.
"""

from dataclasses import dataclass
from enum import StrEnum

from skerry_hub.enrolment import device_id
from skerry_hub.errors import BoardError
from skerry_hub.store import Device, Store, duplicate, replacement, replaces

_NO_IDS = ("", "00", "ff")  # of chips that have none: a byte that fills it


class Action(StrEnum):
    """What happens to the key."""

    KEEP = "keep"
    ADOPT = "adopt"
    FINISH = "finish"
    ENROL = "enrol"
    BIND = "bind"
    REPLACE = "replace"


@dataclass(frozen=True)
class Found:
    """What a board says of itself: its chip, and (device, hub) if it was provisioned."""

    chip: str
    identity: tuple[str, str] | None = None


@dataclass(frozen=True)
class Wish:
    """What was asked for: an id, and whose keys may be lost."""

    name: str | None = None
    replace: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Plan:
    """An action, for the device `name`; `row` is its name in the store until it is active.

    `discard` names a device that this chip was about to become and that is given up.
    """

    action: Action
    name: str
    row: str
    discard: str | None = None


def check_chip(chip: str) -> None:
    """Raise BoardError if an id cannot tell a chip from others."""
    if chip[:2] * (len(chip) // 2) == chip and chip[:2] in _NO_IDS:
        raise BoardError(
            "this chip has no id of its own: give it one with --chip, and write it on the board"
        )


def decide(store: Store, hub: str, found: Found, wish: Wish) -> Plan:
    """Return what is to be done; raise BoardError, BadName or DuplicateDevice if nothing may."""
    rows = store.of_chip(found.chip)
    discard = None
    for pending in (each for each in rows if each.state == "pending"):
        plan = _unfinished(pending, wish)
        if plan is not None:
            return plan
        discard = pending.name
    active = next((each for each in rows if each.state == "active"), None)
    plan = _known(active, wish) if active else _carried(store, hub, found, wish)
    plan = plan or _new(store, wish)
    return Plan(plan.action, plan.name, plan.row, discard)


def _unfinished(pending: Device, wish: Wish) -> Plan | None:
    """Decide for a chip that is being flashed; None if that is to be given up."""
    name = replaces(pending.name) or pending.name
    if wish.name in (None, name):
        return Plan(Action.FINISH, name, pending.name)
    if name in wish.replace:
        return None
    raise BoardError(
        f"this board is being made into {name}: finish it with skerry flash {name},"
        f" or give that up with --replace {name}"
    )


def _known(active: Device, wish: Wish) -> Plan | None:
    """Decide for a chip that is a device; None if it is to become another one."""
    if wish.name in (None, active.name):
        if active.name in wish.replace:
            return Plan(Action.REPLACE, active.name, replacement(active.name))
        return Plan(Action.KEEP, active.name, active.name)
    if active.name in wish.replace:
        return None
    raise BoardError(
        f"this board is {active.name}: flash it as that, or make it another device"
        f" with --replace {active.name}"
    )


def _carried(store: Store, hub: str, found: Found, wish: Wish) -> Plan | None:
    """Decide for a chip that nobody knows, by what it carries; None if that may go."""
    if found.identity is None:
        return None
    name, of_hub = found.identity
    if name in wish.replace:
        return None
    holder = store.device(name) if of_hub == hub else None
    if holder is None or holder.state != "active":
        raise BoardError(
            f"this board is provisioned as {name} of hub {of_hub}:"
            f" --replace {name} overwrites that"
        )
    if holder.chip is not None:
        raise BoardError(
            f"this board carries a copy of {name}, which lives on chip {holder.chip}:"
            f" --replace {name} overwrites it"
        )
    if wish.name not in (None, name):
        raise BoardError(f"this board is {name}: --replace {name} makes it another device")
    return Plan(Action.BIND if wish.name and _unused(holder) else Action.ADOPT, name, name)


def _new(store: Store, wish: Wish) -> Plan:
    """Decide for a board that may become anything."""
    name = device_id(wish.name)
    holder = store.device(name)
    if holder is None:
        return Plan(Action.ENROL, name, name)
    if holder.state == "active":
        if name in wish.replace:
            return Plan(Action.REPLACE, name, replacement(name))
        if holder.chip is None and _unused(holder):
            return Plan(Action.BIND, name, name)
        raise BoardError(
            f"{name} is enrolled, on {_place(holder)}: --replace {name} moves it to this board,"
            " and its key there is void"
        )
    if holder.state == "pending":
        if name in wish.replace:
            return Plan(Action.ENROL, name, name)
        raise BoardError(
            f"{name} is being flashed to {_place(holder)}: finish that,"
            f" or give it up with --replace {name}"
        )
    raise duplicate(holder)


def _unused(device: Device) -> bool:
    return device.seen_at is None and (device.era, device.step) == (0, 0)


def _place(device: Device) -> str:
    return f"chip {device.chip}" if device.chip else "a board that was provisioned by hand"
