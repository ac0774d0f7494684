"""What callers without a token can hold of a real hub, and for how long: nothing that others need."""

import json
import signal
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from ports import free_port
from real import finish

from skerry_hub.control import alive

HALF = b"GET / HTTP/1.1\r\nHost: x\r\nX-a: "
UNREAD = b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 400


@pytest.fixture
def where(hub, monkeypatch):
    """Where the hub, which is there once more, serves the web interface and monitoring."""
    monkeypatch.setenv("SKERRY_WEB", "127.0.0.1:0")
    port = free_port()
    monkeypatch.setenv("SKERRY_MONITORING", f"127.0.0.1:{port}")
    hub.kill()
    hub.start()
    return {"web": urlsplit(hub.web)[1].split(":"), "monitoring": ("127.0.0.1", port)}


def called(where, said=b"", room=0):
    """Open a connection that takes no more than `room` bytes, if that is said."""
    wire = socket.socket()
    if room:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    wire.settimeout(20)
    wire.connect((where[0], int(where[1])))
    wire.sendall(said)
    return wire


def closed(wire, within):
    """Tell whether the hub ends a connection in time."""
    wire.settimeout(within)
    try:
        return wire.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


@pytest.mark.parametrize(("part", "most"), [("web", 256), ("monitoring", 32)])
def test_idle_connections_are_bounded_and_do_not_last(hub, where, part, most):
    board = hub.board("kitchen")
    held = [called(where[part], HALF) for _ in range(most)]
    time.sleep(0.5)
    over = [called(where[part]) for _ in range(20)]
    assert all(closed(each, 3) for each in over)
    descriptors = len(list(Path(f"/proc/{hub.process.pid}/fd").iterdir()))
    assert most <= descriptors < most + 40
    finish(hub.power(board, readings=3))
    assert all(closed(each, 15) for each in held)
    for each in held + over:
        each.close()
    wire = called(where[part], b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert wire.recv(12).startswith(b"HTTP/1.1 ")
    wire.close()
    assert hub.log.read_text().count("further ones are refused") == 1


@pytest.mark.parametrize("kind", ["unread", "device"])
def test_a_hub_ends_soon_whoever_waits_and_is_seen_until_then(hub, where, kind):
    """And `skerry restore` refuses for as long as the process lives."""
    backup = str(hub.folder / "backup.db")
    hub("backup", backup)
    if kind == "unread":
        wire = called(where["web"], UNREAD, room=1024)
    else:
        wire = called(where["web"], asked(hub))
    time.sleep(1)
    hub.process.send_signal(signal.SIGTERM)
    began = seen = time.monotonic()
    while hub.process.poll() is None:
        assert time.monotonic() - began < 5
        if alive(hub.data / "control"):  # what restore asks
            seen = time.monotonic()
        time.sleep(0.02)
    assert hub.process.returncode == 0
    assert seen - began > 0.3
    assert time.monotonic() - seen < 0.5  # it has nothing left to do, and Python ends
    wire.close()
    assert not (hub.data / "control").exists()
    assert hub("restore", backup)["restored"]


def asked(hub):
    """Return a request that waits two minutes for a device that is asleep."""
    made = hub("token", "new", "ops", "--scope", "operate")["token"]
    finish(hub.power(hub.board("kitchen")))
    said = json.dumps({"method": "GET", "path": "temp", "timeout": 120}).encode()
    head = (
        "POST /api/v1/devices/kitchen/request HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {made}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(said)}\r\n\r\n"
    )
    return head.encode() + said
