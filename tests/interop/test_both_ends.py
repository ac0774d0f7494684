"""A MicroPython device and a hub process: what the hub sets, asks, replaces and ends."""

import time

import pytest
from peer import said, until
from real import LIBRARY

from skerry_hub.sim.fleet import Device

PROGRAM = """
import json
import skerry_device

def tell(event, **more):
    more["event"] = event
    print(json.dumps(more))

hub = skerry_device.connect(timeout_ms=2000)
hub.serve("temp", get=lambda request: {"c": 21.5})
hub.serve("led", put=lambda request: tell("led", value=str(request.payload, "utf-8")))
hub.post("readings", {"n": 1})
tell("session", fingerprint=hub.fingerprint)
fingerprint = hub.fingerprint
told = hub.observe("config/interval", timeout_ms=500)
while True:
    for message in told:
        tell("value", value=str(message.payload, "utf-8"))
    if hub.fingerprint != fingerprint:
        fingerprint = hub.fingerprint
        tell("session", fingerprint=fingerprint)
"""


@pytest.fixture
def device(hub):
    """A device that runs the program above until it is killed."""
    folder = hub.board("d-1")
    (folder / "node.py").write_text(PROGRAM)
    device = Device(folder, LIBRARY, [], folder / "node.py", "128k")
    yield device
    device.kill()
    assert not any("Traceback" in line for line in device.noise), device.noise


def events(device, kind):
    return [line for line in device.lines if line["event"] == kind]


def test_observe_ask_poke_revoke(hub, device):
    until(lambda: events(device, "value"), 20)
    hub("set", "d-1", "interval", "60")
    until(lambda: events(device, "value")[-1]["value"] == "60")
    assert said(hub, "request", "d-1", "get", "temp").stdout.startswith("2.05 Content  {")
    assert hub("request", "d-1", "put", "led", "on")["code"] == "2.04 Changed"
    assert events(device, "led")[-1]["value"] == "on"
    assert hub("request", "d-1", "get", "nothing", ok=False) == ""

    before = hub.row("d-1")["session_fingerprint"]
    hub("poke", "d-1")
    until(lambda: len(events(device, "session")) == 2, 20)
    after = hub.row("d-1")["session_fingerprint"]
    assert events(device, "session")[-1]["fingerprint"] == after != before
    hub("set", "d-1", "interval", "120")  # registered again, in the new session
    until(lambda: events(device, "value")[-1]["value"] == "120", 20)
    assert hub("request", "d-1", "get", "temp")["text"] == '{"c": 21.5}'

    hub("revoke", "d-1")
    time.sleep(1)
    values = len(events(device, "value"))
    assert "d-1 is revoked" in hub("request", "d-1", "get", "temp", ok=False)
    time.sleep(2)
    assert len(events(device, "value")) == values


def test_a_request_finds_the_device_after_the_hub_restarted(hub, device):
    until(lambda: events(device, "value"), 20)
    hub.process.terminate()
    hub.process.wait()
    hub.start()
    assert hub("request", "d-1", "get", "temp", "--timeout", "30")["text"] == '{"c": 21.5}'
    assert len(events(device, "session")) == 2
