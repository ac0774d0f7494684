"""What breaks under a busy hub, for real: disks, clocks, descriptors. docs/faults.md has the table.

In each of them: nothing that was answered is lost, the hub says in one line what is wrong, and goes
on by itself when it is over.
"""

import os
import resource
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
from desk import enrolled
from peer import until
from real import Hub
from test_kill import Storm, check

from skerry_hub import enrolment
from skerry_hub.config import Config

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
DEVICES = 8


class Site:
    """A hub process with devices that use it as fast as it answers."""

    def __init__(self, folder):
        self.hub = Hub(folder)
        self.config = Config.of(data=str(self.hub.data), environ={})
        with enrolment.opened(self.config) as opened:
            self.storm = Storm([enrolled(opened, f"d-{i}") for i in range(DEVICES)])

    def rage(self, seconds=1.0):
        """Let the devices go on; return how many readings were answered."""
        before = len(self.storm.answered)
        self.storm.rage(self.hub.address[1], seconds)
        return len(self.storm.answered) - before

    @property
    def log(self):
        return self.hub.log.read_text()

    def sound(self):
        """End the hub: all that was answered is stored, and nothing was logged as unexpected."""
        self.hub.stop()
        check(self.config, self.storm)
        assert "Traceback" not in self.log
        assert all(device.chain.era <= 1 for device in self.storm.devices)


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.hub.stop()


@pytest.fixture
def small(tmp_path):
    """A disk of 1 MiB that can be mounted otherwise."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.getuid() or subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("needs root, to mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def remount(disk, options):
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


def test_disk_full(small):
    site = Site(small)
    site.hub.start()
    assert site.rage() > 0
    filler = small / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    while site.rage(0.5):  # what room there is in the journal
        pass
    assert "the disk is full: make room" in site.log
    assert site.rage(0.5) == 0
    filler.unlink()
    remount(small, "size=20m")
    assert site.rage(2) > 0
    site.sound()


def test_read_only(small):
    remount(small, "size=20m")
    site = Site(small)
    site.hub.start()
    site.rage(0.5)
    site.hub.stop()
    remount(small, "ro")
    said = site.hub("run", "--listen", "127.0.0.1:0", ok=False)
    assert "check who owns it" in said
    assert said.count("\n") == 1
    remount(small, "rw")
    site.hub.start()
    assert site.rage() > 0
    site.sound()


def test_a_database_that_somebody_holds(site):
    """For a minute: the hub waits 5 s for each batch."""
    site.hub.start()
    assert site.rage() > 0
    with closing(sqlite3.connect(site.config.database, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        assert site.rage(60) == 0
        db.execute("ROLLBACK")
    until(lambda: site.rage(1) > 0, 30)
    assert "another process holds it" in site.log
    site.sound()


def test_a_database_that_is_gone(site):
    """Its file is moved away and comes back. SQLite keeps the open one: nobody notices."""
    site.hub.start()
    assert site.rage() > 0
    away = site.config.database.with_name("away")
    site.config.database.rename(away)
    assert site.rage() > 0
    away.rename(site.config.database)
    assert site.rage() > 0
    site.sound()


def damage(database, table):
    """Overwrite the root page of a table, or of all of them."""
    with closing(sqlite3.connect(database)) as db:
        rows = db.execute("SELECT rootpage FROM sqlite_master WHERE name LIKE ?", (table,))
        pages = [page for (page,) in rows if page]
    with database.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * 4096)
            file.write(b"\xff" * 64)


def test_a_damaged_page(site, tmp_path):
    """What does not touch it goes on; what does is not answered; a backup brings all back."""
    hub = site.hub
    hub.start()
    site.rage(0.5)
    hub("backup", str(tmp_path / "good.db"))
    hub.stop()
    damage(site.config.database, "reading")
    hub.start()
    before = len(site.storm.secrets)
    assert site.rage(2) == 0
    assert len(site.storm.secrets) > before  # handshakes need no reading
    assert "it is damaged: restore it from a backup" in site.log
    assert hub.process.poll() is None
    hub.stop()
    damage(site.config.database, "%")
    said = hub("run", "--listen", "127.0.0.1:0", ok=False)
    assert "it is damaged: restore it from a backup" in said
    assert said.count("\n") == 1
    assert hub("restore", str(tmp_path / "good.db"))["compared"] is False
    hub.start()
    for device in site.storm.devices:  # behind its devices now: they meet in the next era
        device.chain = device.chain.next_era()
    assert site.rage(2) > 0
    site.sound()


@pytest.mark.skipif(not FAKETIME.exists(), reason="apt-get install faketime")
def test_a_clock_that_jumps_both_ways(site, tmp_path, monkeypatch):
    """Ten years ahead and back, to before 1980, and to now: sessions and handshakes go on."""
    said = tmp_path / "time"
    said.write_text("+0\n")
    for name, value in (("LD_PRELOAD", FAKETIME), ("FAKETIME_TIMESTAMP_FILE", said),
                        ("FAKETIME_NO_CACHE", "1"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
                        ("DONT_FAKE_MONOTONIC", "1")):  # fmt: skip
        monkeypatch.setenv(name, str(value))
    site.hub.start()
    for name in ("LD_PRELOAD",):
        monkeypatch.delenv(name)
    assert site.rage() > 0
    for jump in ("+3650d", "-3650d", "-17000d", "+0"):
        said.write_text(jump + "\n")
        assert site.rage() > 0, jump
        assert site.rage() > 0, jump  # with handshakes of its own
    with enrolment.opened(site.config) as opened:
        times = [each.at for each in opened.store.readings_after(0, limit=100_000)]
    assert max(times) - min(times) > 20_000 * 86400  # it did jump
    site.sound()


def test_no_file_descriptor_left(site):
    site.hub.start()
    assert site.rage() > 0
    pid = site.hub.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
    assert site.rage() > 0  # all that it needs is open
    assert explained(site.hub) == "no hub"  # but for new callers
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert site.rage() > 0
    until(lambda: explained(site.hub) == "in a session", 20)
    site.hub.stop()
    check(site.config, site.storm)


def explained(hub):
    return hub("explain", "d-0")[0]["cause"]


def test_a_slow_disk(site, tmp_path, monkeypatch):
    """300 ms for each sync: slower, and nothing else."""
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    source, library = Path(__file__).with_name("slow.c"), tmp_path / "slow.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("SLOW_MS", "300")
    site.hub.start()
    monkeypatch.delenv("LD_PRELOAD")
    start = time.monotonic()
    answered = site.rage(5)
    print(f"{answered / (time.monotonic() - start):.0f} readings a second from {DEVICES} devices")
    assert answered > DEVICES  # what comes together shares a sync
    site.sound()
