"""Health and metrics of a real hub process, before and after a device was there."""

import json
import socket
import urllib.error
import urllib.request

import pytest
from ports import free_port
from real import finish


@pytest.fixture
def watched(hub, monkeypatch):
    port = free_port()
    monkeypatch.setenv("SKERRY_MONITORING", f"127.0.0.1:{port}")
    hub.kill()
    hub.start()

    def get(path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return get


def sample(text, name):
    values = [line.split()[-1] for line in text.splitlines() if line.startswith(name + " ")]
    return float(values[0]) if values else None


def test_health_and_metrics(hub, watched):
    status, body = watched("/health")
    assert (status, json.loads(body)["status"]) == (200, "ok")
    _, before = watched("/metrics")
    assert sample(before, "skerry_sessions") == 0
    board = hub.board("kitchen")
    finish(hub.power(board, readings=3))
    _, after = watched("/metrics")
    assert sample(after, "skerry_sessions") == 1
    assert sample(after, 'skerry_handshakes_total{outcome="answered"}') == 1
    assert sample(after, 'skerry_messages_total{outcome="requests"}') == 3
    assert "kitchen" not in after
    assert watched("/nothing")[0] == 404


def test_a_hub_that_cannot_serve_monitoring_does_not_start(hub, monkeypatch):
    hub.kill()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("SKERRY_MONITORING", f"127.0.0.1:{taken.getsockname()[1]}")
        said = hub("run", "--listen", "127.0.0.1:0", ok=False)
    assert "cannot serve monitoring" in said
    hub.start()
