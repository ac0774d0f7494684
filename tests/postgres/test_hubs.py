"""Several hub processes on one store: on one port, on several, killed, and without a database."""

import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from cluster import Cluster, cluster
from desk import DeskDevice, enrolled
from ports import free_port
from postgres.walkers import Walker
from program import Program
from real import Hub, finish

from skerry import coap
from skerry_hub import audit, control, enrolment
from skerry_hub.config import Config
from skerry_hub.store.places import open_store

SERVES = """
import skerry_device, time
hub = skerry_device.connect(timeout_ms=4000, ack_timeout_ms=500)
hub.serve("temp", get=lambda request: {"c": 21.5})
print("session", hub.fingerprint)
last = hub.fingerprint
for value in hub.observe("config/led"):
    print("led", value.payload)
"""


class Hubs(Hub):
    """One data folder and store, several processes; `share` on one port, or each on its own."""

    started: list[subprocess.Popen] = []

    def __init__(self, folder: Path, conninfo: str, share: bool = True) -> None:
        self.env = {"SKERRY_DATABASE": conninfo, "SKERRY_SHARE_PORT": str(share).lower()}
        os.environ.update(self.env)
        self.processes: list[subprocess.Popen] = []
        super().__init__(folder)
        self.config = Config.of(data=str(self.data))

    def begin(self) -> tuple[str, int]:
        """Start one more; the port of the first is the port of all that share it."""
        self.start()
        self.processes.append(self.process)
        self.started.append(self.process)
        return self.address

    def devices_of(self, count: int) -> list[DeskDevice]:
        with enrolment.opened(self.config) as opened:
            return [enrolled(opened, f"d-{number}") for number in range(count)]

    def walkers(self, count: int, addresses=None) -> list[Walker]:
        made = [
            Walker(f"d-{number}", device, list(addresses or [self.address]))
            for number, device in enumerate(self.devices_of(count))
        ]
        for each in made:
            each.start()
        return made

    def end(self) -> None:
        for each in self.processes:
            if each.poll() is None:
                each.terminate()
        for each in self.processes:
            assert each.wait(20) in (0, -9), self.log.read_text()
        self.process = None
        self.stop()
        assert "Traceback" not in self.log.read_text()


@pytest.fixture(autouse=True)
def leaves_nobody_behind():
    """A test that failed has not ended its hubs."""
    yield
    for each in Hubs.started:
        if each.poll() is None:
            each.kill()
            each.wait()
    Hubs.started.clear()


@pytest.fixture
def hubs(tmp_path, monkeypatch):
    monkeypatch.setenv("SKERRY_DATABASE", "")
    monkeypatch.setenv("SKERRY_SHARE_PORT", "")
    made = Hubs(tmp_path, cluster().new())
    yield made
    made.end()


def check(hubs: Hubs, walkers: list[Walker]) -> None:
    """No key came twice, nobody is far from the hub, and all that was answered is there."""
    secrets = [secret for each in walkers for secret in each.secrets]
    assert len(secrets) == len(set(secrets))
    with closing(open_store(hubs.config)) as store:
        stored = Counter()
        after = 0
        while found := store.readings_after(after):
            stored.update((each.name, each.payload) for each in found)
            after = found[-1].id
        for each in walkers:
            row, chain = store.device(each.name), each.device.chain
            assert row.era >= chain.era
            assert (row.era - chain.era, row.step - chain.step) in (
                (0, 0),
                (0, 1),
            ) or row.era > chain.era
            for payload in each.answered:
                assert stored[each.name, payload] >= 1
        audit.verified(store)


def test_three_on_one_port(hubs):
    """Real MicroPython devices; whichever process is asked, the command line gets it done."""
    for _ in range(3):
        hubs.begin()
    assert len(control.running(hubs.config.control)) == 3
    boards = [hubs.board(f"m-{number}") for number in range(6)]
    devices = [hubs.power(each, readings=12, interval=50) for each in boards]
    for each in devices:
        assert finish(each, 60) == []
    assert [row["readings"] for row in hubs("list")] == [12] * 6
    held = Counter()
    for number in range(6):
        asked = {"do": "holds", "device": f"m-{number}"}
        where = [control.ask(each, asked, 5) for each in control.running(hubs.config.control)]
        assert where.count(True) == 1
        held[where.index(True)] += 1
    assert len(held) > 1, held
    hubs.kill()  # the socket that it leaves behind is taken by the next
    hubs.begin()
    assert len(control.running(hubs.config.control)) == 3


def test_revoked_set_poked_and_asked_whichever_process_it_is(hubs, tmp_path):
    for _ in range(3):
        hubs.begin()
    programs = []
    for number in range(4):
        source = tmp_path / "serves.py"
        source.write_text(SERVES)
        programs.append(Program(source, hubs.board(f"m-{number}")))
    for number, each in enumerate(programs):
        each.says("led b''")
        name = f"m-{number}"
        assert hubs("request", name, "get", "temp")["text"] == '{"c": 21.5}'
        hubs("set", name, "led", "red")
        each.says("led b'red'")
        assert any(line["cause"] == "in a session" for line in hubs("explain", name))
        hubs("poke", name)
        time.sleep(1)
        assert hubs("request", name, "get", "temp", "--timeout", "30")["text"] == '{"c": 21.5}'
    hubs("rotate-key")
    assert hubs("request", "m-0", "get", "temp")["text"] == '{"c": 21.5}'
    hubs("revoke", "m-0")
    hubs("quarantine", "m-1")
    time.sleep(1.5)
    for name in ("m-0", "m-1"):
        for each in control.running(hubs.config.control):
            assert control.ask(each, {"do": "holds", "device": name}, 5) is False
    for each in programs:
        each.kill()


