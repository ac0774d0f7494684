"""Every setting of the hub, in one table: what it is called, what it means, how it is read.

    flag  >  environment, SKERRY_NAME  >  settings file, TOML  >  default

The file is the one that --config or SKERRY_CONFIG names, else DATA/skerry.toml if there is one.
`skerry config` prints it with every setting explained; `skerry config check` says what is wrong.
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skerry_hub.endpoints import PORT, parse_endpoint, parse_reachable, show
from skerry_hub.errors import ConfigError

DEFAULT_DATA = "~/.local/share/skerry"
FILE_NAME = "skerry.toml"
WEB_PORT = 8683


@dataclass(frozen=True)
class Setting:
    """One setting. `read` makes its value of a TOML value or a text, `show` a TOML value of it.

    `default` is such a text, or None if there is none; then `example` is shown in its place.
    """

    name: str
    default: Any
    read: Callable[[Any], Any]
    show: Callable[[Any], str]
    help: tuple[str, ...]
    example: str = ""

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return "SKERRY_" + self.name.upper()


def as_text(value: Any) -> str:
    """Read a text; raise ConfigError."""
    if not isinstance(value, str):
        raise ConfigError("write it as a text, in quotation marks")
    return value


def _conninfo(value: Any) -> str:
    """Read where a PostgreSQL is; places.py looks at it once more, with libpq's eyes."""
    text = as_text(value)
    if re.search(r"password\s*=|://[^/@]*:[^/@]*@", text, re.IGNORECASE):
        raise ConfigError("no password here: put it into ~/.pgpass of the hub's user")
    if not text.startswith(("postgresql://", "postgres://")) and "=" not in text:
        raise ConfigError("write postgresql://HOST/NAME, or libpq's words such as service=NAME")
    return text


def as_path(value: Any) -> Path:
    """Read a path and make it absolute; raise ConfigError."""
    try:
        return Path(as_text(value)).expanduser().absolute()
    except RuntimeError:
        raise ConfigError(f"{value}: no home folder is known; write the whole path") from None


def _endpoints(value: Any) -> list[tuple[str, int]]:
    texts = value if isinstance(value, list) else as_text(value).split(",")
    return [parse_endpoint(as_text(each).strip()) for each in texts]


def one_of(*allowed: str) -> Callable[[Any], str]:
    """Return what reads one of these words; it raises ConfigError."""

    def read(value: Any) -> str:
        if value not in allowed:
            raise ConfigError(f"{value!r} is none of {', '.join(allowed)}")
        return str(value)

    return read


def switch(value: Any) -> bool:
    """Read true or false, a TOML value or a text; raise ConfigError."""
    if isinstance(value, bool):
        return value
    if value not in ("true", "false"):
        raise ConfigError("write true or false")
    return bool(value == "true")


def show_switch(value: bool) -> str:
    """Write true or false."""
    return "true" if value else "false"


def quoted(value: Any) -> str:
    """Write a value as TOML text."""
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _show_endpoint(value: Any) -> str:
    return quoted(show(value))


