"""What is said over HTTP, as types: they read requests, write answers, and are the schemas.

Times are in seconds since 1970. Fields that are absent from an answer do not exist.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

State = Literal["pending", "active", "quarantined", "revoked"]
Format = Literal["text", "bytes", "json", "cbor"]
Limit = Annotated[int, Meta(ge=1, le=200)]
Number = Annotated[int, Meta(ge=0, le=(1 << 62))]
Text = Annotated[str, Meta(max_length=200)]


class Asked(Struct, forbid_unknown_fields=True):
    """A request's query or body: a field that nobody knows is an error."""


class Problem(Struct):
    """What went wrong, and what to do about it (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


class Login(Asked):
    """A token, for a session of the page."""

    token: Text


class Whoever(Struct):
    """Who asks, and what they may do."""

    name: str
    scopes: list[str]
    expires_at: float | None


class Status(Struct):
    """The hub at a glance. Counts are since its start, `failures` by cause."""

    hub: str
    version: str
    started_at: float
    now: float
    sessions: int
    devices: dict[str, int]
    handshakes: dict[str, int]
    messages: dict[str, int]
    failures: dict[str, int]


class RatesAsked(Asked):
    """How far back."""

    hours: Literal[1, 6, 24] = 1


class Rates(Struct):
    """What was counted in each step, oldest first; the last step has not ended.

    `handshakes`, `requests`, `recoveries`, `failures: CAUSE` are sums, `sessions` is how many.
    """

    begun_at: float
    step_s: int
    series: dict[str, list[int]]


class Device(Struct):
    """A device. `fingerprint` is of the key it was provisioned with.

    `seen_at` is when it was heard last if it is in a session, else when its last session began.
    """

    id: str
    label: str
    state: State
    tags: list[str]
    suite: int
    era: int
    step: int
    fingerprint: str
    session_fingerprint: str | None
    enrolled_at: float
    seen_at: float | None
    readings: int
    chip: str | None
    board: str
    live: bool


class DevicesAsked(Asked):
    """Which devices: `after` is the `next` of the page before."""

    after: Number = 0
    limit: Limit = 50
    state: Literal["", "pending", "active", "quarantined", "revoked"] = ""
    tag: Text = ""
    text: Text = ""


class Devices(Struct):
    """Some devices in the order of enrolment. While there is a `next`, there may be more."""

    devices: list[Device]
    next: int | None


class Session(Struct):
    """A live session: where the device is, and how many seconds ago it was heard."""

    fingerprint: str
    heard_s: float
    address: str


class Detail(Struct):
    """A device, its session if it is in one, and its last reading."""

    device: Device
    session: Session | None
    last_reading: "Reading | None"


class PieceAsked(Asked):
    """Which part of a history, newest first: `before` is the `next` of the part before."""

    before: Number | None = None
    limit: Limit = 50


class AuditAsked(PieceAsked):
    """Which entries."""

    device: Text = ""


class Reading(Struct):
    """What a device posted: `text` if it is one; `format` is CoAP's Content-Format."""

    id: int
    at: float
    path: str
    format: int | None
    text: str | None
    hex: str


class Readings(Struct):
    """Readings of one device, newest first."""

    readings: list[Reading]
    next: int | None


class Entry(Struct):
    """An entry of the audit log."""

    id: int
    at: float
    who: str
    action: str
    subject: str
    detail: dict[str, Any]
    hash: str


class Entries(Struct):
    """Entries of the audit log, newest first."""

    entries: list[Entry]
    next: int | None


class Finding(Struct):
    """One thing that is known about why nothing arrives; `remedy` is empty if all is well."""

    cause: str
    text: str
    remedy: str


class Findings(Struct):
    """What is known, the likeliest cause first."""

    findings: list[Finding]


class Enrol(Asked):
    """A device to enrol. Its id is made up if it is empty; `address` is where it finds the hub."""

    id: Text = ""
    label: Text = ""
    address: Text = ""
    suite: Annotated[int, Meta(ge=0, le=1)] = 0
    tags: list[Text] = []


class Enrolled(Struct):
    """What may be known of an enrolment; the key is in the bundle alone."""

    id: str
    label: str
    fingerprint: str
    address: str
    bundle: str


class Reason(Asked):
    """Why, for the audit log."""

    reason: Text = ""


class Changed(Struct):
    """The state that a device is in now, and whether this made it so."""

    id: str
    state: State
    changed: bool


class Tags(Asked):
    """All tags of a device."""

    tags: Annotated[list[Text], Meta(max_length=50)]


class Value(Asked):
    """A value: `text`, or `hex` if its format is bytes or cbor."""

    format: Format = "text"
    text: str | None = None
    hex: str | None = None


class SetValue(Struct):
    """A value that is set for a device."""

    path: str
    format: int | None
    text: str | None
    hex: str


class SetValues(Struct):
    """All that is set for a device."""

    values: list[SetValue]


class Poked(Struct):
    """Where a device was asked for a new session; it answers with a handshake, or never."""

    id: str
    address: str


class Request(Value):
    """A request to a device, which waits for its response up to `timeout` seconds."""

    method: Literal["GET", "POST", "PUT", "DELETE"] = "GET"
    path: Text = ""
    timeout: Annotated[float, Meta(gt=0, le=120)] = 60.0


class Response(Struct):
    """What a device answered: `code` is CoAP's."""

    code: str
    ok: bool
    format: int | None
    text: str | None
    hex: str


class Policy(Asked):
    """All rules, such as "sensor -> display"; without any, everybody may talk to everybody."""

    rules: list[Text]


def encode(answer: Struct) -> bytes:
    """Return an answer as JSON."""
    return msgspec.json.encode(answer)
