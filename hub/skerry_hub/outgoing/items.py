"""Readings and events as they leave the hub: one JSON object each (docs/outgoing.md).

{"type": "reading", "number": 7, "device": "kitchen", "at": 1764353123.25, "time": "2025-...Z",
 "path": "readings", "format": 50, "payload": "eyJjIjoyMS41fQ==", "value": {"c": 21.5}}
{"type": "event", "number": 3, "device": "kitchen", "at": ..., "time": ...,
 "who": "root", "action": "revoke", "detail": {"fingerprint": "0badcafe"}}
"""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from skerry import cbor
from skerry_hub.store import Reading
from skerry_hub.store.ledger import Entry

_MAX_DEPTH = 32  # of a `value`; many parsers stop somewhere behind that
_INTEGERS = range(-(1 << 63), 1 << 64)  # what a signed or an unsigned 64-bit integer holds


class Item(NamedTuple):
    """A reading or an event: its type, its number in its log, and all of it as JSON in a line."""

    type: str
    number: int
    at: float
    device: str
    json: bytes


def of_reading(reading: Reading) -> Item:
    """Return a reading as it leaves; `value` is there if the payload is what its format says."""
    said = {
        "path": reading.path,
        "format": reading.format,
        "payload": b64encode(reading.payload).decode(),
        **_value(reading.format, reading.payload),
    }
    return _item("reading", reading.id, reading.at, reading.name, said)


def of_entry(entry: Entry) -> Item:
    """Return an entry of the audit log as it leaves."""
    said = {"who": entry.who, "action": entry.action, "detail": _as_text(entry.said)}
    return _item("event", entry.id, entry.at, entry.subject, said)


def _item(type: str, number: int, at: float, device: str, said: dict[str, Any]) -> Item:
    head = {"type": type, "number": number, "device": device, "at": at, "time": rfc3339(at)}
    text = json.dumps({**head, **said}, separators=(",", ":"))
    return Item(type, number, at, device, text.encode())


def rfc3339(at: float) -> str:
    """Write a time in seconds since 1970 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _as_text(detail: Mapping[str, object]) -> object:
    """Return a detail without what is no text, as of a file's name that is none: that is "?"."""
    return json.loads(json.dumps(detail, ensure_ascii=False).encode("utf-8", "replace"))


def _value(format: int | None, payload: bytes) -> dict[str, Any]:
    """Return {"value": ...}, or nothing if it cannot be said in JSON that every parser takes.

    A receiver that cannot parse an item refuses it for ever, and all that waits behind it.
    """
    try:
        value = _READ[format](payload)
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()  # no lone surrogates
        _bounded(value, _MAX_DEPTH)
    except (KeyError, ValueError, TypeError, RecursionError):
        return {}
    return {"value": value}


def _bounded(value: object, depth: int) -> None:
    """Raise ValueError for what is nested deeper, or has an integer beyond 64 bits."""
    if isinstance(value, int) and value not in _INTEGERS:
        raise ValueError("an integer beyond 64 bits")
    if isinstance(value, list | dict):
        if not depth:
            raise ValueError("nested too deep")
        for each in value.values() if isinstance(value, dict) else value:
            _bounded(each, depth - 1)


def _plain(value: object) -> object:
    """Return a CBOR value in JSON's terms, as RFC 8949 section 6.1 advises; raise ValueError."""
    if isinstance(value, bytes):
        return urlsafe_b64encode(value).rstrip(b"=").decode()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        plain = {str(_plain(key)): _plain(each) for key, each in value.items()}
        if len(plain) < len(value):
            raise ValueError("two keys that JSON cannot tell apart")
        return plain
    return value


_READ: dict[int | None, Callable[[bytes], object]] = {  # by CoAP Content-Format
    0: bytes.decode,
    50: json.loads,
    60: lambda payload: _plain(cbor.loads(payload)),
}
