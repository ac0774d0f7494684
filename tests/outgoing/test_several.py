"""Several hub processes on one port and one store, which deliver once."""

import json
import time
import urllib.request

import pytest
from outgoing.broker import Broker
from outgoing.parts import fill, firsts, until
from ports import free_port


@pytest.fixture
def broker(tmp_path):
    made = Broker(tmp_path / "broker")
    made.start()
    yield made
    for each in made.watchers:
        each.process.kill()
        each.process.wait()
    made.stop()


@pytest.fixture
def begin(hub, monkeypatch):
    """Start one more process; return it and where it is watched."""
    all = []

    def begin():
        port = free_port()
        monkeypatch.setenv("SKERRY_MONITORING", f"127.0.0.1:{port}")
        hub.start()
        all.append(hub.process)
        return hub.process, f"http://127.0.0.1:{port}"

    yield begin
    for each in all:
        each.kill()
        each.wait()
    hub.process = None


def get(url, what):
    with urllib.request.urlopen(f"{url}/{what}", timeout=10) as answer:
        return answer.read().decode()


def delivers(url):
    said = json.loads(get(url, "health"))["delivers"]
    metrics = get(url, "metrics")
    assert f"skerry_outgoing_delivers {float(said)}" in metrics
    assert ("skerry_outgoing_behind{" in metrics) == said  # others do not know
    return said


def behind(url):
    lines = get(url, "metrics").splitlines()
    return [
        float(each.split()[-1]) for each in lines if each.startswith("skerry_outgoing_behind{")
    ]


def test_one_of_three_delivers_and_when_it_is_killed_another(hub, receiver, broker, begin):
    watcher = broker.watch()
    (hub.data / "skerry.toml").write_text(
        "share_port = true\n" + receiver.table() + broker.table()
    )
    hub.enroll("kitchen")
    running = [begin() for _ in range(3)]
    for round in range(3):
        until(lambda: any(delivers(url) for _, url in running), 5)
        assert [delivers(url) for _, url in running].count(True) == 1
        fill(hub, 150)
        last = (round + 1) * 150
        until(lambda last=last: receiver.numbers()[-1:] == [last])
        until(lambda last=last: watcher.numbers()[-1:] == [last])
        leader = next(each for each in running if delivers(each[1]))
        until(lambda leader=leader: behind(leader[1]) == [0, 0])
        time.sleep(1.5)  # so that its position is kept
        leader[0].kill()
        leader[0].wait()
        running.remove(leader)
        if round == 0:
            running.append(begin())
    assert receiver.numbers() == watcher.numbers() == list(range(1, 451))
    assert firsts(watcher.statuses()) == ["online", "offline"]
    log = (broker.folder / "log").read_text()
    assert "already connected" not in log
    assert "taken over" not in log
    assert "Traceback" not in hub.log.read_text()


def test_a_hub_that_is_ended_hands_over(hub, receiver, broker, begin):
    watcher = broker.watch()
    (hub.data / "skerry.toml").write_text(
        "share_port = true\n" + receiver.table() + broker.table()
    )
    hub.enroll("kitchen")
    (first, url), (_, second) = begin(), begin()
    until(lambda: watcher.statuses() == ["online"])
    fill(hub, 20)
    until(lambda: watcher.numbers() == receiver.numbers() == list(range(1, 21)))
    until(lambda: behind(url) == [0, 0])  # the hub knows that they got it, too
    began = time.monotonic()
    first.terminate()
    until(lambda: delivers(second))
    assert time.monotonic() - began < 3
    until(lambda: watcher.statuses() == ["online", "offline", "online"])
    fill(hub, 20)
    until(lambda: watcher.numbers() == receiver.numbers() == list(range(1, 41)))
