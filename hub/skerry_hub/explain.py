"""Why nothing arrives from a device, and what to do about it: skerry explain.

What the store knows is joined with what the running hub has seen (failures.py), if one runs.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skerry_hub import audit
from skerry_hub.shown import moment
from skerry_hub.store import RESTORED_AT, Device, Store, named
from skerry_hub.store.ledger import Entry

_LATELY_S = 900.0

# Cause of a failed message -> what it means, and what to do.
_FAILED = {
    "bad tag": (
        "sends its pseudonym with a tag of another key: its store is damaged, or somebody tampers",
        "skerry flash --replace {name} gives it a new key",
    ),
    "ahead": (
        "is further on than this database: an older one was put in its place",
        "if it does not recover by itself, skerry flash --replace {name}",
    ),
    "left behind": (
        "or a copy of it stands at an epoch that it left by recovering",
        "look for a second board; skerry quarantine {name}; then skerry flash --replace {name}",
    ),
}
_STATES = {
    "revoked": (
        "is revoked: its keys are erased",
        "skerry undelete {name} makes a new key for it",
    ),
    "quarantined": ("is in quarantine", "skerry release {name} if it is to be trusted again"),
    "pending": ("is being flashed, and not active yet", "run skerry flash {name} to the end"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that is known, the likeliest cause first; `remedy` is empty if all is well."""

    cause: str
    text: str
    remedy: str = ""


def explain(store: Store, name: str, seen: Mapping[str, Any] | None) -> list[Finding]:
    """Return what is known; `seen` is what `Running.seen` says, None if no hub runs.

    Raises UnknownDevice or StoreError.
    """
    device = named(store, name)
    entries = list(audit.entries(store, subject=device.name))
    found = [*_stated(device, entries), *_suspected(device, entries)]
    if device.state == "active":
        found += _seen(device, seen) if seen is not None else [_NO_HUB]
        if _not_since_the_restore(store, device):
            found.append(Finding("restored", "was not heard since the database was restored",
                                 "wait until it connects, or skerry poke"))  # fmt: skip
    return found


def together(seen: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return what several hubs have seen of a device as if one had; None if there is none."""
    if not seen:
        return None
    return {
        "session": next((each["session"] for each in seen if each["session"]), None),
        "failures": [failure for each in seen for failure in each["failures"]],
        "address": next((each["address"] for each in seen if each["address"]), None),
    }


_NO_HUB = Finding("no hub", "no hub runs here, or it does not answer", "skerry run")


def _stated(device: Device, entries: Sequence[Entry]) -> list[Finding]:
    if device.state not in _STATES:
        return []
    text, remedy = _STATES[device.state]
    cut_off = [each for each in entries if each.action in ("revoke", "quarantine")]
    if cut_off and device.state != "pending":
        last = cut_off[-1]
        reason = last.said.get("reason")
        text += f", by {last.who} on {moment(last.at)}" + (f" ({reason})" if reason else "")
    return [Finding(device.state, text, remedy.format(name=device.name))]


def _suspected(device: Device, entries: Sequence[Entry]) -> list[Finding]:
    for entry in reversed(entries):
        if entry.action == "clone suspected" and entry.at > device.enrolled_at:
            said = entry.said
            return [Finding(
                "clone suspected",
                f"may have a copy: on {moment(entry.at)} it was at {said['current']}, and"
                f" somebody at {said['left_behind']} stood where it had been",
                f"look at both boards; skerry flash --replace {device.name} ends the doubt",
            )]  # fmt: skip
    return []


def _seen(device: Device, seen: Mapping[str, Any]) -> list[Finding]:
    found = _failed(device, seen)
    live = seen["session"]
    if live is not None:
        text = (f"is in session {live['fingerprint']}, heard {live['heard_s']:.0f} s ago"
                f" from {live['address']}")  # fmt: skip
        return [Finding("in a session", text), *found]
    if device.seen_at is None:
        found.append(Finding(
            "never seen", "never made a session with this hub",
            "is its board powered, with this bundle, and does it reach the address in"
            " skerry.json? skerry doctor PORT looks at the board",
        ))  # fmt: skip
    else:
        found.append(_silent(device, seen))
    return found


def _failed(device: Device, seen: Mapping[str, Any]) -> list[Finding]:
    """Return what failed under the device's own pseudonyms, the newest of each cause."""
    newest = {each["cause"]: each for each in sorted(seen["failures"], key=lambda one: one["at"])}
    return [
        Finding(
            cause,
            f"{text} (at {newest[cause]['address']}, {moment(newest[cause]['at'])})",
            remedy.format(name=device.name),
        )
        for cause, (text, remedy) in _FAILED.items()
        if cause in newest
    ]


def _silent(device: Device, seen: Mapping[str, Any]) -> Finding:
    """Tell what comes from where the device was last, if anything does."""
    since = f"was heard last on {moment(device.seen_at or 0)}"
    source = "somewhere" if seen["address"] is None else "its address"
    at_home = {
        each["cause"] for each in seen["failures"]
        if seen["address"] in (None, each["address"]) and each["at"] > time.time() - _LATELY_S
    }  # fmt: skip
    if "unknown pseudonym" in at_home:
        return Finding(
            "unknown pseudonym",
            f"{since}; from {source} come handshakes of no device that is known here",
            "if that is this one, its flash went back or a copy took over: skerry flash --replace"
            f" {device.name}; else it is another hub's device",
        )
    if "unknown session" in at_home:
        return Finding(
            "unknown session",
            f"{since}; from {source} come requests in a session that ended",
            "it makes a new one by itself; if it does not, restart it",
        )
    return Finding(
        "network", f"{since}; nothing comes from {source} any more",
        "is it powered and in reach? see firewall, NAT and its address for the hub; skerry poke"
        f" {device.name} asks it for a session",
    )  # fmt: skip


def _not_since_the_restore(store: Store, device: Device) -> bool:
    restored_at = store.get(RESTORED_AT)
    return restored_at is not None and (device.seen_at or 0) < float(restored_at)
