"""Mosquitto, and a mosquitto_sub that writes down what it gets."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

from outgoing.parts import lines, until
from ports import free_port

MOSQUITTO = "/usr/sbin/mosquitto"
MOSQUITTO_SUB = "/usr/bin/mosquitto_sub"
USER, PASSWORD = "skerry", "correct horse"


class Broker:
    """A broker for USER; with TLS if it has a certificate and a key."""

    def __init__(self, folder: Path, *certificate: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.tls = bool(certificate)
        self.process: subprocess.Popen[bytes] | None = None
        self.watchers: list[Watcher] = []
        folder.mkdir()
        self.password = folder / "password"
        self.password.touch(0o600)
        self.password.write_text(PASSWORD + "\n")
        (folder / "users").touch(0o600)
        subprocess.run(["mosquitto_passwd", "-b", folder / "users", USER, PASSWORD], check=True)
        (folder / "acl").write_text(f"user {USER}\ntopic readwrite skerry/#\n")
        said = [
            f"listener {self.port} 127.0.0.1", "allow_anonymous false", f"password_file {folder}/users",
            f"acl_file {folder}/acl", "persistence true", f"persistence_location {folder}/",
            "max_queued_messages 100000", f"user {os.environ.get('USER', 'root')}",
        ]  # fmt: skip
        if certificate:
            said += [f"certfile {certificate[0]}", f"keyfile {certificate[1]}"]
        (folder / "conf").write_text("\n".join(said) + "\n")

    def start(self) -> None:
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [MOSQUITTO, "-c", self.folder / "conf"], stdout=log, stderr=log
            )
        until(self._answers)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """End it; what it owes to subscribers it writes down before."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait()
            self.process = None

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def watch(self, topic: str = "skerry/#", **more: str) -> "Watcher":
        self.watchers.append(Watcher(self, topic, len(self.watchers), **more))
        return self.watchers[-1]

    def url(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://127.0.0.1:{self.port}"

    def table(self, **more: object) -> str:
        """The settings of a hub that publishes here."""
        said = {"url": self.url(), "user": USER, "password_file": str(self.password), **more}
        return "[mqtt]\n" + "".join(
            f"{key} = {json.dumps(value)}\n" for key, value in said.items()
        )


class Watcher:
    """A subscriber with QoS 1, for whom the broker keeps what comes while it is away."""

    def __init__(self, broker: Broker, topic: str, number: int, ca: str = "") -> None:
        self._file = broker.folder / f"watched {number}"
        with self._file.open("a") as file:
            self.process = subprocess.Popen(
                [MOSQUITTO_SUB, "-h", "127.0.0.1", "-p", str(broker.port), "-u", USER, "-P", PASSWORD,
                 "-t", topic, "-q", "1", "-c", "-i", f"watcher-{number}", "-F", "%j",
                 *(["--cafile", ca] if ca else [])],
                stdout=file, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        until(lambda: f"as watcher-{number}" in (broker.folder / "log").read_text())

    @property
    def messages(self) -> list[dict]:
        return lines(self._file)

    def items(self, end: str = "") -> list[dict]:
        """What came on topics with this end, but the status."""
        return [json.loads(each["payload"]) for each in self.messages
                if each["topic"].endswith(end) and not each["topic"].endswith("/status")]  # fmt: skip

    def numbers(self, type: str = "reading") -> list[int]:
        return [each["number"] for each in self.items() if each["type"] == type]

    def statuses(self) -> list[str]:
        return [each["payload"] for each in self.messages if each["topic"].endswith("/status")]
