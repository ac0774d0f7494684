"""The MQTT bridge of a real hub, with mosquitto and mosquitto_sub."""

import re
import signal
import subprocess
import time
from collections import Counter

import pytest
from certificates import Authority
from outgoing.broker import MOSQUITTO_SUB, PASSWORD, USER, Broker
from outgoing.parts import configure, fill, firsts, health, metric, opened, stored, until
from real import finish

from skerry_hub.outgoing.logs import Bookmark


@pytest.fixture
def brokers(tmp_path):
    """Start brokers, with a certificate and its key if they are given."""
    all = []

    def start(*certificate):
        all.append(Broker(tmp_path / f"broker-{len(all)}", *certificate))
        all[-1].start()
        return all[-1]

    yield start
    for each in all:
        for watcher in each.watchers:
            watcher.process.kill()
            watcher.process.wait()
        each.stop()


@pytest.fixture
def broker(brokers):
    return brokers()


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_readings_events_and_status(hub, broker, version):
    watcher = broker.watch()
    configure(hub, broker.table(version=version))
    hub.start()
    until(lambda: watcher.statuses() == ["online"])
    finish(hub.power(hub.board("kitchen"), readings=3))
    until(lambda: watcher.numbers() == [1, 2, 3], 2)
    name = watcher.items()[0]["hub"]
    topics = [each["topic"] for each in watcher.messages]
    assert (
        topics
        == [f"skerry/{name}/status", f"skerry/{name}/events"]
        + [f"skerry/{name}/kitchen/readings"] * 3
    )
    reading = watcher.items("/readings")[0]
    assert (reading["log"], reading["device"], reading["value"]["c"]) == ("0", "kitchen", 20)
    assert watcher.items("/events")[0]["action"] == "enrol"
    assert {each["qos"] for each in watcher.messages} == {1}
    hub.stop()
    until(lambda: watcher.statuses() == ["online", "offline"])


def test_the_broker_says_when_the_hub_is_dead(hub, broker):
    watcher = broker.watch()
    configure(hub, broker.table())
    hub.start()
    until(lambda: watcher.statuses() == ["online"])
    hub.kill()
    until(lambda: watcher.statuses() == ["online", "offline"])
    late = broker.watch("skerry/+/status")
    until(lambda: late.statuses() == ["offline"])


def test_nothing_is_lost_or_out_of_order_when_hub_and_broker_go_away(hub, broker):
    watcher = broker.watch()
    configure(hub, broker.table())
    hub.start()
    devices = [hub.power(hub.board(f"d-{number}"), readings=250, interval=5) for number in (1, 2)]
    for round in range(5):
        time.sleep(0.5 + 0.13 * round)
        hub.kill()
        if round % 2:
            broker.stop()
        hub.start()
        if round % 2:
            time.sleep(0.3)
            broker.start()
    for each in devices:
        finish(each, 90)
    there = stored(hub)
    assert len(there) >= 500
    until(lambda: watcher.numbers()[-1:] == there[-1:], 60)
    assert firsts(watcher.numbers()) == there
    assert firsts(watcher.numbers("event")) == [1, 2]


def test_a_broker_that_hangs_holds_nobody_up(hub, broker):
    watcher = broker.watch()
    configure(hub, broker.table())
    hub.start()
    board = hub.board("kitchen")
    until(lambda: watcher.numbers("event") == [1])
    broker.signal(signal.SIGSTOP)
    began = time.monotonic()
    finish(hub.power(board, readings=200, interval=2))
    assert time.monotonic() - began < 10
    broker.signal(signal.SIGCONT)
    until(lambda: watcher.numbers()[-1:] == [200], 40)
    assert firsts(watcher.numbers()) == list(range(1, 201))
    broker.signal(signal.SIGSTOP)
    began = time.monotonic()
    hub.stop()
    assert time.monotonic() - began < 5


def test_an_outage_is_made_good(hub, broker):
    watcher = broker.watch()
    configure(hub, broker.table())
    broker.stop()
    hub.start()
    hub.enroll("kitchen")
    fill(hub, 2000)
    until(lambda: metric(hub, "behind") == 2001)
    assert "refused" in health(hub)["warnings"][0]
    broker.start()
    until(lambda: len(watcher.numbers()) == 2000, 30)
    assert watcher.numbers() == list(range(1, 2001))
    until(lambda: health(hub)["warnings"] == [])
    broker.stop()
    until(lambda: health(hub)["warnings"])  # though there is nothing to deliver
    broker.start()
    until(lambda: watcher.statuses()[-1] == "online" and not health(hub)["warnings"], 30)


