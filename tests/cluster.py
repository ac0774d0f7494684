"""PostgreSQL for tests: a cluster of their own in memory, on a Unix socket, gone afterwards."""

import atexit
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg

WANTED = os.environ.get("SKERRY_STORE") == "postgres"  # run what can on PostgreSQL
_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "log_statement": "none",
    "shared_buffers": "64MB",
    "autovacuum": "off",  # of many small databases
}


class Cluster:
    """A cluster and its server; the superuser is `postgres`, whom the socket's folder lets in."""

    def __init__(self, settings: dict[str, str] | None = None, place: Path | None = None) -> None:
        memory = Path("/dev/shm")
        place = place or (memory if memory.is_dir() else None)
        self.folder = Path(tempfile.mkdtemp(prefix="pg", dir=place))
        self._numbers = itertools.count(1)
        self._user = None if os.getuid() else pwd.getpwnam("postgres").pw_name  # initdb: not root
        if self._user:
            shutil.chown(self.folder, self._user)
        atexit.register(self.remove)
        self._do(
            "initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8"
        )
        said = _SETTINGS | {"unix_socket_directories": str(self.folder)} | (settings or {})
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in said.items())
        self.start()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def _do(self, program: str, *arguments: object) -> None:
        binary = _BINARIES[-1] / program if _BINARIES else program
        command = [str(binary), *map(str, arguments)]
        done = subprocess.run(
            command, user=self._user, cwd=self.folder, text=True, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        self._do("pg_ctl", "-D", self.data, "-l", self.folder / "log", "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        self._do("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop")

    def remove(self) -> None:
        if self.folder.exists():
            if (self.data / "postmaster.pid").exists():
                self.stop("immediate")
            shutil.rmtree(self.folder)

    def url(self, name: str, user: str = "postgres") -> str:
        return f"postgresql://{user}@/{name}?host={self.folder}"

    def sql(self, text: str, name: str = "postgres") -> list[tuple]:
        with psycopg.connect(self.url(name), autocommit=True) as db:
            done = db.execute(text)
            return done.fetchall() if done.description else []

    def new(self, like: str = "template1") -> str:
        """Make a database and return where it is."""
        name = f"t{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {like}")
        return self.url(name)


_cluster: Cluster | None = None


def cluster() -> Cluster:
    """Return the cluster of this test run."""
    global _cluster
    if _cluster is None:
        _cluster = Cluster()
    return _cluster
