"""docs/operating.md's installation, line by line, and its unit under a real systemd: `make test-service`.

A container of systemd-nspawn over this very system: it reads all of it and writes to memory alone.
"""

import re
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BOOT_S, WATCHDOG_S, STEP_S = 60, 60, 300
AS_SKERRY = """
skerry() {
    setpriv --reuid skerry --regid skerry --clear-groups env SKERRY_CONFIG=/etc/skerry/skerry.toml \\
        SKERRY_DATA=/var/lib/skerry /opt/skerry/bin/skerry "$@"
}
"""


def installation() -> list[str]:
    """Return the commands under "Install"."""
    text = (ROOT / "docs/operating.md").read_text().split("## Install")[1]
    block = re.search(r"(?:^    .*\n)+", text, re.MULTILINE)
    return [line.strip() for line in block[0].splitlines()]


class Machine:
    """A booted system."""

    def __init__(self, leader: int) -> None:
        self._leader = str(leader)

    def run(self, script: str, said: bytes = b"") -> str:
        done = subprocess.run(
            ["nsenter", "-t", self._leader, "-a", "bash", "-ec", AS_SKERRY + script],
            input=said, capture_output=True, timeout=STEP_S, cwd="/",
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )  # fmt: skip
        told = done.stdout.decode()
        assert done.returncode == 0, f"{script}\n{told}{done.stderr.decode()}"
        return told

    def shows(self, what: str) -> str:
        return self.run(f"systemctl show -p {what} --value skerry").strip()

    def until_restarted(self, times: int, within: float) -> None:
        end = time.monotonic() + within
        while (self.shows("NRestarts"), self.shows("ActiveState")) != (str(times), "active"):
            assert time.monotonic() < end, self.run("journalctl -u skerry --no-pager")
            time.sleep(0.5)


@contextmanager
def mounted(*arguments):
    subprocess.run(["mount", *arguments], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", arguments[-1]], check=True)


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    base = tmp_path_factory.mktemp("machine")
    layers, root = base / "layers", base / "root"
    for each in (layers, root):
        each.mkdir()
    with mounted("-t", "tmpfs", "tmpfs", str(layers)):
        for each in ("upper", "work"):
            (layers / each).mkdir()
        options = f"lowerdir=/,upperdir={layers}/upper,workdir={layers}/work"
        with mounted("-t", "overlay", "overlay", "-o", options, str(root)), booted(root) as leader:
            yield Machine(leader)


@contextmanager
def booted(root):
    command = [
        "systemd-nspawn",
        "--register=no",
        "--keep-unit",
        "--boot",
        "--console=pipe",
        "-D",
        str(root),
    ]
    container = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield leader_of(container)
    finally:
        container.terminate()
        container.wait(timeout=30)


def leader_of(container):
    """Return the process of the container's systemd, once it takes commands."""
    end = time.monotonic() + BOOT_S
    children = Path(f"/proc/{container.pid}/task/{container.pid}/children")
    while container.poll() is None and time.monotonic() < end:
        for leader in children.read_text().split():
            ask = ["nsenter", "-t", leader, "-a", "systemctl", "show", "-p", "Version"]
            if subprocess.run(ask, capture_output=True).returncode == 0:
                return int(leader)
        time.sleep(0.5)
    raise AssertionError(
        "no systemd came up: this needs root, and apt-get install systemd-container"
    )


@pytest.fixture(scope="module")
def source(machine):
    """A copy of this repository in there: where it lies here may be hidden, /tmp for one."""
    machine.run("mkdir /opt/source")
    leave = [f"--exclude={each}" for each in (".venv", ".git", "build", "*.egg-info")]
    packed = subprocess.run(
        ["tar", "-C", ROOT, *leave, "-c", "."], check=True, capture_output=True
    )
    machine.run("tar -C /opt/source -x", said=packed.stdout)
    return "/opt/source"


@pytest.fixture(scope="module")
def installed(machine, source):
    machine.run("sudo() { shift 2; setpriv --reuid skerry --regid skerry --clear-groups \"$@\"; }\n"
                "cd \"$(mktemp -d)\"; chmod 755 .\n" + "\n".join(
                    line.replace("/path/to/this/repository", source).replace(
                        "# then edit it", "&& sed -i 's|^#* *kek_file.*|kek_file = \"/etc/skerry/kek\"|' skerry.toml")
                    .replace("docs/examples", f"{source}/docs/examples")
                    for line in installation()))  # fmt: skip
    return machine


def test_it_runs_confined(installed):
    assert installed.shows("ActiveState") == "active"
    pid = installed.shows("MainPID")
    status = installed.run(f"cat /proc/{pid}/status")
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)
    mounts = installed.run(f"cat /proc/{pid}/mounts").splitlines()
    writable = {line.split()[1] for line in mounts if "rw" in line.split()[3].split(",")}
    assert "/var/lib/skerry" in writable
    assert "/" not in writable
    assert not {
        each for each in writable if each.startswith(("/etc", "/usr", "/opt", "/root", "/home"))
    } - {"/etc/skerry"}


def test_devices_are_served(installed, source):
    installed.run(f"/opt/skerry/bin/pip install --quiet '{source}[sim]'")
    assert "3 of 3" in installed.run("skerry sim 3 --readings 2 --interval 100")
    assert "sound" in installed.run("skerry doctor --address 192.0.2.1")


def test_it_comes_back_after_a_kill(installed):
    before = int(installed.shows("NRestarts"))
    installed.run(f"kill -9 {installed.shows('MainPID')}")
    installed.until_restarted(before + 1, within=20)


def test_it_is_restarted_when_it_hangs(installed):
    before = int(installed.shows("NRestarts"))
    installed.run(f"kill -STOP {installed.shows('MainPID')}")
    installed.until_restarted(before + 1, within=WATCHDOG_S + 20)
    assert "Watchdog timeout" in installed.run("journalctl -u skerry --no-pager")


def test_it_ends_at_once_when_it_is_told(installed):
    begin = time.monotonic()
    installed.run("systemctl stop skerry")
    assert time.monotonic() - begin < 5
    assert installed.shows("Result") == "success"
