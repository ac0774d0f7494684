"""What the hub was told, by flags, environment and settings file; settings.py has the table."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from skerry_hub import settings
from skerry_hub.endpoints import WILDCARDS, Endpoint, own_address
from skerry_hub.errors import ConfigError
from skerry_hub.keysource import KINDS, KeySource
from skerry_hub.outgoing import settings as outgoing


@dataclass(frozen=True)
class Config:
    """Where everything is. `address` is None unless somebody said it; `json` is for programs.

    `server` is where a PostgreSQL is, as libpq takes it.
    """

    data: Path
    kek: KeySource
    listen: list[Endpoint]
    address: Endpoint | None = None
    json: bool = False
    monitoring: Endpoint | None = None
    log_format: str = "text"
    log_level: str = "info"
    file: Path | None = None
    app: str | None = None
    clones: str = "report"
    web: Endpoint | None = None
    web_cert: Path | None = None
    web_key: Path | None = None
    webhooks: tuple[outgoing.WebhookSettings, ...] = ()
    mqtt: outgoing.MqttSettings | None = None
    server: str | None = None
    share_port: bool = False

    @staticmethod
    def of(
        data: str | None = None,
        listen: list[str] | None = None,
        address: str | None = None,
        json: bool = False,
        file: str | None = None,
        app: str | None = None,
        environ: Mapping[str, str] = os.environ,
        web: str | None = None,
    ) -> "Config":
        """Read flags, the environment, then the settings file; raise ConfigError."""
        flags = {"data": data, "listen": listen, "address": address, "app": app, "web": web}
        path = _settings_file(file or environ.get("SKERRY_CONFIG"), flags, environ)
        said = settings.read_file(path, outgoing.TABLES) if path else {}
        values = settings.resolve(flags, environ, said)
        return Config(
            data=values["data"],
            kek=_key_source(values),
            listen=values["listen"],
            address=values["address"],
            json=json,
            monitoring=values["monitoring"],
            log_format=values["log_format"],
            log_level=values["log_level"],
            file=path,
            app=values["app"],
            clones=values["clones"],
            web=values["web"],
            web_cert=values["web_cert"],
            web_key=values["web_key"],
            webhooks=outgoing.webhooks(said.get("webhook", [])),
            mqtt=outgoing.mqtt(said.get("mqtt")),
            server=values["database"],
            share_port=values["share_port"],
        )

    @property
    def database(self) -> Path:
        """The store's file, if it is SQLite."""
        return self.data / "skerry.db"

    @property
    def control(self) -> Path:
        """Where a running hub listens to the command line."""
        return self.data / "control"

    @property
    def bundles(self) -> Path:
        """The folder of provisioning bundles."""
        return self.data / "bundles"

    @property
    def advertised(self) -> Endpoint:
        """Where devices find the hub: as said, or else this machine's own address."""
        if self.address is not None:
            return self.address
        host, port = self.listen[0]
        return (own_address() if host in WILDCARDS else host), port

    @property
    def reachable(self) -> Endpoint:
        """Where programs on this machine find the hub."""
        host, port = self.listen[0]
        return ("127.0.0.1" if host in WILDCARDS else host), port

    def explained(self) -> str:
        """Return a settings file that says what holds now, every setting explained."""
        said = ("data", "listen", "share_port", "address", "app", "clones", "monitoring", "web",
                "web_cert", "web_key", "log_format", "log_level")  # fmt: skip
        values = {name: getattr(self, name) for name in said}
        default = KeySource("file", str(self.data / "kek"))
        values["database"] = self.server
        values |= {f"kek_{kind}": None for kind in KINDS}
        if self.kek != default:
            values[f"kek_{self.kek.kind}"] = self.kek.said
        return settings.explained(values) + outgoing.explained(self.webhooks, self.mqtt)


def _key_source(values: Mapping[str, object]) -> KeySource:
    said = [
        KeySource(kind, str(values[f"kek_{kind}"]))
        for kind in KINDS
        if values[f"kek_{kind}"] is not None
    ]
    if len(said) > 1:
        raise ConfigError(f"kek_{said[0].kind} and kek_{said[1].kind}: say one of them")
    return said[0] if said else KeySource("file", str(Path(str(values["data"])) / "kek"))


def _settings_file(
    named: str | None, flags: Mapping[str, object], environ: Mapping[str, str]
) -> Path | None:
    """Return the settings file: the one that is named, or the data folder's if there is one."""
    if named:
        return Path(named).expanduser().absolute()
    path = Path(settings.resolve(flags, environ, {})["data"]) / settings.FILE_NAME
    return path if path.exists() else None