SETTINGS = (
    Setting(
        "data", DEFAULT_DATA, as_path, quoted,
        ("The folder of the database and the bundles. Made by skerry init, its owner's alone.",),
    ),
    Setting(
        "database", None, _conninfo, quoted,
        ("A PostgreSQL database in the place of the SQLite file in the data folder, for several",
         "hubs; needs skerry[postgres]. Its password belongs into ~/.pgpass (docs/operating.md).",
         "Default: the file skerry.db in the data folder."),
        "postgresql://db.example/skerry",
    ),
    Setting(
        "kek_file", None, as_path, quoted,
        ("The key-encryption key: 64 hexadecimal digits that only the hub's user can read.",
         "Keep it out of the data's backups. Default: the file kek in the data folder."),
        "/etc/skerry/kek",
    ),
    Setting(
        "kek_command", None, as_text, quoted,
        ("A program that prints the key-encryption key, in the place of kek_file. It is run",
         "without a shell when a command or the hub needs the key. Default: none."),
        "pass show skerry/kek",
    ),
    Setting(
        "kek_pkcs11", None, as_text, quoted,
        ("A secret key in a PKCS#11 token, which the key-encryption key is derived from, in the",
         "place of kek_file; needs skerry[pkcs11]. The PIN is in a file. Default: none."),
        "pkcs11:token=skerry;object=kek?module-path=/usr/lib/softhsm/libsofthsm2.so"
        "&pin-source=file:/etc/skerry/pin",
    ),
    Setting(
        "listen", f"[::]:{PORT}", _endpoints,
        lambda value: "[" + ", ".join(map(_show_endpoint, value)) + "]",
        ("The UDP addresses that the hub listens on. [::] takes IPv4 too.",),
    ),
    Setting(
        "share_port", "false", switch, show_switch,
        ("Let several hub processes listen on the same addresses, on one store: the kernel gives",
         "each device to one of them (docs/operating.md).",),
    ),
    Setting(
        "address", None, parse_reachable, _show_endpoint,
        ("Where devices find the hub: written into each bundle at enrolment, so choose a name",
         "or an address that stays. Default: this machine's own address."),
        "hub.example:5683",
    ),
    Setting(
        "app", None, as_text, quoted,
        ("MODULE:FUNCTION that adds resources of your own (docs/hub-api.md). Default: none.",),
        "greenhouse:add",
    ),
    Setting(
        "clones", "report", one_of("report", "quarantine"), quoted,
        ("What to do when a device seems to have a copy: report it, or cut both off as well.",
         "Somebody who can hold messages up and repeat them can make it seem so."),
    ),
    Setting(
        "monitoring", None, parse_reachable, _show_endpoint,
        ("Serve /health and /metrics over HTTP here, so that Prometheus can read it.",
         "Not on a public address: it tells how many devices there are. Default: nowhere."),
        "127.0.0.1:9090",
    ),
    Setting(
        "web", None, lambda value: parse_endpoint(as_text(value), WEB_PORT), _show_endpoint,
        ("Serve the page and the REST API here (docs/web.md); skerry token makes what one logs in",
         "with. Needs web_cert and web_key unless it is a loopback address. Default: nowhere."),
        "127.0.0.1:8683",
    ),
    Setting(
        "web_cert", None, as_path, quoted,
        ("The certificate of the web interface and those above it: a PEM file. Default: none.",),
        "/etc/skerry/web.crt",
    ),
    Setting(
        "web_key", None, as_path, quoted,
        ("The key of that certificate: a PEM file without a password. Default: none.",),
        "/etc/skerry/web.key",
    ),
    Setting(
        "log_format", "text", one_of("text", "json"), quoted,
        ("text for people, json for programs: one object a line.",),
    ),
    Setting(
        "log_level", "info", one_of("debug", "info", "warning", "error"), quoted,
        ("What is logged at least.",),
    ),
)  # fmt: skip


def read_file(path: Path, tables: Mapping[str, Callable[[Any], object]]) -> dict[str, Any]:
    """Return the settings of a file as TOML values by name; raise ConfigError with the line.

    `tables` are read by these, each of which raises ConfigError, too.
    """
    readers = {**{each.name: each.read for each in SETTINGS}, **tables}
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError(f"cannot read the settings file {path}: {reason}") from None
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no TOML: {error}") from None
    for name in said:
        if name not in readers:
            near = difflib.get_close_matches(name, readers, 1)
            hint = f": did you mean {near[0]}?" if near else "; skerry config lists all there are"
            raise ConfigError(f"{path} line {_line(text, name)}: no setting {name}{hint}")
        try:
            readers[name](said[name])
        except ConfigError as error:
            raise ConfigError(f"{path} line {_line(text, name)}: {name}: {error}") from None
    return said


def _line(text: str, name: str) -> int:
    """Return the line that a name is set in, 1 if it cannot be told."""
    found = re.search(rf"^\s*\[{{0,2}}\s*[\"']?{re.escape(name)}\b", text, re.MULTILINE)
    return text.count("\n", 0, found.end() if found else 0) + 1


def resolve(
    flags: Mapping[str, Any], environ: Mapping[str, str], said: Mapping[str, Any]
) -> dict[str, Any]:
    """Return every setting's value by name; raise ConfigError.

    A flag that is None and an empty environment variable say nothing.
    """
    values = {}
    for each in SETTINGS:
        value, source = said.get(each.name, each.default), ""
        if environ.get(each.variable):
            value, source = environ[each.variable], f"{each.variable}: "
        if flags.get(each.name) is not None:
            value, source = flags[each.name], ""
        try:
            values[each.name] = None if value is None else each.read(value)
        except ConfigError as error:
            raise ConfigError(f"{source}{error}") from None
    return values


def explained(values: Mapping[str, Any]) -> str:
    """Return a settings file that explains every setting; what is at its default is a comment."""
    lines = [
        "# The settings of a Skerry hub. Lines that begin with # say what holds without them."
    ]
    for each in SETTINGS:
        default = None if each.default is None else each.read(each.default)
        value = values[each.name]
        lines += ["", *(f"# {line}" for line in each.help)]
        shown = each.show(each.read(each.example) if value is None else value)
        lines.append(f"{'# ' if value == default else ''}{each.name} = {shown}")
    return "\n".join(lines) + "\n"