def test_what_the_broker_refuses_is_not_taken_for_delivered(hub, broker):
    watcher = broker.watch()
    configure(hub, broker.table(readings_topic="other/{device}"))
    hub.start()
    hub.enroll("kitchen")
    fill(hub, 3)
    until(lambda: health(hub)["warnings"])
    assert "Not authorized" in health(hub)["warnings"][0]
    assert watcher.numbers() == []
    (broker.folder / "acl").write_text("topic readwrite #\nuser skerry\ntopic readwrite #\n")
    broker.signal(signal.SIGHUP)
    other = broker.watch("other/#")
    until(lambda: firsts(other.numbers()) == [1, 2, 3])


def test_a_message_that_is_refused_brings_no_others_again(hub, broker):
    """The broker refuses one device's topic; what came before and behind is not sent for ever."""
    rules = broker.folder / "acl"
    allowed = rules.read_text()
    rules.write_text(allowed + "topic deny skerry/+/bad/readings\n")
    broker.signal(signal.SIGHUP)
    watcher = broker.watch()
    configure(hub, broker.table())
    hub.enroll("good")
    hub.enroll("bad")
    hub.start()
    until(lambda: watcher.statuses() == ["online"])
    fill(hub, 60, "good")
    fill(hub, 1, "bad")
    fill(hub, 30, "good")
    until(lambda: metric(hub, "failed_total") >= 3)
    came = Counter(watcher.numbers())
    assert set(came) >= set(range(1, 61))
    assert max(came[number] for number in range(1, 61)) == 1, came
    assert max(came.values()) <= 2  # it was underway with the one that was refused
    assert metric(hub, "behind") == 31
    (said,) = health(hub)["warnings"]
    assert re.search(r"refuses a message to skerry/h-\w+/bad/readings: Not authorized", said)
    until(lambda: position(hub)[0] == 60)
    seen = watcher.numbers()
    hub.kill()
    hub.start()
    until(lambda: metric(hub, "failed_total") >= 2)
    again = watcher.numbers()[len(seen) :]
    assert set(again) <= set(range(62, 92))
    rules.write_text(allowed)
    broker.signal(signal.SIGHUP)
    until(lambda: metric(hub, "behind") == 0, 40)
    until(lambda: set(watcher.numbers()) == set(range(1, 92)))


def position(hub):
    with opened(hub) as store:
        return Bookmark(store, "mqtt").read()


def test_a_connection_that_is_lost_is_told(hub, broker):
    """Though the next one works at once: somebody else may have the same client_id."""
    broker.watch()
    configure(hub, broker.table(client_id="same"))
    hub.start()
    until(lambda: "as same" in (broker.folder / "log").read_text())
    subprocess.run(
        [MOSQUITTO_SUB, "-h", "127.0.0.1", "-p", str(broker.port), "-u", USER, "-P", PASSWORD,
         "-i", "same", "-t", "x", "-W", "1"], check=False, capture_output=True,
    )  # fmt: skip
    until(lambda: "the connection was lost" in hub.log.read_text())
    assert hub.log.read_text().count("the connection was lost") == 1
    hub.stop()
    assert hub.log.read_text().count("the connection was lost") == 1


def test_a_wrong_password(hub, broker):
    broker.password.write_text("wrong")
    configure(hub, broker.table())
    hub.start()
    until(lambda: health(hub)["warnings"])
    assert (
        "Not authorized" in health(hub)["warnings"][0]
        or "Bad user name" in health(hub)["warnings"][0]
    )
    assert "correct horse" not in hub.log.read_text() + str(hub("config"))


def test_the_last_reading_is_kept_for_who_comes_late(hub, broker):
    watcher = broker.watch()
    configure(hub, broker.table(retain=True))
    hub.start()
    hub.enroll("kitchen")
    fill(hub, 3)
    until(lambda: watcher.numbers() == [1, 2, 3])
    late = broker.watch("skerry/+/+/readings")
    until(lambda: late.numbers() == [3])


def test_tls(hub, brokers, tmp_path):
    authority = Authority(tmp_path)
    broker = brokers(*authority.certificate("127.0.0.1"))
    watcher = broker.watch(ca=str(authority.file))
    configure(hub, broker.table(ca_file=str(authority.file)))
    hub.start()
    hub.enroll("kitchen")
    fill(hub, 300)
    until(lambda: watcher.numbers() == list(range(1, 301)))


@pytest.mark.parametrize("wrong", ["authority", "host"])
def test_a_broker_that_does_not_verify_gets_nothing(hub, brokers, tmp_path, wrong):
    authority = Authority(tmp_path)
    host = "other.example" if wrong == "host" else "127.0.0.1"
    broker = brokers(*authority.certificate(host))
    configure(hub, broker.table(**({"ca_file": str(authority.file)} if wrong == "host" else {})))
    hub.start()
    hub.enroll("kitchen")
    until(lambda: health(hub)["warnings"])
    assert "certificate verify failed" in health(hub)["warnings"][0].lower()
    log = (broker.folder / "log").read_text()
    assert "as skerry-" not in log
