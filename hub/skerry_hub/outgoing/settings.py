"""The tables of the settings file that name destinations: [[webhook]], one or more, and [mqtt]."""

import base64
import difflib
import ipaddress
import re
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from skerry_hub.errors import ConfigError
from skerry_hub.outgoing import LOGS
from skerry_hub.settings import Setting, as_path, as_text, one_of, quoted

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

    def secret(self) -> bytes:
        """Read the secret, 24 to 64 bytes; raise ConfigError."""
        text = private_text(self.secret_file)
        try:
            secret = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
        except ValueError:
            secret = b""
        if not MIN_SECRET <= len(secret) <= MAX_SECRET:
            raise ConfigError(
                f"{self.secret_file} holds no secret: write {_PREFIX} and the base64 of"
                f" {MIN_SECRET} to {MAX_SECRET} random bytes (docs/outgoing.md)"
            )
        return secret

    def tls(self) -> ssl.SSLContext | None:
        """Return what verifies the receiver if a CA is named; raise ConfigError."""
        return None if self.ca_file is None else trusting(self.ca_file)


def private_text(path: Path) -> str:
    """Return the one line of a file that only its owner can read; raise ConfigError."""
    try:
        mode, text = path.stat().st_mode, path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise ConfigError(
            f"cannot read {path} ({reason}): docs/outgoing.md says how to make it"
        ) from None
    if mode & 0o077:
        raise ConfigError(f"others can read {path}: run chmod 600 {path}")
    return text


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that verifies by this CA, or by the system's; raise ConfigError."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        reason = "no certificate in it" if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigError(
            f"ca_file {ca_file} ({reason}): name one with certificates, PEM"
        ) from None


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, without asking anybody."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def url_of(*schemes: str) -> Callable[[Any], str]:
    """Return what reads a URL of one of these schemes; raise ConfigError."""

    def read(value: Any) -> str:
        text = as_text(value)
        try:
            parts = urlsplit(text)
            _ = parts.port  # a ValueError if it is none
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in schemes or not parts.hostname:
            raise ConfigError(
                "write it as " + " or ".join(f"{each}://HOST/..." for each in schemes)
            )
        if parts.username is not None or parts.password is not None:
            raise ConfigError("no user and password belong in it")
        return text

    return read


def _name(value: Any) -> str:
    if _NAME.fullmatch(as_text(value)) is None or value == "mqtt":
        raise ConfigError(f"{value!r} is no name: lowercase letters, digits, '_' or '-'; not mqtt")
    return str(value)


def _logs(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not set(value) <= set(LOGS):
        raise ConfigError('write ["readings"], ["events"] or both')
    return tuple(value)


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError("write true or false")
    return value


def _show_switch(value: bool) -> str:
    return "true" if value else "false"


def _show_logs(value: Sequence[str]) -> str:
    return "[" + ", ".join(map(quoted, value)) + "]"


SEND = Setting("send", list(LOGS), _logs, _show_logs, ("What it gets.",))
BEGIN = Setting(
    "begin", "now", one_of("now", "start"), quoted,
    ("Where it begins when the hub first runs with it: now, or at the start of what is stored.",),
)  # fmt: skip
CA_FILE = Setting(
    "ca_file", None, as_path, quoted,
    ("Trust certificates of this CA alone. Default: those that the system trusts.",),
    "/etc/skerry/ca.pem",
)  # fmt: skip
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
        ("The secret that signs: whsec_ and base64, in a file that only its owner can read.",),
        "/etc/skerry/archive.secret",
    ),
    CA_FILE, SEND, BEGIN,
    Setting("allow_http", False, _switch, _show_switch,
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


def table(known: Sequence[Setting], said: Any, required: Sequence[str]) -> dict[str, Any]:
    """Read a table of settings, with defaults for what is not said; raise ConfigError."""
    if not isinstance(said, dict):
        raise ConfigError("write it as a table")
    by_name = {each.name: each for each in known}
    for name in said:
        if name not in by_name:
            near = difflib.get_close_matches(name, by_name, 1)
            raise ConfigError(
                f"no setting {name}" + (f": did you mean {near[0]}?" if near else "")
            )
    values = {}
    for each in known:
        value = said.get(each.name, each.default)
        if value is None and each.name in required:
            raise ConfigError(f"{each.name} is missing")
        try:
            values[each.name] = None if value is None else each.read(value)
        except ConfigError as error:
            raise ConfigError(f"{each.name}: {error}") from None
    return values


def explained(configured: Sequence[WebhookSettings]) -> str:
    """Return the tables of a settings file that says what holds; an example if there is none."""
    if not configured:
        return "\n".join(_table("[[webhook]]", WEBHOOK, None, _WEBHOOK_HELP)) + "\n"
    lines: list[str] = []
    for each in configured:
        lines += _table("[[webhook]]", WEBHOOK, vars(each), _WEBHOOK_HELP)
    return "\n".join(lines) + "\n"


TABLES: Mapping[str, Callable[[Any], object]] = {"webhook": webhooks}  # by their names
_WEBHOOK_HELP = (
    "Readings and events as signed JSON over HTTP (docs/outgoing.md); one table each.",
)


def _table(
    head: str, known: Sequence[Setting], values: Mapping[str, Any] | None, help: Sequence[str]
) -> Iterator[str]:
    """Yield the lines of a table; all of it is a comment if there are no values."""
    yield ""
    yield from (f"# {line}" for line in help)
    yield head if values else f"# {head}"
    for each in known:
        default = None if each.default is None else each.read(each.default)
        value = values[each.name] if values else default
        shown = each.show(each.read(each.example) if value is None else value)
        yield from (f"# {line}" for line in each.help)
        yield f"{'# ' if value == default else ''}{each.name} = {shown}"
