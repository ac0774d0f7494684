"""What the tables of all destinations in the settings file have in common, and how one is read."""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from skerry_hub.errors import ConfigError
from skerry_hub.outgoing import LOGS
from skerry_hub.settings import Setting, as_path, as_text, one_of, quoted

if TYPE_CHECKING:
    import ssl  # takes long to import: only a hub that runs needs it


def private_lines(path: Path) -> list[str]:
    """Return the lines of a file that only its owner can read; raise ConfigError."""
    try:
        mode, text = path.stat().st_mode, path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise ConfigError(
            f"cannot read {path} ({reason}): docs/outgoing.md says how to make it"
        ) from None
    if mode & 0o077:
        raise ConfigError(f"others can read {path}: run chmod 600 {path}")
    return [line.strip() for line in text.splitlines() if line.strip()]


def trusting(ca_file: Path | None) -> "ssl.SSLContext":
    """Return a context that verifies by this CA, or by the system's; raise ConfigError."""
    import ssl

    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        reason = "no certificate in it" if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigError(
            f"ca_file {ca_file} ({reason}): name one with certificates, PEM"
        ) from None


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


def _logs(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or any(each not in LOGS for each in value):
        raise ConfigError('write ["readings"], ["events"] or both')
    return tuple(value)


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


def shown(
    head: str, known: Sequence[Setting], values: Mapping[str, Any] | None, help: Sequence[str]
) -> Iterator[str]:
    """Yield the lines of a table; all of it is a comment if there are no values."""
    yield ""
    yield from (f"# {line}" for line in help)
    yield head if values else f"# {head}"
    for each in known:
        default = None if each.default is None else each.read(each.default)
        value = values[each.name] if values else default
        value_text = each.show(each.read(each.example) if value is None else value)
        yield from (f"# {line}" for line in each.help)
        yield f"{'# ' if value == default else ''}{each.name} = {value_text}"
