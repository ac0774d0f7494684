"""Webhooks from a real hub to a real receiver, which may be away, slow, or hostile."""

import ast
import base64
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from outgoing.parts import (
    configure,
    fill,
    firsts,
    health,
    lines,
    metric,
    stored,
    until,
)
from ports import free_port
from real import finish


def test_readings_and_events_arrive_soon_and_signed(hub, receiver):
    configure(hub, receiver.table())
    hub.start()
    board = hub.board("kitchen")
    until(lambda: receiver.numbers("event"), 2)
    finish(hub.power(board, readings=3))
    until(lambda: len(receiver.numbers()) == 3, 2)
    hub("revoke", "kitchen")
    until(lambda: receiver.items[-1].get("action") == "revoke", 2)
    assert not [each for each in receiver.requests if "refused" in each]
    reading = next(each for each in receiver.items if each["type"] == "reading")
    assert (reading["device"], reading["path"], reading["format"]) == ("kitchen", "readings", 50)
    assert reading["value"] == {"n": 0, "c": 20}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", reading["time"])
    assert [each["action"] for each in receiver.items if each["type"] == "event"] == [
        "enrol", "revoke"
    ]  # fmt: skip
    assert health(hub)["warnings"] == []
    assert metric(hub, "delivered_total") == 5
    assert metric(hub, "behind") == 0


def test_nothing_is_lost_or_out_of_order_when_hub_and_receiver_are_killed(hub, receiver):
    configure(hub, receiver.table())
    hub.start()
    devices = [hub.power(hub.board(f"d-{number}"), readings=300, interval=5) for number in (1, 2)]
    for round in range(6):
        time.sleep(0.4 + 0.13 * round)
        hub.kill()
        if round % 2:
            receiver.kill()
        hub.start()
        if round % 2:
            time.sleep(0.3)
            receiver.start()
    for each in devices:
        finish(each, 90)
    there = stored(hub)
    assert len(there) >= 600
    until(lambda: receiver.numbers()[-1:] == there[-1:])
    assert firsts(receiver.numbers()) == there
    assert firsts(receiver.numbers("event")) == sorted(set(receiver.numbers("event")))
    assert not [each for each in receiver.requests if "refused" in each]


def test_an_outage_costs_neither_readings_nor_memory(hub, receiver):
    configure(hub, receiver.table())
    receiver.kill()
    hub.start()
    board = hub.board("kitchen")
    until(lambda: health(hub)["warnings"])
    before = memory(hub)
    for _ in range(20):
        fill(hub, 1000)
    finish(hub.power(board, readings=20))
    until(lambda: metric(hub, "behind") >= 20_020)
    assert memory(hub) - before < 8 << 20
    (said,) = health(hub)["warnings"]
    assert said.startswith("test: ")
    assert metric(hub, "failed_total") >= 1
    assert hub.log.read_text().count("nothing is lost") == 1
    began = time.monotonic()
    receiver.start()
    until(lambda: receiver.numbers()[-1:] == [20_020], 60)
    print(f"20,020 readings within {time.monotonic() - began:.1f} s, pause included")
    assert receiver.numbers() == list(range(1, 20_021))
    assert max(each["size"] for each in receiver.requests) < 300_000
    assert memory(hub) - before < 12 << 20
    until(lambda: health(hub)["warnings"] == [])


def memory(hub):
    """What the hub's process holds, in bytes."""
    with open(f"/proc/{hub.process.pid}/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS"))


@pytest.mark.parametrize("mode", ["hang", "slow 0.3", "flood"])
def test_devices_do_not_wait_for_a_receiver(hub, receiver, mode):
    configure(hub, receiver.table())
    hub.start()
    board = hub.board("kitchen")
    until(lambda: receiver.numbers("event"))
    receiver.behave(mode)
    began = time.monotonic()
    finish(hub.power(board, readings=200, interval=2))
    took = time.monotonic() - began
    print(f"{mode}: 200 readings in {took:.2f} s")
    assert took < 10
    if mode != "hang":
        until(lambda: receiver.numbers()[-1:] == [200])
        assert firsts(receiver.numbers()) == list(range(1, 201))


def test_a_batch_is_the_same_until_it_is_accepted(hub, receiver):
    configure(hub, receiver.table())
    hub.start()
    receiver.behave("503")
    hub.enroll("kitchen")
    until(lambda: len(receiver.requests) >= 3)
    assert len({each["id"] for each in receiver.requests[:3]}) == 1
    assert "503" in health(hub)["warnings"][0]
    receiver.behave("ok")
    until(lambda: receiver.numbers("event") == [1])


def test_a_redirection_is_refused(hub, receiver, receivers):
    other = receivers()
    configure(hub, receiver.table())
    hub.start()
    receiver.behave(f"307 http://127.0.0.1:{other.port}/hook")
    hub.enroll("kitchen")
    until(lambda: health(hub)["warnings"])
    assert "redirection" in health(hub)["warnings"][0]
    assert other.requests == []