def test_one_that_does_not_share_is_told_so(hubs):
    hubs.begin()
    os.environ["SKERRY_SHARE_PORT"] = "false"
    host, port = hubs.address
    said = hubs("run", "--listen", f"{host}:{port}", ok=False)
    assert "share_port" in said or "another hub runs" in said
    said = hubs("run", "--listen", f"{host}:0", ok=False)
    assert "another hub runs" in said


def test_one_message_to_two_hubs_moves_the_chain_once(tmp_path, monkeypatch):
    """At the same moment, to two ports; the device takes whoever answers first."""
    monkeypatch.setenv("SKERRY_DATABASE", "")
    monkeypatch.setenv("SKERRY_SHARE_PORT", "")
    hubs = Hubs(tmp_path, cluster().new())
    addresses = []
    for _ in range(2):
        hubs.address = ("127.0.0.1", free_port())
        addresses.append(hubs.begin())
    assert len(set(addresses)) == 2
    (device,) = hubs.devices_of(1)
    answered, secrets = Counter(), set()
    with closing(open_store(hubs.config)) as store, wire() as one, wire() as two:
        for number in range(40):
            before = store.device("d-0")
            attempt = device.attempt(recover=number % 10 == 9)
            one.sendto(attempt, addresses[0])
            two.sendto(attempt, addresses[1])
            answers = [(each, got) for each in (one, two) if (got := heard(each, 1.0))]
            answered[len(answers)] += 1
            after = store.device("d-0")
            if number % 10 == 9:
                assert (after.era, after.step) == (before.era + 1, 1)
            else:
                assert (after.era, after.step) == (before.era, before.step + 1)
            sock, answer = answers[0]
            device.accept([answer])
            assert device.session.secret not in secrets
            secrets.add(device.session.secret)
            request = device.request(b"%d" % number)
            sock.sendto(request, addresses[0 if sock is one else 1])
            assert device.response([heard(sock, 5.0)]).code == coap.CHANGED
        assert [each.payload for each in store.readings_after(0)] == [b"%d" % n for n in range(40)]
    assert set(answered) <= {1, 2}
    hubs.end()


def wire() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def heard(sock: socket.socket, limit: float) -> bytes | None:
    sock.settimeout(limit)
    try:
        return sock.recv(2048)
    except TimeoutError:
        return None


@pytest.mark.parametrize("share", [True, False])
def test_killed_again_and_again(tmp_path, monkeypatch, share):
    """kill -9 of any, under load: nobody is locked out, no key is used twice, nothing is lost."""
    monkeypatch.setenv("SKERRY_DATABASE", "")
    monkeypatch.setenv("SKERRY_SHARE_PORT", "")
    hubs, source = Hubs(tmp_path, cluster().new(), share=True), random.Random(7)
    places = []
    for _ in range(3):
        if not share:  # as on three machines
            hubs.address = ("127.0.0.1", free_port())
        places.append((hubs.begin(), hubs.process))
    walkers = hubs.walkers(10, {place for place, _ in places})
    for _ in range(10):
        time.sleep(0.3 + source.random())
        number = source.randrange(3)
        hubs.address, hubs.process = places[number]
        hubs.kill()
        time.sleep(source.random() * 0.5)
        places[number] = (hubs.begin(), hubs.process)
    time.sleep(3)
    for each in walkers:
        each.end()
    assert sum(len(each.answered) for each in walkers) > 500
    assert all(each.answered for each in walkers)
    check(hubs, walkers)
    hubs.end()


def test_a_database_that_is_away_for_a_minute(tmp_path, monkeypatch):
    """Nothing that was accepted is lost, and hubs and devices go on by themselves."""
    monkeypatch.setenv("SKERRY_DATABASE", "")
    monkeypatch.setenv("SKERRY_SHARE_PORT", "")
    own = Cluster()
    own.sql("CREATE DATABASE skerry")
    hubs = Hubs(tmp_path, own.url("skerry"))
    for _ in range(2):
        hubs.begin()
    walkers = hubs.walkers(6)
    time.sleep(3)
    own.stop("immediate")
    began, before = time.monotonic(), [len(each.answered) for each in walkers]
    time.sleep(30)
    assert all(each.poll() is None for each in hubs.processes)
    assert "not reachable" in hubs("list", ok=False)
    assert [len(each.answered) - n for each, n in zip(walkers, before, strict=True)] == [0] * 6
    time.sleep(max(0.0, 60 - (time.monotonic() - began)))
    own.start()
    back = time.monotonic()
    while any(len(each.answered) <= n for each, n in zip(walkers, before, strict=True)):
        assert time.monotonic() - back < 30
        time.sleep(0.1)
    time.sleep(2)
    for each in walkers:
        each.end()
    check(hubs, walkers)
    hubs.end()
    own.remove()


def test_a_hub_runs_where_nobody_replaces_its_store(hubs, tmp_path):
    hubs.begin()
    hubs("backup", str(tmp_path / "b.db"))
    other = tmp_path / "other"  # another machine, whose folder no hub runs on
    other.mkdir()
    command = [sys.executable, "-m", "skerry_hub", "--data", str(other), "restore",
               str(tmp_path / "b.db")]  # fmt: skip
    env = {**os.environ, "SKERRY_KEK_FILE": str(hubs.data / "kek")}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "a hub or skerry rotate-key runs on it: end it first" in done.stderr
