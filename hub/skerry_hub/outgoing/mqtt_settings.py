"""The table [mqtt] of the settings file."""

import re
from collections.abc import Callable, Sequence
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
from skerry_hub.settings import Setting, as_path, as_text, one_of, quoted, show_switch, switch

if TYPE_CHECKING:
    import ssl

NAME = "mqtt"
_MAX_TOPIC = 200  # bytes of a template; MQTT allows 65,535 in a topic


@dataclass(frozen=True)
class MqttSettings:
    """The table [mqtt]."""

    url: str
    user: str | None
    password_file: Path | None
    client_id: str | None
    version: str
    ca_file: Path | None
    readings_topic: str
    events_topic: str
    status_topic: str
    retain: bool
    send: tuple[str, ...]
    begin: str
    allow_plain: bool

    def password(self) -> str | None:
        """Read the password; raise ConfigError."""
        if self.password_file is None:
            return None
        said = private_lines(self.password_file)
        if len(said) != 1:
            raise ConfigError(f"{self.password_file} holds no password: write it in one line")
        return said[0]

    def tls(self) -> "ssl.SSLContext | None":
        """Return what verifies the broker; None without TLS. Raises ConfigError."""
        return trusting(self.ca_file) if self.url.startswith("mqtts:") else None


def _template(*fields: str) -> Callable[[Any], str]:
    """Return what reads a topic with these fields and no other."""
    allowed = " and ".join(f"{{{each}}}" for each in fields)

    def read(value: Any) -> str:
        text = as_text(value)
        bare = re.sub("|".join(rf"\{{{each}\}}" for each in fields), "x", text)
        if not bare or len(text.encode()) > _MAX_TOPIC or re.search(r"[+#{}$\0]", bare):
            raise ConfigError(f"write a topic without wildcards; {allowed} are filled in")
        return text

    return read


MQTT = (
    Setting("url", None, url_of("mqtts", "mqtt"), quoted,
            ("The broker: mqtts:// is TLS, verified, on port 8883; mqtt:// on 1883.",),
            "mqtts://broker.example"),
    Setting("user", None, as_text, quoted, ("Who to be there. Default: nobody.",), "skerry"),
    Setting("password_file", None, as_path, quoted,
            ("The password, in a file that only its owner can read. Default: none.",),
            "/etc/skerry/mqtt.password"),
    Setting("client_id", None, as_text, quoted,
            ("Two with one client id throw each other out. Default: skerry- and the hub's id.",),
            "skerry-1"),
    Setting("version", "5", one_of("5", "3.1.1"), quoted,
            ("With 3.1.1 a broker cannot say that it refuses a message: it is lost then.",)),
    CA_FILE,
    Setting("readings_topic", "skerry/{hub}/{device}/readings", _template("hub", "device"), quoted,
            ("Where readings are published.",)),
    Setting("events_topic", "skerry/{hub}/events", _template("hub"), quoted,
            ("Where events are published.",)),
    Setting("status_topic", "skerry/{hub}/status", _template("hub"), quoted,
            ("Where online and offline are published, retained.",)),
    Setting("retain", False, switch, show_switch,
            ("Have the broker keep the last reading of each topic for who subscribes later.",)),
    SEND, BEGIN,
    Setting("allow_plain", False, switch, show_switch,
            ("Allow mqtt:// to another machine: whoever is on the way reads and alters it.",)),
)  # fmt: skip
_HELP = ("Readings and events as messages of an MQTT broker (docs/outgoing.md); skerry[mqtt].",)


def mqtt(said: Any) -> MqttSettings | None:
    """Read the table [mqtt], if there is one; raise ConfigError."""
    if said is None:
        return None
    made = MqttSettings(**table(MQTT, said, ("url",)))
    parts = urlsplit(made.url)
    if parts.scheme == "mqtt" and not made.allow_plain and not is_loopback(parts.hostname or ""):
        raise ConfigError("url: mqtt:// is readable on the way: use mqtts://, or say"
                          " allow_plain = true")  # fmt: skip
    if made.password_file is not None and made.user is None:
        raise ConfigError("password_file is of no use without user")
    return made


def explained(configured: MqttSettings | None) -> Sequence[str]:
    """Return the lines of the table as it is, or as an example."""
    return list(shown("[mqtt]", MQTT, vars(configured) if configured else None, _HELP))