def test_gone_is_gone(hub, receiver):
    configure(hub, receiver.table())
    hub.start()
    receiver.behave("410")
    hub.enroll("kitchen")
    until(lambda: health(hub)["warnings"])
    hub.enroll("hall")
    time.sleep(1)
    assert len(receiver.requests) == 1
    assert "410" in hub.log.read_text()
    receiver.behave("ok")
    hub.kill()
    hub.start()
    until(lambda: receiver.numbers("event") == [1, 2])


@pytest.mark.parametrize("begin", ["now", "start"])
def test_where_a_new_destination_begins(hub, receiver, begin):
    hub.enroll("kitchen")
    fill(hub, 5)
    configure(hub, receiver.table(begin=begin, send=["readings"]))
    receiver.kill()  # where it began is kept though nothing was delivered
    hub.start()
    hub.kill()
    fill(hub, 2)
    receiver.start()
    hub.start()
    until(lambda: receiver.numbers()[-1:] == [7])
    assert receiver.numbers() == ([6, 7] if begin == "now" else list(range(1, 8)))
    assert receiver.numbers("event") == []


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_what_was_accepted_does_not_come_again(hub, receiver, end):
    """After a stop; after a kill only what was accepted within the last second may."""
    configure(hub, receiver.table())
    hub.start()
    hub.enroll("kitchen")
    for number in (1, 2, 3):
        fill(hub, 1)
        until(lambda: receiver.numbers()[-1:] == [number])  # noqa: B023
    if end == "kill":
        time.sleep(1.5)
        hub.kill()
    else:
        hub.stop()
    fill(hub, 1)
    hub.start()
    until(lambda: receiver.numbers()[-1:] == [4])
    assert receiver.numbers() == [1, 2, 3, 4]
    assert receiver.numbers("event") == [1]


def test_a_receiver_with_another_secret_accepts_nothing(hub, receiver):
    configure(hub, receiver.table())
    hub.start()
    receiver.secret.write_text("whsec_" + "A" * 44)
    hub.enroll("kitchen")
    until(lambda: receiver.requests)
    assert receiver.requests[0]["refused"] == "No matching signature found"
    assert receiver.items == []


def test_secrets_are_exchanged_without_a_gap(hub, receiver):
    old = receiver.secret.read_text()
    new = "whsec_" + base64.b64encode(os.urandom(24)).decode() + "\n"
    receiver.secret.write_text(old + new)
    configure(hub, receiver.table())
    hub.start()  # it has both
    receiver.secret.write_text(old)
    hub.enroll("kitchen")
    until(lambda: receiver.numbers("event") == [1])
    receiver.secret.write_text(new)
    hub.enroll("hall")
    until(lambda: receiver.numbers("event") == [1, 2])
    assert not [each for each in receiver.requests if "refused" in each]


def test_after_a_restore_the_log_has_another_name(hub, receiver, tmp_path):
    configure(hub, receiver.table())
    hub.start()
    hub.enroll("kitchen")
    hub("backup", str(tmp_path / "backup.db"))
    fill(hub, 3)
    until(lambda: len(receiver.numbers()) == 3)
    hub.stop()
    hub("restore", str(tmp_path / "backup.db"))
    fill(hub, 1)
    hub.start()
    until(lambda: len(receiver.numbers()) == 4)
    assert receiver.numbers() == [1, 2, 3, 1]
    logs = [each["log"] for each in receiver.items if each["type"] == "reading"]
    assert logs[:3] == ["0"] * 3
    assert int(logs[3]) == pytest.approx(time.time(), abs=60)


@pytest.mark.parametrize("mode", ["503", "garbage"])
def test_no_secret_is_told(hub, receiver, mode):
    """Neither what signs nor the path of the URL, which often is one."""
    configure(hub, receiver.table())
    hub.start()
    receiver.behave(mode)
    hub.enroll("kitchen")
    until(lambda: health(hub)["warnings"])
    secret = receiver.secret.read_text().strip().removeprefix("whsec_")
    told = hub.log.read_text() + str(health(hub))
    assert "/hook" not in told
    assert secret not in told + str(hub("config"))
    assert lines(receiver.folder / "requests")


@pytest.fixture
def example(receiver):
    """docs/examples/receiver.py, as a process and its port."""
    port = free_port()
    program = Path(__file__).parents[2] / "docs" / "examples" / "receiver.py"
    command = [sys.executable, program, receiver.secret, str(port)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    yield process, port
    process.kill()
    process.communicate()


def test_the_receiver_of_the_documentation(hub, receiver, example):
    """It verifies."""
    process, port = example
    configure(hub, receiver.table(url=f"http://127.0.0.1:{port}/"))
    hub.start()
    finish(hub.power(hub.board("kitchen"), readings=2))
    told = [process.stdout.readline().split(maxsplit=2)[1:] for _ in range(3)]
    assert told[0] == ["kitchen", "enrol\n"]
    assert [ast.literal_eval(said)["n"] for _, said in told[1:]] == [0, 1]
    headers = {"webhook-id": "x", "webhook-timestamp": "1", "webhook-signature": "v1,eA=="}
    forged = urllib.request.Request(f"http://127.0.0.1:{port}", b'{"data": []}', headers)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(forged, timeout=10)
