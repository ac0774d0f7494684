"""Every route of the API, in one table: openapi.py documents it, server.py serves it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from skerry_hub.web import acts, reads, schema
from skerry_hub.web.service import Call, Service

BASE = "/api/v1"


@dataclass(frozen=True)
class Route:
    """One route. `answer` is a type of schema.py, a media type, or None for an empty answer.

    `scope` is what a token needs, words by spaces; "" is any token, None is nobody.
    """

    method: str
    path: str
    scope: str | None
    call: Callable[[Service, Call], Awaitable[Any]]
    answer: Any
    query: type[schema.Asked] | None = None
    body: type[schema.Asked] | None = None
    status: int = 200

    @property
    def name(self) -> str:
        """The operation's name in the document."""
        return self.call.__name__


_ONE = "/devices/{id}"
_VALUE = _ONE + "/config/{path}"

ROUTES = (
    Route("POST", "/session", None, acts.login, schema.Whoever, body=schema.Login),
    Route("GET", "/session", "", acts.whoever, schema.Whoever),
    Route("DELETE", "/session", None, acts.logout, None, status=204),
    Route("GET", "/status", "read", reads.status, schema.Status),
    Route("GET", "/rates", "read", reads.rates, schema.Rates, query=schema.RatesAsked),
    Route("GET", "/devices", "read", reads.devices, schema.Devices, query=schema.DevicesAsked),
    Route("POST", "/devices", "enrol", acts.enrol, schema.Enrolled, body=schema.Enrol, status=201),
    Route("GET", _ONE, "read", reads.device, schema.Detail),
    Route("GET", _ONE + "/readings", "read", reads.readings, schema.Readings,
          query=schema.PieceAsked),
    Route("GET", _ONE + "/audit", "read", reads.device_audit, schema.Entries,
          query=schema.PieceAsked),
    Route("GET", _ONE + "/explain", "read", reads.explained, schema.Findings),
    Route("GET", _ONE + "/label.svg", "", reads.label_svg, "image/svg+xml"),
    Route("POST", _ONE + "/bundle", "enrol", acts.bundle, "application/zip"),
    Route("POST", _ONE + "/undelete", "enrol operate", acts.undelete, schema.Enrolled,
          status=201),
    Route("POST", _ONE + "/revoke", "operate", acts.revoke, schema.Changed),
    Route("POST", _ONE + "/quarantine", "operate", acts.quarantine, schema.Changed,
          body=schema.Reason),
    Route("POST", _ONE + "/release", "operate", acts.release, schema.Changed),
    Route("PUT", _ONE + "/tags", "operate", acts.set_tags, schema.Tags, body=schema.Tags),
    Route("GET", _ONE + "/config", "operate", reads.values, schema.SetValues),
    Route("PUT", _VALUE, "operate", acts.set_value, None, body=schema.Value, status=204),
    Route("DELETE", _VALUE, "operate", acts.unset_value, None, status=204),
    Route("POST", _ONE + "/poke", "operate", acts.poke, schema.Poked),
    Route("POST", _ONE + "/request", "operate", acts.request, schema.Response,
          body=schema.Request),
    Route("GET", "/audit", "read", reads.audit, schema.Entries, query=schema.AuditAsked),
    Route("GET", "/policy", "read", reads.rules, schema.Policy),
    Route("PUT", "/policy", "operate", acts.set_rules, schema.Policy, body=schema.Policy),
)  # fmt: skip
