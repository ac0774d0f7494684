"""The tables [[webhook]] of the settings file, one or more."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from skerry_hub.endpoints import is_loopback
from skerry_hub.errors import ConfigError
from skerry_hub.outgoing.tables import (
    BEGIN,
    CA_FILE,
    SEND,
    private_lines,
    shown,
    table,
    trusting,
    url_of,
)  # fmt: skip
from skerry_hub.settings import Setting, as_path, as_text, quoted, show_switch, switch

if TYPE_CHECKING:
    import ssl

MIN_SECRET, MAX_SECRET = 24, 64  # bytes (Standard Webhooks, "Signature scheme")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_PREFIX = "whsec_"


@dataclass(frozen=True)
class WebhookSettings:
    """One [[webhook]]."""

    name: str
    url: str
    secret_file: Path
    ca_file: Path | None
    send: tuple[str, ...]
    begin: str
    allow_http: bool

    def secrets(self) -> list[bytes]:
        """Read the secrets, 24 to 64 bytes each, at least one; raise ConfigError."""
        secrets = [_decoded(line) for line in private_lines(self.secret_file)]
        if not secrets or not all(MIN_SECRET <= len(each) <= MAX_SECRET for each in secrets):
            raise ConfigError(
                f"{self.secret_file} holds no secret: write {_PREFIX} and the base64 of"
                f" {MIN_SECRET} to {MAX_SECRET} random bytes (docs/outgoing.md)"
            )
        return secrets

    def tls(self) -> "ssl.SSLContext | None":
        """Return what verifies the receiver if a CA is named; raise ConfigError."""
        return None if self.ca_file is None else trusting(self.ca_file)


def _decoded(line: str) -> bytes:
    try:
        return base64.b64decode(line.removeprefix(_PREFIX), validate=True)
    except ValueError:
        return b""


def _name(value: Any) -> str:
    if _NAME.fullmatch(as_text(value)) is None or value == "mqtt":
        raise ConfigError(f"{value!r} is no name: lowercase letters, digits, '_' or '-'; not mqtt")
    return str(value)


WEBHOOK = (
    Setting(
        "name", None, _name, quoted,
        ("Its name in logs and metrics; what it has got already is remembered under it.",),
        "archive",
    ),
    Setting("url", None, url_of("https", "http"), quoted, ("Where to POST.",),
            "https://archive.example/skerry"),
    Setting(
        "secret_file", None, as_path, quoted,
        ("The secret that signs: whsec_ and base64, in a file that only its owner can read. With",
         "two lines both sign, so that a receiver can exchange its secret in its own time."),
        "/etc/skerry/archive.secret",
    ),
    CA_FILE, SEND, BEGIN,
    Setting("allow_http", False, switch, show_switch,
            ("Allow http:// to another machine: whoever is on the way reads and alters it.",)),
)  # fmt: skip


def webhooks(said: Any) -> tuple[WebhookSettings, ...]:
    """Read all [[webhook]] tables; raise ConfigError."""
    if not isinstance(said, list):
        raise ConfigError("write [[webhook]], in two brackets")
    found = tuple(_webhook(number, each) for number, each in enumerate(said, 1))
    names = [each.name for each in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two are named {name}")
    return found


def _webhook(number: int, said: Any) -> WebhookSettings:
    try:
        made = WebhookSettings(**table(WEBHOOK, said, ("name", "url", "secret_file")))
    except ConfigError as error:
        raise ConfigError(f"number {number}: {error}") from None
    parts = urlsplit(made.url)
    if parts.scheme == "http" and not made.allow_http and not is_loopback(parts.hostname or ""):
        raise ConfigError(f"number {number}: url: http:// is readable on the way: use https://, or"
                          " say allow_http = true")  # fmt: skip
    return made


_HELP = ("Readings and events as signed JSON over HTTP (docs/outgoing.md); one table each.",)


def explained(configured: Sequence[WebhookSettings]) -> list[str]:
    """Return the lines of all tables, or those of an example."""
    values: list[dict[str, Any] | None] = [vars(each) for each in configured]
    return [
        line for each in values or [None] for line in shown("[[webhook]]", WEBHOOK, each, _HELP)
    ]
