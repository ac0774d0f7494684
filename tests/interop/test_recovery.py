"""Power cuts, restarts, restores and copies, with real processes at both ends."""

import shutil
import time

import pytest
from real import finish


def cut_when(hub, folder, relay, way, index):
    """Switch a device on and cut its power when a datagram passes the relay."""
    before = sum(1 for direction, _ in relay.seen if direction == way)
    device = hub.power(folder)
    end = time.monotonic() + 10
    while sum(1 for direction, _ in relay.seen if direction == way) <= before + index:
        assert time.monotonic() < end
        if device.wait(0.001) is not None:
            break
    device.kill()


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("way", ["up", "down"])
def test_device_power_cut(hub, way, index):
    relay = hub.relay()
    folder = hub.board("d-1", relay)
    for _ in range(5):
        cut_when(hub, folder, relay, way, index)
    assert finish(hub.power(folder)) == []  # at most the two attempts of one connect


def test_device_power_cut_with_every_answer_lost(hub):
    """The hub moves to a new era, the device does not know, again and again."""
    relay = hub.relay()
    folder = hub.board("d-1", relay)
    for _ in range(3):
        relay.rule = lambda way, i, _: [] if way == "down" else [0.0]
        device = hub.power(folder, timeout_ms=800)
        while len(device.lines) < 2:
            assert device.wait(0.01) is None
        device.kill()
        relay.rule = lambda way, i, _: [0.0]
        assert finish(hub.power(folder)) == []


def test_hub_restarts_under_live_sessions(hub):
    device = hub.power(hub.board("d-1"), readings=12, interval=150)
    while hub.row("d-1")["readings"] < 2:
        time.sleep(0.05)
    for _ in range(2):
        hub.kill()
        hub.start()
        readings = hub.row("d-1")["readings"]
        while hub.row("d-1")["readings"] <= readings:
            assert device.wait(0.01) is None or device.last["event"] == "done"
            if device.last["event"] == "done":
                break
    finish(device)
    assert hub.row("d-1")["readings"] >= 12


def test_hub_restored_from_an_old_copy(hub):
    """Restored again and again from the same image: each costs one recovery."""
    folder = hub.board("d-1")
    finish(hub.power(folder))
    hub.process.terminate()
    hub.process.wait(10)
    image = hub.folder / "image"
    shutil.copytree(hub.data, image)
    hub.start()
    for _ in range(3):
        for _ in range(3):
            assert finish(hub.power(folder)) == []
        hub.kill()
        shutil.rmtree(hub.data)
        shutil.copytree(image, hub.data)
        hub.start()
    assert finish(hub.power(folder)) == []


def test_old_slot_comes_back(hub):
    folder = hub.board("d-1")
    finish(hub.power(folder))
    shutil.copytree(folder, hub.folder / "image")
    for _ in range(5):
        finish(hub.power(folder))
    shutil.rmtree(folder)
    shutil.copytree(hub.folder / "image", folder)
    assert finish(hub.power(folder)) == []


def test_two_boards_from_one_image(hub):
    """The copy gets in once, by a new era; then the other is out, and they do not take turns."""
    bundle = hub.enroll("d-1")
    first = hub.board("first", source=bundle)
    second = hub.board("second", source=bundle)
    assert finish(hub.power(first)) == []
    assert finish(hub.power(second)) == []
    for _ in range(2):
        out = hub.power(first, timeout_ms=800)
        while not out.lines:
            assert out.wait(0.01) is None
        assert out.lines[0]["event"] == "error"
        out.kill()
        assert finish(hub.power(second)) == []
    assert "a copy of the device" in hub.log.read_text()


def test_corrupted_slots(hub):
    folder = hub.board("d-1")
    finish(hub.power(folder))
    good, other = sorted(
        (folder / "skerry.0", folder / "skerry.1"), key=lambda each: each.read_bytes()[:2] != b"SK"
    )
    other.write_bytes(bytes(range(87)))
    assert finish(hub.power(folder)) == []
    for each in (good, other):
        each.write_bytes(b"\xff" * 87)
    dead = hub.power(folder)
    assert dead.wait(10) == 1
    assert "NotProvisioned" in "\n".join(dead.noise)


def test_bundle_of_another_hub(hub):
    """The device says what may be wrong; the hub stays silent."""
    folder = hub.board("d-1")
    config = folder / "skerry.json"
    config.write_text(config.read_text().replace('"hub": "', '"hub": "x'))
    device = hub.power(folder, timeout_ms=800)
    while not device.lines:
        assert device.wait(0.01) is None
    assert device.lines[0]["event"] == "error"


def test_revoke_cuts_the_live_session(hub):
    device = hub.power(hub.board("d-1"), readings=1000, interval=50, timeout_ms=800)
    while hub.row("d-1")["readings"] < 3:
        time.sleep(0.05)
    hub("revoke", "d-1")
    revoked = time.monotonic()
    while device.last["event"] != "error" and device.wait(0.01) is None:
        assert time.monotonic() < revoked + 10
    readings = hub.row("d-1")["readings"]
    time.sleep(1)
    assert hub.row("d-1")["readings"] == readings
